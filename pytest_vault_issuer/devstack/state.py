"""The description of a dev stack, a file in its directory."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..inputs.files import read_regular
from ..supervisor.discovery import FoundSession

FILE = "dev stack.json"


@dataclass(frozen=True)
class IssuerObject:
    """One issuer object of a dev stack.

    :ivar namespace: '' if it is cluster-scoped.
    :ivar feature: its auth method, as a feature's name.
    :ivar ready: status of its Ready condition when the stack came up, '' for none.
    :ivar message: of that condition.
    """

    kind: str
    name: str
    namespace: str
    feature: str
    ready: str
    message: str


@dataclass(frozen=True)
class DevStack:
    """A dev stack.

    :ivar implementation: name and version of the controller that runs, '' for none.
    :ivar approves: whether that controller approves requests.
    :ivar components: versions, by component.
    :ivar started: time in ISO 8601.
    :ivar vault_token_file: file with the root token; only its owner can read it.
    :ivar vault_header_file: the same token as a header for curl, '' if an older version started the stack.
    :ivar kubectl: directory with kubectl, '' if one is in the PATH.
    :ivar sample: manifest of a Certificate to try, '' for none.
    :ivar left_out: auth methods without issuer objects, and why.
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
    issuers: list[IssuerObject] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    vault_header_file: str = ""

    @property
    def exports(self) -> list[str]:
        """Lines for a POSIX shell. They name the file of the token, not the token."""
        lines = [
            f"export VAULT_ADDR={shlex.quote(self.vault_addr)}",
            f"export VAULT_CACERT={shlex.quote(self.vault_ca)}",
            f'export VAULT_TOKEN="$(cat {shlex.quote(self.vault_token_file)})"',
            f"export KUBECONFIG={shlex.quote(self.kubeconfig)}",
        ]
        return [*lines, f'export PATH="$PATH:"{shlex.quote(self.kubectl)}'] if self.kubectl else lines

    def to_json(self) -> str:
        """Serialize. The result names files of credentials, and contains none."""
        return json.dumps(asdict(self), indent=2)


def load(directory: Path) -> DevStack | None:
    """Return the dev stack in a session's directory.

    :return: None if there is none, or its file is incomplete. Fields that another version lacks are empty.
    """
    try:
        data = json.loads(read_regular(directory / FILE))
    except (OSError, ValueError, RecursionError):  # ValueError: also if it is not UTF-8
        return None
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        return None
    issuers = data.get("issuers")
    listed = issuers if isinstance(issuers, list) else []
    values = _known(DevStack, data) | {
        "directory": str(directory),
        "issuers": [IssuerObject(**_known(IssuerObject, issuer)) for issuer in listed if isinstance(issuer, dict)],
    }
    return DevStack(**values)


def _known(kind: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    """Return a value for each field of a data class: from the data if it has the right type, else an empty one."""
    values = {}
    for entry in fields(kind):
        empty = _EMPTY[str(entry.type).partition("[")[0]]
        value = data.get(entry.name)
        values[entry.name] = value if isinstance(value, type(empty)) else empty
    return values


_EMPTY: dict[str, Any] = {"str": "", "bool": False, "list": [], "dict": {}}


def dev_stacks(sessions: Iterable[FoundSession]) -> list[tuple[FoundSession, DevStack]]:
    """Return the dev stacks among sessions."""
    return [(session, dev_stack) for session in sessions if (dev_stack := load(session.path)) is not None]
