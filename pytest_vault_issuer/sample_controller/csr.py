"""Reads CSRs, builds the parameters for Vault, and checks certificates against CSRs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

#: The lifetime of a certificate if the request has no duration: 90 days.
DEFAULT_DURATION = "2160h"


class UnreadableCsrError(Exception):
    """A request contains no CSR."""


class UnfitCertificateError(Exception):
    """A certificate does not match its request."""


def read_csr(pem: bytes) -> x509.CertificateSigningRequest:
    """Return the CSR of a request.

    :raises UnreadableCsrError: if it is unreadable.
    """
    try:
        pem.decode()
        csr = x509.load_pem_x509_csr(pem)
        csr.public_key()
        alternative_names(csr)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise UnreadableCsrError("the request contains no readable CSR") from error
    return csr


def parameters(csr: x509.CertificateSigningRequest, pem: bytes, duration: str | None) -> dict[str, Any]:
    """Return the parameters of Vault's sign endpoint for a CSR.

    :param duration: of the request, such as ``36h``; None for the default.
    """
    names = alternative_names(csr)
    emails = names.get_values_for_type(x509.RFC822Name)
    return {
        "csr": pem.decode(),
        "common_name": common_name(csr),
        "alt_names": ",".join([*names.get_values_for_type(x509.DNSName), *emails]),
        "ip_sans": ",".join(str(address) for address in names.get_values_for_type(x509.IPAddress)),
        # A list, because a URI may contain commas.
        "uri_sans": list(names.get_values_for_type(x509.UniformResourceIdentifier)),
        "ttl": duration or DEFAULT_DURATION,
        "exclude_cn_from_sans": "true",
    }


def common_name(csr: x509.CertificateSigningRequest) -> str:
    """Return the common name of a CSR, '' if it has none."""
    found = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[-1].value) if found else ""


def alternative_names(csr: x509.CertificateSigningRequest) -> x509.SubjectAlternativeName:
    """Return the alternative names of a CSR."""
    try:
        return csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])


def check_fits(certificate: x509.Certificate, csr: x509.CertificateSigningRequest) -> None:
    """Check that a certificate is for the key of a CSR and has not expired.

    :raises UnfitCertificateError: if it is not, or has.
    """
    if _key(certificate) != _key(csr):
        raise UnfitCertificateError("Vault's certificate is not for the key of the CSR")
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        raise UnfitCertificateError("Vault's certificate has already expired")


def _key(item: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    return item.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
