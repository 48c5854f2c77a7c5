"""The CA that replaces the system trust store."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from pytest_vault_issuer.implementation.process import ROOTS_VARIABLE as VARIABLE
from pytest_vault_issuer.implementation.trust_store import SystemRoots, new_system_roots
from pytest_vault_issuer.supervisor.run_directory import RunDirectory


@pytest.fixture
def roots(tmp_path: Path) -> SystemRoots:
    return new_system_roots(RunDirectory(tmp_path / "run", os.getpid()), "127.0.0.1")


def test_the_file_holds_the_ca_of_the_server(roots: SystemRoots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, roots.file)
    trusted = ssl.create_default_context().get_ca_certs(binary_form=True)
    assert ssl.PEM_cert_to_DER_cert(roots.server.ca_pem) in trusted
    (ca,) = x509.load_pem_x509_certificates(Path(roots.file).read_bytes())
    (leaf,) = x509.load_pem_x509_certificates(roots.server.certificate_chain_pem.encode())
    leaf.verify_directly_issued_by(ca)


def test_the_file_holds_no_key(roots: SystemRoots) -> None:
    assert "PRIVATE" not in Path(roots.file).read_text()
    assert "PRIVATE" not in repr(roots)


def test_another_worker_issues_what_the_file_makes_trusted(roots: SystemRoots) -> None:
    authority = SystemRoots.from_json(roots.to_json()).authority()
    (ca,) = x509.load_pem_x509_certificates(Path(roots.file).read_bytes())
    (leaf,) = x509.load_pem_x509_certificates(authority.issue("127.0.0.1").certificate_chain_pem.encode())
    leaf.verify_directly_issued_by(ca)


def test_workers_read_what_one_of_them_wrote(roots: SystemRoots) -> None:
    assert SystemRoots.from_json(roots.to_json()) == roots
