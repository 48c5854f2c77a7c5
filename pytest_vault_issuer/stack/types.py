"""A stack, and the base of the providers that start stacks."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Protocol

import yaml

from ..errors import NotRunnable
from ..kube.client import Kubernetes
from ..options import Settings
from ..supervisor.run_directory import RunDirectory
from ..timeouts import Timeouts
from ..toolchain import CRDS, Origin, Toolchain
from ..toolchain.images import NeededImage
from ..vault.client import VaultServer

# The CRDs have 30,000 lines. libyaml reads them in 0.1 s, the loader in pure Python in more than 1 s.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Stack:
    """One Vault and one Kubernetes API, ready for use.

    :ivar provider: name of the provider: ``process``, ``kind`` or ``existing``.
    :ivar reason: why the provider was selected, as shown in the header.
    :ivar disposable: whether the stack ends with its session, so that tests can skip a slow cleanup.
    :ivar bind: address on which the servers of the tests must listen.
    :ivar reviewer_token: token of a service account bound to ``system:auth-delegator``.
    :ivar components: version by component.
    :ivar origins: the sources of its binaries, if the session knows them.
    :ivar namespaces: whether Vault has namespaces that the session may create; else the proxy simulates them.
    :ivar foreign: whether the cluster existed before the session, which then changes no existing object.
    :ivar created_mounts: auth mounts at default paths that the session created.
    :ivar run: name of the session, the value of the label on everything that it creates in the cluster.
    :ivar record: path of the cleanup record; '' if nothing outlives the session.
    :ivar vault_binary: path of the binary of further Vaults (process); '' if there is none.
    :ivar vault_image: container image of further Vaults (kind); '' if there is none.
    :ivar kind_cluster: name of the kind cluster; '' if there is none.
    :ivar network: container network of Vault and of the cluster's nodes; '' if there is none.
    """

    provider: str
    reason: str
    disposable: bool
    kubernetes: Kubernetes
    vault: VaultServer
    components: dict[str, str]
    reviewer_token: str = field(repr=False)
    bind: str = "127.0.0.1"
    created_mounts: list[str] = field(default_factory=list)
    run: str = ""
    vault_binary: str = ""
    vault_image: str = ""
    kind_cluster: str = ""
    network: str = ""
    namespaces: bool = False
    foreign: bool = False
    record: str = ""
    origins: list[Origin] = field(default_factory=list)

    def to_json(self) -> str:
        """Return the stack as JSON, including credentials: write it only to files that only the user can read."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Stack:
        """Return the stack that :meth:`to_json` wrote.

        :raises ValueError: if the text is incomplete or was written by another version.
        """
        try:
            data = json.loads(text)
            parts = {"kubernetes": Kubernetes(**data["kubernetes"]), "vault": VaultServer(**data["vault"])}
            origins = [Origin(**origin) for origin in data.get("origins", [])]  # older versions write none
            stack = cls(**{**data, **parts, "origins": origins})
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        for part in (stack, stack.kubernetes, stack.vault):
            for entry in fields(part):
                _check_type(f"{type(part).__name__}.{entry.name}", getattr(part, entry.name), str(entry.type))
        return stack

    def unsupported(self, what: str) -> NotRunnable:
        """Return the error for a test that this stack cannot run.

        :param what: what the provider does not do; completes "the provider kind ...".
        """
        return unsupported(self.provider, what)


def unsupported(provider: str, what: str) -> NotRunnable:
    """Return the error for a test that a provider's stacks cannot run; see :meth:`Stack.unsupported`."""
    return NotRunnable(f"the provider {provider} {what}", hint="use --vault-issuer-stack=process")


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "bool": (bool,),
    "str | None": (str, type(None)),
    "list[str]": (list,),
    "dict[str, str]": (dict,),
}


def _check_type(place: str, value: object, annotation: str) -> None:
    expected = _TYPES.get(annotation)
    if expected and not isinstance(value, expected):
        raise ValueError(f"{place} must be {annotation}, got {type(value).__name__}")


class VaultLauncher(Protocol):
    """Starts further Vaults beside the stack's own Vault, for tests that change the state of a Vault."""

    def start_vault(self, *, storage: str = "inmem", advertised: str = "") -> VaultServer:
        """Start a Vault that is not initialized.

        :param storage: ``inmem`` or ``raft``.
        :param advertised: URL to which other nodes redirect the clients of this Vault; '' for its own URL.
        :raises StackError: if it does not start.
        :raises NotRunnable: if the provider cannot start further Vaults.
        """

    def stop_vault(self, server: VaultServer) -> None:
        """Stop a Vault that :meth:`start_vault` started."""


