"""A controller that does not start, or does nothing, ends the session with one error that states what to do next."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from pytest_vault_issuer.implementation import load_implementation

ONE = "--vault-issuer-select=VI-SIGN-001"
FAILED = pytest.ExitCode.TESTS_FAILED


def without_permissions(suite: Any, *, kind: str = "Issuer") -> str:
    """Write a file for the sample controller without RBAC, and return the option that names it."""
    sample = load_implementation("sample-controller")
    text = f"""\
[implementation]
name = "powerless"
version = "0.1.0"
[issuer]
kind = "{kind}"
[run]
command = {json.dumps(sample.run.command)}
[features]
supported = ["token"]
unsupported = ["cluster-issuer"]
"""
    return f"--vault-issuer={suite.write('powerless.toml', text)}"


def test_wrong_flag_is_shown_before_the_usage(suite: Any, implementation: Any, shared: str) -> None:
    script = "print('flag provided but not defined: -kubeconfig\\n' + '  -flag\\n' * 50); exit(2)"
    run = suite.run(implementation(["python3", "-c", script]), shared, ONE)
    assert run.status == FAILED
    assert "the end of its log:\nflag provided but not defined: -kubeconfig\n" in run.output
    assert "hint: compare [run] command with its --help" in run.output


def test_controller_without_permissions_gets_the_list_of_them_and_no_test_runs(suite: Any, shared: str) -> None:
    run = suite.run(without_permissions(suite), shared, ONE, "--vault-issuer-timeout-scale=0.3")
    assert run.status == FAILED
    assert "it set no condition on its first issuer objects" in run.output
    assert "forbidden" in run.output, "its log is shown"
    assert "to list and watch issuers.cert-manager.io; to update or patch issuers/status.cert-manager.io" in run.output
    assert "to list and watch certificaterequests.cert-manager.io" in run.output
    assert set(run.outcomes().values()) == {"not-run", "unsupported"}


def test_kind_that_the_api_does_not_serve_is_named_beside_those_that_it_serves(suite: Any, shared: str) -> None:
    run = suite.run(without_permissions(suite, kind="Isuer"), shared, ONE)
    assert "the API server does not serve Isuer in cert-manager.io/v1" in run.output
    assert "ClusterIssuer, Issuer: check kind and cluster_kind in [issuer]" in run.output


def test_controller_gets_its_kubeconfig_without_a_flag(suite: Any, implementation: Any, shared: str) -> None:
    script = "import os; print(open(os.environ['KUBECONFIG']).read().splitlines()[0]); exit(3)"
    run = suite.run(implementation(["python3", "-c", script]), shared, ONE)
    assert "(exit status 3); the end of its log:\napiVersion: v1" in run.output


def test_call_that_the_api_refuses_is_named_before_the_tests(suite: Any, shared: str) -> None:
    """The controller updates a status, and its RBAC only allows to patch it."""
    sample = load_implementation("sample-controller")
    (file,) = map(sample.resolve, sample.run.rbac)
    documents = [item for item in yaml.safe_load_all(file.read_text()) if item]
    (role,) = (item for item in documents if item["kind"] == "ClusterRole")
    (rule,) = (rule for rule in role["rules"] if "certificaterequests/status" in rule["resources"])
    rule["resources"].remove("certificaterequests/status")
    role["rules"].append({**rule, "resources": ["certificaterequests/status"], "verbs": ["patch"]})
    suite.write("rbac.yaml", yaml.safe_dump_all(documents))
    text = f"""\
[implementation]
name = "patching"
version = "0.1.0"
[run]
command = {json.dumps(sample.run.command)}
service_account = "{sample.run.service_account}"
cluster_resource_namespace = "{sample.run.cluster_resource_namespace}"
rbac = ["rbac.yaml"]
[features]
supported = ["token", "cluster-issuer"]
"""
    run = suite.run(
        f"--vault-issuer={suite.write('patching.toml', text)}", shared, "--vault-issuer-select=VI-TOKEN-001"
    )
    assert "the API server refuses: update certificaterequests/status.cert-manager.io (see [run] rbac)" in run.output
    assert "tests may fail for one reason: expected CertificateRequest " in run.output
