"""Loads the implementation that ``--vault-issuer`` names: a built-in, a TOML file, or a Python factory."""

from __future__ import annotations

import importlib
import os
import tomllib
from pathlib import Path

from ..errors import ConfigurationError, VaultIssuerError
from .builtin import CERT_MANAGER, NAMES, load_builtin
from .spec import Implementation


def load_implementation(name: str) -> Implementation:
    """Return the implementation that an option names.

    :param name: the name of a built-in, or ``cert-manager@VERSION``; the path of a TOML file; or
        ``package.module:factory``. The factory takes no arguments and returns an :class:`~.spec.Implementation`.
    :raises ConfigurationError: if there is no such implementation, or its description is wrong.
    """
    if name in NAMES:
        return load_builtin(name)
    if name.startswith(f"{CERT_MANAGER}@"):
        version = name.partition("@")[2]
        if not version:
            raise ConfigurationError(
                f"--vault-issuer={name}: the release is missing",
                hint=f"name one, such as {CERT_MANAGER}@1.20, or leave the @ out for the newest",
            )
        try:
            return load_builtin(CERT_MANAGER, version)
        except ConfigurationError as error:
            raise ConfigurationError(f"--vault-issuer={name}: {error.message}", hint=error.hint) from error
    if name.endswith(".toml"):
        return _from_file(Path(name))
    if ":" in name:
        return _from_factory(name)
    raise ConfigurationError(
        f"--vault-issuer={name}: no such implementation",
        hint=f"built in: {', '.join(NAMES)}; or name a file ending in .toml, or package.module:factory",
    )


def _from_file(path: Path) -> Implementation:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(
            f"the implementation file {path} cannot be read: {why}", hint="check the path"
        ) from error
    try:
        data = tomllib.loads(content.decode("utf-8-sig"))
    except ValueError as error:  # not TOML, or not UTF-8
        raise ConfigurationError(f"{path} is not TOML: {error}", hint="fix the TOML syntax there") from error
    except RecursionError as error:
        raise ConfigurationError(
            f"{path} cannot be read: it is nested too deeply", hint="flatten its tables"
        ) from error
    try:
        return Implementation.from_mapping(data, Path(os.path.realpath(path)).parent)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error.message}", hint=error.hint) from error


def _from_factory(name: str) -> Implementation:
    module_name, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:  # the last two: not the name of a module
        raise ConfigurationError(
            f"--vault-issuer={name} cannot be imported: {error}", hint="check PYTHONPATH and the spelling"
        ) from error
    if not callable(factory):
        raise ConfigurationError(
            f"--vault-issuer={name} is not a function",
            hint="name a function that takes no arguments and returns an Implementation",
        )
    try:
        implementation = factory()
    except VaultIssuerError:
        raise
    except Exception as error:  # it is the user's code
        raise ConfigurationError(
            f"--vault-issuer={name} failed: {type(error).__name__}: {error}",
            hint="name a function that takes no arguments and returns an Implementation",
        ) from error
    if not isinstance(implementation, Implementation):
        raise ConfigurationError(
            f"{name} must return an Implementation, got {type(implementation).__name__}",
            hint="return pytest_vault_issuer.Implementation(...)",
        )
    return implementation
