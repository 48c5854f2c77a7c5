"""The provider ``kind`` agrees with ``process``, runs controllers in and beside the cluster, and cleans up."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.cli.output import markdown_table
from pytest_vault_issuer.implementation.workloads import NAME as OWN
from pytest_vault_issuer.implementation.workloads import PODS
from pytest_vault_issuer.kube import Cluster
from pytest_vault_issuer.kube.client import CLUSTER_ROLE_BINDINGS, NAMESPACES, Resource
from pytest_vault_issuer.report.compare import compare
from pytest_vault_issuer.stack.kind.engine import CLUSTER_LABEL, RUN_LABEL, Engine
from pytest_vault_issuer.stack.select import STATE
from pytest_vault_issuer.timeouts import poll
from pytest_vault_issuer.toolchain.go import find_go
from tests.e2e.conftest import Suite, run_directories, typed
from tests.e2e.test_external_issuer import EXAMPLE as EXTERNAL_ISSUER
from tests.e2e.test_external_issuer import NEEDED_GO, go_caches
from tests.support.containers import CERT_MANAGER, NODE, VAULT, all_names, engine_with, on_kind, user_cluster
from tests.support.processes import killed_at_end, output_of, processes_of, supervisor_of
from tests.support.reader import user_environment
from tests.support.registry import empty_registry, forget, push
from tests.support.scope import scopes, selecting

DEPLOYMENTS = Resource("apps", "v1", "deployments")
#: A requirement that needs a login and a signature, for each way to run a controller.
ONE = "--vault-issuer-select=VI-SIGN-001"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    yield from engine_with(VAULT, NODE, CERT_MANAGER)


@pytest.fixture
def options(engine: Engine) -> list[str]:
    return on_kind()


@pytest.fixture(scope="module")
def foreign(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster that the user created and removes."""
    with user_cluster(engine, tmp_path_factory.mktemp("theirs") / "kubeconfig") as name:
        yield name


def named(options: list[str], cluster: str) -> list[str]:
    """Return the options of a session on a cluster of the user."""
    return [*(option for option in options if "node-image" not in option), f"--vault-issuer-kind-cluster={cluster}"]


@pytest.fixture(autouse=True)
def nothing_left(engine: Engine) -> Iterator[None]:
    """Check that each test leaves the engine as it found it."""
    before = all_names(engine)
    yield
    assert all_names(engine) - before == set()


# -- the verdict ----------------------------------------------------------------------------------------------


@scopes()
def test_kind_and_process_agree_on_every_requirement(
    tmp_path: Path, options: list[str], selected: tuple[str, ...]
) -> None:
    """cert-manager runs in the cluster, from its image, and as a process on this machine."""
    reports = {}
    for name, chosen in (
        ("process", ["--vault-issuer-stack=process"]),
        ("kind", [*options, f"--vault-issuer-image={CERT_MANAGER}"]),
    ):
        (tmp_path / name).mkdir()
        run = Suite(tmp_path / name).run("--vault-issuer=cert-manager", "-n2", *chosen, *selecting(selected))
        assert run.status == 0, run.output
        assert run.verdict == ("partial" if selected else "conformant"), run.output
        assert "not-run" not in run.outcomes(selected).values()
        reports[name] = run.report
    agreement(reports)
    differing = compare(reports["process"], reports["kind"])
    assert [f"{change.id}: {change.before}, on kind {change.after}" for change in differing] == []


@pytest.fixture
def kustomization(suite: Suite) -> str:
    """An author's kustomization, with an image that is in no registry."""
    folder = suite.directory / "deploy"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text("namespace: mine\nresources: [deployment.yaml]\n")
    arguments = ["--cluster-resource-namespace=mine", "--approver=false", "--concurrent-workers=20"]
    (folder / "deployment.yaml").write_text(
        f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: issuer}}
spec:
  selector: {{matchLabels: {{app: issuer}}}}
  template:
    metadata: {{labels: {{app: issuer}}}}
    spec:
      serviceAccountName: issuer
      containers:
      - name: issuer
        image: {CERT_MANAGER}
        args: {json.dumps(arguments)}
