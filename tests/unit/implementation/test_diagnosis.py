"""Why a controller does not start: the lines of its log that say so, and what to do next."""

from __future__ import annotations

import pytest

from pytest_vault_issuer.implementation.diagnosis import excerpt, hint

#: What controllers in Go, Python, Rust and Java write when they cannot start -> a part of the hint.
LOGS = {
    "flag provided but not defined: -kubeconfig": "compare [run] command with its --help",
    "Error: unknown flag: --kubeconfig": "compare [run] command with its --help",
    "unknown shorthand flag: 'k' in -kubeconfig": "compare [run] command with its --help",
    "manager: error: unrecognized arguments: --kubeconfig": "compare [run] command with its --help",
    "error: unexpected argument '--kubeconfig' found": "compare [run] command with its --help",
    "Unknown option: '--kubeconfig'": "compare [run] command with its --help",
    "listen tcp :8080: bind: address already in use": "{free_port}",
    "OSError: [Errno 98] Address already in use": "{free_port}",
    "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST must be defined": "--kubeconfig={kubeconfig}",
    'no matches for kind "StepIssuer" in version "certmanager.step.sm/v1beta1"': "[run] crds",
    "the server could not find the requested resource": "[run] crds",
    'issuers.example.com is forbidden: User "x" cannot list resource "issuers"': "[run] rbac",
    "attempting to acquire leader lease ns/lock...": "leader election",
    "unable to find leader election namespace: not running in-cluster": "--leader-election-namespace=",
    "open /tmp/k8s-webhook-server/serving-certs/tls.crt: no such file or directory": "{webhook_cert_dir}",
    "open /etc/config/auth.conf: no such file or directory": "{directory}",
    "panic: assignment to entry in nil map": "by hand",
    "something else": "by hand",
}


@pytest.mark.parametrize(("log", "expected"), LOGS.items())
def test_log_names_what_to_do_next(log: str, expected: str) -> None:
    assert expected in hint(f"starting\n{log}\nstopped\n", "start it by hand")


def test_first_cause_counts() -> None:
    """Its effects follow: a controller that may not list its issuer objects stops its webhook server, too."""
    log = "issuers.example.com is forbidden: no\nlisten tcp :9443: bind: address already in use\n"
    assert "[run] rbac" in hint(log, "")


def test_short_log_is_shown_whole() -> None:
    log = "\n".join(["flag provided but not defined: -x", *map(str, range(20))])
    assert excerpt(log, 25) == log


def test_cause_before_a_long_usage_is_shown() -> None:
    log = "\n".join(["starting", "flag provided but not defined: -x", *(f"  -flag{n}" for n in range(100))])
    shown = excerpt(log, 25).splitlines()
    assert shown[0] == "flag provided but not defined: -x"
    assert "[…]" in shown
    assert shown[-1] == "  -flag99"
    assert len(shown) <= 25


def test_reason_of_a_panic_is_shown_before_its_stack() -> None:
    stack = [f"main.frame{number}(...)" for number in range(100)]
    log = "\n".join(
        [*["working"] * 50, "panic: runtime error: index out of range", "", "goroutine 7 [running]:", *stack]
    )
    assert excerpt(log, 25).startswith("panic: runtime error: index out of range\n")


def test_log_without_a_known_cause_ends_with_its_last_lines() -> None:
    assert excerpt("\n".join(map(str, range(100))), 25) == "\n".join(map(str, range(75, 100)))


def test_long_line_is_searched_and_shown_in_part() -> None:
    """An expression would search such a line for hours."""
    log = f"{'cert' * 250_000}\npanic: no\n"
    assert hint(log, "by hand") == "by hand"
    assert [len(line) for line in excerpt(log, 25).splitlines()] == [1001, len("panic: no")]
