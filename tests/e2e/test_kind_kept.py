"""A kept stack on kind: the printed commands use it, controllers are judged on it, and it is removed."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

import pytest_vault_issuer.implementation
from pytest_vault_issuer.stack.kind.engine import Engine
from pytest_vault_issuer.stack.select import STATE
from pytest_vault_issuer.stack.types import Stack
from pytest_vault_issuer.timeouts import Timeouts
from pytest_vault_issuer.toolchain import Toolchain
from tests.e2e.conftest import LIMIT, Suite, SuiteRun, typed
from tests.support.containers import BUSYBOX, CERT_MANAGER, NODE, VAULT, engine_with, on_kind

BUILTIN = Path(pytest_vault_issuer.implementation.__file__).parent / "builtin"
#: A requirement that needs a login and a signature, for each way to run a controller.
ONE = "--vault-issuer-select=VI-SIGN-001"
#: With this scale, a wait that reaches its timeout exceeds the limit of the test.
NEVER = f"--vault-issuer-timeout-scale={2 * LIMIT / Timeouts().implementation_start}"


@dataclass
class Kept:
    """A kept stack.

    :ivar run: the session that started it.
    """

    run: SuiteRun
    temporary: Path

    @property
    def directory(self) -> Path:
        """Its run directory."""
        (found,) = self.temporary.glob("vault-issuer-*")
        return found

    @property
    def stack(self) -> Stack:
        """The stack, as the run directory describes it."""
        return Stack.from_json((self.directory / STATE).read_text())


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    yield from engine_with(VAULT, NODE, CERT_MANAGER, BUSYBOX)


@pytest.fixture(scope="module")
def kept(engine: Engine, toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    with tempfile.TemporaryDirectory(prefix="vi-") as place:
        suite = Suite(tmp_path_factory.mktemp("kept"))
        options = ["--vault-issuer=cert-manager", ONE, *on_kind(), "--vault-issuer-keep-stack"]
        try:
            run = suite.run(*options, env={"TMPDIR": place})
            assert run.status == 0, run.output
            yield Kept(run, Path(place))
        finally:
            typed("stack", "down", "--all", temporary=Path(place))


def test_controller_on_this_machine_is_judged_on_kind(kept: Kept) -> None:
    assert kept.run.report["stack"]["provider"] == "kind"
    assert kept.run.outcomes()["VI-SIGN-001"] == "passed"


# -- how it is used -------------------------------------------------------------------------------------------


def test_printed_commands_use_the_kept_stack(kept: Kept, toolchain: Toolchain, tmp_path: Path) -> None:
    exports = [line.strip() for line in kept.run.output.splitlines() if line.lstrip().startswith("export ")]
    # Both clients find the stack in their variables; nothing else is set here.
    ask = "import hvac; print(hvac.Client().auth.token.lookup_self()['data']['policies'])"
    script = "\n".join([*exports, '"$0" get namespaces --output=name', '"$1" -c "$2"'])
    done = subprocess.run(
        ["sh", "-eu", "-c", script, str(toolchain.path("kubectl")), sys.executable, ask],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "namespace/kube-system" in done.stdout
    assert done.stdout.splitlines()[-1] == "['root']"
    assert kept.stack.vault.token not in kept.run.output


# -- who reaches it -------------------------------------------------------------------------------------------


def test_ports_are_published_on_loopback_only(kept: Kept, engine: Engine) -> None:
    """No port is on another address of this machine, such as that on the container network."""
    stack = kept.stack
    config = yaml.safe_load(Path(stack.kubernetes.kubeconfig).read_text())
    for url in (stack.vault.url, config["clusters"][0]["cluster"]["server"]):
        port = urlsplit(url).port
        assert port
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((stack.bind, port), timeout=10)
    published = [
        binding["HostIp"]
        for name in engine.names_of(stack.run)[:2]
        for bindings in engine.client.containers.get(name).attrs["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    ]
    assert published == ["127.0.0.1", "127.0.0.1"]


def test_proxies_listen_on_the_container_network_only(kept: Kept, engine: Engine) -> None:
    stack = kept.stack
    network = engine.client.networks.get(stack.network).attrs
    subnets = [ipaddress.ip_network(entry["Subnet"]) for entry in network["IPAM"]["Config"] if "." in entry["Subnet"]]
    assert [ipaddress.ip_address(stack.bind) in subnet for subnet in subnets] == [True]
    assert {name for name in engine.names_of(stack.run) if name != f"network {stack.run}"} == {
        entry["Name"] for entry in network["Containers"].values()
    }, "expected no ports of others"


# -- controllers that do not start ----------------------------------------------------------------------------

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: issuer, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: issuer}}}}
  template:
    metadata: {{labels: {{app: issuer}}}}
    spec:
      containers:
      - {{name: controller, image: "{image}", imagePullPolicy: IfNotPresent, {what}: {words}}}
"""
FILE = """
[implementation]
name = "mine"
version = "1"
[run]
service_account = "{namespace}/issuer"
manifests = ["deployment.yaml"]
images = {images}
[features]
supported = ["core"]
"""
ABSENT = "localhost:1/absent/issuer:1.0.0"


