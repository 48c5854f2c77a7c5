"""Issuer objects that the API server rejects: by CRD schema, CRD validation rules or admission webhook.

These tests need neither Vault nor the controller.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any

import pytest

from pytest_vault_issuer import FEATURES, Authority, Issuer, RefusedError, Sandbox, Unmet, requirement

from .helpers import alternating, bundle, claimed

Change = Callable[[dict[str, Any]], None]

REFERENCE = {"name": "credential", "key": "value"}
#: A complete authentication by feature.
AUTHS: dict[str, dict[str, Any]] = {
    "token": {"tokenSecretRef": REFERENCE},
    "approle": {"appRole": {"path": "approle", "roleId": "291b9d21-8ff5", "secretRef": REFERENCE}},
    "kubernetes-static": {
        "kubernetes": {"mountPath": "/v1/auth/kubernetes", "role": "my-role", "secretRef": REFERENCE}
    },
    "kubernetes-secretless": {
        "kubernetes": {"mountPath": "/v1/auth/kubernetes", "role": "my-role", "serviceAccountRef": {"name": "account"}}
    },
    "client-certificate": {"clientCertificate": {"mountPath": "/v1/auth/cert", "name": "role", "secretName": "client"}},
}
#: The required fields of the authentication method, by feature.
REQUIRED = {
    "token": ["tokenSecretRef.name"],
    "approle": ["appRole.roleId", "appRole.secretRef", "appRole.secretRef.name"],
    "kubernetes-static": ["kubernetes.role", "kubernetes.secretRef.name"],
    "kubernetes-secretless": ["kubernetes.role", "kubernetes.serviceAccountRef.name"],
}
#: The field with the path of the authentication method, by feature.
PATHS = {
    "approle": "appRole.path",
    "kubernetes-static": "kubernetes.mountPath",
    "kubernetes-secretless": "kubernetes.mountPath",
    "client-certificate": "clientCertificate.mountPath",
}


def auth_of(sandbox: Sandbox) -> dict[str, Any]:
    """Return a valid authentication for an issuer object that is invalid elsewhere."""
    return AUTHS[claimed(sandbox)[0]]


def with_value(auth: dict[str, Any], field: str, value: str | None) -> dict[str, Any]:
    """Return an authentication with one field, given by its path, changed; None removes the field."""
    changed = copy.deepcopy(auth)
    *parents, last = field.split(".")
    inner = changed
    for parent in parents:
        inner = inner[parent]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return changed


def issuer(sandbox: Sandbox, kind: str, **fields: Any) -> Issuer:
    """Create an issuer object that is valid except for the given fields."""
    return sandbox.issuer(kind, **{"path": "pki_int/sign/example-dot-com", "auth": auth_of(sandbox)} | fields)


def refusal(sandbox: Sandbox, kind: str, **fields: Any) -> str:
    """Return the message with which the API server rejects an issuer object, '' if it accepts it."""
    try:
        issuer(sandbox, kind, **fields)
    except RefusedError as error:
        return error.said
    return ""


def assert_refused(sandbox: Sandbox, kind: str, variants: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that the API server rejects each issuer object; the keys describe the errors."""
    accepted = [wrong for wrong, fields in variants.items() if not refusal(sandbox, kind, **fields)]
    assert not accepted, (
        f"expected the API server to reject {len(variants)} invalid issuer objects, saw accepted: {'; '.join(accepted)}"
    )


# -- invalid objects ---------------------------------------------------------------------------


def without_essentials() -> dict[str, dict[str, Any]]:
    missing = {f"{field} is missing": {field: None} for field in ("server", "path")}
    return missing | {f"{field} is empty": {field: ""} for field in ("server", "path")}


@requirement("VI-ADMISSION-001")
def test_missing_server_or_path_is_rejected(sandbox: Sandbox, kind: str) -> None:
    assert_refused(sandbox, kind, without_essentials())


