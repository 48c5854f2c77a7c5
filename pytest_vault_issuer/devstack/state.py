"""What is known of a dev stack, kept in its run directory."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..supervisor.discovery import FoundRun

FILE = "dev stack.json"


@dataclass(frozen=True)
class TriedIssuer:
    """One issuer object of a dev stack.

    :ivar namespace: '' for a cluster-scoped one.
    :ivar feature: its way of authenticating.
    :ivar ready: status of its condition Ready as it was seen, '' for none.
    """

    kind: str
    name: str
    namespace: str
    feature: str
    ready: str
    message: str


@dataclass(frozen=True)
class DevStack:
    """A stack that stays.

    :ivar implementation: name and version of the issuer that runs, '' for none.
    :ivar components: versions, by component.
    :ivar started: when, in ISO 8601.
    :ivar vault_token_file: the file with the root token; nobody else can read it.
    :ivar vault_header_file: the same as a header for curl, '' where an older version has made the stack.
    :ivar kubectl: directory of a kubectl, '' where one is in the PATH.
    :ivar sample: manifest that asks for a certificate, '' for none.
    :ivar left_out: ways of authenticating that are not there, and why.
    """

    name: str
    directory: str
    implementation: str
    approves: bool
    components: dict[str, str]
    started: str
    vault_addr: str
    vault_ca: str
    vault_token_file: str
    kubeconfig: str
    kubectl: str
    namespace: str
    pki_sign_path: str
    sample: str
    issuers: list[TriedIssuer] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    vault_header_file: str = ""

    @property
    def exports(self) -> list[str]:
        """Lines for a POSIX shell; the token itself is not among them, only where it is."""
        lines = [
            f"export VAULT_ADDR={shlex.quote(self.vault_addr)}",
            f"export VAULT_CACERT={shlex.quote(self.vault_ca)}",
            f'export VAULT_TOKEN="$(cat {shlex.quote(self.vault_token_file)})"',
            f"export KUBECONFIG={shlex.quote(self.kubeconfig)}",
        ]
        return [*lines, f'export PATH="$PATH:"{shlex.quote(self.kubectl)}'] if self.kubectl else lines

    def to_json(self) -> str:
        """Serialise; without credentials, only where they are."""
        return json.dumps(asdict(self), indent=2)


def load(directory: Path) -> DevStack | None:
    """Return the dev stack in a run directory.

    :return: None where there is none, or its file is cut off; what another version does not tell is empty.
    """
    try:
        data = json.loads((directory / FILE).read_text())
    except (OSError, ValueError, RecursionError):  # also where it is not UTF-8
        return None
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        return None
    issuers = data.get("issuers")
    listed = issuers if isinstance(issuers, list) else []
    values = _known(DevStack, data) | {
        "directory": str(directory),
        "issuers": [TriedIssuer(**_known(TriedIssuer, issuer)) for issuer in listed if isinstance(issuer, dict)],
    }
    return DevStack(**values)


def _known(kind: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    """Return a value for each field of a data class: that of the data where its type is right, else an empty one."""
    values = {}
    for entry in fields(kind):
        empty = _EMPTY[str(entry.type).partition("[")[0]]
        value = data.get(entry.name)
        values[entry.name] = value if isinstance(value, type(empty)) else empty
    return values


_EMPTY: dict[str, Any] = {"str": "", "bool": False, "list": [], "dict": {}}


def dev_stacks(runs: Iterable[FoundRun]) -> list[tuple[FoundRun, DevStack]]:
    """Return the dev stacks among runs."""
    return [(run, dev_stack) for run in runs if (dev_stack := load(run.path)) is not None]
