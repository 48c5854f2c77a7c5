"""Approves and denies requests as an approver does; approves those of Certificates if the implementation does not."""

from __future__ import annotations

import threading

from ..kube.client import CERTIFICATE_REQUESTS, ApiError, Cluster, Interrupt, Object, Resource, condition

#: Seconds of one watch; another one follows.
WATCH = 300.0


class Approver:
    """Approves new requests of the Certificates in a namespace, as an approver controller does.

    It ignores requests that are already decided, and requests that no Certificate owns. :meth:`close` raises the errors
    of its thread.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._interrupt = Interrupt()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"approver of {namespace}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop approving.

        :raises StackError: if the API server refused the watch or an approval.
        """
        self._interrupt.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._interrupt.is_set:
                for kind, item in self._cluster.watch(
                    CERTIFICATE_REQUESTS, self._namespace, None, timeout=WATCH, interrupt=self._interrupt
                ):
                    if kind != "DELETED" and owner_of(item) and not is_decided(item):
                        self._approve(item)
        except Exception as error:  # close() raises it
            self._error = error

    def _approve(self, item: Object) -> None:
        try:
            decide(self._cluster, CERTIFICATE_REQUESTS, item, "Approved", "status")
        except ApiError as error:
            # The request was deleted, or it changed; a change causes another event.
            if error.code not in (404, 409):
                raise


def owner_of(request: Object) -> str:
    """The uid of the Certificate for which a CertificateRequest was created, '' if there is none."""
    for owner in request["metadata"].get("ownerReferences") or []:
        if owner["kind"] == "Certificate" and owner["apiVersion"].partition("/")[0] == CERTIFICATE_REQUESTS.group:
            return str(owner["uid"])
    return ""


def decide(cluster: Cluster, resource: Resource, item: Object, kind: str, subresource: str, **fields: str) -> None:
    """Approve or deny a request.

    :param item: the request as it was read.
    :param kind: ``Approved`` or ``Denied``.
    :param subresource: the subresource for decisions: ``status`` or ``approval``.
    :param fields: fields of the condition to replace, such as ``reason``.
    :raises ApiError: 409 if the request has changed since it was read, 404 if it does not exist.
    """
    metadata = item["metadata"]
    entry = {
        "type": kind,
        "status": "True",
        "reason": "vault-issuer.test",
        "message": "decided by the conformance suite",
        "lastTransitionTime": metadata["creationTimestamp"],
    } | fields
    listed = [*(item.get("status", {}).get("conditions") or []), entry]
    body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": {"conditions": listed}}
    cluster.patch(resource, metadata["name"], metadata.get("namespace"), body, subresource=subresource)


def is_decided(item: Object) -> bool:
    """Whether a request was approved or denied."""
    return bool(condition(item, "Approved") or condition(item, "Denied"))
