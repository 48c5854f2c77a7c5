"""The one family of errors, and the one way a requirement is said to be unmet.

Everything that goes wrong on the harness's side is a :class:`VaultIssuerError`;
it is never blamed on the implementation under test. What the implementation
does wrong is an :class:`Unmet`, an ``AssertionError``, so that a report can
tell the two apart by type alone.
"""

from __future__ import annotations


class VaultIssuerError(Exception):
    """Base of every error of this project.

    :param message: what happened, in one sentence.
    :param hint: what the reader can do about it, in one sentence.
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
    """The implementation under test could not be started or has stopped by itself."""


class NotRunnable(VaultIssuerError):
    """This stack cannot show what a test needs; the test is reported as not run."""


class Unmet(AssertionError):
    """The implementation did not do what a requirement asks of it."""
