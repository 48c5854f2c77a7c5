"""A Certificate of cert-manager.io and its Secret."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ..errors import Unmet
from ..kube.client import CERTIFICATE_REQUESTS, CERTIFICATES, SECRETS, Cluster, Object, condition
from ..timeouts import Timeouts
from .approver import owner_of
from .csr import Key, public_bytes
from .handles import Handle, decode_certificates, is_current


@dataclass(frozen=True)
class KeyPair:
    """The contents of a Certificate's Secret.

    :ivar kind: the Secret's type.
    :ivar key: ``tls.key``.
    :ivar certificates: ``tls.crt``, in order.
    :ivar ca: ``ca.crt`` ([] if there is none).
    """

    kind: str
    key: Key = field(repr=False)
    certificates: list[x509.Certificate]
    ca: list[x509.Certificate]

    @classmethod
    def of(cls, secret: Object) -> KeyPair | None:
        """Read a Secret; None if it lacks the key or the certificate.

        :raises Unmet: if the contents are not a private key and certificates.
        """
        data = secret.get("data") or {}
        if not data.get("tls.key") or not data.get("tls.crt"):
            return None
        try:
            pem = base64.b64decode(data["tls.key"], validate=True)
            key = cast(Key, serialization.load_pem_private_key(pem, None))
        except (binascii.Error, ValueError, TypeError):
            raise Unmet(
                "expected a private key in tls.key of the Secret, saw other content"
            ) from None  # the error could quote it
        return cls(secret["type"], key, decode_certificates(data["tls.crt"]), decode_certificates(data.get("ca.crt")))

    @property
    def leaf(self) -> x509.Certificate:
        """The first certificate."""
        return self.certificates[0]

    @property
    def public_key(self) -> bytes:
        """The public key of ``tls.key`` (DER), to compare keys."""
        return public_bytes(self.key.public_key())

    @property
    def fits(self) -> bool:
        """Whether the first certificate is for the key."""
        return public_bytes(self.leaf.public_key()) == self.public_key


class Certificate(Handle):
    """A Certificate.

    :ivar uid: its uid, to which its requests refer.
    :ivar secret_name: name of its Secret.
    """

    namespace: str

    def __init__(self, cluster: Cluster, timeouts: Timeouts, item: Object) -> None:
        metadata = item["metadata"]
        super().__init__(cluster, timeouts, CERTIFICATES, "Certificate", metadata["name"], metadata["namespace"])
        self.uid: str = metadata["uid"]
        self.secret_name: str = item["spec"]["secretName"]

    def requests(self) -> list[Object]:
        """The existing CertificateRequests that were created for it."""
        return [item for item in self.cluster.list(CERTIFICATE_REQUESTS, self.namespace) if owner_of(item) == self.uid]

    def wait_request(self) -> Object:
        """Wait until a CertificateRequest is created for it and return the request."""
        bound = self.timeouts.bound(self.timeouts.certificate)
        for kind, item in self.cluster.watch(CERTIFICATE_REQUESTS, self.namespace, None, timeout=bound):
            if kind != "DELETED" and owner_of(item) == self.uid:
                return item
        raise Unmet(f"expected a CertificateRequest for {self} within {bound}, saw none")

    def wait_ready(self) -> Object:
        """Wait until it is Ready for its current generation and no issuance is in progress; return it.

        A Certificate is Ready shortly before its issuance ends. A renewal requested in between would be part of the
        same issuance.
        """

        def ready(item: Object) -> bool:
            entry = condition(item, "Ready")
            issuing = condition(item, "Issuing").get("status") == "True"
            return entry.get("status") == "True" and is_current(item, entry) and not issuing

        return self.wait(ready, "to be Ready", timeout=self.timeouts.certificate)

    def wait_failure(self) -> Object:
        """Wait until its status reports a failed issuance; return it.

        After a failed issuance ``lastFailureTime`` is set and Issuing is False, until an issuance succeeds.
        """
        return self.wait(
            lambda item: (
                "lastFailureTime" in item.get("status", {}) or condition(item, "Issuing").get("status") == "False"
            ),
            "to report that its issuance has failed",
            timeout=self.timeouts.certificate,
        )

    def key_pair(self) -> KeyPair | None:
        """The contents of its Secret; None if the Secret is missing or not complete."""
        secret = self.cluster.find(SECRETS, self.secret_name, self.namespace)
        return None if secret is None else KeyPair.of(secret)

    def wait_key_pair(self, until: Callable[[KeyPair], bool], what: str, *, due: float = 0.0) -> KeyPair:
        """Watch its Secret until a condition holds, and return the contents.

        :param until: the condition.
        :param what: the expectation in the failure message, such as "a new certificate".
        :param due: seconds until the controller has a reason to change the Secret, in addition to the usual timeout.
        """

        def holds(secret: Object) -> bool:
            pair = KeyPair.of(secret)
            return pair is not None and until(pair)

        bound = self.timeouts.bound(self.timeouts.certificate + due)
        done, secret = self.cluster.wait(SECRETS, self.secret_name, self.namespace, holds, timeout=bound)
        pair = KeyPair.of(secret) if done and secret else None
        if pair is None:
            raise Unmet(f"expected {what} in the Secret of {self} within {bound}; {self.explain()}")
        return pair

    def wait_new_certificate(self, old: KeyPair, *, due: float = 0.0) -> KeyPair:
        """Wait until its Secret contains a certificate other than `old`, and return the contents.

        :param due: seconds until its renewal is due.
        """
        return self.wait_key_pair(lambda pair: pair.leaf != old.leaf, "another certificate", due=due)

    def change(self, **spec: Any) -> None:
        """Change fields of its specification."""
        self._edit(lambda body: body["spec"].update(spec))

    def renew(self, **status: Any) -> None:
        """Request its renewal as ``cmctl renew`` does: with the condition Issuing.

        :param status: further fields of the status to write together with the condition.
        """
        self._write(lambda item: self._set_issuing(item, status))

    def _set_issuing(self, item: Object, status: dict[str, Any]) -> None:
        entry = {
            "type": "Issuing",
            "status": "True",
            "reason": "ManuallyTriggered",
            "message": "renewal requested by the conformance suite",
            "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "observedGeneration": item["metadata"]["generation"],
        }
        kept = [c for c in item.get("status", {}).get("conditions") or [] if c["type"] != "Issuing"]
        body = {
            "metadata": {"resourceVersion": item["metadata"]["resourceVersion"]},
            "status": status | {"conditions": [*kept, entry]},
        }
        self.cluster.patch(self.resource, self.name, self.namespace, body, subresource="status")
