"""Approves what Certificates request, where the implementation leaves that to others."""

from __future__ import annotations

import threading

from ..kube.client import CERTIFICATE_REQUESTS, ApiError, Cluster, Interrupt, Object
from .decision import decide, is_decided

#: Seconds one watch lasts; another follows.
WATCH = 300.0


class Approver:
    """Approves the requests of a namespace's Certificates as they come, as an approver controller does.

    A request that somebody else has decided about, or that no Certificate owns, is left alone. What goes wrong in the
    thread is raised by :meth:`close`.
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

        :raises StackError: when the watch or an approval was refused.
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
        except Exception as error:  # raised where it is seen, by close()
            self._error = error

    def _approve(self, item: Object) -> None:
        try:
            decide(self._cluster, CERTIFICATE_REQUESTS, item, "Approved", "status")
        except ApiError as error:
            # Gone, or changed meanwhile: then its next event follows.
            if error.code not in (404, 409):
                raise


def owner_of(request: Object) -> str:
    """The uid of the Certificate that a CertificateRequest was made for, '' where there is none."""
    for owner in request["metadata"].get("ownerReferences") or []:
        if owner["kind"] == "Certificate" and owner["apiVersion"].partition("/")[0] == CERTIFICATE_REQUESTS.group:
            return str(owner["uid"])
    return ""
