"""Helpers of the tests that interrupt the controller, Vault or the API server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pytest_vault_issuer import CertificateRequest, Hold, Issuer, Object, Route, Sandbox, condition

from .helpers import wait_held


@contextlib.contextmanager
def interrupted_signing(sandbox: Sandbox, issuer: Issuer, held: Hold) -> Iterator[CertificateRequest]:
    """Let a block interrupt the signing of a request, and check afterwards that the request was issued once.

    :param held: holds the sign request, or Vault's response to it, until the block releases it.
    """
    sandbox.proxy.inject(Route.SIGN, held, times=1)
    request = sandbox.request(issuer)
    with request.recorded() as states:
        wait_held(sandbox, held, "a sign request to Vault")
        yield request
        sandbox.barrier(issuer)
    assert_issued_once(states, request)


def assert_issued_once(states: list[Object], request: CertificateRequest) -> None:
    """Check that the recorded states of a request have one certificate and no failure."""
    failures = [
        f"{entry['type']}={entry['status']} {entry.get('reason', '')}"
        for item in states
        for entry in (condition(item, "Ready"), condition(item, "Failed"))
        if entry.get("reason") == "Failed" or (entry.get("type"), entry.get("status")) == ("Failed", "True")
    ]
    assert not failures, f"expected {request} never to fail, saw {failures[0]}"
    certificates = {item["status"]["certificate"] for item in states if item.get("status", {}).get("certificate")}
    assert len(certificates) == 1, f"expected one certificate in the status of {request}, saw {len(certificates)}"


def one_kind(sandbox: Sandbox) -> str:
    """Return a kind of issuer object that the implementation has."""
    return next(iter(sandbox.environment.kinds))
