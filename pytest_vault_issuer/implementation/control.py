"""Controls the controller of a session: stops, kills, pauses and restarts it, and runs replicas of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from typing import Protocol

from ..errors import NotRunnable
from ..kube.client import Cluster, Object
from ..kube.ownership import create_own
from ..supervisor.run_directory import RunDirectory
from ..timeouts import Timeouts
from .process import PROCESS, RunningImplementation, filled
from .spec import Implementation, ProcessDescription
from .workloads import PODS, Workload, workloads_of

#: Label of the pods of a replica; the value is its number.
_REPLICA = "vault-issuer.test/replica"
#: Annotation that names the container of a pod that kubectl uses by default.
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
#: The hint for what only a process allows.
_AS_PROCESS = "set [run] command, so that it runs as a process"

#: Seconds for ps to answer.
PS_LIMIT = 10.0


class Controller(Protocol):
    """The controller, or one of its replicas.

    If the process that controls it ends, the supervisor resumes or starts it again.
    """

    def stop(self) -> None:
        """End it as a kubelet does: SIGTERM, and SIGKILL after a few seconds; return after its end."""

    def kill(self) -> None:
        """End it by SIGKILL; return after its end."""

    def start(self) -> None:
        """Start it again as before, without waiting for it; do nothing if it runs."""

    def pause(self) -> None:
        """Pause it by SIGSTOP, which it does not notice.

        :raises NotRunnable: if it runs in the cluster.
        """

    def resume(self) -> None:
        """Resume it."""

    def memory(self) -> int:
        """Return its resident memory in bytes.

        :raises NotRunnable: if it runs in the cluster, has ended, or `ps` cannot show it.
        """

    def restarting(self) -> contextlib.AbstractContextManager[None]:
        """Restart it whenever it ends during the block, as the kubelet does; it runs after the block."""

    def replica(self, number: int, arguments: list[str]) -> Replica:
        """Return a replica of it, which does not run yet.

        :param number: distinguishes the replicas of one controller.
        :param arguments: additional to those of the controller.
        """


class Replica(Controller, Protocol):
    """A replica of a controller."""

    def end(self) -> None:
        """End it for good."""


class _Process:
    """A :class:`Controller` that is a process of this session."""

    def __init__(self, run: RunDirectory, name: str = PROCESS) -> None:
        self.name = name
        self._run = run

    def stop(self) -> None:
        self._run.stop_for_now(self.name, os.getpid(), graceful=True)

    def kill(self) -> None:
        self._run.stop_for_now(self.name, os.getpid())

    def start(self) -> None:
        self._run.start(self.name)

    def pause(self) -> None:
        self._run.pause(self.name, os.getpid())

    def resume(self) -> None:
        self._run.resume(self.name, os.getpid())

    def memory(self) -> int:
        pid = self._run.process_id(self.name)
        try:
            shown = subprocess.run(
                ["ps", "-o", "rss=", "-p", str(pid)],  # noqa: S607 (its path differs between systems)
                check=True,
                capture_output=True,
                text=True,
                timeout=PS_LIMIT,
            )
            return int(shown.stdout) * 1024
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise NotRunnable(
                f"ps does not show the memory of the controller's process {pid}", hint="install ps (procps)"
            ) from error

    @contextlib.contextmanager
    def restarting(self) -> Iterator[None]:
        self._run.restart_on_exit(self.name, os.getpid())
        try:
            yield
        finally:
            self._run.end_restart_on_exit(self.name)

    def replica(self, number: int, arguments: list[str]) -> Replica:
        return _ReplicaProcess(self._run, f"{self.name}-replica-{number}", self.name, arguments)


class _Workload:
    """A :class:`Controller` that is a Deployment or StatefulSet of this session."""

    def __init__(self, workload: Workload, cluster: Cluster, timeouts: Timeouts) -> None:
        self._workload = workload
        self._cluster = cluster
        self._timeouts = timeouts

    def stop(self) -> None:
        self._scale(0)
        self._workload.wait_gone(self._cluster, self._timeouts)

    def kill(self) -> None:
        self._scale(0)
        for pod in self._workload.pods(self._cluster):
            self._cluster.call(
                "DELETE",
                PODS.path(self._workload.namespace, pod["metadata"]["name"]),
                body={"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0},
            )
        self._workload.wait_gone(self._cluster, self._timeouts)

    def start(self) -> None:
        self._scale(1)

    def pause(self) -> None:
        raise NotRunnable("the controller runs in the cluster: its process cannot be paused", hint=_AS_PROCESS)

    def resume(self) -> None:
        pass  # it is never paused

    def memory(self) -> int:
        raise NotRunnable(
            "the controller runs in the cluster: the memory of its process cannot be read", hint=_AS_PROCESS
        )

    @contextlib.contextmanager
    def restarting(self) -> Iterator[None]:
        yield  # the kubelet restarts it anyway

    def replica(self, number: int, arguments: list[str]) -> Replica:
        # A workload of its own, so that each can be stopped.
        workload = self._workload
        body = copy_of(self._cluster.get(workload.resource, workload.name, workload.namespace), f"{number}", arguments)
        return _ReplicaWorkload(workloads_of([body])[0], self._cluster, self._timeouts, body)

    def _scale(self, replicas: int) -> None:
        body = {"spec": {"replicas": replicas}}
        self._cluster.patch(self._workload.resource, self._workload.name, self._workload.namespace, body)


class Control:
    """What tests may do with the controller of a session.

    :ivar controller: the controller.
    """

    def __init__(
        self,
        implementation: Implementation,
        running: RunningImplementation,
        run: RunDirectory,
        cluster: Cluster,
        timeouts: Timeouts,
    ) -> None:
        self._implementation = implementation
        self._run = run
        self.controller = _controller(running, run, cluster, timeouts)

    def restore(self) -> None:
        """Let one controller run as before; for the end of a test that failed anywhere."""
        self.controller.resume()
        self.controller.start()

    @contextlib.contextmanager
    def replicas(self) -> Iterator[tuple[Controller, Controller]]:
        """Replace the controller by two replicas during the block; :meth:`Controller.start` starts each.

        Each has the arguments in ``[run] replica_args`` in addition to those of the controller.
        """
        original = self.controller
        original.stop()
        first, second = (original.replica(number, self._replica_arguments()) for number in (1, 2))
        try:
            yield first, second
        finally:
            for replica in (first, second):
                replica.end()
            original.start()

    @contextlib.contextmanager
    def with_environment(self, variables: dict[str, str]) -> Iterator[None]:
        """Replace the controller during the block by one with additional environment variables.

        :raises NotRunnable: if it runs in the cluster.
        """
        original = self.controller
        if not isinstance(original, _Process):
            raise NotRunnable(
                "the controller runs in the cluster: its environment is part of its manifests", hint=_AS_PROCESS
            )
        replaced = _ReplicaProcess(self._run, f"{original.name}-variables", original.name, [], variables)
        original.stop()
        try:
            replaced.start()
            yield
        finally:
            replaced.end()
            original.start()

    def _replica_arguments(self) -> list[str]:
        description = self._implementation.run
        values = {"cluster_resource_namespace": description.cluster_resource_namespace}
        return filled(ProcessDescription(command=description.replica_args), values)[0]


class _ReplicaProcess(_Process):
    def __init__(
        self,
        run: RunDirectory,
        name: str,
        original: str,
        arguments: list[str],
        variables: dict[str, str] | None = None,
    ) -> None:
        super().__init__(run, name)
        self._original = original
        self._arguments = arguments
        self._variables = variables
        self._started = False

    def start(self) -> None:
        if self._started:
            super().start()
        else:
            self._run.copy(self.name, self._original, self._arguments, self._variables)
            self._started = True

    def end(self) -> None:
        if self._started:
            self.resume()
            self.start()  # no longer stopped for the time being
            self._run.stop(self.name)


class _ReplicaWorkload(_Workload):
    def __init__(self, workload: Workload, cluster: Cluster, timeouts: Timeouts, body: Object) -> None:
        super().__init__(workload, cluster, timeouts)
        self._body = body
        self._started = False

    def start(self) -> None:
        if self._started:
            super().start()
        else:
            create_own(self._cluster, self._workload.resource, self._body)
            self._started = True

    def end(self) -> None:
        if self._started:
            self.kill()
            self._cluster.delete(self._workload.resource, self._workload.name, self._workload.namespace)


def copy_of(workload: Object, number: str, arguments: list[str]) -> Object:
    """Return a copy of a Deployment or StatefulSet, with one pod that its Services find too.

    :param number: part of its name, and a label of its pods.
    :param arguments: additional to those of the default container of its pods, by default the first one.
    """
    metadata, spec = workload["metadata"], deepcopy(workload["spec"])
    template = spec["template"]
    template["metadata"]["labels"][_REPLICA] = number
    spec["replicas"] = 1
    spec["selector"].setdefault("matchLabels", {})[_REPLICA] = number
    chosen = (template["metadata"].get("annotations") or {}).get(_DEFAULT_CONTAINER)
    containers = template["spec"]["containers"]
    container = next((each for each in containers if each["name"] == chosen), containers[0])
    container["args"] = [*(container.get("args") or []), *arguments]
    return {
        "apiVersion": workload["apiVersion"],
        "kind": workload["kind"],
        "metadata": {
            "name": f"{metadata['name']}-replica-{number}",
            "namespace": metadata["namespace"],
            "labels": metadata.get("labels") or {},
        },
        "spec": spec,
    }


def _controller(running: RunningImplementation, run: RunDirectory, cluster: Cluster, timeouts: Timeouts) -> Controller:
    if running.process:
        return _Process(run)
    scalable = [workload for workload in running.workloads if workload.kind != "DaemonSet"]
    if len(scalable) == 1:
        return _Workload(scalable[0], cluster, timeouts)
    if scalable:
        names = ", ".join(f"{workload.namespace}/{workload.name}" for workload in scalable)
        raise NotRunnable(
            f"the session cannot tell which of the workloads {names} is the controller",
            hint="run the controller as a process, or as the only Deployment of its manifests",
        )
    raise NotRunnable(
        "this session did not start the controller and cannot stop it",
        hint="describe how it is started: [run] command, image, manifests or chart",
    )
