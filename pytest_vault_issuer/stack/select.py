"""Chooses the provider: what was asked for, else what is there, else what can be built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import ConfigurationError, ToolchainError, VaultIssuerError
from ..options import Settings
from ..supervisor.run_directory import RunDirectory
from ..timeouts import Timeouts
from ..toolchain import BINARIES, KUBERNETES, Toolchain, resolve
from ..vault.connection import VaultServer
from .existing.provider import NAME as EXISTING
from .existing.provider import ExistingProvider
from .kind.cluster import find_kind
from .kind.engine import Engine
from .kind.provider import NAME as KIND
from .kind.provider import KindOptions, KindProvider
from .local.provider import NAME as PROCESS
from .local.provider import ProcessProvider
from .types import Provider, Stack

LOOPBACK = "127.0.0.1"
#: Where a run directory keeps its stack, for every process of the run.
STATE = "stack.json"


def choose(settings: Settings, toolchain: Toolchain) -> tuple[str, str]:
    """Return the provider's name and why, for people."""
    if settings.join is not None:
        return joined(settings.join).provider, f"of the run in {settings.join}"
    if settings.stack != "auto":
        return settings.stack, "asked for"
    if settings.names_existing:
        return EXISTING, "a cluster and a Vault are named"
    missing = _missing_for_processes(settings, toolchain)
    if not missing:
        return PROCESS, "its binaries are there"
    if (engine := _engine_for_kind(settings)) is not None:
        return KIND, f"a container engine answers at {engine}"
    return PROCESS, f"after building {', '.join(f'{name} {toolchain.components[name].version}' for name in missing)}"


def joined(directory: Path) -> Stack:
    """Return the stack of another run.

    :param directory: of that run, which goes on until this one ends.
    :raises ConfigurationError: when no run has a stack there.
    """
    try:
        return Stack.from_json((directory / STATE).read_text())
    except ValueError as error:  # also where it is not UTF-8
        raise ConfigurationError(
            f"--vault-issuer-join={directory}: its {STATE} is cut off or of another version ({error})",
            hint=f"take it down and start another: vault-issuer stack down {directory}",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"--vault-issuer-join={directory}: no run has a stack there ({error.strerror})",
            hint="name the directory of a run that is under way, or of a stack that is up: vault-issuer stack status",
        ) from error


def needed(settings: Settings, toolchain: Toolchain, program: str = "") -> list[str]:
    """Return the toolchain's components that have to be built before a run.

    :param program: that the implementation's command runs; it may be one of the toolchain's.
    """
    if settings.join is not None:
        return toolchain.missing([program] if program in BINARIES else [])
    if choose(settings, toolchain)[0] != PROCESS:
        # The API's CRDs come from the toolchain all the same.
        return toolchain.missing(["cert-manager-controller"])
    return _missing_for_processes(settings, toolchain)


def _engine_for_kind(settings: Settings) -> str | None:
    """Return where the engine listens, if all is there that the provider ``kind`` needs."""
    try:
        find_kind(settings.kind_binary)
        engine = Engine()
    except VaultIssuerError:
        return None
    engine.close()
    return engine.address


def _missing_for_processes(settings: Settings, toolchain: Toolchain) -> list[str]:
    directory = settings.kubernetes_binaries
    given = {name for name in KUBERNETES if directory and (directory / name).is_file()}
    if settings.vault_binary:
        given.add("vault")
    return toolchain.missing(name for name in (*KUBERNETES, "vault", "cert-manager-controller") if name not in given)


def kind_options(settings: Settings) -> KindOptions:
    """Return what the user decides of the provider ``kind``."""
    return KindOptions(
        vault_image=settings.vault_image,
        vault_mode=settings.vault_mode,
        node_image=settings.node_image,
        config=settings.kind_config,
        cluster=settings.kind_cluster,
        mirror=settings.registry_mirror,
        bind=settings.bind,
    )


def make_provider(
    settings: Settings,
    toolchain: Toolchain,
    run: RunDirectory,
    timeouts: Timeouts,
    progress: Callable[[str], None],
    *,
    reason: str,
) -> Provider:
    """Return the provider; what is :func:`needed` has been built.

    :param toolchain: with the versions that the run asks for.
    :param reason: from :func:`choose`, before anything was built.
    :raises ToolchainError, ConfigurationError: each with a hint.
    """
    name, _ = choose(settings, toolchain)
    if name == EXISTING:
        assert settings.kubeconfig is not None
        if settings.vault_ca_cert is not None and not settings.vault_ca_cert.is_file():
            raise ConfigurationError(
                f"--vault-issuer-vault-ca-cert={settings.vault_ca_cert} does not exist", hint="check the path"
            )
        token = settings.vault_token()
        run.redactor.add(token)  # before it is used for the first time
        vault = VaultServer(url=settings.vault_addr.rstrip("/"), ca_file=str(settings.vault_ca_cert or ""), token=token)
        return ExistingProvider(
            run,
            settings.kubeconfig,
            vault,
            timeouts,
            progress,
            reason=reason,
            context=settings.kube_context,
            token_file=settings.vault_token_file,
            scale=settings.timeout_scale,
            url_for_vault=settings.kubernetes_host,
            crds=toolchain.crds(),
            bind=settings.bind or LOOPBACK,
        )
    if name == KIND:
        crds = toolchain.crds()
        if crds is None:
            raise ToolchainError("cert-manager's CRDs are not built", hint="run: vault-issuer toolchain build")
        program = find_kind(settings.kind_binary)
        options = kind_options(settings)
        return KindProvider(
            run, Engine(), program, crds, options, timeouts, progress, reason=reason, scale=settings.timeout_scale
        )
    binaries = resolve(toolchain, kubernetes_dir=settings.kubernetes_binaries, vault=settings.vault_binary)
    return ProcessProvider(run, binaries, timeouts, reason=reason)
