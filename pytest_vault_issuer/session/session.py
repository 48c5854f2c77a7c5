"""A session: its directory, its stack and its controller, started once for all workers."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from ..aws.sts import Sts, missing_modules, start_sts
from ..aws.web_identity import IdentityProvider
from ..errors import (
    ConfigurationError,
    ImplementationError,
    NotRunnable,
    StackError,
    ToolchainError,
    VaultIssuerError,
)
from ..implementation import Implementation, RunningImplementation, diagnosis, load_implementation, start_implementation
from ..implementation.builtin import without_webhook
from ..implementation.control import Control
from ..implementation.manifests import Manifests, read_manifests
from ..implementation.process import READ, ROOTS_VARIABLE, TAIL, check_command, home, issuer_kinds, processes_ended
from ..implementation.trust_store import SystemRoots, new_system_roots
from ..implementation.webhooks import is_registration
from ..implementation.workloads import FileLog, WorkloadLog, ended
from ..kube.audit import AuditLog
from ..kube.client import ApiError, Cluster
from ..kube.jwks import service_account_issuer, service_account_keys
from ..kube.ownership import PROCESS
from ..kube.rbac import may_request_tokens, user_of
from ..options import Settings
from ..requirements.catalogue import Catalogue
from ..requirements.features import BY_PROFILE, CORE, PROFILES
from ..sandbox import Environment
from ..sandbox.activity import Activity, Log
from ..sandbox.pace import Pace
from ..stack.kind.cluster import find_program
from ..stack.record import CleanupRecord
from ..stack.record import release as release_records
from ..stack.select import STATE, choose, joined, make_provider, needed, with_nodes
from ..stack.types import Context, ControlPlane, Provider, Stack, VaultLauncher
from ..supervisor.run_directory import LOG_END, RunDirectory, new_path
from ..timeouts import Timeouts
from ..toolchain import BINARIES, Origin, Toolchain, built
from ..toolchain.images import NeededImage
from ..vault import VaultAdmin
from ..vault.client import VaultServer
from .join import join, unregister_at_end
from .pace import answers, measure

HELM = "helm"
KUBECTL = "kubectl"
#: Names in the directory of a session: the pace of its controller, and the requests at the proxies of its processes.
PACE = "pace"
ACTIVITY = "activity"
#: Seconds that waits are cut to if the controller never answers.
SILENT_LIMIT = 2.0


@dataclass(frozen=True)
class SessionKey:
    """What the processes of one session share to find each other.

    :ivar path: of the session's directory.
    :ivar owner: id of the process that owns the session.
    """

    path: str
    owner: int

    @property
    def name(self) -> str:
        """The name of the session."""
        return Path(self.path).name

    @classmethod
    def new(cls) -> SessionKey:
        """Return the key of a new session that this process owns."""
        return cls(str(new_path()), os.getpid())


class Session:
    """Starts the parts of a session when a process first needs them.

    :param progress: gets lines about long work.
    """

    def __init__(self, settings: Settings, key: SessionKey, progress: Callable[[str], None]) -> None:
        self.settings = settings
        self.key = key
        self.timeouts = Timeouts().scaled(settings.timeout_scale)
        self.directory = RunDirectory(Path(key.path), key.owner)
        self.redactor = self.directory.redactor
        self._progress = progress
        self._checked = False
        self._stack: Stack | None = None
        self._cluster: Cluster | None = None
        self._record: CleanupRecord | None = None
        self._environment: Environment | None = None
        self._audit: AuditLog | None = None

    @cached_property
    def implementation(self) -> Implementation:
        """The implementation to judge; may be set instead.

        :raises ConfigurationError: when none is named, or its description is wrong.
        """
        implementation = load_implementation(self.settings.implementation)
        # An older API has no field for them: its CRD drops the field, or its webhook refuses the object.
        implementation = replace(
            implementation, features=implementation.features - Catalogue.load().features_after(implementation.contract)
        )
        if self._is_foreign:
            implementation = without_webhook(implementation)
        return implementation.with_run(image=self.settings.image) if self.settings.image else implementation

    @property
    def _is_foreign(self) -> bool:
        """Whether the cluster is not the session's own, as far as the options say."""
        settings = self.settings
        if settings.join is not None:
            return joined(settings.join).foreign
        return settings.stack == "existing" or bool(settings.kind_cluster) or settings.names_existing

    @cached_property
    def profiles(self) -> tuple[str, ...]:
        """The profiles to judge: those in the settings; by default the core, in certify mode all that are claimed.

        Without a profile in the settings, a selection decides.

        :raises ConfigurationError: when the selection names an unknown area or requirement.
        """
        settings = self.settings
        if settings.profile:
            return settings.profile
        if settings.select and not settings.certify:
            return Catalogue.load().profiles_of(settings.select)
        claimed = {name for name, members in BY_PROFILE.items() if self.implementation.features.intersection(members)}
        return tuple(name for name in PROFILES if name == CORE or (settings.certify and name in claimed))

    @cached_property
    def toolchain(self) -> Toolchain:
        """The toolchain, with the versions that this session needs.

        :raises ConfigurationError: when a version does not exist, or the implementation is wrong.
        """
        versions = {"vault": self.settings.vault_version, "kubernetes": self.settings.kubernetes_version}
        if self.settings.implementation and (component := self.implementation.component):
            name, _, versions[name] = component.partition("@")
        return Toolchain(versions=versions)

    @cached_property
    def provider(self) -> Provider:
        """The provider of the stack: the one that started it, if a process of the session has, else the chosen one.

        :raises ConfigurationError: if the session joins a stack that does not exist.
        """
        started = self._stack or (self._started() if self.has_stack else None)
        name, reason = (started.provider, started.reason) if started else choose(self.settings, self.toolchain)
        return make_provider(
            name, reason, Context(self.settings, self.toolchain, self.directory, self.timeouts, self._progress)
        )

    def _started(self) -> Stack:
        return Stack.from_json((self.directory.path / STATE).read_text())

    @property
    def _programs(self) -> list[str]:
        return self.implementation.run.programs if self.settings.implementation else []

    @cached_property
    def manifests(self) -> Manifests:
        """The manifests of the implementation.

        :raises ConfigurationError: when it cannot be read.
        """
        return read_manifests(self.implementation, self._kubectl, self._helm)

    def _kubectl(self) -> Path:
        """Return kubectl's path: the one that the user names, else the toolchain's, which it builds if PATH has none.

        :raises ConfigurationError: when the user's does not exist.
        :raises ToolchainError: when it cannot be built.
        """
        if self.settings.kubectl_binary is None and shutil.which(KUBECTL) is None:
            self._build(self.toolchain.missing([KUBECTL]))
        return find_program(KUBECTL, self.settings.kubectl_binary or self.toolchain.path(KUBECTL))

    def _helm(self) -> Path:
        """Return helm's path: the one that the user names, else that in PATH, else the toolchain's, which it builds.

        :raises ConfigurationError: when the user's does not exist.
        :raises ToolchainError: when it cannot be built.
        """
        named = self.settings.helm_binary
        if named is not None or shutil.which(HELM) is not None:
            return find_program(HELM, named)
        self._build(self.toolchain.missing([HELM]))
        return built(self.toolchain, HELM)

    @property
    def _in_cluster(self) -> bool:
        """Whether the controller, or part of it, runs in the cluster."""
        if not self.settings.implementation:
            return False
        return bool(self.implementation.run.image) or self.manifests.have_workloads

    def images(self) -> list[NeededImage]:
        """Return the images that the container engine needs; [] if the provider uses none.

        :raises ConfigurationError: if they cannot be determined.
        """
        return self.provider.images(self._controller_images())

    def _controller_images(self) -> Iterator[str]:
        """Yield the controller's images. A generator: only a provider with an engine may read the manifests here."""
        if not self._in_cluster:
            return
        names = [self.implementation.run.image, *self.implementation.run.images]
        if self.settings.registry_mirror:
            names += self.manifests.images  # the nodes do not use the mirror
        yield from dict.fromkeys(filter(None, names))

    def check(self) -> None:
        """Check once that everything exists that the session does not build. It takes seconds.

        :meth:`build` and :meth:`stack` call this first.

        :raises ConfigurationError, StackError: each with a hint.
        """
        if self._checked:
            return
        if self.settings.implementation and self.provider.has_nodes:
            _ = self.manifests  # without nodes, the stack may first build the kubectl that reads kustomizations
        elif self.settings.implementation and self.implementation.run.image:
            self._check_nodes()
        self.provider.check(self.images())
        self._checked = True

    def _check_nodes(self) -> None:
        if self._in_cluster and not self.provider.has_nodes:
            raise ConfigurationError(
                f"{self.implementation.name} runs in the cluster, and the cluster of the provider "
                f"{self.provider.name} has no nodes",
                hint=f"use {' or '.join(f'--vault-issuer-stack={name}' for name in with_nodes())}",
            )

    def build(self) -> None:
        """Build the missing components. :meth:`stack` calls this too.

        :raises ToolchainError: when a component cannot be built.
        :raises ConfigurationError, StackError: before anything is built, as in :meth:`check`.
        """
        self.check()
        self._build(needed(self.provider, self.settings, self.toolchain, self._programs))

    def _build(self, missing: list[str]) -> None:
        if missing:
            self.toolchain.build(missing, progress=self._progress, keep_go_caches=self.settings.keep_go_caches)

    def stack(self) -> Stack:
        """Return the stack. The first process of the session that asks starts it.

        :raises VaultIssuerError: when it does not start; the same error in every worker.
        """
        if self._stack is None:
            text = self._once("stack", self._start_stack)
            self._stack = Stack.from_json(text)
            for secret in (self._stack.vault.token, self._stack.vault.unseal_key, self._stack.reviewer_token):
                self.redactor.add(secret)
            if self._stack.record:
                self._record = CleanupRecord(Path(self._stack.record))
                if self.settings.join is None:
                    self._record.hold()
        return self._stack

    def admin(self, timeouts: Timeouts | None = None) -> VaultAdmin:
        """Return an admin of the stack's Vault. What it creates there is removed however the session ends.

        :param timeouts: by default, those of the session.
        """
        stack = self.stack()
        announce = self._record.announcer(stack.run) if self._record else None
        return VaultAdmin(stack.vault, timeouts or self.timeouts, session=stack.run, announce=announce)

    def origins(self) -> list[Origin]:
        """Return where the binaries of the stack, and those of the toolchain that the controller uses, come from."""
        own = (self.toolchain.origin(name) for name in dict.fromkeys(self._programs) if name in BINARIES)
        return [*self.stack().origins, *(origin for origin in own if origin is not None)]

    def sources(self) -> dict[str, str]:
        """Return, by name of each part of the session, where it comes from, in words; nothing is fetched."""
        own = [name for name in self._programs if name in BINARIES]
        wanted = own if self.settings.join is not None else [*self.provider.binaries(), *own]
        given = {} if self.settings.join is not None else self.provider.given()
        return {**given, **{name: self.toolchain.described_source(name) for name in wanted}}

    @property
    def has_stack(self) -> bool:
        """Whether a process of the session has started its stack."""
        return self._stack is not None or (self.directory.path / STATE).exists()

    def running(self) -> RunningImplementation:
        """Return the running controller. The first process of the session that asks starts it.

        :raises ImplementationError: when it does not start; the same error in every worker.
        """
        self.stack()
        return RunningImplementation.from_json(self._once("implementation", self._start_implementation))

    def environment(self) -> Environment:
        """Return what sandboxes share, made once in each process."""
        if self._environment is None:
            self._environment = self._new_environment()
        return self._environment

    def _new_environment(self) -> Environment:
        stack, running = self.stack(), self.running()
        timeouts = self._timeouts_with(running)
        activity = self._activity(running, timeouts)
        timeouts = replace(timeouts, observe=activity.observe)
        self.redactor.add(self.sts().secret_access_key)
        roots = self.system_roots() if self._roots_are_ours(running) else None
        return Environment(
            stack=stack,
            cluster=self.cluster(),
            admin=self.admin(timeouts),
            timeouts=timeouts,
            redactor=self.redactor,
            service_account=running.service_account,
            cluster_resource_namespace=running.cluster_resource_namespace,
            kinds=issuer_kinds(self.implementation, self.cluster()),
            features=self.implementation.features,
            launcher=self.launcher(),
            uninitialized=self.uninitialized_vault,
            implementation_log=self._log(running),
            implementation_directory=self.implementation.directory if running.process else None,
            implementation_home=home(self.directory) if running.process else None,
            implementation_env=self.implementation.run.env,
            sts=self.sts(),
            system_server=roots.server if roots else None,
            system_authority=roots.authority() if roots else None,
            pace=self.pace,
            activity=activity,
        )

    def _timeouts_with(self, running: RunningImplementation) -> Timeouts:
        """Return the bounds of waits for this implementation."""
        if not running.answers:
            return self.timeouts.shortened(SILENT_LIMIT)
        retry = self.implementation.timing.retry_seconds * self.settings.timeout_scale
        return replace(self.timeouts, retry=max(self.timeouts.retry, retry))

    def _activity(self, running: RunningImplementation, timeouts: Timeouts) -> Activity:
        audit_log = self.stack().kubernetes.audit_log
        user = f"system:serviceaccount:{running.service_account.replace('/', ':')}"
        return Activity(
            self.directory.path / ACTIVITY,
            pace=self.pace,
            stretch=timeouts.stretch,
            audit=(Path(audit_log), user) if audit_log else None,
            log=self._log(running),
        )

    def notices(self) -> list[str]:
        """Return what an author should know of the deployment: permissions that are missing, or too many."""
        account = self.running().service_account
        found = []
        if missing := self._missing_permissions():
            found.append(f"the RBAC of {account} does not allow: {'; '.join(missing)}")
        try:
            # Of a ServiceAccount that does not exist: no Role of an author can mean it.
            granted = may_request_tokens(self.cluster(), account, self.stack().run, "vault-issuer-no-account")
        except ApiError:
            granted = False  # the cluster does not allow the query
        if granted:
            found.append(
                f"the RBAC of {account} grants serviceaccounts/token for every ServiceAccount; requirements that "
                "withhold this permission are not run"
            )
        return found

    def refusals(self) -> list[str]:
        """Return what the API server refused to the controller since its start, if the stack has an audit log."""
        if self._audit is None:
            return []
        return self._audit.refusals(user_of(self.running().service_account))

    def _missing_permissions(self) -> list[str]:
        implementation, cluster = self.implementation, self.cluster()
        kinds = [kind.resource for kind in issuer_kinds(implementation, cluster).values()]
        try:
            account = self.running().service_account
            return diagnosis.missing_permissions(cluster, account, kinds, implementation.features)
        except ApiError:
            return []  # the cluster does not allow the query

    def answers(self) -> bool:
        """Whether the controller sets a condition on an issuer object.

        The first issuer object refers to a Secret that does not exist, which a controller may wait for without a
        condition. The second one has a working configuration.
        """
        running = self.running()
        if not running.answers and answers(self._new_environment()):
            running = replace(running, answers=True)
            self.directory.write("implementation.json", running.to_json())
            self._environment = None  # it has the shorter timeouts
        return running.answers

    def silence(self) -> tuple[str, str]:
        """Return why the controller may do nothing: the end of its log, and a hint."""
        running = self.running()
        log = self._log(running)
        text = "\n".join(self.redactor.redact_end(log.since("") if log else "", LOG_END).splitlines()[-READ:])
        shown = f"the end of its log:\n{diagnosis.excerpt(text, TAIL)}" if text else "its log is empty"
        if missing := self._missing_permissions():
            allow = f"allow its service account {running.service_account} to {'; to '.join(missing)} ([run] rbac)"
            return shown, allow
        otherwise = (
            "check that it watches the group and kinds in [issuer], in all namespaces, and that it does not wait for "
            "leader election"
        )
        return shown if log else "the session cannot read its log", diagnosis.hint(text, otherwise)

    @property
    def pace(self) -> Pace | None:
        """How fast the controller is; None if no process of the session has called :meth:`measure`."""
        state = self.directory.path / f"{PACE}.json"
        return Pace.from_json(state.read_text()) if state.exists() else None

    def measure(self) -> Pace:
        """Measure how fast the controller is and how much it does at once, if no process of the session has."""
        stated = self.implementation.run.concurrency
        measured = self._once(PACE, lambda: measure(self._new_environment(), stated).to_json())
        self._environment = None  # it may have been made without the pace
        return Pace.from_json(measured)

    def _log(self, running: RunningImplementation) -> Log | None:
        if running.processes:
            return FileLog(*map(self.directory.log, running.processes))
        return WorkloadLog(self.cluster(), running.workloads) if running.workloads else None

    def sts(self) -> Sts:
        """Return the session's local STS. It starts with the controller, whose configuration names it."""
        return Sts.from_json(self._once("sts", self._start_sts))

    def _start_sts(self) -> str:
        if absence := self._sts_absence():
            return Sts(absence=absence).to_json()
        cluster = self.cluster()
        provider = IdentityProvider(service_account_issuer(cluster), tuple(service_account_keys(cluster)))
        return start_sts(self.directory, provider, self.timeouts).to_json()

    def _sts_absence(self) -> str:
        """Return why there is no local STS; '' if there can be one."""
        implementation = self.implementation
        asked = Catalogue.load().select(self.profiles, self.settings.select)
        if "aws" not in implementation.features or not any(requirement.feature == "aws" for requirement in asked):
            return "a local STS starts only if the session judges requirements of the feature aws"
        if not implementation.run.uses("sts_endpoint"):
            # Without it, the controller would call AWS.
            return f"{implementation.name} does not use the local STS: [run] env or command has no {{sts_endpoint}}"
        if not self.provider.is_local:
            return f"the Vault of the provider {self.provider.name} may not reach a local STS"
        if missing := missing_modules():
            return f"no local STS: {', '.join(missing)} not installed (pip install 'pytest-vault-issuer[aws]')"
        return ""

    def system_roots(self) -> SystemRoots:
        """Return the system trust store of a controller that this session starts."""
        bind = self.stack().bind
        return SystemRoots.from_json(
            self._once("system-roots", lambda: new_system_roots(self.directory, bind).to_json())
        )

    def trust_vault(self) -> None:
        """Add the CA of the stack's Vault to the controller's system trust store, before the controller starts."""
        file = Path(self.system_roots().file)
        file.write_text(f"{file.read_text()}{self.stack().vault.ca_pem}")

    def _roots_are_ours(self, running: RunningImplementation) -> bool:
        """Whether this session has set the controller's system trust store."""
        description = self.implementation.run
        return (running.process or bool(description.image)) and ROOTS_VARIABLE not in description.env

    def cluster(self) -> Cluster:
        """Return a client of the stack's cluster."""
        if self._cluster is None:
            kubernetes = self.stack().kubernetes
            self._cluster = Cluster(
                Path(kubernetes.kubeconfig), context=kubernetes.context, timeouts=self.timeouts
            ).marking({PROCESS: secrets.token_hex(8)})
            if self._record:
                self._cluster.announcing(self._record.announce_type)
        return self._cluster

    def launcher(self) -> VaultLauncher:
        """Return the launcher of further Vaults, which raises NotRunnable if the provider cannot start any."""
        return self.provider.launcher(self.stack())

    def uninitialized_vault(self) -> VaultServer:
        """Return a Vault that is not initialized and stays so; the first process that asks starts it.

        :raises NotRunnable: if the provider cannot start Vaults.
        """
        return VaultServer(**json.loads(self._once("uninitialized-vault", self._start_uninitialized_vault)))

    def _start_uninitialized_vault(self) -> str:
        return json.dumps(asdict(self.launcher().start_vault()))

    def control(self) -> Control:
        """Return what stops and starts the controller, for tests that run alone.

        :raises NotRunnable: if this session has not started it.
        """
        return Control(self.implementation, self.running(), self.directory, self.cluster(), self.timeouts)

    def control_plane(self) -> ControlPlane:
        """Return what stops and starts the API server, for tests that run alone.

        :raises NotRunnable: if the provider cannot stop it, or if it belongs to another session.
        """
        return self.provider.control_plane(self.stack())

    @property
    def lost(self) -> bool:
        """Whether the supervisor has ended, and with it the stack that this process uses."""
        return self._stack is not None and not self.directory.answers

    def implementation_end(self) -> str:
        """Return how the controller ended; '' while it runs, or if this session has not started it."""
        if not (self.directory.path / "implementation.json").exists():
            return ""
        running = self.running()
        return processes_ended(self.directory, running.processes) or ended(running.workloads, self.cluster())

    def close(self) -> None:
        """End the session: stop its processes, remove what it created elsewhere, and remove its directory.

        :raises StackError: when the supervisor has ended, or something cannot be removed.
        """
        if not self.directory.exists:
            return
        if self.settings.keep_stack and self.has_stack:
            self.directory.keep()
            for line in self._kept():
                self._progress(line)
            return
        release_records(self.key.name)
        self.directory.close()

    def _kept(self) -> Iterator[str]:
        """Yield how to use and to remove a stack that stays. Credentials are in files that only the user can read."""
        stack = self.stack()
        token = self.directory.write("vault-token", stack.vault.token)
        yield f"vault-issuer: the stack stays up in {self.directory.path}"
        yield f"  export KUBECONFIG={shlex.quote(stack.kubernetes.kubeconfig)} VAULT_ADDR={stack.vault.url}"
        trusted = f"VAULT_CACERT={shlex.quote(stack.vault.ca_file)} " if stack.vault.ca_file else ""
        yield f'  export {trusted}VAULT_TOKEN="$(cat {shlex.quote(str(token))})"'
        directory = shlex.quote(str(self.directory.path))
        yield f"  pytest … --vault-issuer-join={directory}    # judge on it"
        yield f"  vault-issuer stack down {directory}    # remove it"

    # -- once for all processes ------------------------------------------------------

    def _once(self, name: str, start: Callable[[], str]) -> str:
        """Return the state `name`, which the first process that asks creates. Later processes get its error too."""
        self.directory.open()
        state = self.directory.path / f"{name}.json"
        failure = self.directory.path / f"{name}.failed.json"
        if not state.exists():
            with self.directory.lock(name):
                if failure.exists():
                    raise _restore(failure.read_text())
                if not state.exists():
                    try:
                        content = start()
                    except NotRunnable:
                        raise  # each process finds this out at once
                    except VaultIssuerError as error:
                        self.directory.write(failure.name, _dump(error))
                        raise
                    self.directory.write(state.name, content)
        return state.read_text()

    def _start_stack(self) -> str:
        if self.settings.join is not None:
            self.check()
            return join(
                self.settings.join, self.directory, self.provider, self.settings.timeout_scale, self._progress
            ).to_json()
        self.build()
        return self.provider.start().to_json()

    def command(self) -> list[str]:
        """Return the controller's command with an absolute path ([] if the session does not start a process).

        :raises ConfigurationError: when the program does not exist.
        """
        return check_command(self.implementation, self._binaries())

    def _binaries(self) -> dict[str, Path]:
        return {name: path for name in BINARIES if (path := self.toolchain.path(name)) is not None}

    def _start_implementation(self) -> str:
        if self.settings.join and self.stack().disposable and any(map(is_registration, self.manifests.objects)):
            unregister_at_end(self.settings.join, self.directory, self.settings.timeout_scale)
        if audit_log := self.stack().kubernetes.audit_log:
            self._audit = AuditLog(Path(audit_log), timeout=self.timeouts.audit)
        running = start_implementation(
            self.implementation,
            self.directory,
            self.stack(),
            self.cluster(),
            self.timeouts,
            roots=Path(self.system_roots().file),
            placeholders=self.sts().placeholders,
            manifests=self.manifests,
            binaries=self._binaries(),
            prepare_nodes=self._prepare_nodes,
        )
        return running.to_json()

    def _prepare_nodes(self) -> None:
        """Prepare the cluster's nodes for the controller.

        :raises ConfigurationError: when the cluster has no nodes.
        :raises StackError: when pods do not reach the proxies.
        """
        self._check_nodes()
        self.provider.prepare(self.stack(), self.images())


_KINDS = {kind.__name__: kind for kind in (StackError, ToolchainError, ImplementationError, ConfigurationError)}


def _dump(error: VaultIssuerError) -> str:
    kind = next((name for name, kind in _KINDS.items() if isinstance(error, kind)), "")
    return json.dumps({"kind": kind, "message": error.message, "hint": error.hint})


def _restore(text: str) -> VaultIssuerError:
    data = json.loads(text)
    return _KINDS.get(data["kind"], VaultIssuerError)(data["message"], hint=data["hint"])
