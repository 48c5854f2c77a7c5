"""What all sandboxes of a run share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..aws import Sts
from ..certificates import ServerCertificate
from ..kube.client import Cluster
from ..redaction.redactor import Redactor
from ..stack.types import Stack, VaultLauncher
from ..timeouts import Timeouts
from ..vault import VaultAdmin
from .activity import Activity
from .handles import IssuerType
from .logs import Log
from .pace import Pace


@dataclass(frozen=True)
class Environment:
    """What sandboxes share: the stack, and what is known of the implementation.

    :ivar service_account: ``namespace/name`` the implementation runs as.
    :ivar kinds: its issuer kinds, by ``Issuer`` and ``ClusterIssuer``.
    :ivar implementation_log: its log, None where it cannot be read.
    :ivar implementation_directory: its working directory, None where it is no process of the run.
    :ivar implementation_home: its home and temporary directory, likewise.
    :ivar implementation_env: environment variables its description gives it, placeholders unfilled.
    :ivar sts: the STS that it and Vault are told to use in the place of AWS's.
    :ivar system_server: a certificate for a server here, of a CA that is among its system's roots; None where the run
        does not say what these are.
    :ivar pace: how fast the controller is, None where it has not been measured.
    :ivar activity: records and tells what keeps the controller busy.
    """

    stack: Stack
    cluster: Cluster
    admin: VaultAdmin
    timeouts: Timeouts
    redactor: Redactor
    service_account: str
    cluster_resource_namespace: str
    kinds: Mapping[str, IssuerType]
    features: frozenset[str]
    launcher: VaultLauncher
    implementation_log: Log | None = None
    implementation_directory: Path | None = None
    implementation_home: Path | None = None
    implementation_env: Mapping[str, str] = field(default_factory=dict)
    sts: Sts = field(default_factory=Sts)
    system_server: ServerCertificate | None = None
    pace: Pace | None = None
    activity: Activity = field(default_factory=Activity)

    @property
    def concurrency(self) -> int | None:
        """How many objects the controller works on at once, measured or stated; None unknown."""
        return self.pace.concurrency if self.pace else None

    @property
    def works_at_once(self) -> bool:
        """Whether the controller can do two things at once, such as signing two requests; True where it is unknown."""
        return self.concurrency is None or self.concurrency > 1

    def fixed(self, field: str, default: str) -> str:
        """Return the only value that the implementation's shape has for a field of a configuration, else the default.

        :param field: such as ``auth.appRole.secretRef.key``.
        """
        for kind in self.kinds.values():
            return kind.shape.fixed.get(field, default)
        return default
