"""CertificateSigningRequests that replace CertificateRequests."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_vault_issuer.errors import UnsupportedError
from pytest_vault_issuer.kube.client import condition
from pytest_vault_issuer.sandbox.csr import SigningRequest
from pytest_vault_issuer.sandbox.kubernetes_csr import IS_CA, CertificateSigningRequest, as_signing_request


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"duration": "1h"}, {"expirationSeconds": 3600}),
        ({"duration": "1h30m10s"}, {"expirationSeconds": 5410}),
        ({"duration": "1.5h"}, {"expirationSeconds": 5400}),
        ({"duration": None}, {}),
        ({"usages": ["client auth"]}, {"usages": ["client auth"]}),
        ({"isCA": True}, {"annotations": {IS_CA: "true"}}),
    ],
)
def test_fields_of_a_certificate_request_have_equivalents(spec: dict[str, Any], fields: dict[str, Any]) -> None:
    assert as_signing_request(spec) == fields


@pytest.mark.parametrize("spec", [{"duration": "5m"}, {"duration": "for ever"}, {"username": "someone"}])
def test_field_without_an_equivalent_is_unsupported(spec: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="no equivalent"):
        as_signing_request(spec)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({}, None),
        ({"conditions": [{"type": "Approved", "status": "True"}]}, None),
        ({"conditions": [{"type": "Denied", "status": "True"}]}, "Denied"),
        ({"conditions": [{"type": "Failed", "status": "True"}]}, "Failed"),
        ({"certificate": "LS0t"}, "Issued"),
    ],
)
def test_final_request_reads_like_a_certificate_request(status: dict[str, Any], reason: str | None) -> None:
    signing = SigningRequest.build("a.example.test", dns=["a.example.test"])
    item = {"metadata": {"name": "x"}, "status": status}
    seen: dict[bool, list[str]] = {}
    for instead in (False, True):
        request = CertificateSigningRequest(None, None, "x", signing, instead=instead)  # type: ignore[arg-type]
        listed = request._seen(item)["status"].get("conditions") or []
        seen[instead] = [entry["reason"] for entry in listed if entry["type"] == "Ready"]
    assert seen == {False: [], True: [reason] if reason else []}


def test_final_request_reads_with_the_message_of_its_condition() -> None:
    signing = SigningRequest.build("a.example.test", dns=["a.example.test"])
    request = CertificateSigningRequest(None, None, "x", signing, instead=True)  # type: ignore[arg-type]
    failed = {"type": "Failed", "status": "True", "message": "permission denied"}
    assert condition(request._seen({"status": {"conditions": [failed]}}), "Ready")["message"] == "permission denied"