@requirement("VI-ADMISSION-002")
def test_missing_authentication_is_rejected(sandbox: Sandbox, kind: str) -> None:
    variants: dict[str, dict[str, Any]] = {"auth has no method": {"auth": {}}}
    if claimed(sandbox, ("kubernetes-static", "kubernetes-secretless")):
        neither = {"kubernetes": {"mountPath": "/v1/auth/kubernetes", "role": "my-role"}}
        variants["neither secretRef nor serviceAccountRef is given"] = {"auth": neither}
    assert_refused(sandbox, kind, variants)


@requirement("VI-ADMISSION-003")
@alternating(
    ("kind", "feature", "other_feature"),
    [
        ("Issuer", "kubernetes-static", "kubernetes-secretless"),
        ("ClusterIssuer", "kubernetes-static", "kubernetes-secretless"),
    ],
)
def test_secret_and_service_account_are_rejected_together(
    sandbox: Sandbox, kind: str, feature: str, other_feature: str
) -> None:
    one, other = AUTHS[feature], AUTHS[other_feature]
    both = {method: one.get(method, {}) | other.get(method, {}) for method in {**one, **other}}
    assert_refused(sandbox, kind, {f"{feature} and {other_feature}": {"auth": both}})


@requirement("VI-ADMISSION-004")
@pytest.mark.parametrize("feature", REQUIRED)
def test_missing_field_of_the_method_is_rejected(sandbox: Sandbox, kind: str, feature: str) -> None:
    wrong = {f"{field} is missing": {"auth": with_value(AUTHS[feature], field, None)} for field in REQUIRED[feature]}
    assert_refused(sandbox, kind, wrong)


@requirement("VI-ADMISSION-005")
@pytest.mark.parametrize("feature", REQUIRED)
def test_empty_field_of_the_method_is_rejected(sandbox: Sandbox, kind: str, feature: str) -> None:
    texts = [field for field in REQUIRED[feature] if not field.endswith("Ref")]
    wrong = {f"{field} is empty": {"auth": with_value(AUTHS[feature], field, "")} for field in texts}
    assert_refused(sandbox, kind, wrong)


@requirement("VI-ADMISSION-006")
@pytest.mark.parametrize("feature", ["ca-bundle-secret"])
def test_inline_and_referenced_ca_bundle_are_rejected(sandbox: Sandbox, kind: str, feature: str) -> None:
    both = {"caBundle": bundle(Authority().pem), "caBundleSecretRef": REFERENCE}
    assert_refused(sandbox, kind, {f"caBundle and caBundleSecretRef ({feature})": both})


@requirement("VI-ADMISSION-007")
@pytest.mark.parametrize("feature", ["mtls"])
def test_half_a_client_certificate_is_rejected(sandbox: Sandbox, kind: str, feature: str) -> None:
    halves = ("clientCertSecretRef", "clientKeySecretRef")
    assert_refused(sandbox, kind, {f"{half} alone ({feature})": {half: REFERENCE} for half in halves})


@requirement("VI-ADMISSION-008")
def test_parent_segment_in_the_path_is_rejected(sandbox: Sandbox, kind: str) -> None:
    paths = ("../sys/seal", "pki/../sys/seal", "pki/sign/..")
    assert_refused(sandbox, kind, {path: {"path": path} for path in paths})


@requirement("VI-ADMISSION-008")
@pytest.mark.parametrize("feature", PATHS)
def test_parent_segment_in_the_path_of_the_method_is_rejected(sandbox: Sandbox, kind: str, feature: str) -> None:
    wrong = with_value(AUTHS[feature], PATHS[feature], "/v1/auth/../sys")
    assert_refused(sandbox, kind, {f"{PATHS[feature]} of {feature}": {"auth": wrong}})


# -- valid objects -------------------------------------------------------------------------------


def accepted(sandbox: Sandbox, kind: str, **fields: Any) -> None:
    message = refusal(sandbox, kind, **fields)
    assert not message, f"expected the API server to accept a valid issuer object, saw it rejected: {message}"


