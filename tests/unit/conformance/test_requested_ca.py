"""Mistakes of a controller fail a requirement; they are no errors of the suite."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any, cast

from vault_issuer_conformance.test_certificate import requested_ca

from pytest_vault_issuer import to_pem
from pytest_vault_issuer.certificates import Authority


def test_requests_without_a_status_are_passed_over() -> None:
    root = Authority.root()
    leaf = root.leaf(root.certificate.public_key(), "a.example.test")
    pems = {"certificate": to_pem(leaf), "ca": root.pem}
    answer = {field: base64.b64encode(pem.encode()).decode() for field, pem in pems.items()}
    certificate = SimpleNamespace(requests=lambda: [{}, {"status": answer}])
    assert requested_ca(cast(Any, certificate), cast(Any, SimpleNamespace(leaf=leaf))) == [root.certificate]
