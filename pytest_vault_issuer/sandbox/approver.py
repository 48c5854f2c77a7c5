"""Approves the requests of Certificates if the implementation has no approver."""

from __future__ import annotations

import threading

from ..kube.client import CERTIFICATE_REQUESTS, ApiError, Cluster, Interrupt, Object
from .decision import decide, is_decided

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
