"""The pytest plugin: options and hooks."""

from __future__ import annotations

import sys
from typing import Any, Literal

import pytest

from . import hookspecs as hooks
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
from .judge.progress import SESSION_KEY, say
from .judge.secrecy import Secrecy
from .options import OPTIONS, Settings
from .redaction.redactor import Redactor
from .requirements.mark import REQUIREMENT
from .session.session import Session, SessionKey
from .text import printable

_WORKER_INPUT = "vault_issuer_session"
_PLUGIN = "vault-issuer-conformance"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add every option with its ini twin; the environment twin is in its help."""
    group = parser.getgroup("vault-issuer", "Vault-backed certificate issuers")
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


@pytest.hookimpl(tryfirst=True)  # before pytest decides on its own directory for temporary files
def pytest_configure(config: pytest.Config) -> None:
    """Check the options and register what belongs to the run."""
    config.addinivalue_line("markers", f"{REQUIREMENT}(*ids): the requirements that a test judges")
    config.addinivalue_line("markers", "slow: waits for retries of the implementation; started first")
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
    run = Session(settings, key, lambda line: say(config, line))
    config.stash[SESSION_KEY] = run
    config.pluginmanager.register(Secrecy(run), "vault-issuer-secrecy")
    if settings.implementation:
        described = config.hook.pytest_vault_issuer_implementation(config=config, name=settings.implementation)
        try:
            if described is not None:
                run.implementation = described
            conformance = Conformance(config, run)
        except VaultIssuerError as error:
            raise pytest.UsageError(run.redactor.redact(str(error))) from error
        config.pluginmanager.register(conformance, _PLUGIN)
    if worker is None:
        config.add_cleanup(lambda: _close(config, run))
        if settings.implementation and config.option.basetemp is None:
            # Whatever ends the run, the supervisor removes pytest's temporary files with its own.
            run.directory.open()
            config.option.basetemp = str(run.directory.path / "pytest")
    if worker is None and config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_HandOver(key), "vault-issuer-xdist")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse to run conformance tests of nothing."""
    if not config.stash[SESSION_KEY].settings.implementation and any(
        item.get_closest_marker(REQUIREMENT) for item in items
    ):
        raise pytest.UsageError(
            "the conformance suite needs an implementation\n  hint: give --vault-issuer=cert-manager, or your own file"
        )


def _close(config: pytest.Config, run: Session) -> None:
    """End the run; report what could not be removed, without a traceback."""
    try:
        run.close()
    except VaultIssuerError as error:
        print(f"vault-issuer: {printable(run.redactor.redact(str(error)))}", file=sys.stderr, flush=True)
        conformance = config.pluginmanager.getplugin(_PLUGIN)
        if conformance is None:  # a session of fixtures alone: pytest has decided on its status
            raise SystemExit(3) from error
        conformance.cleanup_failed()


class _HandOver:
    """Gives pytest-xdist's workers the key of the run."""

    def __init__(self, key: SessionKey) -> None:
        self._key = key

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[_WORKER_INPUT] = {"path": self._key.path, "owner": self._key.owner}
