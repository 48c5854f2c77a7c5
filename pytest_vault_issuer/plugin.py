"""The pytest plugin: options and hooks."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any, Literal

import pytest

from . import hookspecs as hooks
from . import streams
from .errors import VaultIssuerError
from .fixtures import (  # noqa: F401 (pytest finds them here)
    vault_issuer_cluster,
    vault_issuer_environment,
    vault_issuer_sandbox,
    vault_issuer_session,
    vault_issuer_stack,
    vault_issuer_vault,
    vault_issuer_workspace,
)
from .judge.hooks import Conformance
from .judge.items import REQUIREMENT
from .judge.progress import SESSION_KEY, say
from .judge.schedule import EXCLUSIVE, HOLDS, Schedule
from .judge.secrecy import Secrecy
from .options import OPTIONS, Settings
from .redaction.redactor import Redactor
from .session.session import Session, SessionKey
from .text import printable

_WORKER_INPUT = "vault_issuer_session"
_PLUGIN = "vault-issuer-conformance"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add every option and its ini twin. The help names the environment twin."""
    group = parser.getgroup("vault-issuer", "Vault-backed certificate controllers")
    for option in OPTIONS:
        extra: dict[str, Any] = {"metavar": option.metavar}
        if option.many:
            extra["action"] = "append"
        if option.flag:
            extra = {"action": "store_const", "const": "true"}
        group.addoption(
            f"--{option.name}",
            dest=option.ini,
            default=None,
            help=f"{option.help} (environment: {option.env})".replace("%", "%%"),
            **extra,
        )
        kind: Literal["args", "string"] = "args" if option.many else "string"
        parser.addini(option.ini, option.help, type=kind, default=None)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hook for implementations described in Python."""
    pluginmanager.add_hookspecs(hooks)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest captures output
def pytest_load_initial_conftests() -> Generator[None, object, object]:
    """Open the standard streams that are closed."""
    streams.open_missing()
    return (yield)


@pytest.hookimpl(tryfirst=True)  # before pytest chooses its directory for temporary files
def pytest_configure(config: pytest.Config) -> None:
    """Check the options, and register the plugins of the session."""
    config.addinivalue_line("markers", f"{REQUIREMENT}(*ids): requirements that the test judges")
    config.addinivalue_line("markers", "slow: waits for retries of the controller; starts early")
    config.addinivalue_line("markers", f"{HOLDS}: occupies the controller; runs alone if it has few workers")
    config.addinivalue_line("markers", f"{EXCLUSIVE}: stops the controller or a part of the stack; runs alone")
    try:
        settings = Settings.collect(
            lambda name: config.getoption(name.replace("-", "_")),
            config.getini,
            base=config.inipath.parent if config.inipath else config.rootpath,
        )
    except VaultIssuerError as error:
        raise pytest.UsageError(Redactor().redact(str(error))) from error
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    key = SessionKey(**worker[_WORKER_INPUT]) if worker else SessionKey.new()
    session = Session(settings, key, lambda line: say(config, line))
    config.stash[SESSION_KEY] = session
    config.pluginmanager.register(Secrecy(config, session), "vault-issuer-secrecy")
    conformance: Conformance | None = None
    if settings.implementation:
        implementation = config.hook.pytest_vault_issuer_implementation(config=config, name=settings.implementation)
        try:
            if implementation is not None:
                session.implementation = implementation
            conformance = Conformance(config, session)
        except VaultIssuerError as error:
            raise pytest.UsageError(session.redactor.redact(str(error))) from error
        config.pluginmanager.register(conformance, _PLUGIN)
        config.pluginmanager.register(Schedule(session), "vault-issuer-schedule")
    if worker is None:
        if conformance is not None:
            config.add_cleanup(conformance.signals.restore)  # as the last one
        config.add_cleanup(lambda: _close(config, session))
        if conformance is not None:
            config.add_cleanup(conformance.end_unfinished)
            conformance.signals.install()
        if settings.implementation and config.option.basetemp is None:
            # However the session ends, the supervisor removes pytest's temporary files with its own.
            session.directory.open()
            config.option.basetemp = str(session.directory.path / "pytest")
    if worker is None and config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_HandOver(key), "vault-issuer-xdist")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse to run conformance tests without an implementation."""
    if not config.stash[SESSION_KEY].settings.implementation and any(
        item.get_closest_marker(REQUIREMENT) for item in items
    ):
        raise pytest.UsageError(
            "the conformance suite needs an implementation\n  hint: give --vault-issuer=cert-manager, or your own file"
        )


def _close(config: pytest.Config, session: Session) -> None:
    """End the session. Report without a traceback what could not be removed, or Ctrl-C."""
    try:
        session.close()
    except KeyboardInterrupt as interrupt:
        print(f"\nvault-issuer: {interrupt or 'interrupted'}", file=sys.stderr, flush=True)
        raise SystemExit(130) from None
    except VaultIssuerError as error:
        print(f"vault-issuer: {printable(session.redactor.redact(str(error)))}", file=sys.stderr, flush=True)
        conformance = config.pluginmanager.getplugin(_PLUGIN)
        if conformance is None:  # only fixtures were used: pytest has its exit status already
            raise SystemExit(3) from error
        conformance.cleanup_failed()


class _HandOver:
    """Give pytest-xdist's workers the key of the session."""

    def __init__(self, key: SessionKey) -> None:
        self._key = key

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[_WORKER_INPUT] = {"path": self._key.path, "owner": self._key.owner}
