"""Installs and runs the issuer under test, under its own service account and nothing more."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml

from ..errors import ConfigurationError, ImplementationError
from ..kube.client import NAMESPACES, SERVICE_ACCOUNTS, Cluster, Object
from ..kube.ownership import LABEL
from ..requirements.features import KINDS
from ..sandbox.handles import Issuer, IssuerType
from ..sandbox.shapes import sample
from ..stack.bootstrap import install_contract
from ..stack.local.kubernetes import kubeconfig
from ..stack.types import Stack
from ..supervisor.run_directory import RunDirectory
from ..timeouts import Timeouts, poll
from . import ready_log
from .apply import RECORD, in_order, prepare, store
from .manifests import Manifests
from .spec import Implementation, RunDescription
from .workloads import Workload, deployment, ended, wait_ready, workloads_of

PROCESS = "implementation"
#: With which Go and OpenSSL are told of other roots than the system's.
ROOTS_VARIABLE = "SSL_CERT_FILE"
#: How many lines of its log an error shows.
TAIL = 25
#: Seconds in which `ready_log` must have been looked for in the log; milliseconds are enough for most expressions.
MATCHING_LIMIT = 10


@dataclass(frozen=True)
class RunningImplementation:
    """What workers need to know of the implementation that runs.

    :ivar answers: whether it wrote any condition on the first issuer it saw.
    :ivar process: whether it is a process of this run, with a log.
    :ivar workloads: what it consists of in the cluster, where this run has started it there.
    """

    service_account: str
    cluster_resource_namespace: str
    answers: bool
    process: bool
    workloads: list[Workload] = field(default_factory=list)

    def to_json(self) -> str:
        """Serialise."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RunningImplementation:
        """Return what :meth:`to_json` serialised."""
        data = json.loads(text)
        return cls(**{**data, "workloads": [Workload(**workload) for workload in data["workloads"]]})


def issuer_kinds(implementation: Implementation, cluster: Cluster) -> dict[str, IssuerType]:
    """Return the implementation's issuer types by the part they play: Issuer, ClusterIssuer."""
    described = implementation.issuer
    found = {}
    for part, kind in (("Issuer", described.kind), ("ClusterIssuer", described.cluster_kind)):
        if KINDS[part] in implementation.features:
            resource = cluster.discover(described.api_version, kind)
            found[part] = IssuerType(
                kind,
                resource,
                implementation.shape,
                cluster_scoped=not resource.namespaced,
                signer_name=described.cluster_signer_name if part == "ClusterIssuer" else described.signer_name,
                ready_condition=described.ready_condition,
            )
    return found


def check_command(implementation: Implementation, binaries: dict[str, Path]) -> list[str]:
    """Return the command with its program as an absolute path ([] where there is none to run on this machine).

    :param binaries: programs of the toolchain by name, for built-ins.
    :raises ConfigurationError: when the program does not exist or cannot be executed.
    """
    if not implementation.run.command or implementation.run.image:
        return []
    program, *arguments = implementation.run.command
    known = {"python": sys.executable, "directory": str(implementation.directory.absolute())}
    for name, value in known.items():
        program = program.replace(f"{{{name}}}", value)
    # Symbolic links are kept: the interpreter of a virtual environment is one, and finds its packages by its own path.
    path = binaries.get(program) or (
        (implementation.directory / program).absolute() if "/" in program else Path(shutil.which(program) or program)
    )
    if not path.is_file() or shutil.which(str(path)) is None:
        raise ConfigurationError(
            f"[run] command: the program {program} "
            + ("is not executable" if path.is_file() else f"does not exist (looked at {path})"),
            hint="give a path relative to the implementation file, or a program in PATH",
        )
    return [str(path), *arguments]


