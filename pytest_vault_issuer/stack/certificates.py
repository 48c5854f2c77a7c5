"""The certificates of a local stack: files that only the user can read."""

from __future__ import annotations

from pathlib import Path

from ..certificates import VALIDITY, Authority
from ..supervisor.run_directory import RunDirectory


class StackAuthority:
    """Issues the certificates of one stack, and writes them into its run directory.

    :ivar pem: the root.
    :ivar file: the file of the root.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._authority = Authority("vault-issuer test stack")
        self.pem = self._authority.pem
        self.file = run.write("pki/ca.pem", self.pem)

    def server(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """Issue for host names and addresses; return the paths of certificate and key.

        The certificate is also one of a client: etcd's gateway connects to etcd with its server certificate.
        """
        issued = self._authority.issue(*hosts, valid_for=VALIDITY, client_too=True)
        return self._write(name, issued.certificate_chain_pem, issued.key_pem)

    def client(self, name: str, common_name: str, organization: str | None = None) -> tuple[Path, Path]:
        """Issue for a Kubernetes user (common name) of a group (organization)."""
        issued = self._authority.issue_client(
            f"{name}.client.invalid", common_name=common_name, organization=organization, valid_for=VALIDITY
        )
        return self._write(name, issued.certificate_pem, issued.key_pem)

    def _write(self, name: str, certificate: str, key: str) -> tuple[Path, Path]:
        return self._run.write(f"pki/{name}.pem", certificate), self._run.write(f"pki/{name}-key.pem", key)
