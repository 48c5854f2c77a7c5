"""Selects the provider: the one that the user names, else one whose parts exist, else one that can be built."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import ConfigurationError
from ..options import Settings
from ..toolchain import BINARIES, Toolchain
from .existing.provider import ExistingProvider
from .kind.provider import KindProvider, find_engine
from .local.provider import ProcessProvider, needed_binaries
from .types import Context, Provider, Stack

#: File in the run directory with the stack, for all processes of the session.
STATE = "stack.json"
_PROVIDERS: tuple[type[ProcessProvider | KindProvider | ExistingProvider], ...] = (
    ProcessProvider,
    KindProvider,
    ExistingProvider,
)


def choose(settings: Settings, toolchain: Toolchain) -> tuple[str, str]:
    """Return the name of the provider, and the reason for the choice as shown in the header."""
    if settings.join is not None:
        return joined(settings.join).provider, f"of the session in {settings.join}"
    note = f", {toolchain.note()}" if toolchain.note() and not settings.vault_binary else ""
    if settings.stack != "auto":
        return settings.stack, f"selected by option{note if settings.stack == ProcessProvider.name else ''}"
    if settings.names_existing:
        return ExistingProvider.name, "the options name a cluster and a Vault"
    missing = toolchain.missing(needed_binaries(settings))
    if not missing:
        return ProcessProvider.name, f"its binaries are there{note}" if note else "its binaries are built"
    if (engine := find_engine(settings)) is not None:
        return KindProvider.name, f"a container engine answers at {engine}"
    names = ", ".join(f"{name} {toolchain.components[name].version}" for name in missing)
    return ProcessProvider.name, f"after building {names}{note}"


def make_provider(name: str, reason: str, context: Context) -> Provider:
    """Return the provider of a name; nothing is started.

    :param name, reason: from :func:`choose`, or from a stack that is up.
    """
    provider = next(provider for provider in _PROVIDERS if provider.name == name)
    return provider(context, reason)


def with_nodes() -> list[str]:
    """Return the names of the providers whose clusters can run pods."""
    return [provider.name for provider in _PROVIDERS if provider.has_nodes]


def joined(directory: Path) -> Stack:
    """Return the stack of another session.

    :param directory: run directory of the owning session.
    :raises ConfigurationError: if there is no stack.
    """
    try:
        return Stack.from_json((directory / STATE).read_text())
    except ValueError as error:  # also if it is not UTF-8
        raise ConfigurationError(
            f"--vault-issuer-join={directory}: {STATE} is incomplete or of another version ({error})",
            hint=f"remove the stack and start another: vault-issuer stack down {directory}",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"--vault-issuer-join={directory}: there is no stack in this directory ({error.strerror})",
            hint="name the directory of a running session or of a dev stack: vault-issuer stack status",
        ) from error


def needed(provider: Provider, settings: Settings, toolchain: Toolchain, programs: Iterable[str] = ()) -> list[str]:
    """Return the toolchain's components that must be built before the session starts.

    :param programs: first word of each command of the controller, which may be a binary of the toolchain.
    """
    own = [program for program in programs if program in BINARIES]
    return toolchain.missing(own if settings.join is not None else [*provider.binaries(), *own])
