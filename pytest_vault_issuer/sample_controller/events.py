"""Events about issuers and requests."""

from __future__ import annotations

import logging
import uuid

from .cluster import EVENTS, Cluster, ClusterError, Object, Resource
from .conditions import now, shorten

COMPONENT = "sample-controller"
#: The namespace of events about cluster-scoped objects.
DEFAULT_NAMESPACE = "default"

log = logging.getLogger(__name__)


def record(cluster: Cluster, resource: Resource, item: Object, kind: str, reason: str, message: str) -> None:
    """Record an event; a failure is only logged.

    :param kind: Normal or Warning.
    """
    metadata = item["metadata"]
    namespace = metadata.get("namespace") or DEFAULT_NAMESPACE
    time = now()
    event = {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": f"{metadata['name'][:200]}.{uuid.uuid4().hex[:16]}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "namespace": metadata.get("namespace", ""),
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": kind,
        "reason": reason,
        "message": shorten(message),
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
    }
    try:
        cluster.create(EVENTS, namespace, event)
    except ClusterError as error:
        log.warning("the event %s about %s was not recorded: %s", reason, metadata["name"], error)
