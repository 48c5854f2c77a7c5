"""Stops, pauses and starts the components of the control plane of a stack of this session."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import requests

from ...errors import StackError
from ...kube.client import Cluster
from ...supervisor.run_directory import RunDirectory
from ...timeouts import SLOW_MACHINE, Timeouts, poll
from ..types import API_SERVER, ETCD
from .kubernetes import ETCD_URL


class LocalControlPlane:
    """The control plane of :class:`~.kubernetes.KubernetesProcesses`; see :class:`~..types.ControlPlane`."""

    def __init__(self, run: RunDirectory, kubeconfig: Path, timeouts: Timeouts) -> None:
        self._run = run
        self._kubeconfig = kubeconfig
        self._timeouts = timeouts
        # A component has another name if it started in a further attempt.
        self._names = {
            component: next(name for name in reversed(list(run.describe()["processes"])) if name.startswith(component))
            for component in (ETCD, API_SERVER)
        }

    def stop(self, component: str) -> None:
        """See :class:`~..types.ControlPlane`."""
        self._run.stop_for_now(self._names[component], os.getpid())

    def pause(self, component: str) -> None:
        """See :class:`~..types.ControlPlane`."""
        self._run.pause(self._names[component], os.getpid())

    def restore(self) -> None:
        """See :class:`~..types.ControlPlane`."""
        for name in self._names.values():
            self._run.resume(name, os.getpid())
            self._run.start(name)
        cluster = Cluster(self._kubeconfig, timeouts=self._timeouts)

        def probe() -> bool | None:
            with contextlib.suppress(StackError):
                cluster.call("GET", "/readyz", timeout=5)
                return True
            return None

        with contextlib.closing(cluster):
            if not poll(probe, timeout=self._timeouts.component_start, interval=0.1):
                name = self._names[API_SERVER]
                raise self._run.not_ready(name, name, self._timeouts.component_start, SLOW_MACHINE)

    def compact(self) -> None:
        """See :class:`~..types.ControlPlane`."""
        pki = self._run.path / "pki"
        url = (self._run.path / ETCD_URL).read_text()
        session = requests.Session()
        session.trust_env = False
        session.verify = str(pki / "ca.pem")
        session.cert = (str(pki / "apiserver-etcd.pem"), str(pki / "apiserver-etcd-key.pem"))
        # https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/
        try:
            status = session.post(f"{url}/v3/maintenance/status", json={}, timeout=self._timeouts.api)
            status.raise_for_status()
            revision = status.json()["header"]["revision"]
            response = session.post(f"{url}/v3/kv/compaction", json={"revision": revision}, timeout=self._timeouts.api)
            if response.status_code >= 400 and "has been compacted" not in response.text:
                response.raise_for_status()
        except (requests.RequestException, ValueError, KeyError) as error:
            raise StackError(
                f"etcd at {url} could not be compacted: {error}",
                hint="read the log of etcd in the run directory of the session",
            ) from error
