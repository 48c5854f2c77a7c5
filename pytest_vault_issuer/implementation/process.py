"""Installs and runs the controller under test, with only the permissions of its service account."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..errors import ConfigurationError, ImplementationError
from ..inputs.documents import write_documents
from ..inputs.placeholders import fill, names
from ..kube.client import NAMESPACES, SERVICE_ACCOUNTS, Cluster, Object, has_condition
from ..kube.ownership import LABEL
from ..kube.rbac import create_service_account
from ..requirements.features import KINDS
from ..sandbox.handles import Issuer, IssuerType, RefusedError, UncalledWebhookError
from ..sandbox.shapes import sample
from ..stack.bootstrap import install_contract
from ..stack.local.components import free_ports
from ..stack.local.kubernetes import kubeconfig
from ..stack.select import with_nodes
from ..stack.types import Stack
from ..supervisor.run_directory import RunDirectory
from ..timeouts import Timeouts, poll
from . import diagnosis, ready_log
from .apply import RECORD, in_order, prepare, store
from .manifests import Manifests
from .spec import FREE_PORT, Implementation, ProcessDescription, RunDescription
from .webhooks import PORT, WebhookServer, check_reachable, is_registration, new_webhook_server
from .workloads import Workload, deployment, ended, wait_ready, workloads_of

PROCESS = "implementation"
#: The variable by which Go and OpenSSL use another trust store than the system's.
ROOTS_VARIABLE = "SSL_CERT_FILE"
#: Number of lines of the log that an error shows, and of those in which it looks for a cause.
TAIL, READ = 25, 2000
_BY_HAND = "start it by hand on a dev stack: vault-issuer stack up --implementation none"
#: Seconds for one search of the log for `ready_log`; most expressions take milliseconds.
MATCHING_LIMIT = 10


@dataclass(frozen=True)
class RunningImplementation:
    """The state of the running implementation that workers need.

    :ivar answers: whether it set a condition on its first issuer object.
    :ivar process: whether its `command` is a process of this session.
    :ivar processes: names of its processes in this session; each has a log.
    :ivar workloads: its workloads in the cluster, if this session started them.
    """

    service_account: str
    cluster_resource_namespace: str
    answers: bool
    process: bool
    workloads: list[Workload] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """Serialize."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RunningImplementation:
        """Return what :meth:`to_json` serialized."""
        data = json.loads(text)
        return cls(**{**data, "workloads": [Workload(**workload) for workload in data["workloads"]]})


def issuer_kinds(implementation: Implementation, cluster: Cluster) -> dict[str, IssuerType]:
    """Return the implementation's issuer types by the kind that they act as: Issuer, ClusterIssuer."""
    issuer = implementation.issuer
    found = {}
    for part, kind in (("Issuer", issuer.kind), ("ClusterIssuer", issuer.cluster_kind)):
        if KINDS[part] in implementation.features:
            resource = cluster.discover(issuer.api_version, kind)
            found[part] = IssuerType(
                kind,
                resource,
                implementation.shape,
                cluster_scoped=not resource.namespaced,
                signer_name=issuer.cluster_signer_name if part == "ClusterIssuer" else issuer.signer_name,
                ready_condition=issuer.ready_condition,
            )
    return found


def check_command(implementation: Implementation, binaries: Mapping[str, Path]) -> list[str]:
    """Return the command with an absolute path of its program ([] if none runs on this machine).

    :param binaries: programs of the toolchain by name, for built-ins.
    :raises ConfigurationError: if the program does not exist or is not executable.
    """
    if not implementation.run.command or implementation.run.image:
        return []
    return with_program(implementation, "[run] command", implementation.run.command, binaries)


def with_program(
    implementation: Implementation, place: str, command: list[str], binaries: Mapping[str, Path]
) -> list[str]:
    """Return a command with an absolute path of its program.

    :param place: place of the command in the implementation file, for the message.
    :param binaries: programs of the toolchain by name, for built-ins.
    :raises ConfigurationError: if the program does not exist or is not executable.
    """
    program, *arguments = command
    known = _fixed_values(implementation)
    program = fill(program, lambda name: known.get(name, f"{{{name}}}"))
    # Do not resolve links: the interpreter of a virtual environment is a link, and finds its packages by its own path.
    path = binaries.get(program) or (
        (implementation.directory / program).absolute() if "/" in program else Path(shutil.which(program) or program)
    )
    if not path.is_file() or shutil.which(str(path)) is None:
        raise ConfigurationError(
            f"{place}: the program {program} "
            + ("is not executable" if path.is_file() else f"does not exist (looked at {path})"),
            hint="give a path relative to the implementation file, or a program in PATH",
        )
    return [str(path), *arguments]


