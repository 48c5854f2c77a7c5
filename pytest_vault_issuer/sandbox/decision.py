"""Approval and denial of requests, as an approver writes them."""

from __future__ import annotations

from ..kube.client import Cluster, Object, Resource, condition


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
