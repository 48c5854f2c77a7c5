"""How the suite judges the form of PEM that a controller writes."""

from __future__ import annotations

import base64

import pytest
from vault_issuer_conformance.issued import assert_pem

from pytest_vault_issuer.certificates import Authority


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("between", ["\n", "\r\n", "\n\n", " \n"])
def test_blocks_on_lines_of_their_own_are_accepted(between: str) -> None:
    root = Authority.root()
    assert_pem(encoded(between.join(authority.pem.strip() for authority in root.intermediate().chain)), "tls.crt")


def test_blocks_on_one_line_are_refused() -> None:
    text = "".join(authority.pem.strip() for authority in Authority.root().intermediate().chain)
    with pytest.raises(AssertionError, match=r"expected each PEM block in tls\.crt on lines of its own"):
        assert_pem(encoded(text), "tls.crt")


def test_empty_field_is_accepted() -> None:
    assert_pem("", "ca.crt")