def start_implementation(
    implementation: Implementation,
    run: RunDirectory,
    stack: Stack,
    cluster: Cluster,
    timeouts: Timeouts,
    *,
    roots: Path,
    placeholders: Mapping[str, str],
    manifests: Manifests,
    binaries: Mapping[str, Path],
    prepare_nodes: Callable[[], None],
) -> RunningImplementation:
    """Install the objects of the implementation, start it, and wait for its first answer.

    :param roots: file of certificates (PEM) for its system trust store, unless its description sets another.
    :param placeholders: values of the AWS placeholders.
    :param manifests: its objects.
    :param binaries: programs of the toolchain by name.
    :param prepare_nodes: called before anything starts in the cluster.
    :raises ConfigurationError: if a program does not exist or is not executable.
    :raises ImplementationError: if it ends or does not become ready; with the end of its log.
    :raises StackError: if an external cluster already has objects of the same names.
    """
    labels = {LABEL: stack.run}
    description = implementation.run
    namespace = description.service_account.partition("/")[0]
    accounts = {description.service_account, *filter(None, (one.service_account for one in description.processes))}
    _create_accounts(cluster, accounts, {description.cluster_resource_namespace}, labels)
    processes = list(_processes(implementation, binaries))
    is_process = any(process.name == PROCESS for process in processes)
    webhooks = _webhook_server(implementation, run, stack, manifests)
    values = _values(implementation, placeholders, webhooks)
    documents = list(manifests.objects)
    if description.image:
        bare = replace(description, command=_without_kubeconfig(description.command[1:]))
        arguments, env = filled(bare, values | {"kubeconfig": ""})
        own = {} if ROOTS_VARIABLE in env else {ROOTS_VARIABLE: roots.read_text()}
        documents += deployment(description, arguments, env, own)
    if webhooks:
        documents = [webhooks.registered(item) for item in documents]
    crds, rest = in_order(documents)
    own_crds = [webhooks.registered(crd) if webhooks else crd for crd in manifests.crds]
    install_contract(cluster, [*own_crds, *crds], ours=not stack.foreign, session=stack.run)
    if description.image or manifests.have_workloads:
        prepare_nodes()
    record: list[Object] = []
    stored: list[Object] = []

    def apply(items: Iterable[Object]) -> None:
        for item in items:
            record.append(prepare(cluster, item, namespace, stack.run, foreign=stack.foreign))
            run.write(RECORD, json.dumps(record))
            stored.append(store(cluster, record[-1], foreign=stack.foreign))

    apply(item for item in rest if not is_registration(item))
    workloads = workloads_of(stored)
    started = [process.name for process in processes]
    for process in processes:
        _spawn(process, run, cluster, implementation.directory, roots, values)

    def how_it_ended() -> str:
        return processes_ended(run, started) or ended(workloads, cluster)

    if is_process:
        _wait_started(implementation, run, timeouts)
    if webhooks:
        webhooks.wait(implementation.name, how_it_ended, timeouts)
    for workload in workloads:
        wait_ready(workload, implementation.name, cluster, timeouts)
    # Last: until a registered webhook answers, the API server refuses the objects that it reviews.
    apply(item for item in rest if is_registration(item))
    answers = _answers(implementation, how_it_ended, stack, cluster, timeouts, labels)
    return RunningImplementation(
        description.service_account, description.cluster_resource_namespace, answers, is_process, workloads, started
    )


def _create_accounts(
    cluster: Cluster, accounts: Iterable[str], namespaces: Iterable[str], labels: dict[str, str]
) -> None:
    """Create service accounts (``namespace/name``) and namespaces that do not exist."""
    pairs = [name.split("/") for name in accounts]
    for name in {*namespaces, *(namespace for namespace, _ in pairs)}:
        if cluster.find(NAMESPACES, name) is None:
            cluster.create_namespace(name, labels)
    for namespace, name in pairs:
        if cluster.find(SERVICE_ACCOUNTS, name, namespace) is None:
            create_service_account(cluster, namespace, name, labels)


