"""Reads values from Secrets; nothing is cached."""

from __future__ import annotations

import base64

from .cluster import SECRETS, Cluster


class CredentialError(Exception):
    """A credential is missing or invalid; users may see the message."""


def read_secret(cluster: Cluster, namespace: str, name: str, key: str) -> str:
    """Return a text of a Secret.

    :raises CredentialError: if the Secret or the key is missing, or the value is empty or not text.
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
        raise CredentialError(f"the key {key!r} of the Secret {namespace}/{name} is not text") from None
    if not value.strip():
        raise CredentialError(f"the key {key!r} of the Secret {namespace}/{name} is empty")
    return value
