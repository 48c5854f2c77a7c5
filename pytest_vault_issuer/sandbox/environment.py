"""The environment that all sandboxes of a session share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..aws import Sts
from ..certificates import Authority, ServerCertificate
from ..kube.client import Cluster
from ..redaction.redactor import Redactor
from ..stack.types import Stack, VaultLauncher
from ..timeouts import Timeouts
from ..vault import VaultAdmin
from ..vault.client import VaultServer
from .activity import Activity, Log
from .handles import IssuerType
from .pace import Pace


@dataclass(frozen=True)
class Environment:
    """The stack, and the facts about the implementation that sandboxes need.

    :ivar service_account: ``namespace/name`` of the implementation's service account.
    :ivar kinds: its issuer kinds, by ``Issuer`` and ``ClusterIssuer``.
    :ivar uninitialized: returns a Vault that is not initialized, the same for all tests.
    :ivar implementation_log: its log, None if it cannot be read.
    :ivar implementation_directory: its working directory, None if it is not a process of the session.
    :ivar implementation_home: its home and temporary directory, likewise.
    :ivar implementation_env: the environment variables of its description, with placeholders.
    :ivar sts: the STS that the implementation and Vault use instead of AWS's.
    :ivar system_server: a certificate for a local server, of a CA in the implementation's system trust store; None if
        the session does not set that store.
    :ivar system_authority: that CA, likewise.
    :ivar pace: the controller's speed, None if it was not measured.
    :ivar activity: records when the controller is busy.
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
    uninitialized: Callable[[], VaultServer]
    implementation_log: Log | None = None
    implementation_directory: Path | None = None
    implementation_home: Path | None = None
    implementation_env: Mapping[str, str] = field(default_factory=dict)
    sts: Sts = field(default_factory=Sts)
    system_server: ServerCertificate | None = None
    system_authority: Authority | None = None
    pace: Pace | None = None
    activity: Activity = field(default_factory=Activity)

    @property
    def concurrency(self) -> int | None:
        """How many objects the controller works on at once, measured or stated; None unknown."""
        return self.pace.concurrency if self.pace else None

    @property
    def works_at_once(self) -> bool:
        """Whether the controller can do two things at once, such as sign two requests; True if it is unknown."""
        return self.concurrency is None or self.concurrency > 1

    @property
    def has_bundle(self) -> bool:
        """Whether an issuer object can have a CA bundle; otherwise, the controller trusts its system trust store."""
        return self.fixed("caBundle", "any") != ""

    def fixed(self, field: str, default: str) -> str:
        """Return the only value that the implementation's shape allows for a field, else the default.

        :param field: such as ``auth.appRole.secretRef.key``.
        """
        for kind in self.kinds.values():
            return kind.shape.fixed.get(field, default)
        return default
