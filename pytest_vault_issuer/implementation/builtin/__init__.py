"""The built-in implementations: files in the public format."""

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
#: The manifest that registers cert-manager's webhook, and the feature that the webhook provides.
_REGISTRATION, _ADMISSION = "cert-manager-webhook.yaml", "admission"


def load_builtin(name: str, version: str = "") -> Implementation:
    """Return a built-in implementation.

    :param name: one of :data:`NAMES`.
    :param version: version of cert-manager, such as 1.18 or 1.18.2; '' for the newest.
    :raises ConfigurationError: if there is no such release; the message names the available ones.
    """
    data: dict[str, Any] = tomllib.loads((_DIRECTORY / f"{name}.toml").read_text(encoding="utf-8"))
    about = data["implementation"]
    if "component" in about:
        about["component"] = f"{about['component']}@{version}"
        return Implementation.from_mapping(data, _DIRECTORY)
    # The file cannot contain its version and its path: both are known only after installation.
    about["version"] = __version__
    data["run"]["env"] = {**interpreter.environment(), **data["run"]["env"]}
    return Implementation.from_mapping(data, _DIRECTORY)


def approving(implementation: Implementation) -> Implementation:
    """Return cert-manager's description with its approver enabled, as in a default installation; others unchanged."""
    if not implementation.component.startswith(f"{CERT_MANAGER}@"):
        return implementation
    off, on = _APPROVER.format("false"), _APPROVER.format("true")
    return implementation.with_run(
        command=[on if word == off else word for word in implementation.run.command], approves=True
    )


def without_webhook(implementation: Implementation) -> Implementation:
    """Return cert-manager's description without its webhook, for an external cluster; others unchanged.

    The webhook would judge every cert-manager object of that cluster.
    """
    if not implementation.component.startswith(f"{CERT_MANAGER}@"):
        return implementation
    bare = implementation.with_run(
        processes=[], manifests=[path for path in implementation.run.manifests if path != _REGISTRATION]
    )
    return replace(bare, features=bare.features - {_ADMISSION})
