"""Recognizes, from what a controller reports, mistakes of an implementation file that make many tests fail."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

#: Begins an advice, between what a test expected and what it observed. Reports group failures by the advice.
MARK = "probable cause: "

#: A message about a Secret that is not there: the name of a Secret has at most 253 characters.
_ABSENT = re.compile(r"secrets?\b.{0,300}?(?:\bnot (?:be )?found|does(?: not|n't) exist)", re.IGNORECASE)
#: The API server's words about a missing permission (k8s.io/apiserver, endpoints/handlers/responsewriters/errors.go).
_FORBIDDEN = re.compile(
    r'cannot (?P<verb>\w+) resource \\?"(?P<resource>[\w./-]+)\\?" in API group \\?"[^"]*"'
    r'(?: in the namespace \\?"(?P<namespace>[\w.-]+)\\?")?'
)
_LONGEST = 20_000


def advice(messages: Iterable[str], home: str, *, cluster_scoped: bool, exist: Callable[[], bool]) -> str:
    """Return what an author should check, in one sentence; '' if the messages do not show it.

    :param messages: of the conditions of an issuer object that is not Ready, or of a request that is not issued.
    :param home: the namespace of the Secrets and ServiceAccounts that the issuer object refers to.
    :param cluster_scoped: whether the issuer object is cluster-scoped.
    :param exist: whether all its Secrets existed there before the issuer object.
    """
    text = " ".join(messages)[:_LONGEST]
    forbidden = _FORBIDDEN.search(text)
    elsewhere = forbidden and forbidden["namespace"] not in (None, home)
    if elsewhere or (not forbidden and _ABSENT.search(text) and exist()):
        if cluster_scoped:
            where, check = f"the namespace {home}", "[run] cluster_resource_namespace"
        else:
            where, check = "the namespace of an issuer object", "where it reads them, and [issuer.shape]"
        return f"the controller does not find Secrets or service accounts in {where}: check {check}"
    if forbidden:
        allowed = f"{forbidden['verb']} {forbidden['resource']}"
        return f"the service account of the controller may not {allowed}: check [run] rbac"
    return ""


def secrets_of(vault: Any) -> Iterator[str]:
    """Yield the names of the Secrets that a configuration refers to."""
    if not isinstance(vault, Mapping):
        return
    for key, value in vault.items():
        if key == "secretName":
            yield value
        elif key.lower().endswith("secretref") and isinstance(value, Mapping):
            yield value.get("name", "")
        else:
            yield from secrets_of(value)