"""
    )
    rbac = Path(__file__).parents[2] / "pytest_vault_issuer/implementation/builtin/cert-manager-rbac.yaml"
    suite.write(
        "rbac.yaml",
        rbac.read_text().replace(
            "name: cert-manager\n    namespace: cert-manager", "name: issuer\n    namespace: mine"
        ),
    )
    file = suite.write(
        "mine.toml",
        f"""
[implementation]
name = "mine"
version = "1"
[run]
service_account = "mine/issuer"
cluster_resource_namespace = "mine"
rbac = ["rbac.yaml"]
manifests = ["deploy"]
images = ["{CERT_MANAGER}"]
[features]
supported = ["core"]
""",
    )
    return f"--vault-issuer={file}"


def test_controller_runs_from_a_kustomization(
    suite: Suite, options: list[str], foreign: str, kustomization: str
) -> None:
    run = suite.run(kustomization, ONE, "--vault-issuer-select=VI-LEAK-002", *named(options, foreign))
    assert run.status == 0, run.output
    assert run.outcomes()["VI-LEAK-002"] == "passed", "the pod's log is read"


@pytest.fixture
def external_issuer(engine: Engine, tmp_path: Path) -> Iterator[str]:
    """The image of a controller with leader election: the external issuer, compiled without C libraries."""
    go = find_go(NEEDED_GO)
    caches = go_caches(go)
    environment = user_environment(
        GOPATH=str(caches), GOCACHE=str(caches / "build"), GOFLAGS="-modcacherw", GOTOOLCHAIN="local", CGO_ENABLED="0"
    )
    folder = tmp_path / "image"
    folder.mkdir()
    subprocess.run([go, "build", "-o", folder / "manager", "."], check=True, cwd=EXTERNAL_ISSUER, env=environment)
    (folder / "Dockerfile").write_text('FROM scratch\nCOPY manager /manager\nENTRYPOINT ["/manager"]\n')
    name = f"vault-issuer/external-issuer:test-{secrets.token_hex(3)}"
    engine.client.images.build(path=str(folder), tag=name, rm=True)
    yield name
    engine.client.images.remove(name, force=True)


@pytest.mark.full
def test_replicas_run_in_the_cluster(suite: Suite, options: list[str], external_issuer: str) -> None:
    run = suite.run(
        f"--vault-issuer={EXTERNAL_ISSUER / 'conformance.toml'}",
        f"--vault-issuer-image={external_issuer}",
        "--vault-issuer-profile=resilience",
        "--vault-issuer-select=HA",
        "--vault-issuer-select=RESTART",
        *options,
    )
    assert run.status == 0, run.output
    outcomes = {name: outcome for name, outcome in run.outcomes().items() if name.startswith(("VI-HA", "VI-RESTART"))}
    assert outcomes.pop("VI-HA-004") == "not-run", "a pod cannot be paused"
    assert set(outcomes.values()) == {"passed"}, run.output


def agreement(reports: dict[str, Any]) -> None:
    """Write a table of the outcomes to the file that AGREEMENT_REPORT names."""
    if path := os.environ.get("AGREEMENT_REPORT"):
        outcomes = [{entry["id"]: entry["outcome"] for entry in report["requirements"]} for report in reports.values()]
        rows = [[identifier, *(seen.get(identifier, "-") for seen in outcomes)] for identifier in outcomes[0]]
        for level, counts in reports["process"]["profiles"]["core"]["counts"].items():
            passed = [report["profiles"]["core"]["counts"][level]["passed"] for report in reports.values()]
            rows.append([f"{level}, passed of {sum(counts.values())}", *map(str, passed)])
        Path(path).write_text("\n".join(markdown_table(["requirement", *reports], rows)) + "\n")


@pytest.fixture
def upstream(engine: Engine, tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """The mirror of a closed network, and the names of two images that only this mirror has."""
    release = f"test-{secrets.token_hex(3)}"
    names = [f"registry.test/{part}:{release}" for part in ("hashicorp/vault", "jetstack/cert-manager-controller")]
    with empty_registry(tmp_path) as address:
        for image, name in zip((VAULT, CERT_MANAGER), names, strict=True):
            push(engine, image, address, name.replace("registry.test", "hub"))
        yield f"{address}/hub", *names
    for name in names:
        forget(engine, name)


def test_dev_mode_works_in_a_closed_network(suite: Suite, options: list[str], upstream: tuple[str, str, str]) -> None:
    mirror, vault, cert_manager = upstream
    run = suite.run(
        "--vault-issuer=cert-manager",
        ONE,
        *(option for option in options if "vault-image" not in option),
        "--vault-issuer-vault-mode=dev",
        f"--vault-issuer-registry-mirror={mirror}",
        f"--vault-issuer-vault-image={vault}",
        f"--vault-issuer-image={cert_manager}",
    )
    assert run.status == 0, run.output
    assert run.outcomes()["VI-SIGN-001"] == "passed"


# -- ownership of clusters ------------------------------------------------------------------------------------


def test_named_cluster_is_used_and_kept(suite: Suite, options: list[str], foreign: str, engine: Engine) -> None:
    before = all_names(engine)
    run = suite.run("--vault-issuer=cert-manager", ONE, *named(options, foreign))
    assert run.status == 0, run.output
    assert all_names(engine) == before


# -- a kept stack ---------------------------------------------------------------------------------------------


@pytest.fixture
def kept(suite: Suite, options: list[str]) -> Iterator[tuple[Path, Cluster]]:
    """The directory of a kept stack with a controller in its cluster, and the cluster."""
    run = suite.run(
        "--vault-issuer=cert-manager",
        ONE,
        *options,
        f"--vault-issuer-image={CERT_MANAGER}",
        "--vault-issuer-keep-stack",
    )
    assert run.status == 0, run.output
    (directory,) = run_directories(run.output)
    cluster = Cluster(Path(directory, "kind.kubeconfig"))
    yield Path(directory), cluster
    cluster.close()
    down = [str(Path(sys.executable).with_name("vault-issuer")), "stack", "down", directory]
    subprocess.run(down, check=True)


def test_controller_of_a_kept_cluster_is_paused_while_another_is_judged(
    suite: Suite, options: list[str], kustomization: str, kept: tuple[Path, Cluster]
) -> None:
    """The other session ends by itself, and then one is killed. A second cluster would take half a minute."""
    for ending in ("by itself", "killed"):
        judge_another(suite, options, kustomization, kept, ending)


def judge_another(
    suite: Suite, options: list[str], kustomization: str, kept: tuple[Path, Cluster], ending: str
) -> None:
    directory, cluster = kept
    joining = [option for option in options if "kind-binary" in option]
    with killed_at_end(suite.start(kustomization, ONE, *joining, f"--vault-issuer-join={directory}")) as process:
        still, _ = cluster.wait(DEPLOYMENTS, OWN, "cert-manager", has_no_replicas, timeout=120)
        assert still, output_of(process)
        there, _ = cluster.wait(DEPLOYMENTS, "issuer", "mine", has_pods, timeout=120)
        assert there, output_of(process)
        assert cluster.list(PODS, "cert-manager") == []
        output = output_of(process) if ending == "killed" else process.communicate()[0]
    if ending == "by itself":
        assert process.returncode == 0, output
    assert f"the controller of the stack in {directory} is paused until this session ends" in output
    goes_on, _ = cluster.wait(DEPLOYMENTS, OWN, "cert-manager", has_pods, timeout=120)
    assert goes_on
    assert cluster.wait_gone(NAMESPACES, "mine", None, timeout=60)
    binding = cluster.get(CLUSTER_ROLE_BINDINGS, "vault-issuer-test-cert-manager")
    assert binding["subjects"][0]["name"] == "cert-manager", "expected the binding of the resumed controller"
    assert binding["metadata"]["labels"][RUN_LABEL] == directory.name


def has_no_replicas(deployment: dict[str, Any]) -> bool:
    return bool(deployment["spec"]["replicas"] == 0)


def has_pods(deployment: dict[str, Any]) -> bool:
    return bool(deployment["spec"]["replicas"]) and deployment.get("status", {}).get("readyReplicas", 0) > 0


# -- errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--vault-issuer-node-image=localhost:1/absent:1"], "the image localhost:1/absent:1 and cannot pull it"),
        (["--vault-issuer-vault-image=localhost:1/absent:1"], "the image localhost:1/absent:1 and cannot pull it"),
        (["--vault-issuer-kind-binary=/no/kind"], "/no/kind is not an executable file"),
        (["--vault-issuer-kind-cluster=absent"], "there is no kind cluster named absent"),
        (["--vault-issuer-image=localhost:1/absent:1"], "the image localhost:1/absent:1 and cannot pull it"),
    ],
)
def test_wrong_options_are_reported_before_the_build(
    suite: Suite, options: list[str], wrong: list[str], said: str
) -> None:
    given = options if "cluster" not in wrong[0] else [option for option in options if "node-image" not in option]
    cache = suite.directory / "cache"
    run = suite.run("--vault-issuer=cert-manager", ONE, *given, *wrong, env={"VAULT_ISSUER_CACHE": str(cache)})
    assert run.status in (3, 4), run.output
    assert said in run.output
    assert not cache.exists()


def test_address_of_another_machine_is_refused(suite: Suite, options: list[str]) -> None:
    run = suite.run("--vault-issuer=cert-manager", ONE, *options, "--vault-issuer-bind=192.0.2.1")
    assert run.status == 3, run.output
    assert "192.0.2.1" in run.output


# -- the end --------------------------------------------------------------------------------------------------


def test_killed_session_leaves_no_cluster(suite: Suite, options: list[str], engine: Engine) -> None:
    def nodes() -> set[str]:
        listed = engine.client.containers.list(all=True, filters={"label": CLUSTER_LABEL}, ignore_removed=True)
        return {str(container.name) for container in listed}

    def owners() -> set[str]:
        return {owner.run for owner in engine.owners()}

    before, others = nodes(), owners()
    with killed_at_end(suite.start("--vault-issuer=cert-manager", ONE, *options)) as process:
        seen = poll(lambda: nodes() - before or None, timeout=120)
        assert seen, output_of(process)
    assert poll(lambda: None if nodes() - before else True, timeout=120, interval=0.5)
    assert poll(lambda: None if owners() - others else True, timeout=60, interval=0.5)


def killed_with_its_supervisor(
    suite: Suite, options: list[str], temporary: Path, *, when: Callable[[Path], bool]
) -> Path:
    """Start a session, kill all of its processes, and return its directory."""
    process = suite.start("--vault-issuer=cert-manager", ONE, *options, env={"TMPDIR": str(temporary)})

    def come_so_far() -> Path | None:
        return next((path for path in temporary.glob("vault-issuer-*") if when(path)), None)

    directory = poll(come_so_far, timeout=240, interval=0.1)
    try:
        assert directory is not None
        os.kill(supervisor_of(directory), signal.SIGKILL)  # first, because it would clean up
    finally:
        output = output_of(process)
    assert process.returncode == -signal.SIGKILL, output
    return directory


def test_stack_down_removes_resources_orphaned_on_kind(
    suite: Suite, options: list[str], temporary: Path, engine: Engine, foreign: str
) -> None:
    before = all_names(engine)
    directory = killed_with_its_supervisor(suite, options, temporary, when=lambda path: (path / STATE).exists())
    left = engine.names_of(directory.name)
    assert len(left) == 3, "a node, a Vault and their network"
    shown = json.loads(typed("stack", "status", "--format=json", temporary=temporary))
    assert [entry["containers"] for entry in shown if entry["directory"] == str(directory)] == [left]
    assert str(directory) in typed("stack", "down", temporary=temporary)
    assert engine.names_of(directory.name) == []
    assert list(temporary.iterdir()) == [], "credentials are in its directory"
    assert engine.nodes(foreign)
    assert all_names(engine) - before == set()


def test_next_session_removes_resources_orphaned_on_kind(
    suite: Suite, options: list[str], temporary: Path, engine: Engine, foreign: str
) -> None:
    # During the start, kind still creates the cluster.
    directory = killed_with_its_supervisor(
        suite, options, temporary, when=lambda path: len(engine.names_of(path.name)) == 3
    )
    left = engine.names_of(directory.name)
    run = suite.run("--vault-issuer=cert-manager", ONE, *options, env={"TMPDIR": str(temporary)})
    assert run.status == 0, run.output
    removed = ", ".join([*left, str(directory)])
    assert f"removed orphaned resources of the killed session {directory.name}: {removed}" in run.output
    assert engine.names_of(directory.name) == []
    assert list(temporary.iterdir()) == []
    assert processes_of(directory) == []
    assert engine.nodes(foreign)
