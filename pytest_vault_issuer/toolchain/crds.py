"""Converts cert-manager's CustomResourceDefinitions to manifests: up to 1.18, they are templates of its Helm chart."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import ToolchainError

#: CRDs by version of cert-manager. ``tools/ship_crds.py`` writes them before a release; a clone has none.
SHIPPED = Path(__file__).with_name("shipped_crds")
#: Values of the chart in the documented installation: `helm install cert-manager`, with the CRDs.
_VALUES = {
    '{{ template "cert-manager.name" . }}': "cert-manager",
    "{{ .Release.Name }}": "cert-manager",
}
#: A condition or the labels of the chart. They are in comments, and all conditions are true in such an installation.
_DIRECTIVE = re.compile(r"^\s*# .*\{\{-? .*\}\}$\n?", re.MULTILINE)


def shipped(version: str, directory: Path = SHIPPED) -> Path | None:
    """Return the directory with the CRDs of a version in this package, such as ``v1.21.2``; None if it has none."""
    place = directory / version
    return place if any(place.glob("*.yaml")) else None


def plain(text: str, name: str) -> str:
    """Return a CustomResourceDefinition as the chart installs it, without the labels for chart and version.

    :param name: name of the file, for the error.
    :raises ToolchainError: for an unknown directive.
    """
    text = _DIRECTIVE.sub("", text)
    for directive, value in _VALUES.items():
        text = text.replace(directive, value)
    if "{{" in text:
        line = next(line for line in text.splitlines() if "{{" in line)
        raise ToolchainError(
            f"{name} contains an unknown directive of Helm: {line.strip()}",
            hint="please report it with the version of cert-manager",
        )
    return text
