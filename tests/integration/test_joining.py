"""A joined session leaves nothing on the stack; the stack's own controller is paused and resumed."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from pytest_vault_issuer.errors import ImplementationError, StackError
from pytest_vault_issuer.implementation.apply import pause, prepare, resume
from pytest_vault_issuer.kube import Cluster
from pytest_vault_issuer.kube.cleanup import remove_labeled
from pytest_vault_issuer.kube.client import (
    CLUSTER_ROLES,
    CONFIG_MAPS,
    NAMESPACES,
    WEBHOOK_CONFIGURATIONS,
    ApiError,
    Object,
    Resource,
)
from pytest_vault_issuer.kube.ownership import LABEL
from pytest_vault_issuer.session.join import leave, unregister
from pytest_vault_issuer.session.session import Session
from pytest_vault_issuer.timeouts import Timeouts
from pytest_vault_issuer.vault import VaultAdmin

DEPLOYMENTS, DAEMON_SETS = Resource("apps", "v1", "deployments"), Resource("apps", "v1", "daemonsets")
LEASES = Resource("coordination.k8s.io", "v1", "leases")
CLUSTER_ISSUERS = Resource("cert-manager.io", "v1", "clusterissuers", namespaced=False)


@pytest.fixture
def cluster(vault_issuer_cluster: Cluster) -> Cluster:
    return vault_issuer_cluster


@pytest.fixture
def name() -> str:
    return f"joining-{secrets.token_hex(4)}"


def body(kind: str, name: str, namespace: str = "", *, api_version: str = "v1", **parts: Any) -> Object:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **parts}


def workload(kind: str, name: str, **spec: Any) -> Object:
    labels = {"app": name}
    pod = {"containers": [{"name": "main", "image": "mine:1"}], "nodeSelector": {"disk": "fast"}}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return body(kind, name, "default", api_version="apps/v1", spec=spec)


def label_of(item: Object) -> str:
    return str((item["metadata"].get("labels") or {}).get(LABEL, ""))


# -- cleanup --------------------------------------------------------------------------------------------------


def test_every_object_of_a_session_is_removed(cluster: Cluster, name: str) -> None:
    made = [
        (NAMESPACES, body("Namespace", name), None),
        (CONFIG_MAPS, body("ConfigMap", name, name), name),
        (CONFIG_MAPS, body("ConfigMap", name, "default"), "default"),
        (CLUSTER_ROLES, body("ClusterRole", name, api_version="rbac.authorization.k8s.io/v1"), None),
        (DEPLOYMENTS, workload("Deployment", name), "default"),
        (
            CLUSTER_ISSUERS,
            body("ClusterIssuer", name, api_version="cert-manager.io/v1", spec={"selfSigned": {}}),
            None,
        ),
    ]
    for resource, item, _ in made:
        item["metadata"]["labels"] = {LABEL: name}
        cluster.create(resource, item)
    others = body("ConfigMap", f"{name}-others", "default")
    others["metadata"]["labels"] = {LABEL: "another"}
    cluster.create(CONFIG_MAPS, others)

    assert remove_labeled(cluster, f"{LABEL}={name}", Timeouts()) == []

    assert [item for resource, item, namespace in made if cluster.find(resource, name, namespace)] == []
    assert cluster.find(CONFIG_MAPS, f"{name}-others", "default"), "expected the object of another session"


@pytest.mark.parametrize("of_the_session", [False, True], ids=["of others", "of the session"])
def test_extension_that_fails_keeps_no_other_object(
    cluster: Cluster, name: str, monkeypatch: pytest.MonkeyPatch, of_the_session: bool
) -> None:
    """A cluster may have an extension whose server answers with errors; that of leases stands for it."""
    item = body("ConfigMap", name, "default")
    item["metadata"]["labels"] = {LABEL: name}
    cluster.create(CONFIG_MAPS, item)
    ask = cluster._json

    def fail(method: str, path: str, **options: Any) -> Object:
        if path == "/apis/coordination.k8s.io/v1":
            raise ApiError(f"{method} {path}", 502, {"message": "no such host"})
        return ask(method, path, **options)

    monkeypatch.setattr(cluster, "_json", fail)
    created = {CONFIG_MAPS, *([LEASES] if of_the_session else [])}
    left = remove_labeled(cluster, f"{LABEL}={name}", Timeouts(), created=created)
    assert cluster.find(CONFIG_MAPS, name, "default") is None
    assert [leftover.what for leftover in left] == (
        [f"anything of coordination.k8s.io/v1 labeled {LABEL}={name}"] if of_the_session else []
    )


# -- ownership ------------------------------------------------------------------------------------------------


def test_webhooks_of_a_joined_session_are_unregistered(
    cluster: Cluster, vault_issuer_session: Session, name: str
) -> None:
    kinds = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
    for resource, kind in zip(WEBHOOK_CONFIGURATIONS, kinds, strict=True):
        for owner in (name, "of-another"):
            item = body(kind, f"{name}-{owner}", api_version="admissionregistration.k8s.io/v1", webhooks=[])
            item["metadata"]["labels"] = {LABEL: owner}
            cluster.create(resource, item)
    unregister(vault_issuer_session.directory.path, name, 1)
    for resource in WEBHOOK_CONFIGURATIONS:
        assert cluster.find(resource, f"{name}-{name}") is None
        assert cluster.find(resource, f"{name}-of-another") is not None
        cluster.delete(resource, f"{name}-of-another")


def test_webhook_that_stays_registered_is_reported_and_keeps_no_other(
    cluster: Cluster, vault_issuer_session: Session, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_vault_issuer.session.join.Timeouts", lambda: Timeouts(deletion=0.5))
    kinds = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
    for resource, kind in zip(WEBHOOK_CONFIGURATIONS, kinds, strict=True):
        item = body(kind, name, api_version="admissionregistration.k8s.io/v1", webhooks=[])
        item["metadata"] |= {"labels": {LABEL: name}, "finalizers": ["example.com/held"] if kind == kinds[0] else []}
        cluster.create(resource, item)
    try:
        with pytest.raises(StackError, match=f"mutatingwebhookconfigurations.* {name}: still being deleted"):
            unregister(vault_issuer_session.directory.path, name, 1)
        assert cluster.find(WEBHOOK_CONFIGURATIONS[1], name) is None
    finally:
        cluster.patch(WEBHOOK_CONFIGURATIONS[0], name, None, {"metadata": {"finalizers": None}})


def test_objects_that_existed_before_are_kept(cluster: Cluster, name: str) -> None:
    new = cluster.apply_manifest(prepare(cluster, body("ConfigMap", name), "default", "host"))
    again = cluster.apply_manifest(prepare(cluster, body("ConfigMap", name, data={"a": "b"}), "default", "guest"))
    assert (label_of(new), label_of(again)) == ("host", "host")
    assert again["data"] == {"a": "b"}

    cluster.create(CONFIG_MAPS, body("ConfigMap", f"{name}-foreign", "default"))
    foreign = cluster.apply_manifest(prepare(cluster, body("ConfigMap", f"{name}-foreign"), "default", "guest"))
    assert label_of(foreign) == ""


def test_workload_of_a_live_session_is_refused(cluster: Cluster, name: str) -> None:
    item = prepare(cluster, workload("Deployment", name), "default", "host")
    cluster.apply_manifest(item)
    with pytest.raises(ImplementationError, match=f"the Deployment default/{name} belongs to the active session host"):
        prepare(cluster, workload("Deployment", name), "default", "guest")
    pause(cluster, [item], Timeouts())
    assert label_of(prepare(cluster, workload("Deployment", name), "default", "guest")) == "host"


# -- pausing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("replicas", [None, 3])
def test_deployment_is_paused_and_resumed(cluster: Cluster, name: str, replicas: int | None) -> None:
    asked = {"replicas": replicas} if replicas else {}
    item = prepare(cluster, workload("Deployment", name, **asked), "default", "host")
    before = cluster.apply_manifest(item)
    assert pause(cluster, [body("ConfigMap", name), item], Timeouts())
    assert cluster.get(DEPLOYMENTS, name, "default")["spec"]["replicas"] == 0
    # A joined session may have used the same name.
    cluster.apply_manifest(workload("Deployment", name, replicas=2, minReadySeconds=7))
    resume(cluster, [item])
    assert cluster.get(DEPLOYMENTS, name, "default")["spec"] == before["spec"]


def test_daemon_set_is_paused_and_resumed(cluster: Cluster, name: str) -> None:
    item = prepare(cluster, workload("DaemonSet", name), "default", "host")
    before = cluster.apply_manifest(item)
    assert pause(cluster, [item], Timeouts())
    selector = cluster.get(DAEMON_SETS, name, "default")["spec"]["template"]["spec"]["nodeSelector"]
    assert selector == {"vault-issuer.test/paused": "true"}, "no node has it"
    resume(cluster, [item])
    assert cluster.get(DAEMON_SETS, name, "default")["spec"] == before["spec"]


def test_pausing_keeps_a_webhook_of_another_owner(cluster: Cluster, name: str) -> None:
    webhook = body("ValidatingWebhookConfiguration", name, api_version="admissionregistration.k8s.io/v1", webhooks=[])
    item = cluster.apply_manifest(prepare(cluster, webhook, "default", "host"))
    assert pause(cluster, [item], Timeouts())
    assert cluster.find(WEBHOOK_CONFIGURATIONS[1], name) is None
    cluster.create(WEBHOOK_CONFIGURATIONS[1], webhook)
    pause(cluster, [item], Timeouts())
    assert cluster.find(WEBHOOK_CONFIGURATIONS[1], name) is not None
    cluster.delete(WEBHOOK_CONFIGURATIONS[1], name)


def test_pausing_without_workloads_does_nothing(cluster: Cluster, name: str) -> None:
    assert not pause(cluster, [body("ConfigMap", name)], Timeouts())


def test_joined_session_removes_only_its_own_from_vault(vault_issuer_session: Session, name: str) -> None:
    admin = VaultAdmin(vault_issuer_session.stack().vault, session=name)
    others = VaultAdmin(vault_issuer_session.stack().vault, session="another")
    admin.enable_pki(f"{name}-ours", "1h")
    others.enable_pki(f"{name}-theirs", "1h")
    leave(vault_issuer_session.directory.path, name, 1.0)
    mounts = admin.client.sys.list_mounted_secrets_engines()["data"]
    assert f"{name}-ours/" not in mounts
    assert f"{name}-theirs/" in mounts
    admin.client.sys.disable_secrets_engine(f"{name}-theirs")
