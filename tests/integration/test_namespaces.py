"""The namespaces that a proxy shows answer as those of a real OpenBao, which has namespaces itself.

One difference is known: OpenBao answers 404 to a request in a namespace that does not exist. The Vault behind the proxy
answers 403, because nothing is mounted at the path.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from images import openbao

from pytest_vault_issuer.proxy import Proxy
from pytest_vault_issuer.session.session import Session
from pytest_vault_issuer.stack.local.vault import VaultProcesses
from pytest_vault_issuer.stack.types import Stack
from pytest_vault_issuer.vault import VaultAdmin

#: Namespaces with the mount, and the mount itself.
OUTER, INNER, MOUNT = "team-a", "team-a/pki", "issuing"
HEADER = "X-Vault-Namespace"


def new_authority(admin: VaultAdmin, namespace: str) -> None:
    """Create a namespace, and in it a PKI engine with a certificate."""
    headers = {HEADER: str(Path(namespace).parent)} if "/" in namespace else {}
    requests_of(admin, "POST", f"sys/namespaces/{Path(namespace).name}", headers, {})
    headers = {HEADER: namespace}
    requests_of(admin, "POST", f"sys/mounts/{MOUNT}", headers, {"type": "pki"})
    requests_of(admin, "POST", f"{MOUNT}/root/generate/internal", headers, {"common_name": namespace})


def requests_of(admin: VaultAdmin, method: str, path: str, headers: dict[str, str], body: dict[str, str]) -> None:
    answer = requests.request(
        method,
        f"{admin.server.url}/v1/{path}",
        headers=headers | {"X-Vault-Token": admin.server.token},
        json=body,
        verify=admin.server.ca_file,
        timeout=admin.timeouts.api,
    )
    assert answer.ok, f"{path}: {answer.text}"


@pytest.fixture(scope="module")
def bao(vault_issuer_session: Session, vault_issuer_stack: Stack) -> Iterator[VaultAdmin]:
    """An OpenBao with the mount in two namespaces and outside of them."""
    ca_file = Path(vault_issuer_stack.vault.ca_file)
    launcher = VaultProcesses(vault_issuer_session.directory, ca_file, openbao.binary(), vault_issuer_session.timeouts)
    admin = VaultAdmin(launcher.start_vault())
    try:
        admin.initialize()
        admin.unseal()
        for namespace in (OUTER, INNER):
            new_authority(admin, namespace)
        yield admin
    finally:
        launcher.stop_vault(admin.server)


@pytest.fixture(scope="module")
def proxy(bao: VaultAdmin) -> Iterator[Proxy]:
    """A proxy that shows the mount outside of namespaces in namespaces of the same names."""
    bao.enable_pki(MOUNT, "24h")
    requests_of(bao, "POST", f"{MOUNT}/root/generate/internal", {}, {"common_name": "outside"})
    with_namespaces = Proxy(
        bao.server.url,
        upstream_ca=bao.server.ca_pem,
        certificate=None,
        namespaces=[OUTER, INNER],
        health_in_namespace=400,
    )
    with_namespaces.start()
    try:
        yield with_namespaces
    finally:
        with_namespaces.close()


def status_of(url: str, path: str, header: str | None, ca_file: str) -> int:
    headers = {} if header is None else {HEADER: header}
    return requests.get(f"{url}/v1/{path}", headers=headers, verify=ca_file, timeout=10).status_code


@pytest.mark.parametrize(
    ("header", "path"),
    [
        (OUTER, f"{MOUNT}/ca/pem"),
        (f"/{OUTER}/", f"{MOUNT}/ca/pem"),
        (None, f"{OUTER}/{MOUNT}/ca/pem"),
        (INNER, f"{MOUNT}/ca/pem"),
        (f"{INNER}/", f"{MOUNT}/ca/pem"),
        (OUTER, f"pki/{MOUNT}/ca/pem"),
        (None, f"{INNER}/{MOUNT}/ca/pem"),
        ("team-b", f"{MOUNT}/ca/pem"),
        ("Team-A", f"{MOUNT}/ca/pem"),
        (f"{INNER}/deeper", f"{MOUNT}/ca/pem"),
        (None, f"team-b/{MOUNT}/ca/pem"),
        (None, "sys/health"),
        ("", "sys/health"),
        (OUTER, "sys/health"),
        (INNER, "sys/health"),
        (None, f"{OUTER}/sys/health"),
    ],
)
def test_shown_namespace_answers_as_a_real_one(bao: VaultAdmin, proxy: Proxy, header: str | None, path: str) -> None:
    real = status_of(bao.server.url, path, header, bao.server.ca_file)
    shown = status_of(proxy.url, path, header, bao.server.ca_file)
    assert shown == real or (real, shown) == (404, 403)
