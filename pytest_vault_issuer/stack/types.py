"""What a provider hands over, and what it has to offer: the protocol all providers meet."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import yaml

from ..kube.cluster_info import Kubernetes
from ..vault.connection import VaultServer

# The CRDs are 30,000 lines: libyaml reads them in a tenth of a second, the pure Python loader takes more than one.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Stack:
    """One Vault and one Kubernetes API, ready for use.

    :ivar provider: ``process``, ``kind`` or ``existing``.
    :ivar reason: why this provider was chosen, for people.
    :ivar disposable: nothing in it outlives the run, so that slow clean-up can be left out.
    :ivar bind: address on which servers of the tests have to listen.
    :ivar reviewer_token: token of a service account bound to ``system:auth-delegator``.
    :ivar components: versions, by component.
    :ivar foreign: the cluster is somebody else's: what is there is left as it is.
    :ivar created_mounts: auth mounts at default paths that are ours.
    :ivar run: value of the label on everything this run creates in the cluster.
    :ivar record: path of the cleanup record, '' where nothing outlives the run.
    :ivar vault_binary: path of the program that further Vaults are started from; '' where the provider starts none.
    :ivar vault_image: container image that further Vaults are started from; '' likewise.
    :ivar kind_cluster: name of the kind cluster, '' where there is none.
    :ivar network: the container network that Vault and the cluster's nodes are on, '' where there is none.
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
    foreign: bool = False
    record: str = ""

    def to_json(self) -> str:
        """Serialise, credentials included: only for files that nobody else can read."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Stack:
        """Return what :meth:`to_json` serialised.

        :raises ValueError: when it is something else: cut off, or of another version.
        """
        try:
            data = json.loads(text)
            parts = {"kubernetes": Kubernetes(**data["kubernetes"]), "vault": VaultServer(**data["vault"])}
            stack = cls(**{**data, **parts})
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        for part in (stack, stack.kubernetes, stack.vault):
            for entry in fields(part):
                _check_type(f"{type(part).__name__}.{entry.name}", getattr(part, entry.name), str(entry.type))
        return stack


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


class Provider(Protocol):
    """What starts a stack; what it started ends with the run directory or by its module's ``stop``."""

    name: str

    def start(self) -> Stack:
        """Start everything and return it ready; raise StackError or ToolchainError."""


class VaultLauncher(Protocol):
    """Starts further Vaults beside the stack's own, for states a shared one cannot be put into."""

    def start_vault(self, *, storage: str = "inmem", advertised: str = "") -> VaultServer:
        """Start a Vault that is not initialised.

        :param storage: ``inmem`` or ``raft``.
        :param advertised: URL to which other nodes redirect clients of this one; '' for its own.
        """

    def stop_vault(self, server: VaultServer) -> None:
        """Stop a Vault that :meth:`start_vault` started."""


def crd_manifests(directory: Path) -> list[dict[str, Any]]:
    """Return the CustomResourceDefinitions among the YAML files of a directory."""
    found = []
    for path in sorted(directory.glob("*.yaml")):
        for document in yaml.load_all(path.read_text(), Loader=_LOADER):
            if document and document.get("kind") == "CustomResourceDefinition":
                found.append(document)
    return found
