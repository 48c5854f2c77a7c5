"""A CertificateSigningRequest of Kubernetes (certificates.k8s.io)."""

from __future__ import annotations

from cryptography import x509

from ..errors import Unmet
from ..kube.client import CSRS, Cluster, Object, condition
from ..timeouts import Timeouts
from .csr import SigningRequest
from .handles import Handle, decode_certificates, describe_conditions


class CertificateSigningRequest(Handle):
    """A CertificateSigningRequest and the key it is for."""

    def __init__(self, cluster: Cluster, timeouts: Timeouts, name: str, signing: SigningRequest) -> None:
        super().__init__(cluster, timeouts, CSRS, "CertificateSigningRequest", name, None)
        self.signing = signing

    def approve(self) -> None:
        """Approve it."""
        self._decide("Approved", "approval")

    def deny(self) -> None:
        """Deny it."""
        self._decide("Denied", "approval")

    def wait_signed(self, *, timeout: float | None = None) -> Object:
        """Wait until its certificate is there and return it; Failed instead is Unmet at once."""
        item = self.wait_final("to be signed", timeout)
        if not is_signed(item):
            raise Unmet(f"{self} was to be signed but failed; {describe_conditions(item)}")
        return item

    def wait_failed(self, *, timeout: float | None = None) -> Object:
        """Wait until it has failed for good and return it; a certificate instead is Unmet at once."""
        item = self.wait_final("to fail", timeout)
        if is_signed(item):
            raise Unmet(f"{self} was to fail but a certificate was issued")
        return item

    def wait_final(self, what: str = "to be signed or to fail", timeout: float | None = None) -> Object:
        """Wait until it has its certificate or has failed for good; return it."""
        return self.wait(
            lambda item: is_signed(item) or condition(item, "Failed").get("status") == "True",
            what,
            timeout=timeout or self.timeouts.request,
        )

    def certificates(self) -> list[x509.Certificate]:
        """The certificates in ``status.certificate``, in order ([] while there are none)."""
        return decode_certificates(self.get().get("status", {}).get("certificate"))


def is_signed(item: Object) -> bool:
    """Whether a CertificateSigningRequest has its certificate."""
    return bool(item.get("status", {}).get("certificate"))
