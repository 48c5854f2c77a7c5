"""etcd, kube-apiserver and kube-controller-manager as local processes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import requests
from cryptography.hazmat.primitives import serialization

from ...certificates import key_to_pem, new_key
from ...inputs.documents import write_documents
from ...kube.audit import AUDIT_POLICY
from ...kube.client import Kubernetes
from ...supervisor.run_directory import RunDirectory
from ...timeouts import SLOW_MACHINE, Timeouts, poll
from ...toolchain import Binaries
from ..certificates import StackAuthority
from .components import GO_RUNTIME, free_ports, taken

ATTEMPTS = 3
#: Name of the user with all permissions, in audit records and RBAC.
ADMIN = "vault-issuer"
#: File in the run directory with the URL of etcd.
ETCD_URL = "etcd-url"
#: Controllers that tests need: they fill token Secrets, empty namespaces, and delete the dependents of owners.
CONTROLLERS = (
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "namespace-controller",
    "garbage-collector-controller",
)


class KubernetesProcesses:
    """Starts a Kubernetes control plane on loopback, without nodes."""

    def __init__(self, run: RunDirectory, authority: StackAuthority, binaries: Binaries, timeouts: Timeouts) -> None:
        self._run = run
        self._authority = authority
        self._binaries = binaries
        self._timeouts = timeouts

    def spawn(self) -> None:
        """Start etcd and the API server, and return before they are ready."""
        self._write_identities()
        self._etcd_port, peer_port, self._port = free_ports(3)
        self._attempt = getattr(self, "_attempt", 0) + 1
        certificate, key = self._authority.server("etcd", "127.0.0.1", "localhost")
        etcd = f"https://127.0.0.1:{self._etcd_port}"
        self._run.write(ETCD_URL, etcd)
        peer = f"https://127.0.0.1:{peer_port}"
        self._run.spawn(
            self._name("etcd"),
            [
                str(self._binaries.etcd),
                f"--data-dir={self._run.path / self._name('etcd-data')}",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                f"--cert-file={certificate}",
                f"--key-file={key}",
                "--client-cert-auth",
                f"--trusted-ca-file={self._authority.file}",
                f"--peer-cert-file={certificate}",
                f"--peer-key-file={key}",
                "--peer-client-cert-auth",
                f"--peer-trusted-ca-file={self._authority.file}",
                "--unsafe-no-fsync",  # the data ends with the session
                "--log-level=warn",
            ],
            GO_RUNTIME,
        )
        self._spawn_apiserver(etcd)

    def _spawn_apiserver(self, etcd: str) -> None:
        certificate, key = self._authority.server("apiserver", "127.0.0.1", "localhost", "kubernetes.default.svc")
        etcd_certificate, etcd_key = self._authority.client("apiserver-etcd", "apiserver")
        issuer = "https://kubernetes.default.svc"
        self._run.spawn(
            self._name("kube-apiserver"),
            [
                str(self._binaries.kube_apiserver),
                f"--etcd-servers={etcd}",
                f"--etcd-cafile={self._authority.file}",
                f"--etcd-certfile={etcd_certificate}",
                f"--etcd-keyfile={etcd_key}",
                "--bind-address=127.0.0.1",
                f"--secure-port={self._port}",
                f"--tls-cert-file={certificate}",
                f"--tls-private-key-file={key}",
                f"--client-ca-file={self._authority.file}",
                f"--token-auth-file={self._tokens}",
                "--authorization-mode=RBAC",
                f"--service-account-issuer={issuer}",
                f"--api-audiences={issuer}",
                f"--service-account-key-file={self._run.path / 'pki/service-account.pem'}",
                f"--service-account-signing-key-file={self._run.path / 'pki/service-account-key.pem'}",
                "--service-cluster-ip-range=10.96.0.0/24",
                "--endpoint-reconciler-type=none",
                f"--audit-policy-file={self._run.write('audit-policy.yaml', write_documents(AUDIT_POLICY))}",
                f"--audit-log-path={self._audit_log}",
                "--profiling=false",
            ],
            GO_RUNTIME,
        )

    def _spawn_controller_manager(self) -> None:
        certificate, key = self._authority.client("controller-manager", "system:kube-controller-manager")
        user = {"client-certificate": str(certificate), "client-key": str(key)}
        kubeconfig = self._kubeconfig("controller-manager", user)
        self._run.spawn(
            self._name("kube-controller-manager"),
            [
                str(self._binaries.kube_controller_manager),
                f"--kubeconfig={kubeconfig}",
                f"--authentication-kubeconfig={kubeconfig}",
                f"--authorization-kubeconfig={kubeconfig}",
                "--bind-address=127.0.0.1",
                "--secure-port=0",
                "--leader-elect=false",
                f"--controllers={','.join(CONTROLLERS)}",
                "--use-service-account-credentials=true",
                f"--service-account-private-key-file={self._run.path / 'pki/service-account-key.pem'}",
                f"--root-ca-file={self._authority.file}",
                "--kube-api-qps=200",
                "--kube-api-burst=400",
            ],
            GO_RUNTIME,
        )

    def wait(self) -> Kubernetes:
        """Wait until the API server is ready, start the controller-manager, and return the cluster.

        :raises StackError: with the end of the log of the component that failed.
        """
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self._authority.file)
        session.headers["Authorization"] = f"Bearer {self._token}"
        deadline = time.monotonic() + self._timeouts.component_start
        while True:
            failed = self._wait_ready(session, deadline - time.monotonic())
            if failed is None:
                break
            if self._attempt < ATTEMPTS and taken(self._run.log_tail(failed)):
                for name in ("etcd", "kube-apiserver"):
                    self._run.stop(self._name(name))
                self.spawn()
                continue
            raise self._run.not_ready(failed, failed, self._timeouts.component_start, SLOW_MACHINE)
        self._spawn_controller_manager()
        return Kubernetes(
            kubeconfig=str(self._kubeconfig("admin", {"token": self._token})),
            url_for_vault=f"https://127.0.0.1:{self._port}",
            ca_pem=self._authority.pem,
            audit_log=str(self._audit_log),
        )

    def _wait_ready(self, session: requests.Session, timeout: float) -> str | None:
        """Return None if the API server is ready, else the name of the component that failed."""

        def probe() -> str | None:
            for name in ("etcd", "kube-apiserver"):
                if self._run.returncode(self._name(name)) is not None:
                    return self._name(name)
            try:
                response = session.get(f"https://127.0.0.1:{self._port}/readyz", timeout=5)
            except requests.RequestException:
                return None
            return "" if response.status_code == 200 else None

        result = poll(probe, timeout=timeout, interval=0.05)
        return self._name("kube-apiserver") if result is None else (result or None)

    def _name(self, component: str) -> str:
        return component if self._attempt == 1 else f"{component}-{self._attempt}"

    @property
    def _audit_log(self) -> Path:
        return self._run.path / "logs" / "audit.jsonl"

    def _write_identities(self) -> None:
        key = new_key()
        self._run.write("pki/service-account-key.pem", key_to_pem(key))
        self._run.write(
            "pki/service-account.pem",
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        )
        # The suite makes most of the calls. The API server looks a token up, but verifies a client certificate's chain
        # for each call, and each watch is a new connection whose handshake would sign with the certificate's key.
        self._token = secrets.token_urlsafe(32)
        self._run.redactor.add(self._token)
        self._tokens = self._run.write("pki/tokens.csv", f'{self._token},{ADMIN},{ADMIN},"system:masters"\n')

    def _kubeconfig(self, name: str, user: dict[str, str]) -> Path:
        cluster = {"server": f"https://127.0.0.1:{self._port}", "certificate-authority": str(self._authority.file)}
        return self._run.write(f"{name}.kubeconfig", write_documents(kubeconfig(cluster, user)))

    def components(self) -> Iterator[str]:
        """Yield the names of the processes, as their logs are named."""
        for component in ("etcd", "kube-apiserver", "kube-controller-manager"):
            yield self._name(component)


def kubeconfig(cluster: dict[str, str], user: dict[str, str]) -> dict[str, object]:
    """Return a kubeconfig with one context."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "vault-issuer",
        "clusters": [{"name": "vault-issuer", "cluster": cluster}],
        "users": [{"name": "vault-issuer", "user": user}],
        "contexts": [{"name": "vault-issuer", "context": {"cluster": "vault-issuer", "user": "vault-issuer"}}],
    }
