"""Restarts of the controller: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import pytest

from pytest_vault_issuer import Controller, Sandbox, requirement

pytestmark = pytest.mark.exclusive


@requirement("VI-RESTART-001")
def test_request_approved_while_the_controller_was_down_is_issued(sandbox: Sandbox, controller: Controller) -> None:
    issuers = [sandbox.ready_issuer(kind) for kind in sandbox.environment.kinds]
    controller.stop()
    requests = [sandbox.request(issuer) for issuer in issuers]
    controller.start()
    for request in requests:
        request.wait_issued(timeout=sandbox.timeouts.retry)
