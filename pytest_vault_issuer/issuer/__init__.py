"""Issuers, and what is requested of them, as a test sees it: written, waited for, and read back."""

from .authentication import Authentication
from .certificate import Certificate, KeyPair
from .csr import SigningRequest
from .handle import CertificateRequest, Issuer, IssuerType
from .kubernetes_csr import CertificateSigningRequest

__all__ = [
    "Authentication",
    "Certificate",
    "CertificateRequest",
    "CertificateSigningRequest",
    "Issuer",
    "IssuerType",
    "KeyPair",
    "SigningRequest",
]
