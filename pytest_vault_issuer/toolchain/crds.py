"""cert-manager's CustomResourceDefinitions as manifests: up to 1.18 they are templates of its Helm chart."""

from __future__ import annotations

import re

from ..errors import ToolchainError

#: What the chart fills in where it is installed as documented: `helm install cert-manager`, with the CRDs.
_VALUES = {
    '{{ template "cert-manager.name" . }}': "cert-manager",
    "{{ .Release.Name }}": "cert-manager",
}
#: A condition, or labels that the chart adds; always in a comment, and all conditions hold for such an installation.
_DIRECTIVE = re.compile(r"^\s*# .*\{\{-? .*\}\}$\n?", re.MULTILINE)


def plain(text: str, name: str) -> str:
    """Return a CustomResourceDefinition as the chart installs it, but for the labels that name chart and version.

    :param name: of the file, for the message.
    :raises ToolchainError: for a directive that is not known, rather than leaving it in.
    """
    text = _DIRECTIVE.sub("", text)
    for directive, value in _VALUES.items():
        text = text.replace(directive, value)
    if "{{" in text:
        line = next(line for line in text.splitlines() if "{{" in line)
        raise ToolchainError(
            f"{name} holds a directive of Helm that is not known: {line.strip()}",
            hint="if this is not yours to mend, please report it",
        )
    return text
