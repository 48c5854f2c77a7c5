"""Reading the state of the controller's process, and of its replicas in a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from copy import deepcopy
from typing import Any

import pytest

from pytest_vault_issuer.errors import NotRunnable
from pytest_vault_issuer.implementation.control import Control, copy_of
from pytest_vault_issuer.implementation.process import RunningImplementation
from pytest_vault_issuer.implementation.workloads import workloads_of
from pytest_vault_issuer.kube.ownership import LABEL, owner_of


class OneProcess:
    """A run directory with one process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def process_id(self, name: str) -> int:
        return self.pid


def memory_of(pid: int) -> int:
    running = RunningImplementation("mine/issuer", "mine", True, True)
    return Control(None, running, OneProcess(pid), None, None).controller.memory()  # type: ignore[arg-type]


def test_memory_is_that_of_the_process() -> None:
    assert memory_of(os.getpid()) > 1024 * 1024


def test_memory_of_an_ended_process_cannot_be_read() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(NotRunnable, match="ps does not show the memory"):
        memory_of(ended.pid)


CONTROLLER: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "issuer",
        "namespace": "mine",
        "labels": {LABEL: "vault-issuer-1"},
        "uid": "1",
        "resourceVersion": "2",
    },
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "issuer"}},
        "template": {
            "metadata": {"labels": {"app": "issuer"}},
            "spec": {"containers": [{"name": "manager", "args": ["--v=2"]}, {"name": "proxy"}]},
        },
    },
    "status": {"replicas": 0},
}


def test_replica_is_a_new_workload_of_the_session_with_one_pod() -> None:
    before = deepcopy(CONTROLLER)
    replica = copy_of(CONTROLLER, "1", ["--leader-elect"])
    assert replica["metadata"] == {"name": "issuer-replica-1", "namespace": "mine", "labels": {LABEL: "vault-issuer-1"}}
    assert owner_of(replica) == "vault-issuer-1"
    assert replica["spec"]["replicas"] == 1
    assert "status" not in replica
    assert before == CONTROLLER, "the controller is unchanged"


def test_pods_of_replicas_have_distinct_labels_that_services_select() -> None:
    one, two = (copy_of(CONTROLLER, number, []) for number in "12")
    for replica in (one, two):
        labels = replica["spec"]["template"]["metadata"]["labels"]
        assert labels.items() >= replica["spec"]["selector"]["matchLabels"].items()
        assert labels["app"] == "issuer", "the selector of a Service"
    assert workloads_of([one])[0].selector != workloads_of([two])[0].selector


@pytest.mark.parametrize(("annotated", "chosen"), [({}, 0), ({"kubectl.kubernetes.io/default-container": "proxy"}, 1)])
def test_arguments_go_to_the_default_container(annotated: dict[str, str], chosen: int) -> None:
    controller = deepcopy(CONTROLLER)
    controller["spec"]["template"]["metadata"]["annotations"] = annotated
    containers = copy_of(controller, "1", ["--leader-elect"])["spec"]["template"]["spec"]["containers"]
    before = CONTROLLER["spec"]["template"]["spec"]["containers"]
    assert containers[chosen]["args"] == [*before[chosen].get("args", []), "--leader-elect"]
    assert containers[1 - chosen] == before[1 - chosen]


def test_environment_of_a_workload_is_not_changed() -> None:
    running = RunningImplementation("mine/issuer", "mine", True, False, workloads_of([CONTROLLER]))
    control = Control(None, running, None, None, None)  # type: ignore[arg-type]
    with pytest.raises(NotRunnable, match="its environment is part of its manifests"), control.with_environment({}):
        pass
