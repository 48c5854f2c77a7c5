"""A cluster from the images that `tools/images` builds: its internal network works, and no connection leaves it.

Builds the images if they do not exist, which takes minutes, root and Debian: `tox run -e images-test`.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from images.builder import Builder
from images.docker import Docker

from pytest_vault_issuer.toolchain import to_stderr

#: Timeouts in seconds, enough for a busy machine.
CLUSTER, ROLLOUT, POD = 420, 300, 240
PAGES = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: pages}
spec:
  replicas: 2
  selector: {matchLabels: {app: pages}}
  template:
    metadata: {labels: {app: pages}}
    spec:
      containers:
      - name: pages
        image: BUSYBOX
        command: [sh, -c, "mkdir /tmp/www && hostname > /tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www"]
        readinessProbe: {httpGet: {port: 8080, path: /index.html}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: pages}
spec: {selector: {app: pages}, ports: [{port: 80, targetPort: 8080}]}
"""


@dataclass
class Cluster:
    """A kind cluster with one node."""

    name: str
    busybox: str
    kind: Path
    kubectl: Path
    kubeconfig: Path
    docker: Docker

    def run(self, program: str | Path, *arguments: str, timeout: float, given: str = "") -> str:
        environment = os.environ | {"KUBECONFIG": str(self.kubeconfig)}
        if self.docker.address:
            environment["DOCKER_HOST"] = self.docker.address
        answer = subprocess.run(
            [str(program), *arguments], input=given, capture_output=True, text=True, timeout=timeout, env=environment
        )
        assert answer.returncode == 0, f"{Path(program).name} {' '.join(arguments)}: {answer.stdout}{answer.stderr}"
        return answer.stdout

    def ctl(self, *arguments: str, given: str = "", timeout: float = ROLLOUT) -> str:
        return self.run(self.kubectl, *arguments, given=given, timeout=timeout)

    def rolled_out(self, *names: str) -> None:
        for name in names:
            self.ctl("--namespace", "kube-system", "rollout", "status", name, f"--timeout={ROLLOUT}s")

    def in_pod(self, script: str) -> str:
        """Run a shell script in a new pod, expect its success, and return its output."""
        name = f"asks-{secrets.token_hex(3)}"
        self.ctl("run", name, f"--image={self.busybox}", "--restart=Never", "--command", "--", "sh", "-c", script)
        # The log is read afterwards, because an attached client may miss the last lines.
        ended = "--for=jsonpath={.status.phase}=Succeeded"
        self.ctl("wait", f"pod/{name}", ended, f"--timeout={POD}s", timeout=POD + 10)
        said = self.ctl("logs", name)
        self.ctl("delete", "pod", name, "--now")
        return said


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    builder = Builder(None, to_stderr)
    names = ("node", "busybox")
    builder.build([*names, "kind", "kubectl"])
    docker = builder.engine.ensure()
    node, busybox = (builder.load(name, docker) for name in names)
    made = Cluster(
        f"images-{secrets.token_hex(3)}",
        busybox,
        builder.binary("kind"),
        builder.binary("kubectl"),
        tmp_path_factory.mktemp("cluster") / "kubeconfig",
        docker,
    )
    before = networks(made)
    try:
        made.run(made.kind, "create", "cluster", "--name", made.name, "--image", node, "--wait=5m", timeout=CLUSTER)
        made.rolled_out("daemonset/kube-proxy", "deployment/coredns")
        made.run(made.kind, "load", "docker-image", busybox, "--name", made.name, timeout=ROLLOUT)
        yield made
    finally:
        made.run(made.kind, "delete", "cluster", "--name", made.name, timeout=ROLLOUT)
        # kind creates its network if there is none, and keeps it.
        for network in networks(made) - before:
            made.run("docker", "network", "rm", network, timeout=ROLLOUT)
    left = made.run("docker", "ps", "--all", "--quiet", "--filter", f"name={made.name}", timeout=ROLLOUT)
    assert left == "", "the node was deleted"


def networks(cluster: Cluster) -> set[str]:
    return set(cluster.run("docker", "network", "ls", "--format={{.Name}}", timeout=ROLLOUT).split())


def test_the_node_is_ready_and_says_its_release(cluster: Cluster) -> None:
    line = cluster.ctl("get", "nodes", "--no-headers").split()
    assert line[1] == "Ready"
    assert line[4] == "v1.36.3"


def test_a_pod_reaches_every_pod_of_a_service_by_its_name(cluster: Cluster) -> None:
    cluster.ctl("apply", "-f", "-", given=PAGES.replace("BUSYBOX", cluster.busybox))
    cluster.ctl("rollout", "status", "deployment/pages", f"--timeout={ROLLOUT}s")
    pods = set(cluster.ctl("get", "pods", "-l", "app=pages", "-o", "jsonpath={.items[*].metadata.name}").split())
    assert len(pods) == 2
    # kube-proxy learns of a pod after the rollout: repeat a limited number of times, until both have answered.
    asked = cluster.in_pod(
        "seen=/tmp/seen; touch $seen; for i in $(seq 2000); do "
        "wget -q -O - http://pages.default.svc.cluster.local/ >>$seen; "
        "[ $(sort -u $seen | wc -l) -ge 2 ] && break; done; sort -u $seen"
    )
    assert set(asked.split()) == pods


@pytest.mark.parametrize("place", ["a pod", "the node"])
def test_nothing_leaves_the_container_network(cluster: Cluster, place: str) -> None:
    # A documentation address (RFC 5737). It is rejected at once: an address without a host would time out instead.
    script = "nc -w 20 192.0.2.1 80 </dev/null 2>&1; echo status $?"
    if place == "a pod":
        said = cluster.in_pod(f"timeout 10 sh -c '{script}'; true")
    else:
        node = f"{cluster.name}-control-plane"
        ask = "timeout 10 bash -c 'echo > /dev/tcp/192.0.2.1/80' 2>&1; echo status $?"
        said = cluster.run("docker", "exec", node, "bash", "-c", ask, timeout=POD)
    assert "status 1" in said
    assert "refused" in said
