"""Namespaces of OpenBao: the suite uses them, and the proxy's simulated namespaces give the same answers.

There is one known difference: OpenBao answers 404 to a request in a namespace that does not exist. The Vault behind
the proxy answers 403, because nothing is mounted at the path.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hvac.exceptions
import pytest
import requests
from images import openbao

from pytest_vault_issuer.errors import StackError
from pytest_vault_issuer.leftovers import Removed
from pytest_vault_issuer.proxy.server import Proxy
from pytest_vault_issuer.sandbox.csr import SigningRequest
from pytest_vault_issuer.session.session import Session
from pytest_vault_issuer.stack.local.vault import VaultProcesses
from pytest_vault_issuer.stack.types import Stack
from pytest_vault_issuer.vault import NamespacedWorkspace, Pki, VaultAdmin
from pytest_vault_issuer.vault.cleanup import Created, remove_created
from pytest_vault_issuer.vault.client import client
from pytest_vault_issuer.vault.server import NAMESPACE

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
    """Return a proxy that simulates namespaces of the same names for the mount outside of namespaces."""
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


# -- what the suite creates in namespaces ---------------------------------------------------------------------------

#: The permissions that a token needs in addition to those of every token.
PERMISSIONS = (
    'path "sys/namespaces" { capabilities = ["list"] }',
    'path "sys/namespaces/*" { capabilities = ["create", "read", "update", "delete"] }',
    'path "+/sys/mounts/*" { capabilities = ["create", "update"] }',
    'path "+/sys/auth/*" { capabilities = ["create", "update"] }',
    'path "+/sys/policies/acl/*" { capabilities = ["create", "update"] }',
)


def new_team() -> str:
    return f"team-{secrets.token_hex(4)}"


def present(admin: VaultAdmin) -> set[str]:
    listing = admin.client.list("sys/namespaces")
    return {name.strip("/") for name in listing["data"]["keys"]} if listing else set()


def offered_to(admin: VaultAdmin, permissions: tuple[str, ...]) -> bool:
    """Return whether the suite uses namespaces with a token with these permissions."""
    name = f"limited-{secrets.token_hex(4)}"
    admin.client.sys.create_or_update_policy(name, "\n".join(permissions))
    token = admin.client.auth.token.create_orphan(policies=[name], ttl="1h")["auth"]["client_token"]
    return VaultAdmin(replace(admin.server, token=token)).offers_namespaces


def test_openbao_offers_namespaces(bao: VaultAdmin) -> None:
    assert bao.offers_namespaces
    assert offered_to(bao, PERMISSIONS)


def test_vault_without_namespaces_offers_none(vault_issuer_session: Session) -> None:
    assert not vault_issuer_session.admin().offers_namespaces


@pytest.mark.parametrize("missing", PERMISSIONS)
def test_token_without_a_right_is_offered_no_namespaces(bao: VaultAdmin, missing: str) -> None:
    assert not offered_to(bao, tuple(permission for permission in PERMISSIONS if permission != missing))


def is_signed(admin: VaultAdmin, namespace: str, token: str, pki: Pki) -> bool:
    """Return whether a token may sign in a namespace."""
    asked = client(replace(admin.server, token=token), admin.timeouts, namespace)
    data = {"csr": SigningRequest.build("a.example.test").pem, "common_name": "a.example.test"}
    try:
        return bool(asked.write_data(pki.sign_path, data=data)["data"]["certificate"])
    except hvac.exceptions.VaultError:
        return False


def test_credentials_are_valid_in_each_namespace_and_nowhere_else(bao: VaultAdmin, vault_issuer_stack: Stack) -> None:
    parent, other = new_team(), new_team()
    inside = [f"{parent}/pki/deep", other]
    workspace = NamespacedWorkspace(bao, inside, vault_issuer_stack.kubernetes, vault_issuer_stack.reviewer_token)
    pki = workspace.pki()
    policy = workspace.policy(pki.sign_path)
    token, role = workspace.token(policy), workspace.approle(policy)
    for namespace in ["", parent, f"{parent}/pki", *inside]:
        assert is_signed(bao, namespace, token, pki) == (namespace in inside), namespace
        method = client(replace(bao.server, token=""), bao.timeouts, namespace).auth.approle
        try:
            login = method.login(role.role_id, role.secret_id, use_token=False, mount_point=role.mount)
        except hvac.exceptions.VaultError:
            assert namespace not in inside, namespace
        else:
            assert namespace in inside, namespace
            assert is_signed(bao, namespace, login["auth"]["client_token"], pki), namespace
    assert {parent, other} <= present(bao)
    workspace.close()
    assert present(bao).isdisjoint({parent, other})


def test_cleanup_removes_the_namespaces_of_its_session_only(bao: VaultAdmin) -> None:
    session, record, removed = f"vault-issuer-{secrets.token_hex(6)}", list[Created](), Removed()

    def announce(what: str, name: str, accessor: str = "") -> None:
        record.append(Created(what, name, accessor))

    ours = VaultAdmin(bao.server, session=session, announce=announce)
    theirs, parent, unnoted = new_team(), new_team(), new_team()
    bao.create_namespace(theirs)
    for path in (parent, f"{parent}/pki"):
        ours.create_namespace(path)
        ours.within(path).enable_pki(MOUNT, "24h")
    ours.create_namespace(unnoted)
    # The session was killed before it knew the id of one, and before it created another, which belongs to another user.
    record = [one for one in record if one.name != unnoted or not one.accessor]
    record += [Created(NAMESPACE, theirs), Created(NAMESPACE, theirs, "000000"), Created(NAMESPACE, new_team())]
    assert remove_created(ours, session, record, removed) == []
    assert removed.names == {"Vault namespaces": [f"{parent}/pki", parent, unnoted]}
    assert theirs in present(bao)
    assert present(bao).isdisjoint({parent, unnoted})
    bao.delete_namespace(theirs)


def test_namespace_with_one_of_others_in_it_is_reported(bao: VaultAdmin) -> None:
    session, parent = f"vault-issuer-{secrets.token_hex(6)}", new_team()
    ours = VaultAdmin(bao.server, session=session)
    ours.create_namespace(parent)
    bao.create_namespace(f"{parent}/theirs")
    (left,) = remove_created(ours, session, [Created(NAMESPACE, parent)])
    assert left.what == f"Vault namespace {parent}"
    assert "containing child namespaces" in left.why
    assert left.command == f"bao namespace delete {parent}"
    bao.delete_namespace(f"{parent}/theirs")
    assert remove_created(ours, session, [Created(NAMESPACE, parent)]) == []


def test_existing_namespace_is_refused_and_unchanged(bao: VaultAdmin, vault_issuer_stack: Stack) -> None:
    theirs = new_team()
    bao.create_namespace(theirs)
    before = bao.client.read(f"sys/namespaces/{theirs}")["data"]
    ours = VaultAdmin(bao.server, session=f"vault-issuer-{secrets.token_hex(6)}")
    with pytest.raises(StackError, match=f"the namespace {theirs} exists in the Vault"):
        NamespacedWorkspace(ours, [f"{theirs}/pki"], vault_issuer_stack.kubernetes, vault_issuer_stack.reviewer_token)
    assert bao.client.read(f"sys/namespaces/{theirs}")["data"] == before
    bao.delete_namespace(theirs)


def test_namespace_that_replaced_one_of_a_test_is_kept(bao: VaultAdmin, vault_issuer_stack: Stack) -> None:
    ours = VaultAdmin(bao.server, session=f"vault-issuer-{secrets.token_hex(6)}")
    replaced, gone = new_team(), new_team()
    workspace = NamespacedWorkspace(
        ours, [replaced, gone], vault_issuer_stack.kubernetes, vault_issuer_stack.reviewer_token
    )
    for path in (replaced, gone):
        bao.delete_namespace(path)
    bao.create_namespace(replaced)
    with pytest.raises(StackError, match=f"the namespace {replaced} in Vault is not the one"):
        workspace.close()
    assert replaced in present(bao)
    bao.delete_namespace(replaced)


def test_token_with_the_named_permissions_removes_what_it_creates(bao: VaultAdmin, vault_issuer_stack: Stack) -> None:
    name = f"limited-{secrets.token_hex(4)}"
    bao.client.sys.create_or_update_policy(name, "\n".join(PERMISSIONS))
    token = bao.client.auth.token.create_orphan(policies=[name], ttl="1h")["auth"]["client_token"]
    limited = VaultAdmin(replace(bao.server, token=token), session=f"vault-issuer-{secrets.token_hex(6)}")
    team = new_team()
    workspace = NamespacedWorkspace(limited, [team], vault_issuer_stack.kubernetes, vault_issuer_stack.reviewer_token)
    assert team in present(bao)
    workspace.close()
    assert team not in present(bao)