@requirement("VI-ADMISSION-009")
@pytest.mark.parametrize("feature", FEATURES)
def test_every_method_is_accepted(sandbox: Sandbox, kind: str, feature: str) -> None:
    auth = AUTHS[feature]
    accepted(sandbox, kind, auth=auth)
    if feature in PATHS:
        method, _, path = PATHS[feature].partition(".")
        odd = {method: auth[method] | {path: "/v1/auth/a..b/team-1/...dots"}}
        accepted(sandbox, kind, auth=odd)


@requirement("VI-ADMISSION-009")
def test_unusual_values_are_accepted(sandbox: Sandbox, kind: str) -> None:
    for server in ("http://vault", "https://[::1]:8200", "https://vault.example.test/a/b/", "https://vault:443"):
        accepted(sandbox, kind, server=server)
    for path in ("pki/sign/a", "team/pki-int/v1/sign/a.b_c", "pki/sign/a..b", "pki/issuer/x/sign/y"):
        accepted(sandbox, kind, path=path)
    accepted(sandbox, kind, caBundle=None)


# -- changes ----------------------------------------------------------------------------------------


@requirement("VI-ADMISSION-010")
def test_invalid_update_is_rejected(sandbox: Sandbox, kind: str) -> None:
    right = issuer(sandbox, kind)
    changes: dict[str, Change] = {
        "server is empty": lambda vault: vault.update(server=""),
        "path is missing": lambda vault: vault.pop("path"),
        "auth has no method": lambda vault: vault.update(auth={}),
    }
    for wrong, change in changes.items():
        before = right.get()["spec"]
        try:
            right.change(change)
        except RefusedError:
            pass
        else:
            raise Unmet(f"expected the API server to reject an update of {right} ({wrong}), saw it accepted")
        assert right.get()["spec"] == before, f"expected a rejected update not to change {right} ({wrong})"


@requirement("VI-ADMISSION-010")
def test_valid_update_is_accepted(sandbox: Sandbox, kind: str) -> None:
    right = issuer(sandbox, kind)
    path = f"pki-{secrets.token_hex(4)}/sign/other"
    for feature in claimed(sandbox):
        try:
            right.change(partial(dict.update, auth=AUTHS[feature], path=path))
        except RefusedError as error:
            raise Unmet(
                f"expected the API server to accept a valid update of {right}, saw it rejected: {error.said}"
            ) from error
    stored = reduce(lambda inner, part: inner[part], right.type.vault_at, right.get())
    assert stored["path"] == path, "expected the updated path"


# -- messages ------------------------------------------------------------------------------------------


@requirement("VI-ADMISSION-011")
def test_message_names_the_field(sandbox: Sandbox, kind: str) -> None:
    for wrong, fields in without_essentials().items():
        (field,) = fields
        message = refusal(sandbox, kind, **fields)
        assert f".{field}" in message, f"expected .{field} in the rejection ({wrong}), saw {message!r}"
    message = refusal(sandbox, kind, auth={})
    assert ".auth" in message, f"expected .auth in the rejection, saw {message!r}"


@requirement("VI-ADMISSION-011")
@pytest.mark.parametrize("feature", REQUIRED)
def test_message_names_the_field_of_the_method(sandbox: Sandbox, kind: str, feature: str) -> None:
    for field in REQUIRED[feature]:
        message = refusal(sandbox, kind, auth=with_value(AUTHS[feature], field, None))
        assert field in message, f"expected {field} in the rejection, saw {message!r}"


@requirement("VI-ADMISSION-012")
def test_bundle_without_a_certificate_is_rejected(sandbox: Sandbox, kind: str) -> None:
    contents = {"a text": secrets.token_hex(16), "a truncated certificate": Authority().pem[:200]}
    assert_refused(
        sandbox,
        kind,
        {f"caBundle contains {what}": {"caBundle": bundle(content)} for what, content in contents.items()},
    )
