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

#: The permissions of a user who requests certificates from Kubernetes.
_REQUESTS = {"apiGroups": [CSRS.group], "resources": [CSRS.plural], "verbs": ["create", "get"]}


class Certificates(ABC):
    """Requests certificates by other objects than CertificateRequests; a base class of :class:`~.sandbox.Sandbox`."""

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
        """Register a cleanup for the end of the test; it is only called if the stack outlives the test."""

    def new_signing(self) -> SigningRequest:
        """Return a signing request for a random DNS name, with a new key."""
        host = f"{secrets.token_hex(4)}.example.test"
        return SigningRequest.build(host, dns=[host])

    # -- Certificates -----------------------------------------------------------------------

    def certificate(
        self,
        issuer: Issuer,
        *,
        approve: bool = True,
        name: str | None = None,
        namespace: str | None = None,
        **spec: Any,
    ) -> Certificate:
        """Create a Certificate for a random DNS name, without waiting for it.

        :param approve: whether to approve its requests when they appear.
        :param name: default a random name.
        :param namespace: default that of the issuer object, or that of the test for a cluster-scoped one.
        :param spec: fields to add or replace, such as ``duration``.
        """
        namespace = namespace or issuer.namespace or self.namespace
        if approve:
            self.approve_certificates(namespace)
        name = name or f"certificate-{secrets.token_hex(4)}"
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
        # Even if the stack is disposable: until the stack ends, the controller would renew or retry the Certificate.
        self._cleanup.callback(certificate.delete)
        self.certificates.append(certificate)
        return certificate

    def approve_certificates(self, namespace: str) -> None:
        """Approve the requests of Certificates in a namespace from now on."""
        if namespace not in self._approved:
            self._approved.add(namespace)
            self._cleanup.callback(Approver(self.cluster, namespace).close)

    def issued_certificate(self, issuer: Issuer, **options: Any) -> tuple[Certificate, KeyPair]:
        """Create a Certificate, wait until it is Ready, and return it and the contents of its Secret."""
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
        """Create a CertificateSigningRequest, approve it, and return it without waiting for it.

        :param signer_name: that of an issuer object, or of another signer.
        :param name: default a random name.
        :param instead: whether it replaces a CertificateRequest, see :class:`CertificateSigningRequest`.
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
        created = (self.cluster.acting_as(requester) if requester else self.cluster).create(CSRS, body)
        request = CertificateSigningRequest(self.cluster, self.timeouts, name, signing, instead=instead)
        self.remove_later(request.delete)
        self.kubernetes_requests.append(request)
        if approve:
            request.approve_created(created)
        return request

    def requester(self, *, may_reference: Issuer | None = None) -> str:
        """Return a new user who may create CertificateSigningRequests.

        :param may_reference: a namespaced issuer object that the user may refer to (verb ``reference`` on ``signers``).
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
