"""The container engine (Docker, or Podman by its Docker API): images, networks, and what a run leaves there.

Everything of a run is on a network of its own, which is made first and removed last: its labels say whose it is, and
whatever is on it goes with it. Nothing else is ever removed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
import tempfile
from dataclasses import dataclass
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

#: On networks and containers of ours, beside the identity of the run's supervisor: the run's name, and its directory.
RUN_LABEL = f"{PREFIX}run"
DIRECTORY_LABEL = f"{PREFIX}directory"
#: What kind puts on a cluster's nodes.
CLUSTER_LABEL = "io.x-k8s.kind.cluster"
#: Prefix of networks in lists of resources.
NETWORK = "network "
EXTRA = "pip install 'pytest-vault-issuer[kind]'"
#: What the engine's programs (docker, podman, kind) have to be told of it, beside PATH and HOME.
_VARIABLE = re.compile(
    r"(DOCKER|CONTAINERS)_\w+|KIND_EXPERIMENTAL_PROVIDER|XDG_RUNTIME_DIR|(HTTPS?|NO)_PROXY", re.IGNORECASE
)
#: Names of runs.
_RUN = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: Seconds for one call; making and removing a container takes long where the disk is busy.
_CALL = 120


@dataclass(frozen=True)
class Owner:
    """Whose something on the engine is.

    :ivar run: name of the run; the network's name too, and that of the kind cluster that it made.
    :ivar directory: of the run.
    :ivar supervisor: the process that removes it at the run's end.
    """

    run: str
    directory: Path
    supervisor: Identity

    @classmethod
    def of(cls, run: RunDirectory) -> Owner:
        """Return the owner of what a run makes, which is open.

        :raises StackError: when its supervisor does not answer.
        """
        return cls(run.path.name, run.path, Identity.of(run.supervisor))

    @property
    def labels(self) -> dict[str, str]:
        """What is put on networks and containers."""
        return {RUN_LABEL: self.run, DIRECTORY_LABEL: str(self.directory), **self.supervisor.labels}


class Engine:
    """The engine that testcontainers finds: ``DOCKER_HOST``, else docker's context, else the usual socket.

    :param patience: seconds for one call.
    :raises ConfigurationError: when testcontainers is not installed.
    :raises StackError: when no engine answers.
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
                hint="start Docker or Podman, or say in DOCKER_HOST where it listens",
            ) from error

    @property
    def environment(self) -> dict[str, str]:
        """What programs have to be told to use this engine."""
        return {key: value for key, value in os.environ.items() if _VARIABLE.fullmatch(key)} | {
            "DOCKER_HOST": self.address
        }

    @property
    def is_local(self) -> bool:
        """Whether files of this machine can be mounted."""
        return bool(self.address.startswith(("unix:", "npipe:")))

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    # -- images ------------------------------------------------------------------------

    def provide(self, image: str, mirror: str = "") -> None:
        """Have an image here, pulled where it is not.

        :param image: with a tag or digest.
        :param mirror: registry, and path, in whose place the image's own stands in a closed network.
        :raises StackError: when it is neither here nor can be pulled.
        :raises ConfigurationError: when it is named by its digest, and not here: no tag can give it its name.
        """
        try:
            self.client.images.get(image)
            return
        except self._errors.ImageNotFound:
            pass
        except self._errors.DockerException as error:
            raise self.failure(f"the image {image} cannot be looked at", error) from error
        if mirror and "@" in image:
            raise ConfigurationError(
                f"the image {image} is not here, and by its digest it would have the name of {mirror}",
                hint="name it by a tag",
            )
        source = mirrored(image, mirror)
        try:
            pulled = self.client.images.pull(source)
            if source != image:
                pulled.tag(image)
        except self._errors.DockerException as error:
            raise StackError(
                f"the image {image} is not here and cannot be pulled"
                + (f" as {source}" if source != image else "")
                + f": {_first_line(error)}",
                hint=hint_for(
                    str(error),
                    "docker load or pull it, name another one, or name a mirror in --vault-issuer-registry-mirror",
                ),
            ) from error

    def save(self, image: str, archive: Path) -> None:
        """Write an image that is here into a file, as ``docker save`` does.

        :raises StackError: when that fails, as where the disk is full.
        """
        try:
            with archive.open("wb") as file:
                file.writelines(self.client.api.get_image(image))
        except (OSError, self._errors.DockerException) as error:
            raise self.failure(f"the image {image} cannot be written into {archive}", error) from error

    # -- networks ----------------------------------------------------------------------

    def create_network(self, owner: Owner) -> None:
        """Make the network of a run, by the run's name."""
        try:
            self.client.networks.create(owner.run, driver="bridge", labels=owner.labels, check_duplicate=True)
        except self._errors.DockerException as error:
            raise self.failure(f"the container network {owner.run} cannot be made", error) from error

    def gateway(self, network: str) -> str:
        """Return the IPv4 address that this machine has on a network.

        :raises StackError: when it has none, as where the engine runs in a virtual machine.
        """
        attributes = self.client.networks.get(network).attrs
        entries = (attributes.get("IPAM") or {}).get("Config") or []
        address = next((e["Gateway"] for e in entries if "." in e.get("Gateway", "")), "").partition("/")[0]
        with socket.socket() as probe:
            try:
                if not address:
                    raise OSError("it has no IPv4 gateway")
                probe.bind((address, 0))
            except OSError as error:
                raise StackError(
                    f"this machine has no address on the container network {network} ({address or 'none'}: "
                    f"{error.strerror or error}), so that containers could not reach the proxy",
                    hint="use an engine of this machine itself (no virtual machine, not rootless), "
                    "or name an address that containers reach in --vault-issuer-bind",
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

    # -- what runs leave ---------------------------------------------------------------

    def owners(self) -> list[Owner]:
        """Return whose things there are, of all users and machines, whether these runs are under way, kept or dead."""
        networks: list[Network] = self.client.networks.list(filters={"label": RUN_LABEL})
        labels = [network.attrs["Labels"] for network in networks]
        # A network on which nothing runs is removed by `docker network prune`, the containers are not.
        labels += [container.labels for container in self._labelled(RUN_LABEL)]
        found = {
            label[RUN_LABEL]: Owner(
                label[RUN_LABEL], Path(shown(label.get(DIRECTORY_LABEL, ""))), Identity.from_labels(label)
            )
            for label in reversed(labels)
            if _RUN.fullmatch(label[RUN_LABEL])
        }
        return list(found.values())

    def remove(self, run: str) -> list[str]:
        """Remove a run's containers, a kind cluster that it made, and its network; return what was removed.

        kind itself deletes a cluster so: its nodes are found by a label. Here they have to be on the run's network too.
        Containers there that are of runs which had joined it go as well.

        :raises StackError: when something cannot be removed.
        """
        removed = []
        try:
            containers, networks = self._things_of(run)
            for container in containers:
                with contextlib.suppress(self._errors.NotFound):
                    container.remove(force=True, v=True)
                    removed.append(str(container.name))
            for network in networks:
                with contextlib.suppress(self._errors.NotFound):
                    network.remove()
                    removed.append(_called(network))
        except self._errors.DockerException as error:
            raise self.failure(f"what run {run} left cannot be removed", error) from error
        return removed

    def names_of(self, run: str) -> list[str]:
        """Return what :meth:`remove` would remove."""
        containers, networks = self._things_of(run)
        return [*(str(container.name) for container in containers), *map(_called, networks)]

    def removal_of(self, run: str) -> str:
        """Return the commands that remove what :meth:`remove` would, for people."""
        containers, networks = self._things_of(run)
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
            for container in [*self._labelled(RUN_LABEL), *self._labelled(f"{CLUSTER_LABEL}={run}")]
            if container.labels.get(RUN_LABEL) == run
            or any(network.name in container.attrs["NetworkSettings"]["Networks"] for network in networks)
        ]
        return containers, networks

    def _labelled(self, label: str) -> list[Container]:
        # Those that are not running too: these are on no network's own list.
        found: list[Container] = self.client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        return found

    def failure(self, what: str, error: Exception) -> StackError:
        """Return an error with what the engine says, and a hint that fits it."""
        return StackError(f"{what}: {_first_line(error)}", hint=hint_for(str(error)))


def _called(network: Network) -> str:
    return f"{NETWORK}{network.name}"


def connect_errors() -> tuple[type[Exception], ...]:
    """Return the errors that the engine's client raises."""
    import docker.errors
    import requests

    return (docker.errors.DockerException, requests.RequestException)


def hint_for(text: str, otherwise: str = "look at the engine's own log") -> str:
    """Return what can be done about an engine's complaint."""
    if disk.SAID in text.lower():
        return f"the disk is full: free some space (docker system df; df -h {tempfile.gettempdir()})"
    if "address pools" in text:
        return "too many container networks: docker network prune removes those that nothing uses"
    return otherwise


def _check_listening(address: str, patience: float) -> None:
    # The client's own attempt would leave its socket open.
    if address.startswith("unix:"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(patience)
            connection.connect(address.removeprefix("unix://"))


def _first_line(error: Exception) -> str:
    explanation: Any = getattr(error, "explanation", None) or getattr(error, "strerror", None)
    return (str(explanation or error).strip().splitlines() or [type(error).__name__])[0]
