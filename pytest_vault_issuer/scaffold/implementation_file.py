"""The implementation file: what it says, and what else it could say."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable

from ..errors import ConfigurationError
from ..implementation.spec import PLACEHOLDERS
from ..requirements.features import FEATURES, PROFILES
from . import rbac
from .answers import Answers


def render(answers: Answers) -> str:
    """Return the file's text.

    :raises ConfigurationError: when the command cannot be taken apart.
    """
    try:
        command = shlex.split(answers.command)
    except ValueError as error:
        raise ConfigurationError(f"the command {answers.command!r}: {error}", hint="mend its quotes") from error
    namespace = answers.account.partition("/")[0]
    return f"""\
# What `--vault-issuer={answers.file}` judges. Paths are relative to this file.

[implementation]
name = {_text(answers.name)}
version = {_text(answers.version)}
# For a report to show to others (--vault-issuer-certify):
# organization = "…"
# url = "https://…"
# contact = ["…"]
# The cert-manager release whose API and documentation it follows; left out: the newest.
# contract = "1.21"

[issuer]
# The kinds that hold a Vault configuration, and where in them it is.
api_version = {_text(answers.api_version)}
kind = {_text(answers.kind)}
cluster_kind = {_text(answers.cluster_kind)}  # "" where there is none
vault_at = {_text(answers.vault_at)}
{_columns(answers.columns)}
[run]
# Program and arguments. Filled in: {", ".join(f"{{{name}}}" for name in PLACEHOLDERS)}.
command = {_list(command)}
env = {{}}
# It runs as this service account, with the rights in rbac and no others.
service_account = {_text(answers.account)}
rbac = {_list(answers.rbac or (rbac.FILE,))}
# Its own CustomResourceDefinitions; those of cert-manager.io are always there.
crds = {_list(answers.crds)}
# Whatever else it needs in the cluster.
manifests = []
# Where it looks for what a cluster-scoped issuer refers to.
cluster_resource_namespace = {_text(namespace)}
# true if it brings an approver of its own; otherwise the suite approves.
approves = false
# A regular expression: it is started once a line of its log matches. "" for at once.
ready_log = ""

[features]
# What is not claimed is reported as unsupported. Profiles: {", ".join(PROFILES)}; or single features:
{_commented(FEATURES)}
# Or: all = true
supported = {_list(answers.claimed)}

[known_failures]
# requirement = "why": reported, but no failure of the run. `vault-issuer requirements` lists them.
# "VI-SIGN-018" = "issue #12, mended in 1.5"
"""


def _columns(names: Iterable[str]) -> str:
    return f"# `kubectl get` shows: {', '.join(names)}.\n" if names else ""


def _commented(features: Iterable[str]) -> str:
    lines, line = [], "#  "
    for feature in features:
        if len(line) + len(feature) > 110:
            lines.append(line)
            line = "#  "
        line += f" {feature}"
    return "\n".join([*lines, line])


def _text(value: str) -> str:
    """Return a TOML string: JSON's are, except for surrogate pairs and one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(_text(value) for value in values)}]"
