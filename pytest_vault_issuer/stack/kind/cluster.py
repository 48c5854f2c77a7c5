"""Creates kind clusters with pytest-kind, with an API server that writes an audit log, and uses existing ones."""

from __future__ import annotations

import base64
import importlib.util
import os
import reprlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from ...errors import ConfigurationError, StackError
from ...inputs.documents import DocumentError, read_document, write_documents
from ...kube.audit import AUDIT_POLICY
from ...kube.client import Kubernetes
from ...supervisor import interpreter
from ...supervisor.run_directory import RunDirectory
from ...timeouts import Timeouts, poll
from ..kubeconfig import with_files
from .engine import EXTRA, Engine, hint_for

#: Mount point of the session's folder for the API server, in the node and in the API server's pod.
_MOUNT = "/vault-issuer"
_API_VERSION = "kind.x-k8s.io/v1alpha4"
_CONTROL_PLANE, _PATCHES = "control-plane", "kubeadmConfigPatches"
_POLICY, _AUDIT = "audit-policy.yaml", "audit.jsonl"
#: Seconds for a kind command that only reads.
_ASKING = 60


def find_program(name: str, given: Path | None) -> Path:
    """Return the path of a program.

    :param name: such as ``kind``; the option ``--vault-issuer-NAME-binary`` names another one.
    :param given: the user's, or the toolchain's; None searches in PATH.
    :raises ConfigurationError: if there is none.
    """
    found = shutil.which(str(given.absolute()) if given else name)
    if found is None:
        problem = f"{given} is not an executable file" if given else f"{name} is not in PATH"
        raise ConfigurationError(problem, hint=f"install {name}, or name it in --vault-issuer-{name}-binary")
    return Path(found).absolute()


def check_pytest_kind() -> None:
    """Check that pytest-kind is installed, without importing it.

    :raises ConfigurationError: if it is not.
    """
    if importlib.util.find_spec("pytest_kind") is None:
        raise ConfigurationError("kind clusters need pytest-kind, which is not installed", hint=EXTRA)


class KindClusters:
    """Creates and uses the kind clusters of a session.

    :param program: path of kind.
    """

    def __init__(self, run: RunDirectory, engine: Engine, program: Path, timeouts: Timeouts) -> None:
        self._run = run
        self._engine = engine
        self._program = program
        self._timeouts = timeouts

    @property
    def kubeconfig(self) -> Path:
        """Path of the kubeconfig of the session's cluster."""
        return self._run.path / "kind.kubeconfig"

    def names(self) -> list[str]:
        """Return the names of the existing clusters."""
        return self._ask("get", "clusters").split()

    def create(self, name: str, network: str, *, node_image: str, kind_config: Path | None) -> Kubernetes:
        """Create a cluster and return its API.

        :param network: container network of the nodes.
        :param node_image: image of the nodes; '' for the default of this release of kind.
        :param kind_config: the user's configuration file of kind.
        :raises StackError: if a cluster of this name exists; or if kind fails, with the end of its output.
        """
        if name in self.names():
            raise StackError(
                f"a kind cluster named {name} exists, and this session did not create it",
                hint=f"to use it: --vault-issuer-kind-cluster={name}; to delete it: kind delete cluster --name {name}",
            )
        folder = self._prepare_folder() if self._engine.is_local else None
        written = self._run.write("kind.yaml", write_documents(configuration(kind_config, folder)))
        words = [str(self._program), str(self.kubeconfig), name, node_image, str(written)]
        self._run_kind(
            "create",
            interpreter.command(f"{__package__}.program", *words),
            what=f"the kind cluster {name}",
            limit=self._timeouts.cluster_start,
            environment=self._environment(network) | interpreter.environment(),
        )
        return self.describe(name, folder / _AUDIT if folder else None)

    def describe(self, name: str, audit_log: Path | None = None) -> Kubernetes:
        """Write the kubeconfig of an existing cluster, and return its API.

        :raises StackError: if there is no cluster of this name.
        """
        config = yaml.safe_load(self._ask("get", "kubeconfig", f"--name={name}"))
        self._run.write(self.kubeconfig.name, write_documents(with_files(config, "kind", self._run.write)))
        internal = yaml.safe_load(self._ask("get", "kubeconfig", f"--name={name}", "--internal"))
        cluster = internal["clusters"][0]["cluster"]
        return Kubernetes(
            kubeconfig=str(self.kubeconfig),
            url_for_vault=cluster["server"],
            ca_pem=base64.b64decode(cluster["certificate-authority-data"]).decode(),
            # If the file is still empty, the engine does not share this folder, and nothing will write to it.
            audit_log=str(audit_log) if audit_log and audit_log.stat().st_size else None,
        )

    def load(self, name: str, image: str) -> None:
        """Load an image of the engine into the nodes of a cluster.

        As an archive: to read the image from the engine itself, as pytest-kind does, kind needs the docker command.

        :raises StackError: if kind fails, with the end of its output.
        """
        archive = self._run.path / "image.tar"
        try:
            self._engine.save(image, archive)
            self._run_kind(
                "load",
                [str(self._program), "load", "image-archive", str(archive), f"--name={name}"],
                what=f"loading {image} into the cluster {name}",
                limit=self._timeouts.image,
                environment=self._environment(""),
            )
        finally:
            archive.unlink(missing_ok=True)

    def _prepare_folder(self) -> Path:
        """Create the folder with the audit policy and the audit log of the API server."""
        self._run.write(f"apiserver/{_POLICY}", write_documents(AUDIT_POLICY))
        # Create the log here, so that this user owns it and can read it.
        return self._run.write(f"apiserver/{_AUDIT}", "").parent

    def _run_kind(self, action: str, argv: list[str], *, what: str, limit: float, environment: dict[str, str]) -> None:
        process = f"kind-{action}-{len(list(self._run.path.glob('logs/kind-*')))}"
        self._run.spawn(process, argv, environment)
        status = poll(lambda: self._run.returncode(process), timeout=limit, interval=0.1)
        if status == 0:
            return
        log = self._run.log_tail(process, 25)
        self._run.stop(process)
        ended = f"did not end within {limit:g} s" if status is None else f"failed (exit status {status})"
        raise StackError(f"{what}: kind {ended}; the end of its output:\n{log}", hint=hint_for(log))

    def _ask(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                [str(self._program), *arguments],
                capture_output=True,
                text=True,
                timeout=_ASKING,
                check=True,
                env={**os.environ, **self._environment("")},
            )
        except subprocess.CalledProcessError as error:
            raise StackError(
                f"kind {' '.join(arguments)}: {error.stderr.strip()}",
                hint="list the existing clusters: kind get clusters",
            ) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StackError(f"kind {' '.join(arguments)}: {error}", hint="run the command by hand") from error
        return done.stdout

    def _environment(self, network: str) -> dict[str, str]:
        networks = ("KIND_EXPERIMENTAL_DOCKER_NETWORK", "KIND_EXPERIMENTAL_PODMAN_NETWORK") if network else ()
        return self._engine.environment | dict.fromkeys(networks, network)


