"""Finds the implementation that ``--vault-issuer`` names: a built-in, a TOML file, or a Python factory."""

from __future__ import annotations

import importlib
import os
import tomllib
from pathlib import Path

from ..errors import ConfigurationError
from .builtin import CERT_MANAGER, NAMES, load_builtin
from .spec import Implementation


def load_implementation(name: str) -> Implementation:
    """Return the implementation that an option names.

    :param name: a built-in's name, or ``cert-manager@VERSION``; the path of a TOML file; or
        ``package.module:factory`` where the factory takes nothing and returns an :class:`~.description.Implementation`.
    :raises ConfigurationError: when there is none, or its description is wrong.
    """
    if name in NAMES:
        return load_builtin(name)
    if name.startswith(f"{CERT_MANAGER}@"):
        try:
            return load_builtin(CERT_MANAGER, name.partition("@")[2])
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
    except (OSError, ValueError) as error:  # the latter: a NUL in its name
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(
            f"the implementation file {path} cannot be read: {why}", hint="check the path"
        ) from error
    try:
        data = tomllib.loads(content.decode("utf-8-sig"))
    except ValueError as error:  # TOML's, or bytes that are no UTF-8
        raise ConfigurationError(f"{path} is not TOML: {error}", hint="mend the file at that place") from error
    except RecursionError as error:
        raise ConfigurationError(f"{path} is not usable: it is nested too deeply", hint="mend the file") from error
    try:
        return Implementation.from_mapping(data, Path(os.path.realpath(path)).parent)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error.message}", hint=error.hint) from error


def _from_factory(name: str) -> Implementation:
    module_name, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:  # the latter two: no module name at all
        raise ConfigurationError(
            f"--vault-issuer={name} cannot be imported: {error}", hint="check PYTHONPATH and the spelling"
        ) from error
    if not callable(factory):
        raise ConfigurationError(
            f"--vault-issuer={name} is no function", hint="name one that takes nothing and returns an Implementation"
        )
    implementation = factory()
    if not isinstance(implementation, Implementation):
        raise ConfigurationError(
            f"{name} returned {type(implementation).__name__}, not an Implementation",
            hint="return pytest_vault_issuer.implementation.Implementation(...)",
        )
    return implementation
