"""The team's role and policy, without Kubernetes: what they allow, and what they do not."""

from __future__ import annotations

import hvac.exceptions
import pytest
from conftest import Web

from pytest_vault_issuer import SigningRequest


def sign(web: Web, name: str, *, path: str = "", **parameters: str) -> dict[str, str]:
    request = SigningRequest.build(name)
    response = web.client().write_data(path or web.path, data={"csr": request.pem, "common_name": name, **parameters})
    return response["data"]


def test_our_names_are_signed(web: Web) -> None:
    assert "BEGIN CERTIFICATE" in sign(web, "shop.web.example.com")["certificate"]


@pytest.mark.parametrize("name", ["shop.example.com", "web.example.org", "evilweb.example.com"])
def test_other_names_are_not(web: Web, name: str) -> None:
    with pytest.raises(hvac.exceptions.InvalidRequest, match="not allowed by this role"):
        sign(web, name)


def test_other_roles_of_our_pki_are_closed(web: Web) -> None:
    with pytest.raises(hvac.exceptions.Forbidden):
        sign(web, "shop.web.example.com", path=web.pki.sign_path)


def test_roles_cannot_be_changed(web: Web) -> None:
    with pytest.raises(hvac.exceptions.Forbidden):
        web.client().write_data(f"{web.pki.mount}/roles/web", data={"allow_any_name": True})
