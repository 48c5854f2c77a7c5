"""The implementations that come with this package: files in the public format."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...supervisor import interpreter
from ...version import __version__
from ..spec import Implementation

_DIRECTORY = Path(__file__).parent
CERT_MANAGER = "cert-manager"
SAMPLE_CONTROLLER = "sample-controller"
NAMES = (CERT_MANAGER, SAMPLE_CONTROLLER)
_APPROVER = "--approver={}"
#: What registers cert-manager's webhook, and the feature that the webhook adds.
_REGISTRATION, _ADMISSION = "cert-manager-webhook.yaml", "admission"


def load_builtin(name: str, version: str = "") -> Implementation:
    """Return a built-in implementation.

    :param name: one of :data:`NAMES`.
    :param version: of cert-manager: 1.18 or 1.18.2, '' for the newest.
    :raises ConfigurationError: naming the releases that there are.
    """
    data: dict[str, Any] = tomllib.loads((_DIRECTORY / f"{name}.toml").read_text(encoding="utf-8"))
    about = data["implementation"]
    if "component" in about:
        about["component"] = f"{about['component']}@{version}"
        return Implementation.from_mapping(data, _DIRECTORY)
    # Neither its version nor where Python finds it is known before it is installed.
    about["version"] = __version__
    data["run"]["env"] = {**interpreter.environment(), **data["run"]["env"]}
    return Implementation.from_mapping(data, _DIRECTORY)


def approving(implementation: Implementation) -> Implementation:
    """Return cert-manager's description with its approver, as it is installed; another's as it is."""
    if not implementation.component.startswith(f"{CERT_MANAGER}@"):
        return implementation
    off, on = _APPROVER.format("false"), _APPROVER.format("true")
    return implementation.with_run(
        command=[on if word == off else word for word in implementation.run.command], approves=True
    )


def without_webhook(implementation: Implementation) -> Implementation:
    """Return cert-manager's description without its webhook, for a cluster of others; another's as it is.

    The webhook would judge every cert-manager object of that cluster.
    """
    if not implementation.component.startswith(f"{CERT_MANAGER}@"):
        return implementation
    bare = implementation.with_run(
        processes=[], manifests=[path for path in implementation.run.manifests if path != _REGISTRATION]
    )
    return replace(bare, features=bare.features - {_ADMISSION})
