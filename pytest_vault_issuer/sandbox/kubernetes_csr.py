"""A CertificateSigningRequest of Kubernetes (certificates.k8s.io)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cryptography import x509

from ..errors import Unmet, UnsupportedError
from ..kube.client import CSRS, Cluster, Object, condition
from ..timeouts import Bound, Timeouts
from .csr import SigningRequest
from .handles import CertificateRequest, Handle

#: The minimum of ``spec.expirationSeconds`` (https://kubernetes.io/docs/reference/kubernetes-api/).
SHORTEST = 600
#: Annotation by which cert-manager's signers issue CAs (https://cert-manager.io/docs/usage/kube-csr/).
IS_CA = "experimental.cert-manager.io/request-is-ca"


class CertificateSigningRequest(CertificateRequest):
    """A CertificateSigningRequest and its key.

    :param instead: whether it replaces a CertificateRequest, because the implementation does not serve these. It is
        then read as if it had a Ready condition once it is final, with the reason Issued, Failed or Denied and the
        message of the condition that says so.
    """

    decided_in = "approval"

    def __init__(
        self, cluster: Cluster, timeouts: Timeouts, name: str, signing: SigningRequest, *, instead: bool = False
    ) -> None:
        Handle.__init__(self, cluster, timeouts, CSRS, "CertificateSigningRequest", name, None)
        self.signing = signing
        self._instead = instead

    def _seen(self, item: Object) -> Object:
        outcome = _outcome(item) if self._instead else ""
        if not outcome:
            return item
        entry = {
            "type": "Ready",
            "status": "True" if outcome == "Issued" else "False",
            "reason": outcome,
            "message": condition(item, outcome).get("message", ""),
        }
        status = item["status"]
        return {**item, "status": {**status, "conditions": [*(status.get("conditions") or []), entry]}}

    def wait_reason(self, *reasons: str, timeout: float | Bound | None = None) -> Object:
        """Wait until it has one of the outcomes Issued, Failed and Denied.

        :raises UnsupportedError: if `reasons` is only Pending.
        """
        if reasons == ("Pending",):
            return self.wait_pending()
        return super().wait_reason(*reasons, timeout=timeout)

    def wait_pending(self, *, timeout: float | None = None) -> Object:
        """Refuse: a CertificateSigningRequest does not report that it is pending.

        :raises UnsupportedError: always.
        """
        raise _no("reason Pending")

    def ca(self) -> list[x509.Certificate]:
        """Refuse: a CertificateSigningRequest has no field for the CA.

        :raises UnsupportedError: always.
        """
        raise _no("status.ca")

    def wait_signed(self, *, timeout: float | None = None) -> Object:
        """Wait until it has its certificate and return it.

        :raises Unmet: if it has none in time; immediately if it fails.
        """
        item = self.wait_final("to be signed", timeout)
        if not is_signed(item):
            raise Unmet(f"expected {self} to be signed, saw it fail; {self.described(item)}")
        return item

    def wait_failed(self, *, timeout: float | None = None) -> Object:
        """Wait until it has failed permanently and return it.

        :raises Unmet: if it does not fail in time; immediately if it has a certificate.
        """
        item = self.wait_final("to fail", timeout)
        if is_signed(item):
            raise Unmet(f"expected {self} to fail, saw a certificate issued")
        return item

    def wait_final(self, what: str = "to be signed or to fail", timeout: float | None = None) -> Object:
        """Wait until it has its certificate or has failed permanently; return it."""
        return self.wait(
            lambda item: is_signed(item) or condition(item, "Failed").get("status") == "True",
            what,
            timeout=timeout or self.timeouts.request,
        )


def is_signed(item: Object) -> bool:
    """Whether a CertificateSigningRequest has its certificate."""
    return bool(item.get("status", {}).get("certificate"))


def _outcome(item: Object) -> str:
    if is_signed(item):
        return "Issued"
    for kind in ("Failed", "Denied"):
        if condition(item, kind).get("status") == "True":
            return kind
    return ""


def _no(what: str) -> UnsupportedError:
    return UnsupportedError(f"CertificateSigningRequests have no {what}", hint="only CertificateRequests have it")


def as_signing_request(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a CertificateRequest as fields of a CertificateSigningRequest.

    :raises UnsupportedError: for a field that has no equivalent.
    """
    fields: dict[str, Any] = {}
    for name, value in spec.items():
        if value is None:
            continue
        if name == "usages":
            fields["usages"] = value
        elif name == "isCA":
            fields["annotations"] = {IS_CA: str(value).lower()}
        elif name == "duration" and (seconds := _seconds(value)) >= SHORTEST:
            fields["expirationSeconds"] = seconds
        else:
            raise _no(f"equivalent of {name} {value!r}")
    return fields


def _seconds(duration: str) -> int:
    """Return the seconds of a duration such as ``1h30m`` or ``1.5h``; 0 for another notation."""
    part = r"(\d+(?:\.\d+)?)([hms])"
    if not re.fullmatch(f"({part})+", duration):
        return 0
    return int(sum(float(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in re.findall(part, duration)))
