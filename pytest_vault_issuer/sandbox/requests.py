"""Certificates of cert-manager.io and CertificateSigningRequests of Kubernetes in a sandbox."""

from __future__ import annotations

import base64
import contextlib
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from ..kube import rbac as grants
from ..kube.client import CERTIFICATES, CSRS, Cluster, Object
from ..timeouts import Timeouts
from .approver import Approver
from .certificate import Certificate, KeyPair
from .csr import SigningRequest
from .handles import Issuer
from .kubernetes_csr import CertificateSigningRequest

#: What a requester of Kubernetes certificates may do, as any user that is given this part of the API.
_REQUESTS = {"apiGroups": [CSRS.group], "resources": [CSRS.plural], "verbs": ["create", "get"]}


class Certificates(ABC):
    """Requests certificates in other ways than by CertificateRequests; a part of :class:`~.sandbox.Sandbox`."""

    cluster: Cluster
    timeouts: Timeouts
    namespace: str
    labels: dict[str, str]
    _cleanup: contextlib.ExitStack

    def __init__(self) -> None:
        self.certificates: list[Certificate] = []
        self.kubernetes_requests: list[CertificateSigningRequest] = []
        self._approved: set[str] = set()

    @abstractmethod
    def remove_later(self, remove: Callable[..., object], *arguments: object) -> None:
        """Have something called when the test ends, where the stack outlives it."""

    def new_signing(self) -> SigningRequest:
        """Return a signing request for a random DNS name and a key of its own."""
        host = f"{secrets.token_hex(4)}.example.test"
        return SigningRequest.build(host, dns=[host])

    # -- Certificates -----------------------------------------------------------------------

    def certificate(
        self, issuer: Issuer, *, approve: bool = True, namespace: str | None = None, **spec: Any
    ) -> Certificate:
        """Create a Certificate for a random DNS name; it is not waited for.

        :param approve: whether its requests are approved as they come.
        :param namespace: default the issuer's, or the test's for a cluster-scoped one.
        :param spec: fields that differ, such as ``duration``.
        """
        namespace = namespace or issuer.namespace or self.namespace
        if approve:
            self.approve_certificates(namespace)
        name = f"certificate-{secrets.token_hex(4)}"
        item = self.cluster.create(
            CERTIFICATES,
            {
                "apiVersion": CERTIFICATES.api_version,
                "kind": "Certificate",
                "metadata": {"name": name, "namespace": namespace, "labels": self.labels},
                "spec": {
                    "secretName": f"{name}-tls",
                    "issuerRef": issuer.ref,
                    "dnsNames": [f"{secrets.token_hex(4)}.example.test"],
                    "privateKey": {"algorithm": "ECDSA"},
                }
                | spec,
            },
        )
        certificate = Certificate(self.cluster, self.timeouts, item)
        # Also where the stack is thrown away: it would be renewed, or tried again, until then.
        self._cleanup.callback(certificate.delete)
        self.certificates.append(certificate)
        return certificate

    def approve_certificates(self, namespace: str) -> None:
        """Approve what Certificates of a namespace request, from now on."""
        if namespace not in self._approved:
            self._approved.add(namespace)
            self._cleanup.callback(Approver(self.cluster, namespace).close)

    def issued_certificate(self, issuer: Issuer, **options: Any) -> tuple[Certificate, KeyPair]:
        """Create a Certificate, wait until it is Ready, and return it and what its Secret holds."""
        certificate = self.certificate(issuer, **options)
        certificate.wait_ready()
        return certificate, certificate.wait_key_pair(lambda _: True, "a certificate")

    # -- CertificateSigningRequests -----------------------------------------------------------

    def kubernetes_request(
        self,
        signer_name: str,
        signing: SigningRequest | None = None,
        *,
        approve: bool = True,
        annotations: dict[str, str] | None = None,
        requester: str = "",
        name: str | None = None,
        instead: bool = False,
        **spec: Any,
    ) -> CertificateSigningRequest:
        """Create a CertificateSigningRequest, approve it, and return it; it is not waited for.

        :param signer_name: an issuer's, or a foreign one.
        :param name: default a random one.
        :param instead: whether it stands for a CertificateRequest, see :class:`CertificateSigningRequest`.
        :param requester: the user who creates it; '' for the administrator.
        :param spec: further fields, such as ``expirationSeconds``.
        """
        signing = signing or self.new_signing()
        name = name or f"request-{secrets.token_hex(4)}"
        body: Object = {
            "apiVersion": CSRS.api_version,
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name, "labels": self.labels, "annotations": annotations or {}},
            "spec": {
                "request": base64.b64encode(signing.pem.encode()).decode(),
                "signerName": signer_name,
                "usages": ["digital signature", "key encipherment", "server auth"],
            }
            | spec,
        }
        (self.cluster.acting_as(requester) if requester else self.cluster).create(CSRS, body)
        request = CertificateSigningRequest(self.cluster, self.timeouts, name, signing, instead=instead)
        self.remove_later(request.delete)
        self.kubernetes_requests.append(request)
        if approve:
            request.approve()
        return request

    def requester(self, *, may_reference: Issuer | None = None) -> str:
        """Return a new user who may create CertificateSigningRequests.

        :param may_reference: a namespaced issuer the user may refer to, by the verb ``reference`` on ``signers``.
        """
        user = f"vault-issuer-test-{secrets.token_hex(4)}"
        self.remove_later(grants.revoke_user, self.cluster, user)
        grants.grant_user(self.cluster, user, _REQUESTS, self.labels, self.timeouts)
        if may_reference is not None:
            rule = {
                "apiGroups": [may_reference.resource.group],
                "resources": ["signers"],
                "resourceNames": [may_reference.name],
                "verbs": ["reference"],
            }
            grants.grant_user(self.cluster, user, rule, self.labels, self.timeouts, may_reference.namespace)
        return user
