"""Mistakes with a token in a Secret."""

from __future__ import annotations

from ..mutants import Defect, defect

DEFECTS: tuple[Defect, ...] = (
    defect(
        "token-key-ignored",
        "VI-TOKEN-001",
        "credentials.py",
        'key = reference.get("key") or "token"',
        'key = "token"',
        "the key of the reference is overlooked: in the author's own cluster it is always `token`",
    ),
    defect(
        "token-key-without-default",
        "VI-TOKEN-004",
        "credentials.py",
        'key = reference.get("key") or "token"',
        'key = reference.get("key") or "secretId"',
        "the default was copied from the AppRole's reference",
    ),
    defect(
        "empty-token-taken",
        "VI-TOKEN-009",
        "secret_values.py",
        "    if not value.strip():\n"
        '        raise CredentialError(f"the key {key!r} of the Secret {namespace}/{name} is empty")\n',
        "",
        "a key that is there is taken for a value that is there",
    ),
)
