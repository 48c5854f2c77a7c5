"""The system trust store of the implementation's process.

A controller may add a CA bundle to the system trust store, or replace the store by the bundle. The difference shows
only at a server whose CA is in the store. So a session gives its implementation a separate trust store, by the
environment variable that Go and OpenSSL read (``SSL_CERT_FILE``).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import cast

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ..certificates import Authority, PrivateKey, ServerCertificate, key_to_pem
from ..supervisor.run_directory import RunDirectory

_NAME = "pytest-vault-issuer system root"


@dataclass(frozen=True)
class SystemRoots:
    """A CA that replaces the system trust store.

    :ivar file: path of its certificate (PEM).
    :ivar server: a certificate that it issued for the address of the tests' servers.
    :ivar key_pem: its private key.
    """

    file: str
    server: ServerCertificate
    key_pem: str = field(repr=False)

    def authority(self) -> Authority:
        """Return the CA with another certificate of its own; a client that trusts the file trusts what it issues."""
        return Authority(_NAME, key=cast(PrivateKey, load_pem_private_key(self.key_pem.encode(), None)))

    def to_json(self) -> str:
        """Serialize it, including the private key: only for files that no other user can read."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SystemRoots:
        """Return what :meth:`to_json` serialized."""
        data = json.loads(text)
        server = data["server"] | {"names": tuple(data["server"]["names"])}
        return cls(data["file"], ServerCertificate(**server), data["key_pem"])


def new_system_roots(run: RunDirectory, bind: str) -> SystemRoots:
    """Create a CA, write its certificate for the implementation, and issue a certificate for an address."""
    authority = Authority(_NAME)
    file = run.write("pki/system-roots.pem", authority.pem)
    return SystemRoots(str(file), authority.issue(bind), key_to_pem(authority.key))