def node_images(kind_config: Path | None) -> list[str]:
    """Return the image of each node in a user's configuration; '' for the default of kind.

    :raises ConfigurationError: if the file cannot be used.
    """
    return [node.get("image") or "" for node in _read(kind_config)["nodes"]]


def configuration(kind_config: Path | None, folder: Path | None) -> dict[str, Any]:
    """Return kind's configuration: the user's, with an audit log and higher API limits for the control plane.

    :param kind_config: the user's file.
    :param folder: folder with the audit policy; None if the engine cannot mount files of this machine.
    :raises ConfigurationError: if the file cannot be used.
    """
    config = _read(kind_config)
    # Without apiVersion, and with extraArgs as tables, the patch fits all versions of kubeadm's API that kind writes.
    arguments = {"kube-api-qps": "200", "kube-api-burst": "400"}
    patch: dict[str, Any] = {"kind": "ClusterConfiguration", "controllerManager": {"extraArgs": arguments}}
    if folder is not None:
        for node in config["nodes"]:
            if node.get("role", _CONTROL_PLANE) == _CONTROL_PLANE:
                mount = {"hostPath": str(folder), "containerPath": _MOUNT}
                node["extraMounts"] = [*(node.get("extraMounts") or []), mount]
        patch["apiServer"] = {
            "extraArgs": {"audit-policy-file": f"{_MOUNT}/{_POLICY}", "audit-log-path": f"{_MOUNT}/{_AUDIT}"},
            "extraVolumes": [
                {"name": "vault-issuer", "hostPath": _MOUNT, "mountPath": _MOUNT, "pathType": "Directory"},
            ],
        }
    config[_PATCHES] = [*(config.get(_PATCHES) or []), write_documents(patch)]
    return config


def _read(kind_config: Path | None) -> dict[str, Any]:
    """Return kind's configuration. The parts to which something is added are checked; kind checks the rest."""
    config: Any = {"kind": "Cluster", "apiVersion": _API_VERSION}
    if kind_config is not None:
        try:
            config = read_document(kind_config)
            _check(config)
        except DocumentError as error:
            raise ConfigurationError(
                f"--vault-issuer-kind-config={kind_config} cannot be used: {error}",
                hint="see https://kind.sigs.k8s.io/docs/user/configuration/",
            ) from error
    return {**config, "nodes": config.get("nodes") or [{"role": _CONTROL_PLANE}]}


def _check(config: Any) -> None:
    if not isinstance(config, dict) or config.get("kind") != "Cluster":
        raise DocumentError("kind must be Cluster")
    if config.get("apiVersion") != _API_VERSION:
        raise DocumentError(f"apiVersion must be {_API_VERSION}, got {reprlib.repr(config.get('apiVersion'))}")
    if not isinstance(nodes := config.get("nodes") or [], list):
        raise DocumentError(f"nodes must be a list, got {reprlib.repr(nodes)}")
    _check_texts(config, _PATCHES, "")
    for number, node in enumerate(nodes):
        place = f"nodes, entry {number}"
        if not isinstance(node, dict):
            raise DocumentError(f"{place} must be a mapping such as role: worker, got {reprlib.repr(node)}")
        for key in ("role", "image"):
            if not isinstance(node.get(key) or "", str):
                raise DocumentError(f"{place}: {key} must be a string, got {reprlib.repr(node[key])}")
        _check_texts(node, _PATCHES, f"{place}: ")
        mounts = node.get("extraMounts") or []
        if not isinstance(mounts, list) or not all(isinstance(mount, dict) for mount in mounts):
            raise DocumentError(f"{place}: extraMounts must be a list of mappings, got {reprlib.repr(mounts)}")
    if nodes and not any(node.get("role", _CONTROL_PLANE) == _CONTROL_PLANE for node in nodes):
        raise DocumentError(f"a node must have the role {_CONTROL_PLANE}")


def _check_texts(table: dict[str, Any], key: str, place: str) -> None:
    texts = table.get(key) or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DocumentError(f"{place}{key} must be a list of strings, got {reprlib.repr(texts)}")
