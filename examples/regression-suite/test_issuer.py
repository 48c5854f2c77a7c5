"""The team's Issuer: as it is deployed, it works with this Vault and this cert-manager."""

from __future__ import annotations

from datetime import timedelta

from conftest import Web

from pytest_vault_issuer import Issuer, Sandbox, SigningRequest

NAME = "shop.web.example.com"


def test_it_is_ready(issuer: Issuer) -> None:
    issuer.wait_ready()


def test_it_issues_what_the_role_allows(web: Web, issuer: Issuer, vault_issuer_sandbox: Sandbox) -> None:
    issuer.wait_ready()
    request = vault_issuer_sandbox.issued(issuer, SigningRequest.build(NAME, dns=[NAME]), duration="48h")
    leaf, intermediate = request.certificates()
    assert leaf.issuer == intermediate.subject
    assert request.ca() == [web.pki.issuing.chain[-1].certificate]
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert timedelta(hours=48) <= lifetime < timedelta(hours=49)


def test_what_the_role_does_not_allow_fails(issuer: Issuer, vault_issuer_sandbox: Sandbox) -> None:
    issuer.wait_ready()
    request = vault_issuer_sandbox.request(issuer, SigningRequest.build(dns=["shop.example.com"]))
    request.wait_failed()


def test_a_new_secret_id_is_enough(web: Web, issuer: Issuer, vault_issuer_sandbox: Sandbox) -> None:
    """How the team rotates: the old SecretID goes, the Secret gets a new one, the Issuer stays as it is."""
    issuer.wait_ready()
    approle = web.approle
    web.workspace.client.auth.approle.destroy_secret_id(approle.name, approle.secret_id, mount_point=approle.mount)
    fresh = web.workspace.new_secret_id(approle.mount, approle.name)
    vault_issuer_sandbox.set_secret("web-vault", vault_issuer_sandbox.namespace, {"secretId": fresh})
    vault_issuer_sandbox.issued(issuer, SigningRequest.build(NAME, dns=[NAME]))
