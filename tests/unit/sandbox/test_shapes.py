"""Shapes: how they render an abstract configuration as objects, and what they cannot express."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.implementation import Implementation, load_implementation
from pytest_vault_issuer.sample_controller.shapes import block
from pytest_vault_issuer.sandbox.shapes import (
    BlockShape,
    Configuration,
    FunctionShape,
    InexpressibleError,
    check_expressible,
    check_names,
    read_mapping,
    sample,
)

EXAMPLES = Path(__file__).parents[3] / "examples" / "shapes"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
TOKEN = {"tokenSecretRef": {"name": "credential", "key": "token"}}
VAULT = {
    "server": "https://vault.example.test:8200",
    "path": "pki/int/sign/my-role",
    "caBundle": base64.b64encode(PEM.encode()).decode(),
    "auth": TOKEN,
}
#: Paths for all fields of VAULT.
PLACES = {
    "spec.url": "{server}",
    "spec.signPath": "{path}",
    "spec.ca": "{caPem}",
    "spec.token": "{auth.tokenSecretRef.name}",
    "spec.tokenKey": "{auth.tokenSecretRef.key}",
}


def configuration(*, namespace: str = "team", **changes: Any) -> Configuration:
    vault = {key: value for key, value in (VAULT | changes).items() if value is not None}
    return Configuration("example.test/v1", "VaultIssuer", "mine", namespace, namespace or "shared", vault)


def rendered(fields: dict[str, Any], given: Configuration | None = None, **tables: Any) -> list[dict[str, Any]]:
    return read_mapping({"fields": fields, **tables}).render(given or configuration())


def spec_of(fields: dict[str, Any], given: Configuration | None = None) -> dict[str, Any]:
    """Return the spec with fields in addition to those that VAULT needs."""
    spec: dict[str, Any] = rendered(PLACES | fields, given)[0]["spec"]
    return spec


# -- cert-manager's block ------------------------------------------------------------------------------------


def test_block_contains_the_unchanged_configuration() -> None:
    (body,) = BlockShape(("spec", "backend", "vault")).render(configuration())
    assert body == {
        "apiVersion": "example.test/v1",
        "kind": "VaultIssuer",
        "metadata": {"name": "mine", "namespace": "team"},
        "spec": {"backend": {"vault": VAULT}},
    }


def test_cluster_scoped_object_has_no_namespace() -> None:
    (body,) = BlockShape(("spec",)).render(configuration(namespace=""))
    assert body["metadata"] == {"name": "mine"}


# -- a mapping -----------------------------------------------------------------------------------------------


def test_fields_are_renamed() -> None:
    assert spec_of({}) == {
        "url": "https://vault.example.test:8200",
        "signPath": "pki/int/sign/my-role",
        "ca": PEM,
        "token": "credential",
        "tokenKey": "token",
    }


@pytest.mark.parametrize("value", [True, 3, "always", {"value": ["a", "b"]}, {"value": {}}])
def test_constants_are_written(value: Any) -> None:
    expected = value["value"] if isinstance(value, dict) else value
    assert spec_of({"spec.constant": value})["constant"] == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{mount}", "pki/int"),
        ("{role}", "my-role"),
        ("{endpoint}", "sign"),
        ("{server}/v1/{path}", "https://vault.example.test:8200/v1/pki/int/sign/my-role"),
        ("{issuer.name}-auth", "mine-auth"),
        ("{issuer.namespace}/{issuer.home}/{issuer.kind}", "team/team/VaultIssuer"),
        ("{{server}} {server}", "{server} https://vault.example.test:8200"),
        ("{auth.tokenSecretRef}", TOKEN["tokenSecretRef"]),
    ],
)
def test_templates_are_filled(template: str, expected: Any) -> None:
    assert spec_of({"spec.filled": template})["filled"] == expected


@pytest.mark.parametrize(
    ("when", "namespaced", "cluster_scoped"),
    [
        ("issuer", True, False),
        ("cluster-issuer", False, True),
        (["auth.tokenSecretRef", "cluster-issuer"], False, True),
        (["auth.appRole", "issuer"], False, False),
        (["issuer", "cluster-issuer"], False, False),
        ([], True, True),
    ],
)
def test_field_may_depend_on_the_kind(when: Any, namespaced: bool, cluster_scoped: bool) -> None:
    fields = {"spec.home": {"value": "{issuer.home}", "when": when}}
    assert ("home" in spec_of(fields)) is namespaced
    assert ("home" in spec_of(fields, configuration(namespace=""))) is cluster_scoped


def test_additional_object_may_depend_on_the_kind() -> None:
    other = {"api_version": "v1", "kind": "Secret", "name": "x", "when": ["cluster-issuer"], "fields": {}}
    assert len(rendered(PLACES, objects=[other])) == 1
    assert len(rendered(PLACES, configuration(namespace=""), objects=[other])) == 2


def test_empty_field_counts_as_written_only_if_all_conditions_are_met() -> None:
    fields = {"spec.url": "{server}", "spec.path": "{path}", "spec.ca": "{caBundle}"}
    empty = {"value": True, "when": ["auth.kubernetes", "cluster-issuer"]}
    given = configuration(auth={"kubernetes": {}})
    with pytest.raises(InexpressibleError, match=r"auth\.kubernetes"):
        rendered(fields | {"spec.kubernetes": empty}, given)
    given = configuration(auth={"kubernetes": {}}, namespace="")
    assert rendered(fields | {"spec.kubernetes": empty}, given)[0]["spec"]["kubernetes"] is True


SERVER = "https://[::1]:8200/team/a"


@pytest.mark.parametrize(
    ("server", "template", "expected"),
    [
        (SERVER, "{scheme}://{address}{prefix}", SERVER),
        (SERVER, "{host}", "::1"),
        (SERVER, "{port}", 8200),
        ("https://vault", "{port}", 443),
        ("http://vault/", "{port}{prefix}", "80"),
        ("", "{address}", ""),
    ],
)
def test_parts_of_the_server_are_written(server: str, template: str, expected: object) -> None:
    assert spec_of({"spec.part": template}, configuration(server=server))["part"] == expected


@pytest.mark.parametrize("written", [["{address}"], ["{host}", "{port}"]])
def test_server_without_a_scheme_is_https(written: list[str]) -> None:
    fields = {key: value for key, value in PLACES.items() if value != "{server}"}
    fields |= {f"spec.part{number}": template for number, template in enumerate(written)}
    rendered(fields, configuration(server="https://vault.example.test:8200/"))
    rendered(fields, configuration(server=""))
    for server, what in {"http://vault": "scheme 'http'", SERVER: "prefix '/team/a'"}.items():
        with pytest.raises(InexpressibleError, match=f"a server with the {what}"):
            rendered(fields, configuration(server=server))
    rendered(fields | {"spec.scheme": "{scheme}", "spec.path": "{prefix}"}, configuration(server="http://vault/team"))


@pytest.mark.parametrize("server", ["://", "vault:8200", "https://vault:port", "ftp://vault"])
def test_server_that_is_no_url_has_no_parts(server: str) -> None:
    with pytest.raises(InexpressibleError, match="it is not a URL"):
        spec_of({"spec.part": "{host}"}, configuration(server=server))


def test_host_alone_does_not_name_a_server() -> None:
    fields = {key: value for key, value in PLACES.items() if value != "{server}"}
    with pytest.raises(InexpressibleError, match="cannot express server: the shape has no field for it"):
        rendered(fields | {"spec.host": "{host}"})


def test_mount_of_a_login_is_taken_from_its_path() -> None:
    auth = {"kubernetes": {"mountPath": "/v1/auth/k8s/one", "role": "r", "serviceAccountRef": {"name": "sa"}}}
    fields = {
        "spec.mount": "{auth.kubernetes.mount}",
        "spec.role": "{auth.kubernetes.role}",
        "spec.account": "{auth.kubernetes.serviceAccountRef.name}",
    }
    assert (
        spec_of(fields, configuration(auth=auth)).items() >= {"mount": "k8s/one", "role": "r", "account": "sa"}.items()
    )


def test_field_is_left_out_without_its_value_unless_it_has_a_default() -> None:
    fields = {"spec.name": "{serverName}", "spec.namespace": {"value": "{namespace}", "default": "root"}}
    assert spec_of(fields).items() >= {"namespace": "root"}.items()
    assert "name" not in spec_of(fields)


def test_constant_may_depend_on_a_field() -> None:
    fields = {
        "spec.method": [{"value": "token", "when": "auth.tokenSecretRef"}, {"value": "approle", "when": "auth.appRole"}]
    }
    assert spec_of(fields)["method"] == "token"


def test_dot_that_is_part_of_a_key_is_escaped() -> None:
    assert rendered(PLACES | {r"data.ca\.crt": "{caPem}"})[0]["data"] == {"ca.crt": PEM}


def test_additional_objects_follow_the_issuer_object() -> None:
    fields = {"spec.connectionRef": "{issuer.name}-connection", "spec.signPath": "{path}"}
    connection = {
        "api_version": "example.test/v1",
        "kind": "VaultConnection",
        "name": "{issuer.name}-connection",
        "namespace": "{issuer.home}",
        "fields": {key: value for key, value in PLACES.items() if key != "spec.signPath"},
    }
    other = {"api_version": "v1", "kind": "Secret", "name": "x", "when": "auth.appRole", "fields": {}}
    issuer, added = rendered(fields, objects=[connection, other])
    assert issuer["spec"] == {"connectionRef": "mine-connection", "signPath": "pki/int/sign/my-role"}
    assert added["metadata"] == {"name": "mine-connection", "namespace": "team"}
    assert added["spec"]["token"] == "credential"


def test_rendered_objects_share_nothing_with_the_configuration() -> None:
    given = configuration()
    rendered(PLACES | {"spec.ref": "{auth.tokenSecretRef}"}, given)[0]["spec"]["ref"]["name"] = "changed"
    BlockShape(("spec",)).render(given)[0]["spec"]["auth"]["tokenSecretRef"]["name"] = "changed"
    assert given.vault["auth"] == {"tokenSecretRef": {"name": "credential", "key": "token"}}


# -- what cannot be expressed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "given", "what"),
    [
        (PLACES, configuration(serverName="other"), "serverName"),
        (PLACES, configuration(auth={"appRole": {}}), "auth.appRole"),
        (
            {key: value for key, value in PLACES.items() if key != "spec.tokenKey"},
            configuration(),
            "auth.tokenSecretRef.key",
        ),
        (PLACES | {"spec.signPath": "{mount}"}, configuration(), "path"),
        (PLACES | {"spec.signPath": "{mount} {role}"}, configuration(path="pki/sign-verbatim/my-role"), "path"),
        (PLACES | {"spec.signPath": "{mount} {role}"}, configuration(path="/pki/sign/my-role"), "the path"),
        (PLACES | {"spec.signPath": "{mount} {role}"}, configuration(path="pki/issue"), "the path"),
        (PLACES, configuration(caBundle=base64.b64encode(b"\xff").decode()), "a caBundle that is not text"),
        (
            PLACES | {"spec.mount": "{auth.aws.mount}"},
            configuration(auth={"aws": {"mountPath": "aws"}}),
            "auth.aws.mountPath 'aws'",
        ),
        (
            PLACES | {"spec.id": ["{auth.tokenSecretRef.name}", "{auth.tokenSecretRef.key}"]},
            configuration(),
            "two values of spec.id",
        ),
    ],
)
def test_part_without_a_place_is_inexpressible(fields: dict[str, Any], given: Configuration, what: str) -> None:
    with pytest.raises(InexpressibleError, match="cannot express") as caught:
        rendered(fields, given)
    assert caught.value.what.startswith(what)
    assert caught.value.hint


def test_path_in_parts_may_be_empty() -> None:
    spec = rendered(PLACES | {"spec.signPath": "{mount}", "spec.role": "{role}"}, configuration(path=""))[0]["spec"]
    assert (spec["signPath"], spec["role"]) == ("", "")


def test_fixed_value_needs_no_place_but_no_other_value_is_expressible() -> None:
    fields = {key: value for key, value in PLACES.items() if key != "spec.tokenKey"}
    fixed = {"auth.tokenSecretRef.key": "token"}
    assert rendered(fields, fixed=fixed)[0]["spec"]["token"] == "credential"
    other = configuration(auth={"tokenSecretRef": {"name": "credential", "key": "other"}})
    with pytest.raises(InexpressibleError, match="always 'token'"):
        rendered(fields, other, fixed=fixed)


def test_shape_without_a_place_for_the_bundle_says_that_it_trusts_the_system() -> None:
    fields = {
        key: value for key, value in PLACES.items() if "{caBundle}" not in str(value) and "{caPem}" not in str(value)
    }
    assert fields != PLACES
    with pytest.raises(ConfigurationError, match="cannot express caBundle") as caught:
        check_expressible(read_mapping({"fields": fields}), ["token"], "example.test/v1", {"VaultIssuer": "probe"})
    assert 'caBundle = "" in [issuer.shape.fixed]' in caught.value.hint
    shape = read_mapping({"fields": fields, "fixed": {"caBundle": ""}})
    check_expressible(shape, ["token"], "example.test/v1", {"VaultIssuer": "probe"})
    with pytest.raises(InexpressibleError, match="caBundle"):
        rendered(fields, configuration(caBundle="Y2E="), fixed={"caBundle": ""})


# -- mistakes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "message", "hint"),
    [
        ({"field": {}}, "unknown key 'field' in [issuer.shape]", "fields"),
        ({"fields": {"spec.url": "{sever}"}}, "there is no placeholder 'sever'", "server"),
        ({"fields": {"spec.url": "{server"}}, "a single {", "write a literal brace twice"),
        ({"fields": {"spec..url": "{server}"}}, "'spec..url' cannot be a field", "spec.url"),
        ({"fields": {"status.x": "{server}"}}, "'status.x' cannot be a field", "spec.url"),
        ({"fields": {"spec": "x", "spec.url": "y"}}, "'spec.url' is inside 'spec'", "either"),
        ({"fields": {"spec.url": {"when": "auth"}}}, "has no value", "value"),
        ({"fields": {"spec.url": {"value": "x", "if": "auth"}}}, "unknown key 'if'", "value"),
        ({"fields": {"spec.url": {"value": "x", "when": "auth.approle"}}}, "no field 'auth.approle'", "auth.appRole"),
        ({"fields": "x"}, "[issuer.shape] fields must be a table", "spec.url"),
        ({"objects": {}}, "objects must be tables", "[[issuer.shape.objects]]"),
        ({"objects": [{"kind": "Secret", "name": "x"}]}, "api_version is missing", "api_version"),
        ({"objects": [{"api_version": "v1", "kind": "Secret", "name": 3}]}, "name must be a string, got 3", "name"),
        ({"objects": [{"api_version": "v1", "kind": "Secret", "name": "{x}"}]}, "no placeholder 'x'", "one of"),
        ({"fixed": {"auth.token": "x"}}, "there is no field 'auth.token'", "auth"),
        (
            {"fixed": {"auth.appRole.path": "mine"}},
            "the suite has no auth method at auth.appRole.path = 'mine'",
            "'approle'",
        ),
        ({"fixed": {"server": 1}}, "fixed must be a table of strings", "server"),
    ],
)
def test_mistake_in_a_mapping(table: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_mapping(table)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_feature_must_be_expressible_for_each_kind() -> None:
    fields = PLACES | {"spec.tokenKey": {"value": "{auth.tokenSecretRef.key}", "when": "issuer"}}
    shape = read_mapping({"fields": fields})
    check_expressible(shape, ["token"], "example.test/v1", {"VaultIssuer": "probe"})
    with pytest.raises(ConfigurationError, match=r"cannot express auth\.tokenSecretRef\.key of a VaultClusterIssuer"):
        check_expressible(shape, ["token"], "example.test/v1", {"VaultIssuer": "probe", "VaultClusterIssuer": ""})


def test_claimed_feature_must_be_expressible() -> None:
    shape = read_mapping({"fields": PLACES})
    check_expressible(shape, ["token"], "example.test/v1", {"VaultIssuer": "probe"})
    with pytest.raises(ConfigurationError) as caught:
        check_expressible(shape, ["token", "approle"], "example.test/v1", {"VaultIssuer": "probe"})
    assert caught.value.message == "the feature approle is claimed but [issuer.shape] cannot express auth.appRole.path"
    assert caught.value.hint == "add a field with {auth.appRole.path}, or do not claim approle"


@pytest.mark.parametrize("feature", ["ca-bundle-secret", "server-name", "mtls", "vault-namespace", "aws", "jwt"])
def test_every_feature_of_a_configuration_is_checked(feature: str) -> None:
    with pytest.raises(ConfigurationError, match=f"the feature {feature} is claimed"):
        check_expressible(
            read_mapping({"fields": PLACES}), ["token", feature], "example.test/v1", {"VaultIssuer": "probe"}
        )


# -- a function ----------------------------------------------------------------------------------------------------

RENDER = """
def render(configuration):
    issuer = {"apiVersion": configuration.api_version, "kind": configuration.kind, "metadata": configuration.metadata}
    text = "".join(f"{key}={configuration.vault[key]}\\n" for key in ("server", "path"))
    metadata = {"name": configuration.name}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"vault": text}}
    return [issuer | {"spec": {"config": configuration.name}}, config]