def start_implementation(
    implementation: Implementation,
    command: list[str],
    run: RunDirectory,
    stack: Stack,
    cluster: Cluster,
    timeouts: Timeouts,
    *,
    roots: Path,
    placeholders: Mapping[str, str],
    manifests: Manifests,
    prepare_nodes: Callable[[], None],
) -> RunningImplementation:
    """Install what the implementation declares, start it, and wait for its first answer.

    :param command: from :func:`check_command`.
    :param roots: certificates that it is to take for the system's roots, unless it describes them otherwise.
    :param placeholders: what those that concern AWS stand for.
    :param manifests: what it declares.
    :param prepare_nodes: called before anything is started in the cluster.
    :raises ImplementationError: when it ends or does not become ready, with the end of its log.
    :raises StackError: when somebody else's cluster has something of its names.
    """
    labels = {LABEL: stack.run}
    described = implementation.run
    namespace, _, account = described.service_account.partition("/")
    for name in {namespace, described.cluster_resource_namespace}:
        if cluster.find(NAMESPACES, name) is None:
            cluster.create(
                NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
            )
    if cluster.find(SERVICE_ACCOUNTS, account, namespace) is None:
        metadata = {"name": account, "namespace": namespace, "labels": labels}
        cluster.create(SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    documents = list(manifests.objects)
    if described.image:
        words, env = fill(
            described, _without_kubeconfig(described.command[1:]), _values(implementation, "", placeholders)
        )
        own = {} if ROOTS_VARIABLE in env else {ROOTS_VARIABLE: roots.read_text()}
        documents += deployment(described, words, env, own)
    crds, rest = in_order(documents)
    install_contract(cluster, [*manifests.crds, *crds], ours=not stack.foreign, session=stack.run)
    if described.image or manifests.have_workloads:
        prepare_nodes()
    record: list[Object] = []
    stored: list[Object] = []
    for item in rest:
        record.append(prepare(cluster, item, namespace, stack.run, foreign=stack.foreign))
        run.write(RECORD, json.dumps(record))
        stored.append(store(cluster, record[-1], foreign=stack.foreign))
    workloads = workloads_of(stored)
    if command:
        _spawn(implementation, command, run, cluster, {ROOTS_VARIABLE: str(roots)}, placeholders)
        _wait_started(implementation, run, timeouts)
    for workload in workloads:
        wait_ready(workload, implementation.name, cluster, timeouts)

    def how_it_ended() -> str:
        return (exit_message(run) if command else "") or ended(workloads, cluster)

    answers = _answers(implementation, how_it_ended, stack, cluster, timeouts, labels)
    return RunningImplementation(
        described.service_account, described.cluster_resource_namespace, answers, bool(command), workloads
    )


def _without_kubeconfig(arguments: list[str]) -> list[str]:
    """Return a command's arguments for where there is no kubeconfig: a pod has its service account."""
    kept: list[str] = []
    for word in arguments:
        if "{kubeconfig}" not in word:
            kept.append(word)
        elif word == "{kubeconfig}" and kept and kept[-1].startswith("-"):
            kept.pop()  # the option whose value it is
    return kept


def home(run: RunDirectory) -> Path:
    """Return the implementation's home and temporary directory: whatever it leaves there goes with the run."""
    return run.path / "home"


def exit_message(run: RunDirectory) -> str:
    """Say how the implementation's process ended, with the end of its log; '' while it runs."""
    status = run.returncode(PROCESS)
    if status is None:
        return ""
    how = f"exit status {status}" if status >= 0 else f"signal {-status}"
    return f"its process ended by itself ({how}); the end of its log:\n{run.log_tail(PROCESS, TAIL)}"


def _spawn(
    implementation: Implementation,
    command: list[str],
    run: RunDirectory,
    cluster: Cluster,
    env: Mapping[str, str],
    placeholders: Mapping[str, str],
) -> None:
    namespace, _, account = implementation.run.service_account.partition("/")
    token = cluster.create_token(account, namespace, seconds=24 * 3600)
    trust = run.write("pki/implementation-cluster-ca.pem", cluster.ca_pem)
    endpoint = {"server": cluster.server, "certificate-authority": str(trust), **cluster.connection.entry}
    config = run.write("implementation.kubeconfig", yaml.safe_dump(kubeconfig(endpoint, {"token": token})))
    words, described = fill(implementation.run, command, _values(implementation, str(config), placeholders))
    home(run).mkdir(mode=0o700, exist_ok=True)
    own = {"HOME": str(home(run)), "TMPDIR": str(home(run))}
    run.spawn(PROCESS, words, {**own, **env, **described}, cwd=implementation.directory)


def _values(implementation: Implementation, kubeconfig: str, placeholders: Mapping[str, str]) -> dict[str, str]:
    return {
        "kubeconfig": kubeconfig,
        "cluster_resource_namespace": implementation.run.cluster_resource_namespace,
        "directory": str(implementation.directory),
        "python": sys.executable,
        **placeholders,
    }


def fill(described: RunDescription, command: list[str], values: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the command and its environment with what the placeholders stand for.

    A variable that comes out empty is left out: what it was to name is not there.
    """

    def filled(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], text)

    env = {key: filled(value) for key, value in described.env.items()}
    return [filled(word) for word in command], {key: value for key, value in env.items() if value}


def _wait_started(implementation: Implementation, run: RunDirectory, timeouts: Timeouts) -> None:
    pattern = implementation.run.ready_log
    if not pattern:
        return

    with ready_log.waiting(pattern, run.log(PROCESS), MATCHING_LIMIT) as waiting:

        def probe() -> str | None:
            if run.returncode(PROCESS) is not None:
                return "ended"
            seen = ready_log.state(waiting)
            return None if seen == ready_log.WAITING else seen

        seen = poll(probe, timeout=timeouts.implementation_start, interval=0.05)
    if seen == ready_log.TOO_LONG:
        raise ConfigurationError(
            f"[run] ready_log: {pattern!r} takes longer than {MATCHING_LIMIT} s on the log of {implementation.name}",
            hint="simplify it: a repetition within a repetition, as in (a+)+, takes exponentially long",
        )
    if seen != ready_log.MATCHED:
        ended = exit_message(run)
        raise ImplementationError(
            f"{implementation.name} did not become ready: "
            + (
                ended
                or f"no line of its log matched {pattern!r} within {timeouts.implementation_start:g} s; "
                f"the end of its log:\n{run.log_tail(PROCESS, TAIL)}"
            ),
            hint="run its command by hand, or raise --vault-issuer-timeout-scale",
        )


def _answers(
    implementation: Implementation,
    how_it_ended: Callable[[], str],
    stack: Stack,
    cluster: Cluster,
    timeouts: Timeouts,
    labels: dict[str, str],
) -> bool:
    """Create an issuer and see whether the implementation writes any condition on it.

    The issuer refers to a Secret that does not exist: any answer will do, and
    every implementation can give one.

    :raises ImplementationError: when it ends meanwhile.
    """
    kind = next(iter(issuer_kinds(implementation, cluster).values()))
    namespace = f"vi-{secrets.token_hex(5)}"
    cluster.create(
        NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
    )
    vault = sample(implementation.features, server=stack.vault.url, ca_pem=stack.vault.ca_pem, shape=kind.shape)
    scope = None if kind.cluster_scoped else namespace
    home = scope or implementation.run.cluster_resource_namespace
    issuer = Issuer(cluster, timeouts, kind, namespace, scope, home=home, vault=vault, labels=labels)
    try:
        issuer.create()
        left = timeouts.first_answer
        while left > 0:
            # In slices, so that a process that ends is noticed at once.
            piece = min(left, 2.0)
            done, _ = cluster.wait(kind.resource, namespace, scope, _has_condition, timeout=piece)
            if done:
                return True
            if message := how_it_ended():
                raise ImplementationError(
                    f"{implementation.name} stopped: {message}", hint="run its command by hand with its kubeconfig"
                )
            left -= piece
        return False
    finally:
        issuer.delete()
        cluster.delete(NAMESPACES, namespace)


def _has_condition(item: Object) -> bool:
    return bool(item.get("status", {}).get("conditions"))
