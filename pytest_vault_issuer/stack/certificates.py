"""The certificate authority of a stack, in files that only the user can read."""

from __future__ import annotations

from pathlib import Path

import trustme

from ..supervisor.run_directory import RunDirectory


class StackAuthority:
    """A certificate authority for one session."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._ca = trustme.CA(organization_name="vault-issuer test stack", key_type=trustme.KeyType.ECDSA)
        self.pem = self._ca.cert_pem.bytes().decode()
        self.file = run.write("pki/ca.pem", self.pem)

    def server(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """Issue a certificate for host names and addresses; return the paths of certificate and key."""
        return self._write(name, self._ca.issue_cert(*hosts, key_type=trustme.KeyType.ECDSA))

    def client(self, name: str, common_name: str, organization: str | None = None) -> tuple[Path, Path]:
        """Issue a certificate for a Kubernetes user (common name) in a group (organization)."""
        leaf = self._ca.issue_cert(
            f"{name}.client.invalid",
            common_name=common_name,
            organization_name=organization,
            key_type=trustme.KeyType.ECDSA,
        )
        return self._write(name, leaf)

    def _write(self, name: str, leaf: trustme.LeafCert) -> tuple[Path, Path]:
        certificate = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        return (
            self._run.write(f"pki/{name}.pem", certificate),
            self._run.write(f"pki/{name}-key.pem", leaf.private_key_pem.bytes()),
        )
