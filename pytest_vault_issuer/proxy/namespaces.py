"""Namespaces of Vault Enterprise, simulated for a Vault without namespaces.

The Community Edition of Vault ignores the header ``X-Vault-Namespace``, so it also serves a controller that omits it.
This module only maps paths: the mounts of the Vault behind the proxy appear in namespaces. Every response comes from
the real Vault.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .exchange import Head

HEADER = "X-Vault-Namespace"
_API = "/v1/"
_NOWHERE = "outside-of-the-namespace"
"""A path at which nothing is mounted."""
_HEALTH = "sys/health"
_ROOT = ("", "root")
"""Names of the namespace in which the server itself is served."""


def canonical(namespace: str) -> str:
    """Return the path of a namespace without slashes at its ends, which Vault ignores."""
    return namespace.strip("/")


def mapped(head: Head, namespaces: Iterable[str]) -> Head:
    """Return a request as the Vault behind the proxy receives it.

    Vault Enterprise reads the namespace from the header, from the path, or its first part from the header and the rest
    from the path. A request in one of ``namespaces`` reaches the same path of the Vault behind the proxy. Any other
    request, also one without a namespace, goes to a path without a mount, because it would find no mount in Enterprise.
    ``sys/health`` is answered in any case, because it belongs to the server; see :func:`asks_for_health`.

    :param namespaces: as :func:`canonical` returns them.
    """
    path, question_mark, query = head.target.partition("?")
    if not path.startswith(_API):
        return head
    relative = path.removeprefix(_API)
    whole = "/".join(filter(None, [canonical(head.headers.get(HEADER)), relative]))
    meant = [namespace for namespace in namespaces if whole.startswith(f"{namespace}/")]
    if meant:
        relative = whole.removeprefix(f"{max(meant, key=len)}/")
    elif relative != _HEALTH:
        relative = f"{_NOWHERE}/{whole}"
    return replace(head, target=f"{_API}{relative}{question_mark}{query}", headers=head.headers.without(HEADER))


def asks_for_health(head: Head, prefix: str = "") -> bool:
    """Return whether a request queries ``sys/health`` in a namespace, by its header or in its path.

    Vault Enterprise and OpenBao serve it in the root namespace only (Vault documentation, Enterprise namespaces,
    Restricted API paths).

    :param prefix: path at which Vault is served.
    """
    path = head.target.partition("?")[0].removeprefix(prefix)
    if not path.startswith(_API):
        return False
    inner = canonical(path.removeprefix(_API).removesuffix(_HEALTH))
    return path.endswith(f"/{_HEALTH}") and not {canonical(head.headers.get(HEADER)), inner} <= set(_ROOT)


def health_refusal(status: int) -> str:
    """Return the message with that status: Vault Enterprise answers 404, OpenBao 400 (hashicorp/vault#14934)."""
    return "operation unavailable in namespaces" if status == 400 else "unsupported path"
