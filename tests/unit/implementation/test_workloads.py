"""Workloads that run an implementation in a cluster, and how the suite reads their state."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_vault_issuer.implementation import load_implementation
from pytest_vault_issuer.implementation.process import RunningImplementation, _without_kubeconfig
from pytest_vault_issuer.implementation.workloads import (
    _HOPELESS,
    Workload,
    WorkloadLog,
    _end_of_log,
    _ended_in,
    _is_ready,
    _troubles_of,
    deployment,
    workloads_of,
)


def test_a_pod_has_its_service_account_and_no_kubeconfig() -> None:
    assert _without_kubeconfig(["--kubeconfig={kubeconfig}", "--v=2"]) == ["--v=2"]
    assert _without_kubeconfig(["--kubeconfig", "{kubeconfig}", "--v=2"]) == ["--v=2"]


def test_a_deployment_runs_the_image_as_the_service_account() -> None:
    described = load_implementation("cert-manager").with_run(image="cert-manager-controller:1.21.2").run
    roots, deployed = deployment(described, ["--v=2"], {"A": "b"}, {"SSL_CERT_FILE": "PEM"})
    pod = deployed["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert deployed["metadata"]["namespace"] == "cert-manager"
    assert pod["serviceAccountName"] == "cert-manager"
    assert (container["image"], container["args"]) == ("cert-manager-controller:1.21.2", ["--v=2"])
    file = next(entry["value"] for entry in container["env"] if entry["name"] == "SSL_CERT_FILE")
    assert roots["data"] == {file.rpartition("/")[2]: "PEM"}
    assert {"name": "A", "value": "b"} in container["env"]


def test_a_deployment_with_its_images_own_roots() -> None:
    (deployed,) = deployment(load_implementation("cert-manager").with_run(image="x:1").run, [], {}, {})
    assert "volumes" not in deployed["spec"]["template"]["spec"]


def stored(kind: str = "Deployment", selector: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "issuer", "namespace": "mine", "generation": 2},
        "spec": {"replicas": 2, "selector": selector or {"matchLabels": {"app": "issuer"}}},
        **parts,
    }


def test_workloads_are_found_among_manifests() -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "x"}}
    assert workloads_of([role, stored(), stored("DaemonSet")]) == [
        Workload("Deployment", "mine", "issuer", "app=issuer"),
        Workload("DaemonSet", "mine", "issuer", "app=issuer"),
    ]


def test_a_selector_of_expressions() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "app", "operator": "Exists"},
    ]
    (found,) = workloads_of([stored(selector={"matchExpressions": expressions})])
    assert found.selector == "tier in (a,b),!old,app"


@pytest.mark.parametrize(
    ("kind", "status", "ready"),
    [
        ("Deployment", {}, False),
        ("Deployment", {"observedGeneration": 1, "updatedReplicas": 2, "readyReplicas": 2}, False),
        ("Deployment", {"observedGeneration": 2, "updatedReplicas": 1, "readyReplicas": 2}, False),
        ("Deployment", {"observedGeneration": 2, "updatedReplicas": 2, "readyReplicas": 2}, True),
        ("DaemonSet", {"observedGeneration": 2, "desiredNumberScheduled": 0, "numberReady": 0}, False),
        ("DaemonSet", {"observedGeneration": 2, "desiredNumberScheduled": 3, "numberReady": 3}, True),
    ],
)
def test_workload_is_ready_by_its_status(kind: str, status: dict[str, int], ready: bool) -> None:
    assert _is_ready(stored(kind, status=status)) is ready


def test_workers_learn_what_runs_where() -> None:
    workloads = [Workload("Deployment", "mine", "issuer", "app=issuer")]
    running = RunningImplementation("mine/issuer", "mine", answers=True, process=False, workloads=workloads)
    assert RunningImplementation.from_json(running.to_json()) == running


# -- reasons why a pod waits, from the API server -------------------------------------------------------------


def pod(*containers: dict[str, Any], **status: Any) -> dict[str, Any]:
    named = [{"name": "controller", "restartCount": 0, **container} for container in containers]
    return {"metadata": {"name": "issuer-x"}, "status": {"containerStatuses": named, **status}}


NOWHERE = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "absent:1"'}}}
ENDED = {"exitCode": 3, "reason": "Error", "finishedAt": "2026-11-24T12:00:00Z"}
CRASHING = {
    "restartCount": 2,
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting failed container"}},
    "lastState": {"terminated": ENDED},
}
RUNNING = {"state": {"running": {"startedAt": "2026-11-24T12:00:00Z"}}, "lastState": {}}


@pytest.mark.parametrize("waiting", [NOWHERE, CRASHING], ids=["no image", "it ends"])
def test_permanent_trouble_of_a_pod_is_recognized(waiting: dict[str, Any]) -> None:
    (trouble,) = _troubles_of(pod(waiting))
    reason = waiting["state"]["waiting"]["reason"]
    assert trouble == f"issuer-x, container controller ({waiting['state']['waiting']['message']}): {reason}"
    assert trouble.split()[-1] in _HOPELESS


def test_init_containers_keep_a_pod_too() -> None:
    (trouble,) = _troubles_of(pod(initContainerStatuses=[{"name": "first", **NOWHERE}]))
    assert trouble.startswith("issuer-x, container first (")


@pytest.mark.parametrize(
    "waiting",
    [
        pod({"state": {"waiting": {"reason": "ContainerCreating"}}}),
        pod(
            conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]
        ),
    ],
    ids=["being made", "not scheduled"],
)
def test_temporary_trouble_of_a_pod_is_recognized(waiting: dict[str, Any]) -> None:
    (trouble,) = _troubles_of(waiting)
    assert trouble.split()[-1] not in _HOPELESS


def test_a_pod_without_a_status_or_that_runs_waits_for_nothing() -> None:
    assert list(_troubles_of({"metadata": {"name": "issuer-x"}})) == []
    assert list(_troubles_of(pod(RUNNING, conditions=[{"type": "PodScheduled", "status": "True"}]))) == []


@pytest.mark.parametrize(
    ("container", "ended"),
    [
        ({"state": {"terminated": ENDED}}, [("controller", "exit status 3, Error")]),
        (CRASHING, [("controller", "exit status 3, Error")]),
        ({**RUNNING, "lastState": {"terminated": ENDED}}, [("controller", "exit status 3, Error")]),
        (RUNNING, []),
        (NOWHERE, []),
    ],
    ids=["has ended", "waits to be started again", "was started again", "runs", "never ran"],
)
def test_ended_containers_of_a_pod_are_found(container: dict[str, Any], ended: list[tuple[str, str]]) -> None:
    assert list(_ended_in(pod(container))) == ended


def test_end_of_the_log_has_no_part_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    body = [f"{number:02}{'A' * 62}" for number in range(40)]
    log = "\n".join(["-----BEGIN PRIVATE KEY-----", *body, "-----END PRIVATE KEY-----", "it ends"])
    monkeypatch.setattr(WorkloadLog, "since", lambda self, mark: log)
    cluster: Any = None
    shown = _end_of_log(Workload("Deployment", "mine", "issuer", ""), cluster)
    assert not [line for line in body if line in shown]
    assert shown.endswith("it ends")