@pytest.mark.parametrize(
    ("name", "image", "what", "words", "said"),
    [
        ("flag", CERT_MANAGER, "args", ["--no-such-flag"], ["unknown flag: --no-such-flag"]),
        ("ends", BUSYBOX, "command", ["sh", "-c", "echo there is no Vault; exit 3"], ["there is no Vault"]),
        ("program", BUSYBOX, "command", ["/no/such/program"], ["/no/such/program"]),
        ("image", ABSENT, "args", [], [ABSENT, "ImagePull", "[run] images"]),
    ],
    ids=["a wrong flag", "it ends", "no such program", "its image is nowhere"],
)
def test_workload_that_cannot_start_is_reported_before_the_timeout(
    kept: Kept, suite: Suite, name: str, image: str, what: str, words: list[str], said: list[str]
) -> None:
    suite.write("deployment.yaml", DEPLOYMENT.format(namespace=name, image=image, what=what, words=json.dumps(words)))
    images = [] if image == ABSENT else [image]
    file = suite.write("mine.toml", FILE.format(namespace=name, images=json.dumps(images)))
    run = suite.run(
        f"--vault-issuer={file}",
        ONE,
        f"--vault-issuer-join={kept.directory}",
        *on_kind()[-1:],
        NEVER,
        env={"TMPDIR": str(kept.temporary.parent)},
    )
    assert run.status == 1, run.output
    assert "mine did not become ready" in run.output or "mine stopped" in run.output
    assert [text for text in said if text not in run.output] == [], run.output
    assert "unable to retrieve" not in run.output


# -- controllers that do --------------------------------------------------------------------------------------

#: The structure of cert-manager's official manifest, in one file. docs/providers.md lists what is left out.
CONTROLLER = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: official}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: cert-manager, namespace: official}}
automountServiceAccountToken: true
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: cert-manager, namespace: official}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app.kubernetes.io/name: cert-manager}}}}
  template:
    metadata: {{labels: {{app.kubernetes.io/name: cert-manager}}}}
    spec:
      serviceAccountName: cert-manager
      enableServiceLinks: false
      securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
      - name: cert-manager-controller
        image: "{CERT_MANAGER}"
        imagePullPolicy: IfNotPresent
        args: [--v=2, --cluster-resource-namespace=$(POD_NAMESPACE), --approver=false]
        securityContext:
          allowPrivilegeEscalation: false
          capabilities: {{drop: [ALL]}}
          readOnlyRootFilesystem: true
        env: [{{name: POD_NAMESPACE, valueFrom: {{fieldRef: {{fieldPath: metadata.namespace}}}}}}]
      nodeSelector: {{kubernetes.io/os: linux}}
---
"""
OFFICIAL = f"""
[implementation]
name = "cert-manager"
version = "1.21.2"
[run]
service_account = "official/cert-manager"
cluster_resource_namespace = "official"
manifests = ["cert-manager.yaml"]
images = ["{CERT_MANAGER}"]
[features]
supported = ["core"]
"""


def test_cert_manager_from_one_manifest_with_its_definitions(kept: Kept, suite: Suite, toolchain: Toolchain) -> None:
    crds = toolchain.crds()
    assert crds is not None
    rbac = (BUILTIN / "cert-manager-rbac.yaml").read_text().replace("namespace: cert-manager", "namespace: official")
    texts = [*(path.read_text() for path in sorted(crds.glob("*.yaml"))), CONTROLLER, rbac]
    suite.write("cert-manager.yaml", "\n---\n".join(texts))
    run = suite.run(
        f"--vault-issuer={suite.write('cert-manager.toml', OFFICIAL)}",
        ONE,
        "--vault-issuer-select=VI-SCOPE-001",
        "--vault-issuer-select=VI-REQUEST-001",
        "--vault-issuer-select=VI-LEAK-002",
        f"--vault-issuer-join={kept.directory}",
        *on_kind()[-1:],
        env={"TMPDIR": str(kept.temporary.parent)},
    )
    assert run.status == 0, run.output
    assert {run.outcomes()[f"VI-{name}"] for name in ("SIGN-001", "SCOPE-001", "REQUEST-001", "LEAK-002")} == {"passed"}


# -- its end --------------------------------------------------------------------------------------------------


def test_stack_down_removes_the_cluster_with_everything_in_it(kept: Kept, engine: Engine) -> None:
    """This test runs last in its module."""
    run = kept.stack.run
    assert len(engine.names_of(run)) == 3
    typed("stack", "down", str(kept.directory), temporary=kept.temporary)
    assert engine.names_of(run) == []
    assert list(kept.temporary.iterdir()) == []
