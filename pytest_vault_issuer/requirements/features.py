"""The features that an implementation may claim, by profile."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ..errors import ConfigurationError

CORE = "core"
EXTENDED = "extended"
RESILIENCE = "resilience"
#: Profile -> feature -> description. ``core`` has the features of the documentation page, ``extended`` the other
#: documented ones. Few requirements of ``resilience`` need a feature: they are about restarts, outages and overload.
BY_PROFILE = {
    CORE: {
        "token": "authentication with a token in a Secret (auth.tokenSecretRef)",
        "approle": "authentication with an AppRole (auth.appRole)",
        "kubernetes-static": "authentication with a service account token in a Secret (auth.kubernetes.secretRef)",
        "kubernetes-secretless": "authentication with requested tokens (auth.kubernetes.serviceAccountRef)",
        "issuer": "a namespaced kind (Issuer)",
        "cluster-issuer": "a cluster-scoped kind (ClusterIssuer)",
        "certificate-request": "CertificateRequests (cert-manager.io/v1 CertificateRequest)",
    },
    EXTENDED: {
        "ca-bundle-secret": "the CA bundle in a Secret (caBundleSecretRef)",
        "server-name": "the name to verify Vault's certificate against (serverName)",
        "mtls": "a client certificate on the connection to Vault (clientCertSecretRef, clientKeySecretRef)",
        "client-certificate": "authentication with a client certificate (auth.clientCertificate)",
        "jwt": "a JWT auth mount of Vault behind auth.kubernetes.mountPath",
        "aws": "authentication with AWS IAM (auth.aws)",
        "vault-namespace": "a namespace of Vault Enterprise (namespace)",
        "certificate": "Certificates end to end (cert-manager.io/v1 Certificate)",
        "certificate-signing-request": "CertificateSigningRequests of Kubernetes (certificates.k8s.io)",
        "admission": "the API server refuses wrong issuer objects (CRD validation or a webhook)",
    },
    RESILIENCE: {
        "replicas": "several replicas at the same time, with leader election or without",
    },
}
PROFILES = tuple(BY_PROFILE)
#: The profiles that cover the documentation. Their tests share a controller and a stack that keep running.
DOCUMENTED = (CORE, EXTENDED)
FEATURES = {feature: text for features in BY_PROFILE.values() for feature, text in features.items()}
#: Kind in the tests of the suite -> the feature of implementations that have this kind.
KINDS = {"Issuer": "issuer", "ClusterIssuer": "cluster-issuer"}
#: The features that are ways to request a certificate.
REQUEST_APIS = ("certificate-request", "certificate-signing-request")
#: Area of the ids -> its title, in the order of reports.
AREAS = {
    "SPEC": "valid and invalid configurations",
    "TLS": "the connection to Vault",
    "TOKEN": "authentication with a token",
    "APPROLE": "authentication with an AppRole",
    "KSTATIC": "authentication with a stored service account token",
    "KSECRETLESS": "authentication with requested service account tokens",
    "SCOPE": "namespaces, and several Issuers side by side",
    "HEALTH": "readiness",
    "SIGN": "sign requests to Vault, and its responses",
    "REQUEST": "the life of a CertificateRequest",
    "ROTATION": "changes of credentials and configuration",
    "LEAK": "secrets",
    "MTLS": "client certificates on the connection to Vault",
    "CLIENTCERT": "authentication with a client certificate",
    "JWT": "authentication at a JWT mount",
    "AWS": "authentication with AWS IAM",
    "NAMESPACE": "namespaces of Vault Enterprise",
    "LOGIN": "tokens of Vault's auth roles",
    "PKI": "roles, issuers and mounts of Vault's PKI engine",
    "CERTIFICATE": "Certificates end to end",
    "CSRAPI": "CertificateSigningRequests",
    "CSR": "keys, names and encodings of CSRs",
    "ADDRESS": "forms of addresses and paths",
    "ADMISSION": "invalid objects that the API server rejects",
    "RESTART": "restarts of the controller",
    "HA": "replicas",
    "OUTAGE": "outages of the API server, and objects that change during a request",
    "SLOW": "slow, failing and interrupted responses of Vault",
    "LIMIT": "limits of Vault, and the rate of retries",
    "LOAD": "many Issuers and requests, and the resources that they use",
}


def expand(names: Iterable[str]) -> frozenset[str]:
    """Return features by name; the name of a profile means all of its features.

    :raises ConfigurationError: for a name that is neither.
    """
    names = list(names)
    check_known("feature", names, [*FEATURES, *PROFILES])
    return frozenset(feature for name in names for feature in BY_PROFILE.get(name, (name,)))


def check_known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Check names against the known ones.

    :param what: the kind of name in the message, such as "feature".
    :raises ConfigurationError: for an unknown name; the hint suggests a known one.
    """
    known = list(known)
    for name in names:
        if name not in known:
            raise ConfigurationError(f"there is no {what} {name!r}", hint=meant(name, known))


def meant(name: str, known: list[str]) -> str:
    """Return a hint for an unknown name: the closest known name, or all."""
    close = difflib.get_close_matches(name, known, 1)
    return f"did you mean {close[0]}?" if close else f"one of: {', '.join(known)}"