def nothing(configuration):
    return []


def another(configuration):
    return [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}]
"""


def with_render(directory: Path, function: str) -> Implementation:
    directory.joinpath(f"shape_of_{directory.name}.py").write_text(RENDER)
    data = {
        "implementation": {"name": "mine", "version": "1"},
        "issuer": {"render": f"shape_of_{directory.name}:{function}"},
        "features": {"supported": ["token"]},
    }
    return Implementation.from_mapping(data, directory)


def test_function_beside_the_file_renders_the_objects(tmp_path: Path) -> None:
    issuer, config = with_render(tmp_path, "render").shape.render(configuration())
    assert issuer["spec"] == {"config": "mine"}
    assert config["data"] == {"vault": f"server={VAULT['server']}\npath={VAULT['path']}\n"}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("nothing", "must return a list of objects"),
        ("another", "must be Issuer probe, got Secret x"),
        ("absent", "cannot be imported"),
    ],
)
def test_mistake_of_a_function_is_found_at_load_time(tmp_path: Path, function: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        with_render(tmp_path, function)
    assert caught.value.hint


def test_function_may_refuse_a_configuration() -> None:
    def refuse(given: Configuration) -> list[dict[str, Any]]:
        raise InexpressibleError("serverName")

    with pytest.raises(InexpressibleError):
        FunctionShape("shapes:refuse", refuse).render(configuration())


# -- the examples --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["flat", "auth-object", "configmap"])
@pytest.mark.parametrize("feature", ["token", "approle", "kubernetes-static", "kubernetes-secretless"])
def test_sample_controller_reads_the_example_file(name: str, feature: str) -> None:
    described = load_implementation(str(EXAMPLES / name / "controller.toml"))
    vault = sample({feature}, feature, server="https://vault", ca_pem=PEM, shape=described.shape)
    given = Configuration(described.issuer.api_version, described.issuer.kind, "mine", "team", "team", vault)
    issuer, *others = described.shape.render(given)
    values = issuer["spec"]
    if name == "auth-object":
        values = values | {"auth": others[0]["spec"]}
    elif name == "configmap":
        values = others[0]["data"]
    assert block(name, json.loads(json.dumps(values))) == vault


# -- names -----------------------------------------------------------------------------------------------------


def test_additional_object_with_a_too_long_name_cannot_be_expressed() -> None:
    objects = [{"kind": "ConfigMap", "metadata": {"name": "x" * length}} for length in (253, 254)]
    check_names(configuration(), objects[:1])
    with pytest.raises(InexpressibleError, match="a name of 254, and Kubernetes allows 253"):
        check_names(configuration(), objects)
