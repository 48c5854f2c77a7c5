"""The examples of docs/fixtures.md that need an issuer: pytest docs/examples/issuer --vault-issuer=cert-manager."""

from __future__ import annotations

import pytest

from pytest_vault_issuer import Environment, Respond, Route, Sandbox, SigningRequest


def test_kinds(vault_issuer_environment: Environment) -> None:
    assert vault_issuer_environment.kinds["Issuer"].vault_at == ("spec", "vault")
    assert "approle" in vault_issuer_environment.features


@pytest.mark.parametrize("kind", ["Issuer", "ClusterIssuer"])
def test_a_certificate_for_our_domain(vault_issuer_sandbox: Sandbox, kind: str) -> None:
    approle = vault_issuer_sandbox.approle(kind)
    issuer = vault_issuer_sandbox.ready_issuer(kind, approle)
    signing = SigningRequest.build(dns=["www.example.com"])
    request = vault_issuer_sandbox.issued(issuer, signing, duration="2h")
    assert signing.matches(request.certificate())
    login, *_ = vault_issuer_sandbox.proxy.seen(Route.LOGIN)
    assert login.json.keys() == {"role_id", "secret_id"}


def test_controller_survives_an_outage(vault_issuer_sandbox: Sandbox) -> None:
    sealed = Respond(503, json={"errors": ["Vault is sealed"]})
    outage = vault_issuer_sandbox.proxy.inject(Route.HEALTH, sealed)
    issuer = vault_issuer_sandbox.issuer("Issuer")
    issuer.wait_not_ready()
    outage.remove()
    issuer.wait_ready(timeout=vault_issuer_sandbox.timeouts.retry)
