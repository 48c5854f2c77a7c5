"""Namespaces of Vault Enterprise, as far as a Vault without namespaces can show them.

Vault's Community Edition ignores the header ``X-Vault-Namespace``, so an issuer that forgets it is served all the same.
What stands here is no more than a mapping of addresses: it makes what is mounted in the Vault behind appear in
namespaces. Every answer is still the real Vault's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pytest_vault_issuer.proxy.http1 import Head

HEADER = "X-Vault-Namespace"
_API = "/v1/"
_NOWHERE = "outside-of-the-namespace"
"""A path at which nothing is mounted."""
_HEALTH = "sys/health"


def canonical(namespace: str) -> str:
    """A namespace's path without slashes around it, which Vault does not mind."""
    return namespace.strip("/")


def mapped(head: Head, namespaces: Iterable[str]) -> Head:
    """A request as the Vault behind is to get it, which plays the part of some namespaces.

    Vault Enterprise takes the namespace from the header, from the path, or the first part of it from the header and the
    rest from the path. A request in one of ``namespaces`` reaches the same path of the Vault behind. Any other, even in
    no namespace, is sent to a path where nothing is mounted, for it would find nothing of theirs where it went.
    ``sys/health`` is answered in any case: it is the whole server's, and Enterprise serves it without a namespace only.

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
