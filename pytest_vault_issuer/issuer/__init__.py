"""Issuers and CertificateRequests as a test sees them: written, waited for, and read back."""

from .authentication import Authentication
from .csr import SigningRequest
from .handle import CertificateRequest, Issuer, IssuerType

__all__ = ["Authentication", "CertificateRequest", "Issuer", "IssuerType", "SigningRequest"]
