"""Lets the API server refuse some writes for a while, with an admission policy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from pytest_vault_issuer import ApiError, NotRunnable, Object, Sandbox, poll

#: The API of admission policies.
ADMISSION = "admissionregistration.k8s.io/v1"


@contextlib.contextmanager
def refused(
    sandbox: Sandbox,
    group: str,
    resource: str,
    allowed: str,
    write: Callable[[], object],
    *,
    namespace: str | None = None,
) -> Iterator[None]:
    """Let the API server refuse some writes of a resource during the block.

    :param resource: in the plural, or a subresource, such as ``certificaterequests/status``.
    :param allowed: a CEL expression about ``object`` that is true for the writes that stay allowed.
    :param write: a write that the policy refuses, to see when it takes effect; it may succeed before.
    :param namespace: the only one whose objects the policy covers; None for all, and for cluster-scoped objects.
    :raises NotRunnable: if the cluster outlives the session: a policy concerns the whole cluster.
    """
    if not sandbox.environment.stack.disposable:
        raise NotRunnable("the test adds an admission policy to the cluster", hint="use --vault-issuer-stack=process")
    name, cluster = sandbox.new_name("refusal"), sandbox.cluster
    bodies = list(_policy(name, group, resource, allowed, namespace))

    def is_active() -> bool | None:
        try:
            write()
        except ApiError:
            return True
        return None

    try:
        for body in bodies:
            cluster.apply_manifest(body)
        assert poll(is_active, timeout=sandbox.timeouts.event), "expected the admission policy to take effect"
        yield
    finally:
        for body in reversed(bodies):
            cluster.delete(cluster.discover(ADMISSION, body["kind"]), name)


def _policy(name: str, group: str, resource: str, allowed: str, namespace: str | None) -> Iterator[Object]:
    """Yield an admission policy and its binding."""
    rule = {"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": [resource]}
    constraints: Object = {"resourceRules": [rule]}
    if namespace is not None:
        constraints["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    yield {
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": constraints,
            "validations": [{"expression": allowed, "message": "the policy of a test refuses this"}],
        },
    }
    yield {
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
