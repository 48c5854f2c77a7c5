"""An implementation that runs in the cluster: its workloads, their readiness and ends; and the logs of any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ImplementationError
from ..kube.client import Cluster, Object, Resource
from ..redaction.redactor import Redactor
from ..supervisor.run_directory import LOG_END
from ..timeouts import Timeouts
from . import diagnosis
from .spec import RunDescription

PODS = Resource("", "v1", "pods")
_KINDS = {
    "Deployment": Resource("apps", "v1", "deployments"),
    "StatefulSet": Resource("apps", "v1", "statefulsets"),
    "DaemonSet": Resource("apps", "v1", "daemonsets"),
}
NAME = "vault-issuer-implementation"
#: Directory and file in the pod with the certificates that replace the system trust store.
_ROOTS, _ROOTS_FILE = "/vault-issuer", "roots.pem"
#: Reasons for which a waiting container will not start.
_HOPELESS = {
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
}
#: Seconds between two checks for problems of a workload; its readiness is watched.
_SLICE = 2.0
#: The kubelet's answer if a log does not exist.
_NO_LOG = "unable to retrieve container logs for "
#: Number of lines of the log that an error shows.
_TAIL = 25


@dataclass(frozen=True)
class Workload:
    """A Deployment, StatefulSet or DaemonSet of the implementation.

    :ivar selector: label selector of its pods.
    """

    kind: str
    namespace: str
    name: str
    selector: str

    @property
    def resource(self) -> Resource:
        """The API resource of its kind."""
        return _KINDS[self.kind]

    def __str__(self) -> str:
        return f"the {self.kind} {self.namespace}/{self.name}"

    def pods(self, cluster: Cluster) -> list[Object]:
        """Return its pods."""
        return cluster.list(PODS, self.namespace, labels=self.selector)

    def wait_gone(self, cluster: Cluster, timeouts: Timeouts) -> None:
        """Wait until its pods have ended.

        :raises ImplementationError: if one does not end in time.
        """
        for pod in self.pods(cluster):
            name, limit = pod["metadata"]["name"], timeouts.deletion
            if not cluster.wait_gone(PODS, name, self.namespace, timeout=limit):
                raise ImplementationError(
                    f"expected the pod {self.namespace}/{name} of {self} to end within {limit:g} s, saw it present",
                    hint=f"delete it: kubectl delete pod {name} --namespace={self.namespace}",
                )


def is_workload(item: Object) -> bool:
    """Whether an object is a Deployment, StatefulSet or DaemonSet."""
    return item.get("apiVersion") == "apps/v1" and item.get("kind") in _KINDS


def workloads_of(applied: Iterable[Object]) -> list[Workload]:
    """Return the workloads among stored objects."""
    found = []
    for item in applied:
        if is_workload(item):
            metadata = item["metadata"]
            found.append(
                Workload(item["kind"], metadata["namespace"], metadata["name"], _text(item["spec"]["selector"]))
            )
    return found


def _text(selector: Object) -> str:
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or []:
        key, operator, values = expression["key"], expression["operator"], ",".join(expression.get("values") or [])
        parts.append({"Exists": key, "DoesNotExist": f"!{key}"}.get(operator) or f"{key} {operator.lower()} ({values})")
    return ",".join(parts)


def deployment(
    description: RunDescription, arguments: list[str], env: Mapping[str, str], roots: Mapping[str, str]
) -> list[Object]:
    """Return the objects that run an implementation's image: a Deployment, and a ConfigMap with its trust store.

    :param arguments: arguments of the image's entry point.
    :param roots: certificates (PEM) by the environment variable that names their file.
    """
    namespace, _, account = description.service_account.partition("/")
    labels = {"app.kubernetes.io/name": NAME}
    container: dict[str, Any] = {
        "name": "implementation",
        "image": description.image,
        "imagePullPolicy": "IfNotPresent",
        "args": arguments,
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod: dict[str, Any] = {
        "serviceAccountName": account,
        "containers": [container],
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
    }
    objects: list[Object] = []
    for variable, pem in roots.items():
        objects.append(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": NAME, "namespace": namespace},
                "data": {_ROOTS_FILE: pem},
            }
        )
        container["env"].append({"name": variable, "value": f"{_ROOTS}/{_ROOTS_FILE}"})
        container["volumeMounts"] = [{"name": "roots", "mountPath": _ROOTS, "readOnly": True}]
        pod["volumes"] = [{"name": "roots", "configMap": {"name": NAME}}]
    objects.append(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": NAME, "namespace": namespace},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }
    )
    return objects


def wait_ready(workload: Workload, name: str, cluster: Cluster, timeouts: Timeouts) -> None:
    """Watch a workload until all of its pods are ready.

    :param name: name of the implementation.
    :raises ImplementationError: if a pod cannot start, or the pods are not ready in time; the message says why.
    """
    left = timeouts.implementation_start
    while left > 0:
        # In slices, so that a pod that cannot start ends the wait early.
        done, _ = cluster.wait(
            workload.resource, workload.name, workload.namespace, _is_ready, timeout=min(left, _SLICE)
        )
        if done:
            return
        if hopeless := [text for text in _troubles(workload, cluster) if text.split()[-1] in _HOPELESS]:
            raise _not_ready(workload, name, cluster, "; ".join(hopeless))
        left -= _SLICE
    seen = "; ".join(_troubles(workload, cluster)) or "its pods report no reason"
    limit = f"expected its pods to be ready within {timeouts.implementation_start:g} s"
    raise _not_ready(workload, name, cluster, f"{limit}; {seen}")


def _is_ready(item: Object) -> bool:
    status = item.get("status", {})
    if status.get("observedGeneration", 0) < item["metadata"]["generation"]:
        return False
    if item["kind"] == "DaemonSet":
        return bool(0 < status.get("desiredNumberScheduled", 0) <= status.get("numberReady", 0))
    replicas = item["spec"].get("replicas", 1)
    return bool(status.get("updatedReplicas", 0) >= replicas and status.get("readyReplicas", 0) >= replicas)


def _troubles(workload: Workload, cluster: Cluster) -> Iterator[str]:
    """Yield why the pods of a workload wait; the last word of each text is the reason in the pod's status."""
    for pod in workload.pods(cluster):
        yield from _troubles_of(pod)


