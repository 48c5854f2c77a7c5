"""Reads what issuers keep in Secrets, as it is now: nothing of it is remembered."""

from __future__ import annotations

import base64

from .cluster import SECRETS, Cluster


class CredentialError(Exception):
    """A credential is not there, or is of no use; the message may be shown to people."""


def read_secret(cluster: Cluster, namespace: str, name: str, key: str) -> str:
    """Return a text of a Secret as it is now.

    :raises CredentialError: when the Secret or the key is missing, or the value is empty or no text.
    """
    secret = cluster.find(SECRETS, namespace, name)
    if secret is None:
        raise CredentialError(f"the Secret {namespace}/{name} does not exist")
    encoded = (secret.get("data") or {}).get(key)
    if encoded is None:
        raise CredentialError(f"the Secret {namespace}/{name} has no key {key!r}")
    try:
        value = base64.b64decode(encoded).decode()
    except UnicodeDecodeError:
        raise CredentialError(f"the key {key!r} of the Secret {namespace}/{name} holds no text") from None
    if not value.strip():
        raise CredentialError(f"the key {key!r} of the Secret {namespace}/{name} is empty")
    return value
