"""What the suite accepts of controllers that differ from cert-manager where its documentation leaves it to them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from vault_issuer_conformance.helpers import shown
from vault_issuer_conformance.issued import assert_ca_of_chain

from pytest_vault_issuer.certificates import Authority

CONDITION = {"type": "Ready", "status": "False", "message": "Vault is sealed"}


def issuer_with(**columns: str) -> Any:
    """Return an issuer object whose row has these columns."""
    return SimpleNamespace(table=lambda: {"NAME": "x", **columns}, condition=lambda: CONDITION)


@pytest.mark.parametrize(
    ("columns", "ready", "status"),
    [
        ({"READY": "True", "STATUS": "Vault verified"}, "True", "Vault verified"),
        ({"READY": "", "STATUS": ""}, "", ""),
        ({"READY": "True", "REASON": "Checked", "MESSAGE": "fine"}, "True", "Vault is sealed"),
        ({"AGE": "3s"}, "False", "Vault is sealed"),
    ],
)
def test_condition_says_what_a_missing_column_would_show(columns: dict[str, str], ready: str, status: str) -> None:
    issuer = issuer_with(**columns)
    assert (shown(issuer, "READY"), shown(issuer, "STATUS")) == (ready, status)


def test_ca_in_the_status_is_none_or_one_of_the_chain() -> None:
    root = Authority.root()
    chain = [root.intermediate().certificate, root.certificate]
    for ca in ([], chain[:1], chain[1:]):
        assert_ca_of_chain(SimpleNamespace(ca=lambda ca=ca: ca), chain)  # type: ignore[arg-type,misc]
    with pytest.raises(AssertionError, match="only certificates of the chain"):
        assert_ca_of_chain(SimpleNamespace(ca=lambda: [Authority.root().certificate]), chain)  # type: ignore[arg-type]
