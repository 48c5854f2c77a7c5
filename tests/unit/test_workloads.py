"""What runs an implementation in a cluster, and how its state is read."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_vault_issuer.implementation import cert_manager
from pytest_vault_issuer.implementation.running import RunningImplementation, _without_kubeconfig
from pytest_vault_issuer.implementation.workloads import Workload, _is_ready, deployment, workloads_of


def test_a_pod_has_its_service_account_and_no_kubeconfig() -> None:
    assert _without_kubeconfig(["--kubeconfig={kubeconfig}", "--v=2"]) == ["--v=2"]
    assert _without_kubeconfig(["--kubeconfig", "{kubeconfig}", "--v=2"]) == ["--v=2"]


def test_a_deployment_runs_the_image_as_the_service_account() -> None:
    described = cert_manager.description().with_run(image="cert-manager-controller:1.21.2").run
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
    (deployed,) = deployment(cert_manager.description().with_run(image="x:1").run, [], {}, {})
    assert "volumes" not in deployed["spec"]["template"]["spec"]


def stored(kind: str = "Deployment", selector: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "issuer", "namespace": "mine", "generation": 2},
        "spec": {"replicas": 2, "selector": selector or {"matchLabels": {"app": "issuer"}}},
        **parts,
    }


def test_what_has_pods_is_found_among_manifests() -> None:
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
def test_when_a_workload_is_ready(kind: str, status: dict[str, int], ready: bool) -> None:
    assert _is_ready(stored(kind, status=status)) is ready


def test_workers_learn_what_runs_where() -> None:
    workloads = [Workload("Deployment", "mine", "issuer", "app=issuer")]
    running = RunningImplementation("mine/issuer", "mine", answers=True, process=False, workloads=workloads)
    assert RunningImplementation.from_json(running.to_json()) == running
