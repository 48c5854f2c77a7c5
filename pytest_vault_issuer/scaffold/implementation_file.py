"""Renders the implementation file, with comments on optional keys."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable

from ..errors import ConfigurationError
from ..implementation.spec import PLACEHOLDERS
from ..requirements.features import FEATURES, PROFILES
from ..text import one_line
from . import rbac
from .answers import Answers

#: Placeholder -> usual names of the field with this value, in lower case.
_USUAL = {
    "server": ("server", "url", "address", "addr", "vaultaddr", "vaulturl"),
    "address": ("host", "hostname"),
    "path": ("path", "signpath", "pkipath"),
    "mount": ("mount", "pkimount"),
    "caBundle": ("cabundle",),
    "auth.appRole.roleId": ("roleid",),
}
#: https://github.com/cert-manager/issuer-lib, controllers/certificatesigningrequest_controller.go
_SIGNER = """\
# issuer-lib signs CertificateSigningRequests for cluster-scoped issuer objects only.
signer_name = ""
"""
_NO_NAMESPACED_KIND = """\
# There is no namespaced kind.
unsupported = ["issuer"]
"""
#: A flag for issuer-lib's MaxRetryDuration, which has none itself.
_MAX_RETRY = re.compile(r"--max-retry-duration[= ](?P<time>\d+(?:s|m))(?![\w.])")
#: https://github.com/cert-manager/issuer-lib, controllers/request_controller.go
_TIMING = """\
[timing]
# issuer-lib gives up a request after MaxRetryDuration. The suite waits for the end of a failure at least this long.
{key}retry = {time}

"""


def render(answers: Answers) -> str:
    """Return the text of the file.

    :raises ConfigurationError: if the command cannot be split into words.
    """
    try:
        command = shlex.split(answers.command)
    except ValueError as error:
        raise ConfigurationError(f"the command {answers.command!r}: {error}", hint="fix its quotes") from error
    namespace = answers.account.partition("/")[0]
    return f"""\
# The controller that `--vault-issuer={answers.file}` judges. Paths are relative to this file.

[implementation]
name = {_text(answers.name)}
version = {_text(answers.version)}
# For a report to publish (--vault-issuer-certify):
# organization = "…"
# url = "https://…"
# contact = ["…"]
# The cert-manager release whose API and documentation it follows; default: the newest.
# contract = "1.21"

[issuer]
# The kinds with a Vault configuration{", and its path in the objects" if answers.vault_at else ""}.
api_version = {_text(answers.api_version)}
kind = {_text(answers.kind)}
cluster_kind = {_text(answers.cluster_kind)}  # "" for none
{_signers(answers)}{_place(answers)}{_columns(answers.columns)}
[run]
# Program and arguments. Placeholders: {", ".join(f"{{{name}}}" for name in PLACEHOLDERS)}.
command = {_list(command)}
env = {{}}
# It runs as this service account, which only has the permissions in {"the chart" if answers.chart else "rbac"}.
service_account = {_text(answers.account)}
{_permissions(answers)}
# Its CustomResourceDefinitions; those of cert-manager.io are always installed.
crds = {_list(answers.crds)}
# Other objects that it needs in the cluster.
manifests = []
# The namespace of the Secrets and ServiceAccounts of cluster-scoped issuer objects.
cluster_resource_namespace = {_text(namespace)}
# true if it has its own approver; otherwise the suite approves requests.
approves = false
# A regular expression: the controller is ready when a line of its log matches. "" for immediately.
ready_log = ""

{_timing(answers)}[features]
# Other features are reported as unsupported. Profiles: {", ".join(PROFILES)}; or single features:
{_commented(FEATURES)}
# Or: all = true
supported = {_list(answers.claimed)}
{"" if answers.kind else _NO_NAMESPACED_KIND}
[known_failures]
# requirement = "reason": reported, but does not fail the session. `vault-issuer requirements` lists the requirements.
# "VI-SIGN-018" = "issue #12, fixed in 1.5"
"""


def _permissions(answers: Answers) -> str:
    """Return the keys with its Roles and bindings."""
    rbac_files = f"rbac = {_list(answers.rbac or (() if answers.chart else (rbac.FILE,)))}"
    about = "# Everything that it installs, except its workloads: the command runs instead of them."
    return f"{rbac_files}\n{about}\nchart = {_text(answers.chart)}" if answers.chart else rbac_files


def _signers(answers: Answers) -> str:
    """Return the keys with the signer names of a controller that is built with issuer-lib."""
    if not answers.issuer_lib:
        return ""
    own = f"cluster_signer_name = {_text(f'{answers.signer_type}/{{name}}')}\n" if answers.signer_type else ""
    return _SIGNER + own


def _timing(answers: Answers) -> str:
    """Return the table with the time after which issuer-lib gives up a request; as a comment if it is unknown."""
    if not answers.issuer_lib:
        return ""
    stated = _MAX_RETRY.search(answers.command)
    return _TIMING.format(key="" if stated else "# ", time=_text(stated["time"] if stated else "1m"))


def _place(answers: Answers) -> str:
    """Return the key with the place of the Vault configuration, or the beginning of a shape as a comment."""
    if answers.vault_at:
        return f"vault_at = {_text(answers.vault_at)}\n"
    paths = "".join(f"# {_text(path)} = {_likely(path, answers.own_fields.get(path, ''))}\n" for path in answers.fields)
    about = '# Replace each … by its value, such as "{server}": see "Other shapes" in the page for implementers.'
    return f"{about}\n# [issuer.shape.fields]\n{paths}"


def _likely(path: str, kind: str) -> str:
    """Return the placeholder that a field with this name usually has, … if it does not show.

    :param kind: the feature of the only kind that has this field; '' if both have it.
    """
    name = path.rpartition(".")[2].lower()
    value = _text(next((f"{{{value}}}" for value, names in _USUAL.items() if name in names), "…"))
    return f"{{ value = {value}, when = {_text(kind)} }}" if kind else value


def _columns(names: Iterable[str]) -> str:
    return f"# `kubectl get` shows: {one_line(', '.join(names))}.\n" if names else ""


def _commented(features: Iterable[str]) -> str:
    lines, line = [], "#  "
    for feature in features:
        if len(line) + len(feature) > 110:
            lines.append(line)
            line = "#  "
        line += f" {feature}"
    return "\n".join([*lines, line])


def _text(value: str) -> str:
    """Return a TOML string: a JSON string without surrogate pairs, and with one more control character escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(_text(value) for value in values)}]"