class NoVaults:
    """The :class:`VaultLauncher` of a provider that cannot start further Vaults."""

    def __init__(self, provider: str) -> None:
        self._provider = provider

    def start_vault(self, *, storage: str = "inmem", advertised: str = "") -> NoReturn:
        """Raise NotRunnable."""
        raise unsupported(self._provider, "cannot start a second Vault")

    def stop_vault(self, server: VaultServer) -> None:
        """Do nothing: :meth:`start_vault` never started one."""


#: Components of a control plane that tests stop.
ETCD, API_SERVER = "etcd", "kube-apiserver"


class ControlPlane(Protocol):
    """Stops and pauses the components of the control plane: :data:`ETCD` and :data:`API_SERVER`.

    If the process that controls them ends, the supervisor resumes or starts them again.
    """

    def stop(self, component: str) -> None:
        """Kill a component: connections to it are refused from now on."""

    def pause(self, component: str) -> None:
        """Pause a component: connections to it hang from now on."""

    def restore(self) -> None:
        """Let all components run, and wait until the API server is ready.

        :raises StackError: if it does not become ready.
        """

    def compact(self) -> None:
        """Remove all old revisions from etcd. Watches from an old resource version end with 410 (Gone).

        https://kubernetes.io/docs/reference/using-api/api-concepts/#410-gone-responses

        :raises StackError: if etcd refuses.
        """


@dataclass(frozen=True)
class Context:
    """The parts of a session that its provider uses.

    :ivar toolchain: with the versions that the session selected.
    :ivar run: the session's run directory.
    :ivar progress: receives lines about long steps.
    """

    settings: Settings
    toolchain: Toolchain
    run: RunDirectory
    timeouts: Timeouts
    progress: Callable[[str], None]


class Provider(ABC):
    """Starts the stack of one session; :func:`~.select.make_provider` makes it, without side effects.

    A provider has no method that stops the stack: the supervisor ends it with the session, also after a kill.

    :cvar name: value of ``--vault-issuer-stack``.
    :cvar has_nodes: whether the cluster can run pods.
    :cvar is_local: whether Vault and the API server run on this machine and reach servers on its loopback interface.
    :ivar reason: why the provider was selected, as shown in the header.
    """

    name: ClassVar[str]
    has_nodes: ClassVar[bool]
    is_local: ClassVar[bool]

    def __init__(self, context: Context, reason: str) -> None:
        self._settings = context.settings
        self._toolchain = context.toolchain
        self._run = context.run
        self._timeouts = context.timeouts
        self._progress = context.progress
        self.reason = reason

    def binaries(self) -> list[str]:
        """Return the names of the toolchain's components that a new stack needs: by default those with the CRDs."""
        return [CRDS]

    def given(self) -> dict[str, str]:
        """Return what a new stack uses besides the toolchain's binaries, if known: a description by name."""
        return {}

    def images(self, controller: Iterable[str]) -> list[NeededImage]:
        """Return the images that the container engine needs; [] for a provider without an engine.

        :param controller: images of the controller; not iterated by a provider without an engine.
        :raises ConfigurationError: if the images cannot be determined.
        """
        return []

    def check(self, images: Iterable[NeededImage]) -> None:  # noqa: B027
        """Check, before anything is built or started, that everything exists that the toolchain does not build.

        :param images: from :meth:`images`; pulled if the engine does not have them.
        :raises ConfigurationError, StackError: in seconds, each with a hint.
        """

    @abstractmethod
    def start(self) -> Stack:
        """Start the stack and return it when it is ready.

        :raises StackError, ToolchainError, ConfigurationError: each with a hint.
        """

    def prepare(self, stack: Stack, images: Iterable[NeededImage]) -> None:  # noqa: B027
        """Prepare the cluster of a stack to run the controller in pods.

        :param images: from :meth:`images`.
        :raises StackError: if an image cannot be loaded, or if pods cannot reach the servers of the tests.
        """

    def launcher(self, stack: Stack) -> VaultLauncher:
        """Return a launcher of further Vaults for a stack, which may be the stack of another session."""
        return NoVaults(self.name)

    def control_plane(self, stack: Stack) -> ControlPlane:
        """Return the control plane of a stack.

        :raises NotRunnable: if the provider cannot stop it, or if it belongs to another session.
        """
        raise unsupported(self.name, "cannot stop the API server")

    def stop_at_end(self) -> None:  # noqa: B027
        """Tell the supervisor to remove, at the session's end, what the session adds outside of its processes."""


def crd_manifests(directory: Path) -> list[dict[str, Any]]:
    """Return the CustomResourceDefinitions among the YAML files of a directory."""
    found = []
    for path in sorted(directory.glob("*.yaml")):
        for document in yaml.load_all(path.read_text(), Loader=_LOADER):
            if document and document.get("kind") == "CustomResourceDefinition":
                found.append(document)
    return found
