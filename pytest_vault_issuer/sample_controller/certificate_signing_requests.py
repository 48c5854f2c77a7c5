"""Signs approved CertificateSigningRequests of Kubernetes with Vault."""

from __future__ import annotations

import base64
import logging

from .chain import Chain, to_pem
from .cluster import CERTIFICATE_SIGNING_REQUESTS, SUBJECT_ACCESS_REVIEWS, Cluster, Object, Resource
from .conditions import is_true, set_condition, write_status
from .configuration import vault_of
from .events import record
from .signing import DelayedError, RefusedError, is_ready, sign
from .watching import Key, Watcher, key_of
from .work_queue import TryAgainError, WorkQueue

#: The annotation with a request's duration, such as ``36h``.
DURATION = "experimental.cert-manager.io/request-duration"
#: The name that stands for all issuers of a namespace in cert-manager's RBAC.
ANY_ISSUER = "*"

log = logging.getLogger(__name__)


class CertificateSigningRequestController:
    """Reconciles requests when they or their issuers change, and retries while Vault cannot sign.

    :param issuers: watchers of the issuer kinds; requests to other signers are ignored.
    """

    def __init__(
        self, cluster: Cluster, cluster_resource_namespace: str, requests: Watcher, issuers: list[Watcher]
    ) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._cluster = cluster
        self._cluster_resource_namespace = cluster_resource_namespace
        self._requests = requests
        self._signers = {signer_of(watcher.resource): watcher.resource for watcher in issuers}
        requests.on_change(self._request_changed)
        for watcher in issuers:
            watcher.on_change(self._issuer_changed)

    def _request_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and self._issuer_of(new) is not None:
            self.queue.add(new["metadata"]["name"])

    def _issuer_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            return
        for request in self._requests.items():
            if is_final(request):
                continue
            found = self._issuer_of(request)
            if found is None:
                continue
            resource, key = found
            if resource.kind == new["kind"] and key == key_of(new):
                self.queue.add(request["metadata"]["name"])

    def _issuer_of(self, request: Object) -> tuple[Resource, Key] | None:
        """Return the kind and the key of the issuer object that a request names, None if it is not one of ours."""
        signer, _, path = request["spec"]["signerName"].partition("/")
        resource = self._signers.get(signer)
        if resource is None:
            return None
        if not resource.namespaced:
            return resource, ("", path)
        namespace, _, name = path.partition(".")
        return resource, (namespace, name)

    def reconcile(self, name: str) -> None:
        """Issue, fail or postpone a request.

        :raises TryAgainError: while Vault or a credential prevents the signing.
        """
        request = self._cluster.find(CERTIFICATE_SIGNING_REQUESTS, "", name)
        if request is None or is_final(request):
            return
        found = self._issuer_of(request)
        if found is None:
            return
        if is_true(request, "Denied"):
            return
        if not is_true(request, "Approved"):
            return
        resource, key = found
        issuer = self._cluster.find(resource, *key)
        if issuer is None or vault_of(issuer) is None:
            return
        if resource.namespaced and not self._may_refer(request, resource, key):
            self._fail(request, "DeniedReference", "the requester may not refer to the issuer")
            return
        if not is_ready(issuer):
            return
        self._sign(request, resource, issuer)

    def _may_refer(self, request: Object, resource: Resource, key: Key) -> bool:
        """Whether the requester may refer to a namespaced issuer."""
        namespace, name = key
        return any(self._is_allowed(request, resource, namespace, each) for each in (name, ANY_ISSUER))

    def _is_allowed(self, request: Object, resource: Resource, namespace: str, name: str) -> bool:
        spec = request["spec"]
        review = {
            "apiVersion": SUBJECT_ACCESS_REVIEWS.api_version,
            "kind": SUBJECT_ACCESS_REVIEWS.kind,
            "spec": {
                "user": spec.get("username", ""),
                "groups": spec.get("groups") or [],
                "uid": spec.get("uid", ""),
                "extra": spec.get("extra") or {},
                "resourceAttributes": {
                    "group": resource.group,
                    "resource": "signers",
                    "verb": "reference",
                    "namespace": namespace,
                    "name": name,
                },
            },
        }
        response = self._cluster.create(SUBJECT_ACCESS_REVIEWS, "", review)
        return bool(response["status"]["allowed"])

    def _sign(self, request: Object, resource: Resource, issuer: Object) -> None:
        pem = request["spec"]["request"]
        namespace = self._cluster_resource_namespace
        try:
            chain = sign(self._cluster, namespace, resource, issuer, pem, duration_of(request))
        except RefusedError as error:
            self._fail(request, "SigningFailed", str(error))
        except DelayedError as error:
            raise TryAgainError(str(error)) from error
        else:
            self._issue(request, chain)

    def _issue(self, request: Object, chain: Chain) -> None:
        def change(latest: Object) -> bool:
            latest.setdefault("status", {})["certificate"] = base64.b64encode(to_pem(chain.certificates)).decode()
            return True

        if write_status(self._cluster, CERTIFICATE_SIGNING_REQUESTS, request, change):
            self._report(request, "Normal", "Issued", "Vault signed the certificate")

    def _fail(self, request: Object, reason: str, message: str) -> None:
        """Mark a request as failed, which is final."""
        if write_status(
            self._cluster,
            CERTIFICATE_SIGNING_REQUESTS,
            request,
            lambda latest: set_condition(latest, "Failed", "True", reason, message),
        ):
            self._report(request, "Warning", reason, message)

    def _report(self, request: Object, kind: str, reason: str, message: str) -> None:
        log.info("%s: %s: %s", request["metadata"]["name"], reason, message)
        record(self._cluster, CERTIFICATE_SIGNING_REQUESTS, request, kind, reason, message)


def signer_of(resource: Resource) -> str:
    """Return the part of an issuer kind's signer names before the slash."""
    return f"{resource.plural}.{resource.group}"


def is_final(request: Object) -> bool:
    """Whether a request is signed or failed."""
    return bool(request.get("status", {}).get("certificate")) or is_true(request, "Failed")


def duration_of(request: Object) -> str | None:
    """Return the duration of a request in Vault's format, None if it has none."""
    annotation: str | None = (request["metadata"].get("annotations") or {}).get(DURATION)
    if annotation:
        return annotation
    seconds = request["spec"].get("expirationSeconds")
    return f"{seconds}s" if seconds else None
