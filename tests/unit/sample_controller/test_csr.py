"""How the sample controller reads the CSR of a request."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from pytest_vault_issuer.certificates import new_key
from pytest_vault_issuer.sample_controller.csr import UnreadableCsrError, parameters, read_csr

NAMES = [x509.DNSName("a.example.test"), x509.DNSName("*.b.example.test"), x509.UniformResourceIdentifier("urn:x:y")]


def csr(*names: x509.GeneralName, common_name: str = "") -> bytes:
    subject = [x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(new_key(), hashes.SHA256()).public_bytes(Encoding.PEM)


def test_names_and_duration_are_passed_on() -> None:
    pem = csr(*NAMES, common_name="c.example.test")
    asked = parameters(read_csr(pem), pem, "36h")
    assert asked["csr"] == pem.decode()
    assert asked["common_name"] == "c.example.test"
    assert asked["alt_names"] == "a.example.test,*.b.example.test"
    assert asked["uri_sans"] == ["urn:x:y"]
    assert asked["ttl"] == "36h"


def test_a_csr_without_names_asks_for_none_and_ninety_days() -> None:
    pem = csr()
    asked = parameters(read_csr(pem), pem, None)
    assert (asked["common_name"], asked["alt_names"], asked["ip_sans"], asked["uri_sans"]) == ("", "", "", [])
    assert asked["ttl"] == "2160h"


def unknown_general_name() -> bytes:
    """Return a CSR whose alternative name is an x400Address, which no library parses."""
    value = bytes.fromhex("3002a300")
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), value)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(extension, False)
    return builder.sign(new_key(), hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    "pem", [b"", b"text", b"\xff" + csr(), unknown_general_name()], ids=["empty", "text", "bytes", "unknown name"]
)
def test_unreadable_csr_is_refused(pem: bytes) -> None:
    with pytest.raises(UnreadableCsrError):
        read_csr(pem)
