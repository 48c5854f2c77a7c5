"""The roots that the implementation's process takes for the system's.

Whether an issuer adds a CA bundle to the system's roots or replaces them with it shows only at a server that the
system's roots vouch for. So an implementation that a run starts gets roots of the run's own, by the variable with which
Go and OpenSSL are told of them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from ..certificates import Authority, ServerCertificate
from ..supervisor.run_directory import RunDirectory


@dataclass(frozen=True)
class SystemRoots:
    """One CA in the place of the system's roots.

    :ivar file: path of its certificate (PEM).
    :ivar server: a certificate of it, for the address at which the tests' servers listen.
    """

    file: str
    server: ServerCertificate

    def to_json(self) -> str:
        """Serialise, the key included: only for files that nobody else can read."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SystemRoots:
        """Return what :meth:`to_json` serialised."""
        data = json.loads(text)
        server = data["server"] | {"names": tuple(data["server"]["names"])}
        return cls(data["file"], ServerCertificate(**server))


def new_system_roots(run: RunDirectory, bind: str) -> SystemRoots:
    """Make a CA, write it where the implementation finds it, and issue a certificate for an address."""
    authority = Authority("pytest-vault-issuer system root")
    file = run.write("pki/system-roots.pem", authority.pem)
    return SystemRoots(str(file), authority.issue(bind))
