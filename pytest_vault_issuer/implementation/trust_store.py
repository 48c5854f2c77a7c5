"""The system trust store of the implementation's process.

A controller may add a CA bundle to the system trust store, or replace the store by the bundle. The difference shows
only at a server whose CA is in the store. So a session gives its implementation a separate trust store, by the
environment variable that Go and OpenSSL read (``SSL_CERT_FILE``).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from ..certificates import Authority, ServerCertificate
from ..supervisor.run_directory import RunDirectory


@dataclass(frozen=True)
class SystemRoots:
    """A CA that replaces the system trust store.

    :ivar file: path of its certificate (PEM).
    :ivar server: a certificate that it issued for the address of the tests' servers.
    """

    file: str
    server: ServerCertificate

    def to_json(self) -> str:
        """Serialize it, including the private key: only for files that no other user can read."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SystemRoots:
        """Return what :meth:`to_json` serialized."""
        data = json.loads(text)
        server = data["server"] | {"names": tuple(data["server"]["names"])}
        return cls(data["file"], ServerCertificate(**server))


def new_system_roots(run: RunDirectory, bind: str) -> SystemRoots:
    """Create a CA, write its certificate for the implementation, and issue a certificate for an address."""
    authority = Authority("pytest-vault-issuer system root")
    file = run.write("pki/system-roots.pem", authority.pem)
    return SystemRoots(str(file), authority.issue(bind))