def _processes(implementation: Implementation, binaries: Mapping[str, Path]) -> Iterator[ProcessDescription]:
    """Yield the processes to start, webhooks first: with absolute paths of their programs, and service accounts.

    :raises ConfigurationError: if a program does not exist or is not executable.
    """
    description = implementation.run
    for process in description.processes:
        yield ProcessDescription(
            f"{PROCESS}-{process.name}",
            with_program(implementation, f"[[run.processes]] {process.name}", process.command, binaries),
            process.env,
            process.service_account or description.service_account,
        )
    if command := check_command(implementation, binaries):
        yield ProcessDescription(PROCESS, command, description.env, description.service_account)


def _webhook_server(
    implementation: Implementation, run: RunDirectory, stack: Stack, manifests: Manifests
) -> WebhookServer | None:
    """Return where a process of the implementation serves its webhooks; None if none does.

    :raises ConfigurationError: if its webhooks would be unreachable, or would judge other objects of the cluster.
    """
    if implementation.run.uses(PORT):
        if stack.foreign:
            raise ConfigurationError(
                f"{implementation.name} serves webhooks as a process: in an external cluster, they would judge every "
                "object",
                hint="install the controller with its webhooks in that cluster, and leave [run] command empty",
            )
        return new_webhook_server(run, stack.bind, *free_ports(1, stack.bind))
    if stack.provider not in with_nodes():  # and no Services
        check_reachable([*manifests.crds, *manifests.objects])
    return None


def _without_kubeconfig(arguments: list[str]) -> list[str]:
    """Return the arguments of a command for a pod, which uses its service account instead of a kubeconfig."""
    kept: list[str] = []
    for word in arguments:
        if "kubeconfig" not in names(word):
            kept.append(word)
        elif word == "{kubeconfig}" and kept and kept[-1].startswith("-"):
            kept.pop()  # the option with this value
    return kept


def home(run: RunDirectory) -> Path:
    """Return the implementation's home and temporary directory, which is removed with the run directory."""
    return run.path / "home"


def exit_message(run: RunDirectory, name: str = PROCESS) -> str:
    """Describe how a process of the implementation ended, with the end of its log; '' while it runs."""
    status = run.returncode(name)
    if status is None:
        return ""
    how = f"exit status {status}" if status >= 0 else f"signal {-status}"
    which = "its process" if name == PROCESS else f"its process {name.removeprefix(f'{PROCESS}-')}"
    return f"{which} ended by itself ({how}); the end of its log:\n{end_of_log(run, name)}"


def end_of_log(run: RunDirectory, name: str = PROCESS) -> str:
    """Return the last lines of the log of a process, with the lines that name a cause."""
    return diagnosis.excerpt(run.log_tail(name, READ), TAIL)


def processes_ended(run: RunDirectory, names: Iterable[str]) -> str:
    """Describe which process of the implementation ended, and how; '' while all run."""
    return next(filter(None, (exit_message(run, name) for name in names)), "")


def _spawn(
    process: ProcessDescription,
    run: RunDirectory,
    cluster: Cluster,
    directory: Path,
    roots: Path,
    values: Mapping[str, str],
) -> None:
    namespace, _, account = process.service_account.partition("/")
    token = cluster.create_token(account, namespace, seconds=24 * 3600)
    trust = run.write("pki/implementation-cluster-ca.pem", cluster.ca_pem)
    endpoint = {"server": cluster.server, "certificate-authority": str(trust), **cluster.connection.entry}
    config = run.write(f"{process.name}.kubeconfig", write_documents(kubeconfig(endpoint, {"token": token})))
    command, env = filled(process, {**values, "kubeconfig": str(config)})
    home(run).mkdir(mode=0o700, exist_ok=True)
    own = {"HOME": str(home(run)), "TMPDIR": str(home(run)), "KUBECONFIG": str(config), ROOTS_VARIABLE: str(roots)}
    run.spawn(process.name, command, {**own, **env}, cwd=directory)


