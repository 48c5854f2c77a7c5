"""The session neither changes nor removes objects of others in a cluster and in a Vault."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_vault_issuer.errors import StackError
from pytest_vault_issuer.implementation.apply import prepare, store
from pytest_vault_issuer.kube import Cluster
from pytest_vault_issuer.kube import rbac as grants
from pytest_vault_issuer.kube.cleanup import remove_labeled
from pytest_vault_issuer.kube.client import CLUSTER_ROLES, CONFIG_MAPS, NAMESPACES, SECRETS, Object, Resource
from pytest_vault_issuer.kube.ownership import LABEL, create_own, selector
from pytest_vault_issuer.leftovers import Removed
from pytest_vault_issuer.stack.types import Stack
from pytest_vault_issuer.timeouts import Timeouts
from pytest_vault_issuer.vault import VaultAdmin, VaultWorkspace
from pytest_vault_issuer.vault.cleanup import Created, remove_created
from pytest_vault_issuer.vault.client import VaultServer
from pytest_vault_issuer.vault.server import AUTH, POLICY, SECRETS_ENGINE, TOKEN, mark_of

DEPLOYMENTS = Resource("apps", "v1", "deployments")
QUICK = Timeouts(deletion=2.0)


@pytest.fixture
def cluster(vault_issuer_cluster: Cluster) -> Cluster:
    return vault_issuer_cluster


@pytest.fixture
def session() -> str:
    return f"vault-issuer-{secrets.token_hex(6)}"


def config_map(name: str, session: str = "", **parts: Any) -> Object:
    labels = {LABEL: session} if session else {}
    metadata = {"name": name, "namespace": "default", "labels": labels, **parts}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def deployment(name: str, image: str) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


# -- in a cluster -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "whose", "way_out"),
    [
        ("", r"this session did not create it \(it has no label of the suite\)", "kubectl delete configmaps"),
        ("another", "it belongs to session another", "vault-issuer stack down another"),
    ],
)
def test_existing_object_is_refused_by_name_and_unchanged(
    cluster: Cluster, session: str, owner: str, whose: str, way_out: str
) -> None:
    theirs = cluster.create(CONFIG_MAPS, config_map(session, owner))
    with pytest.raises(StackError, match=f"the ConfigMap default/{session} exists in the cluster.*{whose}") as raised:
        create_own(cluster, CONFIG_MAPS, config_map(session, session) | {"data": {"a": "b"}})
    assert way_out in raised.value.hint
    assert cluster.get(CONFIG_MAPS, session, "default") == theirs


def test_object_of_the_same_session_is_changed(cluster: Cluster, session: str) -> None:
    create_own(cluster, CONFIG_MAPS, config_map(session, session))
    changed = create_own(cluster, CONFIG_MAPS, config_map(session, session) | {"data": {"a": "b"}})
    assert changed["data"] == {"a": "b"}


def test_existing_deployment_is_not_replaced(cluster: Cluster, session: str) -> None:
    theirs = cluster.create(DEPLOYMENTS, store_in_default(deployment(session, "theirs:1")))
    ours = prepare(cluster, deployment(session, "ours:1"), "default", session, foreign=True)
    with pytest.raises(StackError, match=f"the Deployment default/{session} exists in the cluster"):
        store(cluster, ours, foreign=True)
    assert cluster.get(DEPLOYMENTS, session, "default")["spec"] == theirs["spec"]
    cluster.delete(DEPLOYMENTS, session, "default")


def store_in_default(item: Object) -> Object:
    return {**item, "metadata": {**item["metadata"], "namespace": "default"}}


def test_later_object_of_the_same_name_is_not_deleted(cluster: Cluster, session: str) -> None:
    before = cluster.create(CONFIG_MAPS, config_map(session))
    cluster.delete(CONFIG_MAPS, session, "default", uid=before["metadata"]["uid"])
    assert cluster.find(CONFIG_MAPS, session, "default") is None
    after = cluster.create(CONFIG_MAPS, config_map(session))
    cluster.delete(CONFIG_MAPS, session, "default", uid=before["metadata"]["uid"])
    assert cluster.get(CONFIG_MAPS, session, "default")["metadata"]["uid"] == after["metadata"]["uid"]


def test_object_that_takes_the_name_during_the_cleanup_is_not_deleted(
    cluster: Cluster, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = cluster.delete

    def replaced_first(resource: Resource, name: str, namespace: str | None = None, **options: str) -> None:
        delete(resource, name, namespace)
        cluster.create(resource, config_map(name))
        delete(resource, name, namespace, **options)

    cluster.create(CONFIG_MAPS, config_map(session, session))
    with monkeypatch.context() as patched:
        patched.setattr(cluster, "delete", replaced_first)
        assert remove_labeled(cluster, selector(session), QUICK) == []
    assert cluster.find(CONFIG_MAPS, session, "default") is not None
    cluster.delete(CONFIG_MAPS, session, "default")


def test_objects_that_cannot_be_deleted_are_listed_and_others_removed(cluster: Cluster, session: str) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": session, "labels": {LABEL: session}},
    }
    cluster.create(CONFIG_MAPS, config_map(f"{session}-kept", session, finalizers=["vault-issuer.test/keep"]))
    cluster.create(CONFIG_MAPS, config_map(f"{session}-free", session))
    cluster.create(CLUSTER_ROLES, role)
    removed = Removed()
    left = remove_labeled(cluster, selector(session), QUICK, last=(CLUSTER_ROLES, session), removed=removed)
    assert removed.names == {"configmaps": [f"default/{session}-free"]}
    assert [leftover.what for leftover in left] == [
        f"configmaps default/{session}-kept",
        f"clusterroles.rbac.authorization.k8s.io {session}",
    ]
    assert "vault-issuer.test/keep" in left[0].why
    assert "stays until the rest is removed" in left[1].why
    assert cluster.find(CONFIG_MAPS, f"{session}-free", "default") is None
    cluster.patch(CONFIG_MAPS, f"{session}-kept", "default", {"metadata": {"finalizers": None}})
    assert remove_labeled(cluster, selector(session), QUICK, last=(CLUSTER_ROLES, session)) == []
    assert cluster.find(CLUSTER_ROLES, session) is None


def test_refusal_of_one_type_does_not_skip_the_others(cluster: Cluster, session: str) -> None:
    """The user may list and delete ConfigMaps, and list Secrets."""
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "delete"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]},
    ]
    for rule in rules:
        grants.grant_user(cluster, f"{session}-{rule['resources'][0]}", rule, {}, Timeouts(), "default")
    for name in ("configmaps", "secrets"):
        cluster.patch(
            Resource("rbac.authorization.k8s.io", "v1", "rolebindings"),
            f"{session}-{name}",
            "default",
            {"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": session}]},
        )
    secret = {**config_map(session, session), "kind": "Secret"}
    cluster.create(CONFIG_MAPS, config_map(session, session))
    cluster.create(SECRETS, secret)
    left = remove_labeled(
        cluster.acting_as(session), selector(session), QUICK, created={SECRETS, CLUSTER_ROLES, CONFIG_MAPS}
    )
    # This user cannot list all namespaces, so each type of the session is reported.
    assert {leftover.what.split()[1] for leftover in left} == {
        "configmaps",
        "secrets",
        "clusterroles.rbac.authorization.k8s.io",
    }
    assert all("kubectl delete" in leftover.command and session in leftover.command for leftover in left)
    assert remove_labeled(cluster, selector(session), QUICK) == []


def test_existing_namespace_is_kept(cluster: Cluster, session: str) -> None:
    for name, owner in ((session, session), (f"{session}-theirs", "another")):
        metadata = {"name": name, "labels": {LABEL: owner}}
        cluster.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    assert remove_labeled(cluster, selector(session), Timeouts()) == []
    assert cluster.find(NAMESPACES, session) is None
    assert cluster.find(NAMESPACES, f"{session}-theirs") is not None
    cluster.delete(NAMESPACES, f"{session}-theirs")


# -- in a Vault ---------------------------------------------------------------------------------------------------


@pytest.fixture
def record() -> list[Created]:
    return []


@pytest.fixture
def ours(vault_issuer_vault: VaultAdmin, session: str, record: list[Created]) -> VaultAdmin:
    def announce(what: str, name: str, accessor: str = "") -> None:
        record.append(Created(what, name, accessor))

    return VaultAdmin(vault_issuer_vault.server, session=session, announce=announce)


@pytest.fixture
def mounted(ours: VaultAdmin, session: str) -> Iterator[str]:
    """An AppRole method of the session with a login, which created an entity."""
    ours.enable_auth("approle", session)
    method = ours.client.auth.approle
    method.create_or_update_approle("role", mount_point=session)
    role_id = method.read_role_id("role", mount_point=session)["data"]["role_id"]
    secret_id = method.generate_secret_id("role", mount_point=session)["data"]["secret_id"]
    method.login(role_id, secret_id, use_token=False, mount_point=session)
    yield session
    ours.client.sys.disable_auth_method(session)


def entities(admin: VaultAdmin) -> set[str]:
    listing = admin.client.list("identity/entity/id")
    return set(listing["data"]["keys"]) if listing else set()


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "by their marks"])
def test_session_is_removed_from_vault(
    ours: VaultAdmin, session: str, record: list[Created], mounted: str, recorded: bool
) -> None:
    ours.enable_pki(f"{session}/pki", "1h")
    ours.client.sys.create_or_update_policy(f"{session}-policy", ANY)
    before = entities(ours)
    removed = Removed()
    assert remove_created(ours, session, record if recorded else [], removed) == []
    assert removed.names.pop("Vault identity entities")
    assert removed.names == {
        "Vault auth methods": [mounted],
        "Vault secrets engines": [f"{session}/pki"],
        "Vault policies": [f"{session}-policy"],
    }
    assert f"{mounted}/" not in ours.client.sys.list_auth_methods()["data"]
    assert f"{session}/pki/" not in ours.client.sys.list_mounted_secrets_engines()["data"]
    assert f"{session}-policy" not in ours.client.sys.list_policies()["data"]["policies"]
    assert len(before - entities(ours)) == 1, "expected the entity of the login removed"


def test_entities_of_a_removed_method_are_removed(ours: VaultAdmin, record: list[Created], mounted: str) -> None:
    ours.client.sys.disable_auth_method(mounted)
    before = entities(ours)
    assert remove_created(ours, mounted, record) == []
    assert len(before - entities(ours)) == 1


def test_tokens_are_revoked_and_missing_ones_ignored(ours: VaultAdmin, session: str) -> None:
    tokens = [ours.client.auth.token.create_orphan(policies=["default"], ttl="1h")["auth"] for _ in range(3)]
    ours.client.auth.token.revoke_accessor(tokens[0]["accessor"])
    recorded = [Created(TOKEN, token["accessor"]) for token in tokens[:2]]
    assert remove_created(ours, session, recorded) == []
    accessors = ours.client.list("auth/token/accessors")["data"]["keys"]
    assert tokens[1]["accessor"] not in accessors
    assert tokens[2]["accessor"] in accessors
    ours.client.auth.token.revoke_accessor(tokens[2]["accessor"])


def test_mount_of_others_at_a_recorded_path_is_kept(ours: VaultAdmin, session: str) -> None:
    """The session was killed before it created the mount, or another user created it since."""
    client = ours.client
    client.sys.enable_auth_method("approle", path=session, description="mine")
    client.sys.enable_secrets_engine("pki", path=f"{session}/pki", description=mark_of("another"))
    client.sys.create_or_update_policy("another-policy", ANY)
    recorded = [
        Created(AUTH, session),
        Created(AUTH, session, "auth_approle_00000000"),
        Created(SECRETS_ENGINE, f"{session}/pki"),
        Created(POLICY, "another-policy"),
        Created(AUTH, f"{session}-never-made"),
    ]
    before = entities(ours)
    assert remove_created(ours, session, recorded) == []
    assert f"{session}/" in client.sys.list_auth_methods()["data"]
    assert f"{session}/pki/" in client.sys.list_mounted_secrets_engines()["data"]
    assert "another-policy" in client.sys.list_policies()["data"]["policies"]
    assert entities(ours) == before
    client.sys.disable_auth_method(session)
    client.sys.disable_secrets_engine(f"{session}/pki")
    client.sys.delete_policy("another-policy")


def accessors(admin: VaultAdmin, *mounts: tuple[str, str]) -> list[str]:
    """Return the accessor of what is mounted at each path, '' if nothing is."""
    return [(admin.mounted(what, path) or {"accessor": ""})["accessor"] for what, path in mounts]


def test_mount_that_replaced_one_of_a_test_is_kept_and_named(
    ours: VaultAdmin, session: str, record: list[Created], vault_issuer_stack: Stack
) -> None:
    client = ours.client
    workspace = VaultWorkspace(ours, vault_issuer_stack.kubernetes, vault_issuer_stack.reviewer_token)
    workspace.policy("secret/*")
    replaced, gone = [workspace.pki().mount, workspace.mount_auth("approle")], workspace.pki().mount
    for mount in (replaced[0], gone):
        client.sys.disable_secrets_engine(mount)
    client.sys.disable_auth_method(replaced[1])
    client.sys.enable_secrets_engine("pki", path=replaced[0])
    client.sys.enable_auth_method("approle", path=replaced[1], description="mine")
    theirs = list(zip((SECRETS_ENGINE, AUTH), replaced, strict=True))
    before = accessors(ours, *theirs)
    with pytest.raises(StackError, match=r"another user has replaced .* in Vault: the new mounts stay") as raised:
        workspace.close()
    assert f"the secrets engine at {replaced[0]} " in str(raised.value)
    assert f"the auth method at {replaced[1]} " in str(raised.value)
    assert accessors(ours, *theirs) == before
    assert not [name for name in client.sys.list_policies()["data"]["policies"] if name.startswith(session)]

    removed = Removed()
    assert remove_created(ours, session, record, removed) == []
    assert accessors(ours, *theirs) == before
    assert removed.kept == {"Vault secrets engines": replaced[:1], "Vault auth methods": replaced[1:]}
    client.sys.disable_secrets_engine(replaced[0])
    client.sys.disable_auth_method(replaced[1])


ANY = 'path "secret/*" { capabilities = ["read"] }'
#: The minimum permissions without one.
LIMITED = """
path "sys/auth/*" { capabilities = ["create", "read", "update", "sudo"] }
path "sys/mounts/*" { capabilities = ["create", "read", "update", "delete"] }
path "sys/policies/acl/*" { capabilities = ["delete"] }
path "sys/policy/*" { capabilities = ["delete"] }
path "identity/entity-alias/id" { capabilities = ["list"] }
path "identity/entity/id/*" { capabilities = ["delete"] }
"""


def test_refusal_of_one_mount_does_not_skip_the_rest(
    ours: VaultAdmin, session: str, record: list[Created], mounted: str
) -> None:
    ours.enable_pki(f"{session}/pki", "1h")
    ours.client.sys.create_or_update_policy("limited", LIMITED)
    token = ours.client.auth.token.create_orphan(policies=["limited"], ttl="1h")["auth"]["client_token"]
    limited = VaultAdmin(VaultAdmin(ours.server).server, session=session)
    limited.client.token = token
    (left,) = remove_created(limited, session, record)
    assert left.what == f"Vault auth method {mounted}"
    assert "permission denied" in left.why
    assert left.command == f"vault auth disable {mounted}"
    assert f"{session}/pki/" not in ours.client.sys.list_mounted_secrets_engines()["data"]


def test_unreachable_vault_is_listed_as_not_removed(session: str) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, without a listener
        closed = VaultAdmin(VaultServer(f"http://127.0.0.1:{held.getsockname()[1]}", token="t"), session=session)
        left = remove_created(closed, session, [Created(AUTH, "approle"), Created(POLICY, f"{session}-a")])
    assert [leftover.what for leftover in left] == ["Vault auth method approle", f"Vault policy {session}-a"]
    assert all("cannot be reached" in leftover.why for leftover in left)
