"""How the sample controller orders the certificates in Vault's response."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from cryptography import x509

from pytest_vault_issuer.certificates import Authority, new_key, to_pem
from pytest_vault_issuer.sample_controller.chain import ChainError, order, read_chain

Certificates = list[x509.Certificate]


@pytest.fixture(scope="module")
def authorities() -> list[Authority]:
    """The issuing authority, an intermediate above it, and the root."""
    root = Authority.root()
    upper = root.intermediate()
    return [upper.intermediate(), upper, root]


@pytest.fixture(scope="module")
def above(authorities: list[Authority]) -> Certificates:
    return [authority.certificate for authority in authorities]


@pytest.fixture(scope="module")
def leaf(authorities: list[Authority]) -> x509.Certificate:
    return authorities[0].leaf(new_key().public_key(), "leaf.example.test")


def test_any_order_gives_the_same_chain(leaf: x509.Certificate, above: Certificates) -> None:
    for sent in itertools.permutations(above):
        assert order(leaf, list(sent)) == ([leaf, above[0], above[1]], above[2])


def test_repeated_certificates_and_the_leaf_are_dropped(leaf: x509.Certificate, above: Certificates) -> None:
    assert order(leaf, [*above, leaf, *above]) == ([leaf, above[0], above[1]], above[2])


def test_without_the_root_the_topmost_intermediate_is_the_ca(leaf: x509.Certificate, above: Certificates) -> None:
    assert order(leaf, above[:2]) == ([leaf, above[0], above[1]], above[1])


def test_the_leaf_alone(leaf: x509.Certificate) -> None:
    assert order(leaf, []) == ([leaf], None)


def test_an_authority_of_the_same_name_with_another_key_is_left_out(
    leaf: x509.Certificate, above: Certificates
) -> None:
    names = [attribute.value for attribute in above[2].subject]
    impostor = Authority.root(str(names[0])).certificate
    assert impostor.subject == above[2].subject
    assert order(leaf, [impostor, *above]) == ([leaf, above[0], above[1]], above[2])


def test_a_chain_that_does_not_begin_at_the_leaf_is_refused(leaf: x509.Certificate, above: Certificates) -> None:
    with pytest.raises(ChainError, match="certifies"):
        order(leaf, above[1:])


def answer(leaf: x509.Certificate, **fields: Any) -> dict[str, Any]:
    return {"certificate": to_pem(leaf)} | fields


def test_issuing_ca_is_used_without_a_chain(leaf: x509.Certificate, above: Certificates) -> None:
    data = answer(leaf, issuing_ca=to_pem(above[0]))
    assert read_chain(data) == ([leaf, above[0]], above[0])


@pytest.mark.parametrize("certificate", [None, "", 7, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_a_response_without_a_certificate_is_refused(certificate: object) -> None:
    with pytest.raises(ChainError):
        read_chain({"certificate": certificate})