def _fixed_values(implementation: Implementation) -> dict[str, str]:
    """Return the values of the placeholders that are known before the stack starts."""
    return {"python": sys.executable, "directory": str(implementation.directory.absolute())}


def _values(
    implementation: Implementation, placeholders: Mapping[str, str], webhooks: WebhookServer | None
) -> dict[str, str]:
    return {
        **_fixed_values(implementation),
        "cluster_resource_namespace": implementation.run.cluster_resource_namespace,
        "webhook_port": str(webhooks.port) if webhooks else "",
        "webhook_cert_dir": str(webhooks.directory) if webhooks else "",
        **placeholders,
    }


def filled(
    description: RunDescription | ProcessDescription, values: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Return the command of a process and its environment, with the values of the placeholders.

    Each :data:`FREE_PORT` becomes a different port. Empty variables are left out, because a placeholder has no value.
    """
    texts = [*description.command, *description.env.values()]
    ports = iter(free_ports(sum(names(text).count(FREE_PORT) for text in texts)))

    def value(name: str) -> str:
        return str(next(ports)) if name == FREE_PORT else values[name]

    env = {key: fill(text, value) for key, text in description.env.items()}
    return [fill(word, value) for word in description.command], {key: text for key, text in env.items() if text}


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
            hint="simplify it: a repetition inside a repetition, as in (a+)+, takes exponential time",
        )
    if seen != ready_log.MATCHED:
        ended = exit_message(run)
        otherwise = (
            _BY_HAND
            if ended
            else "check [run] ready_log, or remove it; on a slow machine, set --vault-issuer-timeout-scale=3"
        )
        raise ImplementationError(
            f"{implementation.name} did not become ready: "
            + (
                ended
                or f"expected a line of its log to match {pattern!r} within {timeouts.implementation_start:g} s; "
                f"the end of its log:\n{end_of_log(run)}"
            ),
            hint=diagnosis.hint(run.log_tail(PROCESS, READ), otherwise),
        )


def _answers(
    implementation: Implementation,
    how_it_ended: Callable[[], str],
    stack: Stack,
    cluster: Cluster,
    timeouts: Timeouts,
    labels: dict[str, str],
) -> bool:
    """Create an issuer object and check whether the implementation sets a condition on it.

    The issuer object refers to a Secret that does not exist. Any condition is an answer.

    :raises ImplementationError: if the implementation ends meanwhile.
    :raises ConfigurationError: if the API server refuses the issuer object.
    """
    kind = next(iter(issuer_kinds(implementation, cluster).values()))
    namespace = f"vi-{secrets.token_hex(5)}"
    cluster.create_namespace(namespace, labels)
    vault = sample(implementation.features, server=stack.vault.url, ca_pem=stack.vault.ca_pem, shape=kind.shape)
    scope = None if kind.cluster_scoped else namespace
    home = scope or implementation.run.cluster_resource_namespace
    issuer = Issuer(cluster, timeouts, kind, namespace, scope, home=home, vault=vault, labels=labels)
    try:
        try:
            _once_called(issuer.probe, how_it_ended, timeouts)
        except RefusedError as error:
            raise error.of_every(kind.kind) from error
        left = timeouts.first_answer
        while left > 0:
            # In slices, so that the end of a process ends the wait early.
            piece = min(left, 2.0)
            done, _ = cluster.wait(kind.resource, namespace, scope, has_condition, timeout=piece)
            if done:
                return True
            if message := how_it_ended():
                raise ImplementationError(
                    f"{implementation.name} stopped: {message}", hint=diagnosis.hint(message, _BY_HAND)
                )
            left -= piece
        return False
    finally:
        issuer.delete()
        cluster.delete(NAMESPACES, namespace)


def _once_called(create: Callable[[], object], how_it_ended: Callable[[], str], timeouts: Timeouts) -> None:
    """Create an object; retry until the API server can call the webhooks.

    In a cluster, a webhook may get its certificate, and its registration the CA, after its pods are ready.

    :raises UncalledWebhookError: if the API server cannot call a webhook in time.
    """

    def attempt() -> bool | None:
        try:
            create()
        except UncalledWebhookError:
            if how_it_ended():
                raise
            return None
        return True

    if not poll(attempt, timeout=timeouts.implementation_start, interval=0.2):
        create()
