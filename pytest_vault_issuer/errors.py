"""The errors of this project, and the failures of a controller.

A :class:`VaultIssuerError` is an error of the suite, the stack or the user's input. It never counts against the
controller. An :class:`Unmet` is an ``AssertionError``: the controller did not do what a requirement states. A
:class:`BarrierUnmet` is a failure of the controller in a step that proves something else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class VaultIssuerError(Exception):
    """The base class of all errors of this project.

    :param message: what is wrong and where, in one sentence.
    :param hint: what to do next, in one sentence.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class ConfigurationError(VaultIssuerError):
    """An option, an environment variable or an implementation file is wrong."""


class ToolchainError(VaultIssuerError):
    """A component could not be built, found or executed."""


class StackError(VaultIssuerError):
    """Vault or Kubernetes did not start, did not answer, or answered with an error."""


class ImplementationError(VaultIssuerError):
    """The controller could not start, or it stopped."""


class NotRunnable(VaultIssuerError):
    """This stack cannot show what a test needs. The report lists the test as not run."""


class UnsupportedError(NotRunnable):
    """The implementation has no way to do what a test needs, and does not claim it; the test is unsupported."""


class Unmet(AssertionError):
    """The controller did not do what a requirement states."""


class BarrierUnmet(Unmet):
    """A barrier failed: the controller did not do the unrelated work that proves that it has handled earlier changes.

    The requirement itself was not violated, and not proved either. Reports say so: they recognize the first words of
    the message, :attr:`PREFIX`.

    :param message: what the barrier waited for and what it observed.
    """

    PREFIX = "the barrier failed: "

    def __init__(self, message: str) -> None:
        super().__init__(self.PREFIX + message.removeprefix(self.PREFIX))


@contextlib.contextmanager
def at_barrier() -> Iterator[None]:
    """Turn a failed assertion inside the block into a failure of the barrier.

    ::

        with at_barrier():
            sandbox.ready_issuer(kind)

    :raises BarrierUnmet: for every ``AssertionError`` inside the block, :class:`Unmet` included. Errors of the suite
        or the stack pass unchanged.
    """
    try:
        yield
    except AssertionError as error:
        raise BarrierUnmet(str(error)) from error
