"""The features an implementation may claim, and the profiles they belong to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .errors import ConfigurationError

#: Feature -> what it is. All of them are what the documentation page describes: profile ``core``.
FEATURES = {
    "token": "authentication with a token in a Secret (auth.tokenSecretRef)",
    "approle": "authentication with an AppRole (auth.appRole)",
    "kubernetes-static": "authentication with a service account token in a Secret (auth.kubernetes.secretRef)",
    "kubernetes-secretless": "authentication with requested tokens (auth.kubernetes.serviceAccountRef)",
    "cluster-issuer": "a cluster-scoped issuer (ClusterIssuer)",
}
PROFILES = ("core",)
AREAS = (
    "SPEC",
    "TLS",
    "TOKEN",
    "APPROLE",
    "KSTATIC",
    "KSECRETLESS",
    "SCOPE",
    "HEALTH",
    "SIGN",
    "REQUEST",
    "ROTATION",
    "LEAK",
)


def check_known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Check names against the known ones.

    :param what: for the message: "feature".
    :raises ConfigurationError: naming the unknown ones and what they may have meant.
    """
    known = list(known)
    for name in names:
        if name not in known:
            raise ConfigurationError(f"there is no {what} {name!r}", hint=meant(name, known))


def meant(name: str, known: list[str]) -> str:
    """Return a hint for a name that is not known: the closest that is, or all."""
    close = difflib.get_close_matches(name, known, 1)
    return f"did you mean {close[0]}?" if close else f"one of: {', '.join(known)}"
