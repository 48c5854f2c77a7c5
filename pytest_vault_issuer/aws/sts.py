"""The STS of one session, and the calls that it received."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import StackError
from ..supervisor import interpreter
from ..supervisor.run_directory import RunDirectory
from ..timeouts import Timeouts, poll
from .web_identity import IdentityProvider

PROCESS = "sts"
ASSUME = "AssumeRoleWithWebIdentity"
#: The action whose signature STS verifies for Vault.
IDENTIFY = "GetCallerIdentity"
#: Modules of the optional extra ``aws`` that the process needs.
MODULES = ("moto", "flask", "flask_cors")
#: Placeholders in the command and environment of an implementation: the address of STS, and an AWS identity.
PLACEHOLDERS = ("sts_endpoint", "aws_access_key_id", "aws_secret_access_key")
TAIL = 20


@dataclass(frozen=True)
class AssumedRole:
    """An AWS role that a client assumed with a token, and the credentials that it received."""

    role_arn: str
    session_name: str
    access_key_id: str
    web_identity_token: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)


@dataclass(frozen=True)
class Sts:
    """The STS of one session.

    :ivar endpoint: its URL on this machine; '' without a local STS.
    :ivar record: path of the file with its requests and responses, one JSON object per line.
    :ivar absence: why there is no local STS, for people.
    :ivar user_arn: of the user whose credentials the implementation can find in its environment.
    :ivar access_key_id: of this user; :ivar secret_access_key: likewise.
    """

    endpoint: str = ""
    record: str = ""
    absence: str = ""
    user_arn: str = ""
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)

    @property
    def placeholders(self) -> dict[str, str]:
        """The values of :data:`PLACEHOLDERS` in the description of an implementation."""
        return dict(zip(PLACEHOLDERS, (self.endpoint, self.access_key_id, self.secret_access_key), strict=True))

    def to_json(self) -> str:
        """Serialize."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Sts:
        """Return what :meth:`to_json` serialized."""
        return cls(**json.loads(text))

    def assumed(self, role_arn: str) -> list[AssumedRole]:
        """Return the successful attempts to assume a role with a token, in order, recorded before their responses."""
        return [
            AssumedRole(
                role_arn=call["parameters"]["RoleArn"],
                session_name=call["parameters"].get("RoleSessionName", ""),
                web_identity_token=call["parameters"].get("WebIdentityToken", ""),
                access_key_id=call["credentials"]["AccessKeyId"],
                secret_access_key=call["credentials"]["SecretAccessKey"],
                session_token=call["credentials"]["SessionToken"],
            )
            for call in self._assumptions(role_arn)
            if call["status"] == 200
        ]

    def offered(self, role_arn: str) -> list[str]:
        """Return the tokens of the session's cluster that clients used to assume a role, including rejected ones."""
        return [call["parameters"]["WebIdentityToken"] for call in self._assumptions(role_arn)]

    def refusals(self, role_arn: str) -> list[str]:
        """Return the reason of each rejected attempt to assume a role with a token of the session's cluster."""
        return [call["error"] for call in self._assumptions(role_arn) if call["status"] != 200]

    def _assumptions(self, role_arn: str) -> Iterator[dict[str, Any]]:
        path = Path(self.record)
        # The last line may be incomplete while it is written.
        whole, _, _ = path.read_text().rpartition("\n") if path.exists() else ("", "", "")
        for line in whole.splitlines():
            call = json.loads(line)
            if call["action"] == ASSUME and call["parameters"].get("RoleArn") == role_arn:
                yield call


def missing_modules() -> list[str]:
    """Return the modules that :func:`start_sts` needs and that are not installed."""
    return [name for name in MODULES if find_spec(name) is None]


def start_sts(run: RunDirectory, provider: IdentityProvider, timeouts: Timeouts) -> Sts:
    """Start an STS that ends with the session, and wait until it listens.

    :param provider: the provider whose tokens it accepts.
    :raises StackError: with the end of its log.
    """
    state, record = run.path / "sts-process.json", run.path / "sts.jsonl"
    trusted = run.write("sts-provider.json", json.dumps(asdict(provider)))
    # The module of the process must not be imported here, because it needs the optional extra.
    command = interpreter.command(f"{__package__}.sts_server", str(state), str(record), str(trusted))
    run.spawn(PROCESS, command, interpreter.environment())

    def probe() -> bool | None:
        if state.exists():
            return True
        return False if run.returncode(PROCESS) is not None else None

    if not poll(probe, timeout=timeouts.component_start):
        raise StackError(
            f"the local STS did not listen within {timeouts.component_start:g} s; the end of its log:\n"
            + run.log_tail(PROCESS, TAIL),
            hint="reinstall the extra: pip install 'pytest-vault-issuer[aws]'",
        )
    return Sts.from_json(state.read_text())
