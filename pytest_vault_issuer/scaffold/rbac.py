"""A first draft of the permissions of a controller: those that every Vault issuer controller needs."""

from __future__ import annotations

from typing import Any

from ..inputs.documents import write_documents
from ..text import one_line
from .answers import Answers

FILE = "rbac.yaml"
_HEAD = """\
# A first draft of the permissions of {name}: remove what it does not need, add what it needs. In a session, it has only
# these. Tokens of service accounts (serviceAccountRef) are not here, because the author of an Issuer grants them.
"""


def render(answers: Answers) -> str:
    """Return a ClusterRole and its binding."""
    namespace, _, account = answers.account.partition("/")
    kinds = [f"{kind.lower()}s" for kind in (answers.kind, answers.cluster_kind) if kind]
    rules: list[dict[str, Any]] = [
        {"apiGroups": [answers.group], "resources": kinds, "verbs": ["get", "list", "watch"]},
        {
            "apiGroups": [answers.group],
            "resources": [f"{kind}/status" for kind in kinds],
            "verbs": ["update", "patch"],
        },
        {
            "apiGroups": ["cert-manager.io"],
            "resources": ["certificaterequests"],
            "verbs": ["get", "list", "watch"],
        },
        {
            "apiGroups": ["cert-manager.io"],
            "resources": ["certificaterequests/status"],
            "verbs": ["update", "patch"],
        },
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
    ]
    api = "rbac.authorization.k8s.io"
    role = {
        "apiVersion": f"{api}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": answers.name},
        "rules": rules,
    }
    binding = {
        "apiVersion": f"{api}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": answers.name},
        "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": answers.name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }
    return _HEAD.format(name=answers.name) + write_documents(role, binding, sort_keys=False)


def copy(answers: Answers) -> str:
    """Return the RBAC of files that contain other objects, too."""
    sources = one_line(", ".join(answers.rbac_sources))
    head = f"# The permissions of the controller, copied from {sources}: change them in both places.\n"
    return head + write_documents(*answers.rbac_copied, sort_keys=False)


def overlay(answers: Answers) -> str:
    """Return a kustomization that changes the names in the repository's RBAC as its installation does."""
    base = "/".join([".."] * len(answers.rbac[0].split("/")) + [answers.rbac_base])
    head = "# The permissions of the controller, with the namespace and names that its installation gives them.\n"
    return head + write_documents({**answers.overlay, "resources": [base]}, sort_keys=False)
