"""Explains why a controller does not start, or does nothing: from its log and from its permissions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..kube.client import CERTIFICATE_REQUESTS, CSRS, Cluster, Resource
from ..kube.rbac import may
from ..requirements.features import REQUEST_APIS

#: Number of lines from the first one that names a cause, and of the last lines, if the log is long.
_HEAD, _LAST = 12, 8
_CUT = "[…]"
#: Characters of a line that are searched and shown. An expression may take time that grows with their square.
_LONGEST = 1000
#: What a log says -> what to do next. The first one that a log contains is the cause; later ones are its effects.
_SYMPTOMS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), hint)
    for pattern, hint in (
        (
            r"flag provided but not defined|no such option|unknown command"
            r"|(unknown|unrecognized|unexpected|invalid) (shorthand )?(flag|option|argument)",
            "compare [run] command with its --help; the suite sets KUBECONFIG, so it may not need --kubeconfig",
        ),
        (
            r"address already in use|EADDRINUSE",
            "let it listen on a free port: use {free_port} in [run] command or env, such as "
            "--metrics-bind-address=127.0.0.1:{free_port}",
        ),
        (
            r"in-cluster config|KUBERNETES_SERVICE_HOST|/var/run/secrets/kubernetes\.io/serviceaccount",
            "it only works in a pod: let it read KUBECONFIG, which the suite sets, or add --kubeconfig={kubeconfig} to "
            "[run] command; otherwise run its image or its manifests with the provider kind",
        ),
        (
            r"no matches for kind|could not find the requested resource|no kind is registered|failed to get API group "
            r"resources|unable to retrieve the complete list of server APIs",
            "it needs a type that the API server does not serve: name its CustomResourceDefinitions in [run] crds",
        ),
        (
            r"\bforbidden: |\bis forbidden\b|403 Forbidden",
            "its service account lacks a permission: add the permission in the log to the manifests in [run] rbac, and "
            "check that a binding names [run] service_account",
        ),
        (
            # https://pkg.go.dev/sigs.k8s.io/controller-runtime/pkg/leaderelection
            r"find leader election namespace",
            "controller-runtime knows the namespace of its lease only in a pod: set it with a flag of the controller, "
            "such as --leader-election-namespace={cluster_resource_namespace}, or turn leader election off in [run] "
            "command; without such a flag, only the provider kind can judge replicas",
        ),
        (
            r"acquire leader lease|resource lock",
            "it waits for leader election: turn it off in [run] command, or grant permissions for leases in [run] rbac",
        ),
        (
            r"(tls|cert)[\w./-]*\.(crt|pem|key)['\"]?: no such file|webhook.*no such file",
            "for webhooks, set its certificate directory to {webhook_cert_dir} and its port to {webhook_port} in [run] "
            "command",
        ),
        (
            r"executable file not found|exec format error|no such file or directory",
            "paths are relative to the implementation file; {directory} is its folder",
        ),
        (r"^panic: |nil pointer dereference|^Traceback |SIGSEGV|thread '.*' panicked", ""),
    )
)


def hint(log: str, otherwise: str) -> str:
    """Return what to do about the first cause that a log names.

    :param otherwise: the hint if the log names no known cause.
    """
    for line in log.splitlines():
        for pattern, known in _SYMPTOMS:
            if pattern.search(line[:_LONGEST]):
                return known or otherwise
    return otherwise


def excerpt(log: str, lines: int) -> str:
    """Return the last lines of a log, after the first lines that name a cause.

    A program prints its usage after the wrong option, and Go a stack of each goroutine after the reason of a panic.

    :param log: redacted: long lines are cut.
    """
    every = [line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…" for line in log.splitlines()]
    cause = next((number for number, line in enumerate(every) if _names_cause(line)), len(every))
    if cause >= len(every) - lines:
        return "\n".join(every[-lines:])
    return "\n".join([*every[cause : cause + _HEAD], _CUT, *every[-_LAST:]])


def _names_cause(line: str) -> bool:
    return any(pattern.search(line) for pattern, _ in _SYMPTOMS)


def missing_permissions(
    cluster: Cluster, account: str, kinds: Iterable[Resource], features: Iterable[str]
) -> list[str]:
    """Return what every controller needs and a service account may not do: "list and watch issuers.example.com".

    A controller may write a status with either ``update`` or ``patch``.

    :param account: ``namespace/name`` of the service account.
    :param kinds: types of its issuer objects.
    :param features: the features that it claims.
    :raises ApiError: if the API server does not answer the question.
    """
    requests = dict(zip(REQUEST_APIS, (CERTIFICATE_REQUESTS, CSRS), strict=True))
    claimed = set(features)
    types = [*kinds, *(resource for feature, resource in requests.items() if feature in claimed)]
    return [text for resource in types for text in _missing(cluster, account, resource)]


def _missing(cluster: Cluster, account: str, resource: Resource) -> Iterator[str]:
    name = f"{resource.plural}.{resource.group}"
    if reads := [verb for verb in ("list", "watch") if not may(cluster, account, verb, resource)]:
        yield f"{' and '.join(reads)} {name}"
    if not any(may(cluster, account, verb, resource, "status") for verb in ("update", "patch")):
        yield f"update or patch {resource.plural}/status.{resource.group}"
