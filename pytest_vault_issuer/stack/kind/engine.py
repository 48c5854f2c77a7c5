"""The container engine (Docker, or Podman with its Docker API): images, networks, and the resources of sessions.

All resources of a session are on its own network, which is created first and removed last. The labels of the network
name its owner. The removal of a session removes the network and everything on it, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ConfigurationError, StackError
from ...supervisor import disk
from ...supervisor.identity import PREFIX, Identity, shown
from ...supervisor.run_directory import RunDirectory
from ...toolchain.images import mirrored

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container
    from docker.models.networks import Network

#: Labels of our networks and containers, beside the identity of the supervisor: name and run directory of the session.
RUN_LABEL = f"{PREFIX}run"
DIRECTORY_LABEL = f"{PREFIX}directory"
#: Label of kind on the nodes of a cluster.
CLUSTER_LABEL = "io.x-k8s.kind.cluster"
#: Prefix of networks in lists of resources.
NETWORK = "network "
EXTRA = "pip install 'pytest-vault-issuer[kind]'"
#: Environment variables with which docker, podman and kind find the engine, beside PATH and HOME.
_VARIABLE = re.compile(
    r"(DOCKER|CONTAINERS)_\w+|KIND_EXPERIMENTAL_PROVIDER|XDG_RUNTIME_DIR|(HTTPS?|NO)_PROXY", re.IGNORECASE
)
#: Valid names of sessions in labels.
_RUN = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: Seconds for one call. Creating and removing a container takes long if the disk is busy.
_CALL = 120


@dataclass(frozen=True)
class Owner:
    """The owner of resources on the engine.

    :ivar run: name of the session; also the name of its network and of the kind cluster that it created.
    :ivar directory: run directory of the session.
    :ivar supervisor: the process that removes the resources at the session's end.
    """

    run: str
    directory: Path
    supervisor: Identity

    @classmethod
    def of(cls, run: RunDirectory) -> Owner:
        """Return a session as an owner.

        :raises StackError: if its supervisor does not answer.
        """
        return cls(run.path.name, run.path, Identity.of(run.supervisor))

    @property
    def labels(self) -> dict[str, str]:
        """The labels for networks and containers."""
        return {RUN_LABEL: self.run, DIRECTORY_LABEL: str(self.directory), **self.supervisor.labels}


class Engine:
    """The engine that testcontainers finds: ``DOCKER_HOST``, else docker's context, else the default socket.

    :param patience: timeout of one call in seconds.
    :raises ConfigurationError: if testcontainers is not installed.
    :raises StackError: if no engine answers.
    """

    def __init__(self, patience: float = _CALL) -> None:
        try:
            import docker
            from testcontainers.core.docker_client import get_docker_host
        except ImportError as error:
            raise ConfigurationError(f"containers need {error.name}, which is not installed", hint=EXTRA) from error
        self._errors = docker.errors
        address = get_docker_host() or docker.constants.DEFAULT_UNIX_SOCKET.replace("http+unix", "unix")
        self.address = str(address)
        try:
            _check_listening(address, patience)
            self.client: DockerClient = docker.DockerClient.from_env(
                timeout=patience, environment={**os.environ, "DOCKER_HOST": address}
            )
            self.client.ping()
        except (self._errors.DockerException, OSError) as error:
            raise StackError(
                f"no container engine answers at {address}: {_first_line(error)}",
                hint="start Docker or Podman, or set DOCKER_HOST to its address",
            ) from error

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with which programs use this engine."""
        return {key: value for key, value in os.environ.items() if _VARIABLE.fullmatch(key)} | {
            "DOCKER_HOST": self.address
        }

    @property
    def is_local(self) -> bool:
        """Whether the engine can mount files of this machine."""
        return bool(self.address.startswith(("unix:", "npipe:")))

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    # -- images ------------------------------------------------------------------------

    def provide(self, image: str, registry_mirror: str = "") -> None:
        """Pull an image, unless the engine has it.

        :param image: with a tag or digest.
        :param registry_mirror: in a closed network, replaces the registry of the image; may have a path. '' for none.
        :raises StackError: if the engine cannot pull it.
        :raises ConfigurationError: if a mirror is set and the name contains a digest: a tag cannot restore this name.
        """
        try:
            self.client.images.get(image)
            return
        except self._errors.ImageNotFound:
            pass
        except self._errors.DockerException as error:
            raise self.failure(f"the image {image} cannot be inspected", error) from error
        if registry_mirror and "@" in image:
            raise ConfigurationError(
                f"the image {image} cannot be pulled from {registry_mirror}, because its name contains a digest",
                hint="name the image by a tag, or pull it yourself",
            )
        source = mirrored(image, registry_mirror)
        try:
            pulled = self.client.images.pull(source)
            if source != image:
                pulled.tag(image)
        except self._errors.DockerException as error:
            raise StackError(
                f"the engine does not have the image {image} and cannot pull it"
                + (f" as {source}" if source != image else "")
                + f": {_first_line(error)}",
                hint=hint_for(
                    str(error),
                    "load or pull it with docker, name another one, or set --vault-issuer-registry-mirror",
                ),
            ) from error

    def digest(self, image: str) -> str:
        """Return the digest under which the engine pulled an image, such as ``sha256:...``; '' if it did not pull it.

        :raises StackError: if the engine does not answer.
        """
        try:
            pulled = self.client.images.get(image).attrs.get("RepoDigests") or []
        except self._errors.ImageNotFound:  # of a cluster that existed before
            return ""
        except self._errors.DockerException as error:
            raise self.failure(f"the image {image} cannot be inspected", error) from error
        return next((name.partition("@")[2] for name in pulled if "@" in name), "")

    def save(self, image: str, archive: Path) -> None:
        """Write an image of the engine to a file, as ``docker save`` does.

        :raises StackError: if this fails, for example because the disk is full.
        """
        try:
            with archive.open("wb") as file:
                file.writelines(self.client.api.get_image(image))
        except (OSError, self._errors.DockerException) as error:
            raise self.failure(f"the image {image} cannot be written to {archive}", error) from error

    # -- networks ----------------------------------------------------------------------

    def create_network(self, owner: Owner) -> None:
        """Create the network of a session, with the name of the session."""
        try:
            self.client.networks.create(owner.run, driver="bridge", labels=owner.labels, check_duplicate=True)
        except self._errors.DockerException as error:
            raise self.failure(f"the container network {owner.run} cannot be created", error) from error

    def gateway(self, network: str) -> str:
        """Return the IPv4 address of this machine on a network.

        :raises StackError: if there is none, for example because the engine runs in a virtual machine.
        """
        attributes = self.client.networks.get(network).attrs
        entries = (attributes.get("IPAM") or {}).get("Config") or []
        address = next((e["Gateway"] for e in entries if "." in e.get("Gateway", "")), "").partition("/")[0]
        with socket.socket() as probe:
            try:
                if not address:
                    raise OSError("the network has no IPv4 gateway")
                probe.bind((address, 0))
            except OSError as error:
                raise StackError(
                    f"this machine has no address on the container network {network} ({address or 'none'}: "
                    f"{error.strerror or error}), so that containers cannot reach the proxy",
                    hint="use an engine on this machine itself (no virtual machine, not rootless), "
                    "or set --vault-issuer-bind to an address that containers reach",
                ) from error
        return str(address)

    def network_of(self, container: Container) -> str:
        """Return the name of the first network that a container is on."""
        return str(next(iter(container.attrs["NetworkSettings"]["Networks"])))

    # -- clusters ----------------------------------------------------------------------

    def nodes(self, cluster: str) -> list[Container]:
        """Return the containers of a kind cluster, running or not, the control plane first."""
        found = self.client.containers.list(all=True, filters={"label": f"{CLUSTER_LABEL}={cluster}"})
        return sorted(found, key=lambda node: ("control-plane" not in node.name, node.name))

    def run_in(self, container: Container, command: list[str]) -> tuple[int, str]:
        """Run a command in a container; return its exit status and output."""
        status, output = container.exec_run(command)
        return int(status), output.decode(errors="replace")

    # -- resources of sessions ---------------------------------------------------------

    def owners(self) -> list[Owner]:
        """Return the owners of all resources, of all users and machines and in all states."""
        networks: list[Network] = self.client.networks.list(filters={"label": RUN_LABEL})
        labels = [network.attrs["Labels"] for network in networks]
        # `docker network prune` removes a network without running containers, but not its stopped containers.
        labels += [container.labels for container in self._labeled(RUN_LABEL)]
        found = {
            label[RUN_LABEL]: Owner(
                label[RUN_LABEL], Path(shown(label.get(DIRECTORY_LABEL, ""))), Identity.from_labels(label)
            )
            for label in reversed(labels)
            if _RUN.fullmatch(label[RUN_LABEL])
        }
        return list(found.values())

    def remove(self, run: str) -> list[str]:
        """Remove a session's containers, the kind cluster that it created, and its network; return their names.

        kind itself also deletes a cluster by the label of its nodes. Here, the nodes must be on the session's network
        too. The containers of joined sessions on this network are also removed.

        One that cannot be removed does not keep the others.

        :raises StackError: if something cannot be removed. The message and the hint name all of it.
        """
        try:
            containers, networks = self._things_of(run)
        except connect_errors() as error:
            raise self.failure(f"the resources of session {run} cannot be removed", error) from error
        steps: list[tuple[str, Callable[[], None]]] = [
            *((str(container.name), partial(container.remove, force=True, v=True)) for container in containers),
            *((_called(network), network.remove) for network in networks),
        ]
        removed, left = [], {}
        for name, remove in steps:
            try:
                with contextlib.suppress(self._errors.NotFound):
                    remove()
                    removed.append(name)
            except connect_errors() as error:
                left[name] = _first_line(error)
        if left:
            commands = self._removal(
                [c for c in containers if c.name in left], [n for n in networks if _called(n) in left]
            )
            raise StackError(
                f"some resources of session {run} cannot be removed: "
                + "; ".join(f"{name}: {why}" for name, why in left.items()),
                hint=f"vault-issuer stack down tries again; by hand: {commands}",
            )
        return removed

    def names_of(self, run: str) -> list[str]:
        """Return the names of the resources that :meth:`remove` would remove."""
        containers, networks = self._things_of(run)
        return [*(str(container.name) for container in containers), *map(_called, networks)]

    def removal_of(self, run: str) -> str:
        """Return commands for people that remove the same resources as :meth:`remove`."""
        return self._removal(*self._things_of(run))

    def _removal(self, containers: list[Container], networks: list[Network]) -> str:
        docker = f"docker --host {shlex.quote(self.address)}"
        commands = (
            (f"{docker} rm --force --volumes", containers),
            (f"{docker} network rm", networks),
        )
        return " && ".join(
            " ".join([command, *(shlex.quote(str(thing.name)) for thing in things)])
            for command, things in commands
            if things
        )

    def _things_of(self, run: str) -> tuple[list[Container], list[Network]]:
        networks: list[Network] = self.client.networks.list(filters={"label": f"{RUN_LABEL}={run}"})
        containers = [
            container
            for container in [*self._labeled(RUN_LABEL), *self._labeled(f"{CLUSTER_LABEL}={run}")]
            if container.labels.get(RUN_LABEL) == run
            or any(network.name in container.attrs["NetworkSettings"]["Networks"] for network in networks)
        ]
        return containers, networks

    def _labeled(self, label: str) -> list[Container]:
        # all=True: the list of a network does not contain stopped containers.
        found: list[Container] = self.client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        return found

    def failure(self, what: str, error: Exception) -> StackError:
        """Return an error with the message of the engine, and a hint for it."""
        return StackError(f"{what}: {_first_line(error)}", hint=hint_for(str(error)))


def _called(network: Network) -> str:
    return f"{NETWORK}{network.name}"


def connect_errors() -> tuple[type[Exception], ...]:
    """Return the types of the errors that the client of the engine raises."""
    import docker.errors
    import requests

    return (docker.errors.DockerException, requests.RequestException)


def hint_for(text: str, otherwise: str = "see the log of the engine") -> str:
    """Return the hint for an error message of the engine."""
    if disk.SAID in text.lower():
        return f"the disk is full: free some space (docker system df; df -h {tempfile.gettempdir()})"
    if "address pools" in text:
        return "there are too many container networks: remove the unused ones with docker network prune"
    return otherwise


def _check_listening(address: str, patience: float) -> None:
    # A failed attempt of the client itself would leave its socket open.
    if address.startswith("unix:"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(patience)
            connection.connect(address.removeprefix("unix://"))


def _first_line(error: Exception) -> str:
    explanation: Any = getattr(error, "explanation", None) or getattr(error, "strerror", None)
    return (str(explanation or error).strip().splitlines() or [type(error).__name__])[0]
