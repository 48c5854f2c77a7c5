"""A Certificate of cert-manager.io and the Secret it is kept in."""

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
    """What a Certificate's Secret holds.

    :ivar kind: the Secret's type.
    :ivar key: ``tls.key``.
    :ivar certificates: ``tls.crt``, in order.
    :ivar ca: ``ca.crt`` ([] where there is none).
    """

    kind: str
    key: Key = field(repr=False)
    certificates: list[x509.Certificate]
    ca: list[x509.Certificate]

    @classmethod
    def of(cls, secret: Object) -> KeyPair | None:
        """Read a Secret; None while it lacks its key or its certificate.

        :raises Unmet: when what it holds is neither.
        """
        data = secret.get("data") or {}
        if not data.get("tls.key") or not data.get("tls.crt"):
            return None
        try:
            pem = base64.b64decode(data["tls.key"], validate=True)
            key = cast(Key, serialization.load_pem_private_key(pem, None))
        except (binascii.Error, ValueError, TypeError):
            raise Unmet("tls.key holds no private key") from None  # the error could quote it
        return cls(secret["type"], key, decode_certificates(data["tls.crt"]), decode_certificates(data.get("ca.crt")))

    @property
    def leaf(self) -> x509.Certificate:
        """The first certificate."""
        return self.certificates[0]

    @property
    def public_key(self) -> bytes:
        """Of ``tls.key``, to compare keys."""
        return public_bytes(self.key.public_key())

    @property
    def fits(self) -> bool:
        """Whether the first certificate is for the key."""
        return public_bytes(self.leaf.public_key()) == self.public_key


class Certificate(Handle):
    """A Certificate.

    :ivar uid: what its requests refer to.
    :ivar secret_name: of its Secret.
    """

    namespace: str

    def __init__(self, cluster: Cluster, timeouts: Timeouts, item: Object) -> None:
        metadata = item["metadata"]
        super().__init__(cluster, timeouts, CERTIFICATES, "Certificate", metadata["name"], metadata["namespace"])
        self.uid: str = metadata["uid"]
        self.secret_name: str = item["spec"]["secretName"]

    def requests(self) -> list[Object]:
        """The CertificateRequests that were made for it and are there now."""
        return [item for item in self.cluster.list(CERTIFICATE_REQUESTS, self.namespace) if owner_of(item) == self.uid]

    def wait_request(self) -> Object:
        """Wait until a CertificateRequest is made for it and return it."""
        bound = self.timeouts.bound(self.timeouts.certificate)
        for kind, item in self.cluster.watch(CERTIFICATE_REQUESTS, self.namespace, None, timeout=bound):
            if kind != "DELETED" and owner_of(item) == self.uid:
                return item
        raise Unmet(f"waited {bound} for a CertificateRequest made for {self}")

    def wait_ready(self) -> Object:
        """Wait until it is Ready for its present generation, and no issuance is under way; return it.

        What is stored is Ready a moment before its issuance is over; a renewal asked for in between is one with it.
        """

        def ready(item: Object) -> bool:
            entry = condition(item, "Ready")
            issuing = condition(item, "Issuing").get("status") == "True"
            return entry.get("status") == "True" and is_current(item, entry) and not issuing

        return self.wait(ready, "to be Ready", timeout=self.timeouts.certificate)

    def wait_failure(self) -> Object:
        """Wait until its status says that an issuance has failed; return it.

        ``lastFailureTime`` is set as long as the latest issuance has failed, and Issuing is False then.
        """
        return self.wait(
            lambda item: (
                "lastFailureTime" in item.get("status", {}) or condition(item, "Issuing").get("status") == "False"
            ),
            "to say that its issuance has failed",
            timeout=self.timeouts.certificate,
        )

    def key_pair(self) -> KeyPair | None:
        """What its Secret holds now; None while it is not there or not complete."""
        secret = self.cluster.find(SECRETS, self.secret_name, self.namespace)
        return None if secret is None else KeyPair.of(secret)

    def wait_key_pair(self, until: Callable[[KeyPair], bool], what: str) -> KeyPair:
        """Watch its Secret until that holds what is looked for, and return it.

        :param what: for the failure's message: "a new certificate".
        """

        def holds(secret: Object) -> bool:
            pair = KeyPair.of(secret)
            return pair is not None and until(pair)

        bound = self.timeouts.bound(self.timeouts.certificate)
        done, secret = self.cluster.wait(SECRETS, self.secret_name, self.namespace, holds, timeout=bound)
        pair = KeyPair.of(secret) if done and secret else None
        if pair is None:
            raise Unmet(f"waited {bound} for {what} in the Secret of {self}; {self.explain()}")
        return pair

    def wait_new_certificate(self, old: KeyPair) -> KeyPair:
        """Wait until its Secret holds another certificate than before and return what it holds."""
        return self.wait_key_pair(lambda pair: pair.leaf != old.leaf, "another certificate")

    def change(self, **spec: Any) -> None:
        """Change fields of its specification."""
        self._edit(lambda body: body["spec"].update(spec))

    def renew(self) -> None:
        """Ask for its renewal, as ``cmctl renew`` does: by the condition Issuing."""
        self._write(self._set_issuing)

    def _set_issuing(self, item: Object) -> None:
        entry = {
            "type": "Issuing",
            "status": "True",
            "reason": "ManuallyTriggered",
            "message": "renewal asked for by the conformance suite",
            "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "observedGeneration": item["metadata"]["generation"],
        }
        kept = [c for c in item.get("status", {}).get("conditions") or [] if c["type"] != "Issuing"]
        body = {
            "metadata": {"resourceVersion": item["metadata"]["resourceVersion"]},
            "status": {"conditions": [*kept, entry]},
        }
        self.cluster.patch(self.resource, self.name, self.namespace, body, subresource="status")