def _troubles_of(pod: Object) -> Iterator[str]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for entry in status.get("conditions") or []:
        if entry["type"] == "PodScheduled" and entry["status"] != "True":
            yield f"{name} is not scheduled ({entry.get('message', '')}): {entry.get('reason')}"
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            message = f" ({waiting['message']})" if waiting.get("message") else ""
            yield f"{name}, container {container['name']}{message}: {waiting['reason']}"


def _not_ready(workload: Workload, name: str, cluster: Cluster, why: str) -> ImplementationError:
    return ImplementationError(
        f"{name} did not become ready: {workload}: {why}; {_end_of_log(workload, cluster)}",
        hint="list images that no registry has in [run] images; on a slow machine, set --vault-issuer-timeout-scale",
    )


def _end_of_log(workload: Workload, cluster: Cluster) -> str:
    # Before lines are chosen: the redaction does not recognize a part of a key. Callers know the registered secrets.
    text = Redactor().redact_end(WorkloadLog(cluster, [workload]).since(""), LOG_END)
    shown = diagnosis.excerpt(text, _TAIL)
    return f"the end of its log:\n{shown}" if shown else "it has no log"


def ended(workloads: Iterable[Workload], cluster: Cluster) -> str:
    """Describe which container has ended since its first start, and how; '' for none."""
    for workload in workloads:
        for pod in workload.pods(cluster):
            for container, how in _ended_in(pod):
                return (
                    f"the container {container} of {workload} ended by itself ({how}); {_end_of_log(workload, cluster)}"
                )
    return ""


def _ended_in(pod: Object) -> Iterator[tuple[str, str]]:
    """Yield the containers of a pod that have ended, even if they run again, and how they ended."""
    for container in pod.get("status", {}).get("containerStatuses") or []:
        states = (container.get("state", {}), container.get("lastState", {}))
        terminated = next((state["terminated"] for state in states if state.get("terminated")), None)
        if terminated is not None:
            yield container["name"], f"exit status {terminated['exitCode']}, {terminated.get('reason', '')}"


class FileLog:
    """The log files of processes on this machine."""

    def __init__(self, *paths: Path) -> None:
        self._paths = paths

    def mark(self) -> str:
        """Return the current sizes of the files."""
        return " ".join(str(path.stat().st_size if path.exists() else 0) for path in self._paths)

    def since(self, mark: str) -> str:
        """Return the text written since a mark, file by file."""
        starts = [int(start) for start in mark.split()] or [0] * len(self._paths)
        return "".join(_read(path, start) for path, start in zip(self._paths, starts, strict=True))


def _read(path: Path, start: int) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace")


class WorkloadLog:
    """The logs of the pods of workloads, read on demand; implements :class:`~..sandbox.activity.Log`."""

    def __init__(self, cluster: Cluster, workloads: Iterable[Workload]) -> None:
        self._cluster = cluster
        self._workloads = list(workloads)

    def mark(self) -> str:
        """Return the time of the API server's clock, in whole seconds."""
        return self._cluster.now()

    def since(self, mark: str) -> str:
        """Return the text written since a mark ('' for all), pod by pod; up to a second before it may be included."""
        return "".join(self._texts({"sinceTime": mark} if mark else {}))

    def _texts(self, query: dict[str, str]) -> Iterator[str]:
        for workload in self._workloads:
            for pod in workload.pods(self._cluster):
                name, status = pod["metadata"]["name"], pod.get("status", {})
                for container in status.get("containerStatuses") or []:
                    path = PODS.path(workload.namespace, name, "log")
                    for previous in (True, False) if container.get("restartCount") else (False,):
                        state = container.get("state", {})
                        if not previous and "waiting" in state:
                            continue  # it has no log yet
                        text = self._cluster.call(
                            "GET",
                            path,
                            query={**query, "container": container["name"], "previous": str(previous).lower()},
                            accept="*/*",
                        ).text
                        if not text.startswith(_NO_LOG):
                            yield text
