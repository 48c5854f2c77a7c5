"""ServiceAccounts, their tokens, and the documented Role that allows a controller to request tokens."""

from __future__ import annotations

from ..errors import StackError
from ..timeouts import Timeouts, poll
from .client import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SUBJECT_ACCESS_REVIEWS,
    Cluster,
    Object,
    Resource,
)

TOKEN_SECRET_TYPE = "kubernetes.io/service-account-token"  # noqa: S105 (the name of a type)


def user_name(namespace: str, service_account: str) -> str:
    """Return the user name of a ServiceAccount, the subject of its tokens."""
    return f"system:serviceaccount:{namespace}:{service_account}"


def user_of(account: str) -> str:
    """Return the user name of a ServiceAccount, given as ``namespace/name``."""
    namespace, _, name = account.partition("/")
    return user_name(namespace, name)


def create_service_account(cluster: Cluster, namespace: str, name: str, labels: dict[str, str]) -> None:
    """Create a ServiceAccount."""
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    cluster.create(SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})


def token_role(namespace: str, service_account: str, labels: dict[str, str]) -> Object:
    """Return the documented Role: it allows to create ``serviceaccounts/token`` of one ServiceAccount."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": service_account, "namespace": namespace, "labels": labels},
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["serviceaccounts/token"],
                "resourceNames": [service_account],
                "verbs": ["create"],
            }
        ],
    }


def grant_token_requests(
    cluster: Cluster, namespace: str, service_account: str, subject: str, labels: dict[str, str], timeouts: Timeouts
) -> None:
    """Allow `subject` (``namespace/name`` of a ServiceAccount) to request tokens of a ServiceAccount.

    :raises StackError: if the API server does not allow it in time.
    """
    role = token_role(namespace, service_account, labels)
    subject_namespace, _, subject_name = subject.partition("/")
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": role["metadata"],
        "subjects": [{"kind": "ServiceAccount", "name": subject_name, "namespace": subject_namespace}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": service_account},
    }
    cluster.create(ROLES, role)
    cluster.create(ROLE_BINDINGS, binding)
    _wait_allowed(cluster, user_name(subject_namespace, subject_name), role["rules"][0], namespace, timeouts)


def may_request_tokens(cluster: Cluster, subject: str, namespace: str, service_account: str) -> bool:
    """Whether `subject` (``namespace/name`` of a ServiceAccount) may request tokens of a ServiceAccount.

    :raises ApiError: if the API server does not answer.
    """
    rule = token_role(namespace, service_account, {})["rules"][0]
    return _is_allowed(cluster, user_of(subject), rule, namespace)


def may(cluster: Cluster, subject: str, verb: str, resource: Resource, subresource: str = "") -> bool:
    """Whether `subject` (``namespace/name`` of a ServiceAccount) may do something with a type in every namespace.

    :raises ApiError: if the API server does not answer.
    """
    plural = f"{resource.plural}/{subresource}" if subresource else resource.plural
    rule = {"apiGroups": [resource.group], "resources": [plural], "verbs": [verb]}
    return _is_allowed(cluster, user_of(subject), rule, None)


def revoke_token_requests(cluster: Cluster, namespace: str, service_account: str) -> None:
    """Revoke the permission of :func:`grant_token_requests`."""
    cluster.delete(ROLE_BINDINGS, service_account, namespace)
    cluster.delete(ROLES, service_account, namespace)


def create_token_secret(
    cluster: Cluster, namespace: str, service_account: str, name: str, labels: dict[str, str], timeouts: Timeouts
) -> Object:
    """Create the documented Secret for a static token, and return it after Kubernetes has filled it.

    :raises TimeoutError: if the cluster's token controller does not fill it in time.
    """
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": TOKEN_SECRET_TYPE,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "annotations": {"kubernetes.io/service-account.name": service_account},
        },
    }
    cluster.create(SECRETS, body)
    done, secret = cluster.wait(
        SECRETS, name, namespace, lambda item: "token" in (item.get("data") or {}), timeout=timeouts.api
    )
    if not done or secret is None:
        raise TimeoutError(f"Kubernetes did not fill the Secret {namespace}/{name} within {timeouts.api:g} s")
    return secret


def grant_user(
    cluster: Cluster,
    user: str,
    rule: Object,
    labels: dict[str, str],
    timeouts: Timeouts,
    namespace: str | None = None,
) -> None:
    """Grant one RBAC rule to a user, in one namespace or in the whole cluster (None).

    :raises StackError: if the API server does not allow it in time.
    """
    roles, bindings = (ROLES, ROLE_BINDINGS) if namespace else (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS)
    metadata = {"name": user, "labels": labels} | ({"namespace": namespace} if namespace else {})
    api, kind = "rbac.authorization.k8s.io", "Role" if namespace else "ClusterRole"
    cluster.create(roles, {"apiVersion": f"{api}/v1", "kind": kind, "metadata": metadata, "rules": [rule]})
    cluster.create(
        bindings,
        {
            "apiVersion": f"{api}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
            "roleRef": {"apiGroup": api, "kind": kind, "name": user},
        },
    )
    _wait_allowed(cluster, user, rule, namespace, timeouts)


def revoke_user(cluster: Cluster, user: str) -> None:
    """Revoke the permissions of :func:`grant_user` in the whole cluster; those in a namespace end with it."""
    cluster.delete(CLUSTER_ROLE_BINDINGS, user)
    cluster.delete(CLUSTER_ROLES, user)


def _wait_allowed(cluster: Cluster, user: str, rule: Object, namespace: str | None, timeouts: Timeouts) -> None:
    """Wait until the API server allows a user the first verb of a rule on its first resource.

    The authorizer of the API server reads Roles from a cache, which lags behind the stored Roles.
    """

    def allowed() -> bool | None:
        return _is_allowed(cluster, user, rule, namespace) or None

    if not poll(allowed, timeout=timeouts.api):
        wanted = f"{rule['verbs'][0]} {rule['resources'][0]}"
        raise StackError(
            f"the API server does not allow {user} to {wanted} within {timeouts.api:g} s, although a Role allows it",
            hint="check whether another authorizer than RBAC denies it",
        )


def _is_allowed(cluster: Cluster, user: str, rule: Object, namespace: str | None) -> bool:
    """Whether a user may do the first thing that a rule allows."""
    resource, _, subresource = rule["resources"][0].partition("/")
    attributes = {
        "group": rule["apiGroups"][0],
        "resource": resource,
        "subresource": subresource,
        "verb": rule["verbs"][0],
        "name": rule.get("resourceNames", [""])[0],
        "namespace": namespace or "",
    }
    review = {
        "apiVersion": SUBJECT_ACCESS_REVIEWS.api_version,
        "kind": "SubjectAccessReview",
        "metadata": {},
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    return bool(cluster.create(SUBJECT_ACCESS_REVIEWS, review)["status"]["allowed"])
