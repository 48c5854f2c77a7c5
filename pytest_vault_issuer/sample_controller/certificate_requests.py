"""Signs approved CertificateRequests with Vault."""

from __future__ import annotations

import base64
import logging

from .chain import Chain, to_pem
from .cluster import CERTIFICATE_REQUESTS, Cluster, Object, Resource
from .conditions import condition, is_true, now, set_ready, write_status
from .configuration import vault_of
from .events import record
from .issuer_references import issuer_key, issuer_resource
from .signing import DelayedError, RefusedError, is_ready, sign
from .watching import Key, Watcher, key_of
from .work_queue import TryAgainError, WorkQueue

#: Reasons of the Ready condition that are final.
FINAL = ("Issued", "Failed", "Denied")

log = logging.getLogger(__name__)


class CertificateRequestController:
    """Reconciles requests when they or their issuers change, and retries while Vault cannot sign.

    :param issuers: watchers of the issuer kinds; requests to other issuers are ignored.
    """

    def __init__(
        self, cluster: Cluster, cluster_resource_namespace: str, requests: Watcher, issuers: list[Watcher]
    ) -> None:
        self.queue: WorkQueue[Key] = WorkQueue()
        self._cluster = cluster
        self._cluster_resource_namespace = cluster_resource_namespace
        self._requests = requests
        self._kinds = [watcher.resource for watcher in issuers]
        requests.on_change(self._request_changed)
        for watcher in issuers:
            watcher.on_change(self._issuer_changed)

    def _request_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None or self._issuer_resource(new) is None:
            return
        if _without_ready(old) != _without_ready(new):
            self.queue.add(key_of(new))

    def _issuer_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            return
        for request in self._requests.items():
            if is_final(request):
                continue
            if self._is_for(request, new):
                self.queue.add(key_of(request))

    def _is_for(self, request: Object, issuer: Object) -> bool:
        """Whether a request is for an issuer."""
        resource = self._issuer_resource(request)
        if resource is None or resource.kind != issuer["kind"]:
            return False
        return key_of(issuer) == _issuer_key(request, resource)

    def _issuer_resource(self, request: Object) -> Resource | None:
        """Return the issuer kind that a request names, None if it is not one of ours."""
        return issuer_resource(self._kinds, request["spec"]["issuerRef"])

    def reconcile(self, key: Key) -> None:
        """Issue, fail or postpone a request.

        :raises TryAgainError: while Vault or a credential prevents the signing.
        """
        request = self._cluster.find(CERTIFICATE_REQUESTS, *key)
        if request is None or is_final(request) or is_terminating(request):
            return
        resource = self._issuer_resource(request)
        if resource is None:
            return
        issuer = self._cluster.find(resource, *_issuer_key(request, resource))
        if issuer is not None and vault_of(issuer) is None:
            return
        if is_true(request, "Denied"):
            self._fail(request, "Denied", "The request was denied")
            return
        if not is_true(request, "Approved"):
            return
        if is_true(request, "InvalidRequest"):
            return
        if issuer is None:
            self._wait(request, "the issuer does not exist")
            return
        if not is_ready(issuer):
            self._wait(request, "the issuer is not Ready")
            return
        self._sign(request, resource, issuer)

    def _sign(self, request: Object, resource: Resource, issuer: Object) -> None:
        spec = request["spec"]
        namespace = self._cluster_resource_namespace
        try:
            chain = sign(self._cluster, namespace, resource, issuer, spec["request"], spec.get("duration"))
        except RefusedError as error:
            self._fail(request, "Failed", str(error))
        except DelayedError as error:
            self._wait(request, str(error))
            raise TryAgainError(str(error)) from error
        else:
            self._issue(request, chain)

    def _issue(self, request: Object, chain: Chain) -> None:
        def change(latest: Object) -> bool:
            if is_final(latest):
                return False  # another replica was faster
            status = latest.setdefault("status", {})
            status["certificate"] = base64.b64encode(to_pem(chain.certificates)).decode()
            if chain.ca is not None:
                status["ca"] = base64.b64encode(to_pem([chain.ca])).decode()
            return set_ready(latest, "True", "Issued", "Vault signed the certificate")

        if write_status(self._cluster, CERTIFICATE_REQUESTS, request, change):
            self._report(request, "Normal", "Issued", "Vault signed the certificate")

    def _fail(self, request: Object, reason: str, message: str) -> None:
        """Mark a request as failed, which is final."""

        def change(latest: Object) -> bool:
            latest.setdefault("status", {}).setdefault("failureTime", now())
            return set_ready(latest, "False", reason, message)

        if write_status(self._cluster, CERTIFICATE_REQUESTS, request, change):
            self._report(request, "Warning", reason, message)

    def _wait(self, request: Object, message: str) -> None:
        """Mark a request as pending, with what it waits for."""
        if write_status(
            self._cluster,
            CERTIFICATE_REQUESTS,
            request,
            lambda latest: set_ready(latest, "False", "Pending", message),
        ):
            self._report(request, "Normal", "Pending", message)

    def _report(self, request: Object, kind: str, reason: str, message: str) -> None:
        log.info("%s: %s: %s", key_of(request), reason, message)
        record(self._cluster, CERTIFICATE_REQUESTS, request, kind, reason, message)


def is_final(request: Object) -> bool:
    """Whether a request is issued, failed or denied."""
    return condition(request, "Ready").get("reason") in FINAL


def is_terminating(request: Object) -> bool:
    """Whether a request is being deleted."""
    return "deletionTimestamp" in request["metadata"]


def _issuer_key(request: Object, resource: Resource) -> Key:
    """Return the key of the issuer object that a request names."""
    return issuer_key(resource, request["metadata"]["namespace"], request["spec"]["issuerRef"])


def _without_ready(request: Object | None) -> Object | None:
    """Return a request without its Ready condition, which only this controller writes."""
    if request is None:
        return None
    decisions = [entry for entry in request.get("status", {}).get("conditions") or [] if entry["type"] != "Ready"]
    metadata = {k: v for k, v in request["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    return {"metadata": metadata, "spec": request["spec"], "decisions": decisions}
