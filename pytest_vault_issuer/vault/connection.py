"""The address and credentials of one Vault."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class VaultServer:
    """One Vault that listens.

    :ivar url: without a trailing slash.
    :ivar ca_file: path of the CA certificates to trust (PEM); '' for the system trust store.
    :ivar token: a token that may configure it ('' while not initialized).
    :ivar unseal_key: the only key share, if this project initialized it.
    :ivar name: the name of the process or container, '' for an existing Vault.
    :ivar internal_url: the URL for the other nodes of its cluster; '' if it is `url`.
    """

    url: str
    ca_file: str = ""
    token: str = field(default="", repr=False)
    unseal_key: str = field(default="", repr=False)
    name: str = ""
    internal_url: str = ""

    @property
    def ca_pem(self) -> str:
        """The certificates in :attr:`ca_file`."""
        return Path(self.ca_file).read_text() if self.ca_file else ""
