"""Starts the stack and the controller before the first test."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from ..errors import ConfigurationError, ImplementationError, VaultIssuerError
from ..report.load import versions
from ..session.session import Session
from .certification import check_origins
from .ending import NO_ANSWER, NO_STACK, NOT_STARTED, Ending

#: Whether a session without an answer of the controller ends before its tests. The tests of the suite itself run them.
STOPS_IF_SILENT = True


def start(session: Session, ending: Ending, say: Callable[[str], None], clean: Callable[[str], str]) -> bool:
    """Start the stack and the controller.

    :param ending: gets what goes wrong.
    :param say: prints a line of progress.
    :param clean: redacts a text and makes it printable.
    :return: whether tests can run.
    :raises pytest.UsageError: when the configuration is wrong.
    :raises pytest.exit.Exception: when the stack does not start.
    """
    try:
        ending.failure, ending.hint = (clean(text) for text in _start(session, say, clean))
    except ImplementationError as error:
        ending.failure, ending.hint = clean(error.message), clean(error.hint)
        ending.ends_early(NOT_STARTED)
        return False
    except ConfigurationError as error:
        ending.early = clean(error.message)
        raise pytest.UsageError(clean(str(error))) from error
    except VaultIssuerError as error:
        ending.early = clean(error.message)
        pytest.exit(f"vault-issuer: {clean(str(error))}", returncode=NO_STACK)
    if ending.failure and STOPS_IF_SILENT:
        ending.ends_early(NO_ANSWER)
        return False
    return True


def _start(session: Session, say: Callable[[str], None], clean: Callable[[str], str]) -> tuple[str, str]:
    """Return why the controller does not answer, and a hint; '' for both if it does."""
    name = session.implementation.name
    session.build()
    began = time.monotonic()
    stack = session.stack()
    if session.settings.certify:
        check_origins(session.origins())
    ready = time.monotonic()
    say(f"vault-issuer: {versions(stack.components)} ready in {ready - began:.1f} s")
    session.running()
    if session.answers():
        say(f"vault-issuer: {name} answered in {time.monotonic() - ready:.1f} s")
        for notice in session.notices():
            say(f"vault-issuer: {name}: {notice}")
        pace = session.measure()
        say(f"vault-issuer: {name}: {pace}")
        if pace.problem:
            say(f"vault-issuer: {name}: tests may fail for one reason: {clean(pace.problem)}")
        if refused := session.refusals():
            say(f"vault-issuer: {name}: the API server refuses: {'; '.join(refused)} (see [run] rbac)")
        return "", ""
    log, hint = session.silence()
    limit = session.timeouts.first_answer
    return f"it set no condition on its first issuer objects within {limit:g} s, so no test can judge it; {log}", hint
