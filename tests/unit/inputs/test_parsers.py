"""Parsers with any input: they return the promised type, or raise an error that states what is wrong.

An input that failed once stays as an ``@example`` of its test.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.implementation import Implementation, load_implementation
from pytest_vault_issuer.implementation.manifests import read
from pytest_vault_issuer.inputs.addresses import why_no_host, why_no_url
from pytest_vault_issuer.inputs.documents import DocumentError, parse_documents, write_documents
from pytest_vault_issuer.kube.kubeconfig import read_connection
from pytest_vault_issuer.options import OPTIONS, Settings
from pytest_vault_issuer.requirements.features import FEATURES, PROFILES
from pytest_vault_issuer.stack.kind.cluster import configuration
from pytest_vault_issuer.toolchain.images import check_image

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates() | st.binary(max_size=4)
)
#: Fragments of YAML and TOML, so that some generated texts are almost valid.
PIECES = st.sampled_from(list("[]{},:'\"#?|>-~=1aé \n\t\r\0\ufeff\u2028")) | st.sampled_from(
    ["kind", "name", "&a", "*a", "!!int", "<<: ", "- ", ": ", "\n  ", "---\n", "%YAML 1.1\n", ".inf", "\\u", "[run]\n"]
)
TEXTS = st.text(max_size=40) | st.lists(PIECES, max_size=25).map("".join)
BYTES = st.binary(max_size=40) | TEXTS.map(lambda text: text.encode(errors="replace"))


def values(keys: list[str]) -> st.SearchStrategy[Any]:
    """Generate values of any shape, whose keys are often those that a parser looks up."""
    names = st.sampled_from(keys) | st.text(max_size=5)
    return st.recursive(
        SCALARS | st.sampled_from(keys),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
        max_leaves=12,
    )


def check(error: ConfigurationError, *says: str) -> None:
    """Check that an error states what is wrong, and what to do."""
    assert error.message
    assert error.hint
    assert all(text in error.message for text in says)


def in_file(content: bytes, use: Callable[[Path], Any]) -> Any:
    """Run a parser on a file with some content; return None if it rejects the file with the expected error."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x.toml"
        path.write_bytes(content)
        try:
            return use(path)
        except ConfigurationError as error:
            check(error, str(path))
            return None


def yaml_bytes(value: Any) -> bytes:
    return yaml.safe_dump(value, allow_unicode=True).encode(errors="surrogatepass")


# -- YAML -----------------------------------------------------------------------------------------------------


@given(BYTES)
@example(b"!!int")
@example(b"!!timestamp x")
@example(b"? {a: b}\n: c")
@example(b"a: !!float x")
@example(b"!!binary \xc3\xa9")
@example(b"<<: 1")
@example(b"%YAML 9.9\n--- a")
def test_documents_contain_only_json_types(content: bytes) -> None:
    try:
        documents = parse_documents(content)
    except DocumentError:
        return
    assert json.loads(json.dumps(documents, allow_nan=False)) == documents


@given(values(["a", "b"]))
@example(1e16)
@example({"a": -1e-7})
@example("\U0001f600")
def test_json_value_is_read_as_it_was_written(value: Any) -> None:
    try:
        plain = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        return
    try:
        json.dumps(plain, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # an incomplete character
        return
    assert parse_documents(json.dumps(plain).encode()) == ([] if plain is None else [plain])


@given(st.text(max_size=12) | st.from_regex(r"[-+.0-9][-+.0-9e]{0,8}[a-z]?", fullmatch=True))
@example("8e2")
@example("8e2uhyukt1c3")
@example(".5e3")
@example("2026-11-30")
@example("yes")
def test_text_is_written_as_text(text: str) -> None:
    assert parse_documents(write_documents({text: [text]}).encode()) == [{text: [text]}]


def test_several_documents_are_written() -> None:
    assert write_documents({"b": 1, "a": 2}, {}, sort_keys=False) == "---\nb: 1\na: 2\n--- {}\n"


def test_token_that_begins_like_a_number_is_text() -> None:
    assert parse_documents(b"token: 8e2uhyukt1c3\nnumber: 8e2") == [{"token": "8e2uhyukt1c3", "number": 800}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: b\ntoken: !!int hvs.CAESIJ", "a value does not fit its type int, line 2, column 8"),
        (b"token: 'hvs.CAESIJ", "while scanning a quoted scalar: found unexpected end of stream, line 1, column 19"),
        (b"token: hvs.CAESIJ: x", "mapping values are not allowed here, line 1, column 18"),
        (b"a: [!!float hvs.CAESIJ]", "a value does not fit its type float, line 1, column 5"),
    ],
)
def test_error_quotes_no_value(content: bytes, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_documents(content)
    assert str(caught.value) == message


# -- manifests ------------------------------------------------------------------------------------------------

_IN_MANIFESTS = ["apiVersion", "kind", "metadata", "name", "namespace", "labels", "items", "List", "spec", "template"]
_IN_MANIFESTS += [
    "containers",
    "initContainers",
    "image",
    "Deployment",
    "Pod",
    "CronJob",
    "jobTemplate",
    "v1",
    "apps/v1",
]


def manifests(path: Path) -> Any:
    return list(read([path], lambda: Path("/no/kubectl")))


@given(BYTES | values(_IN_MANIFESTS).map(yaml_bytes))
def test_any_manifest_is_read_or_refused(content: bytes) -> None:
    for item in in_file(content, manifests) or []:
        assert item["apiVersion"]
        assert item["kind"]
        assert item["metadata"]["name"]


@given(st.sampled_from(["Pod", "Deployment", "CronJob"]), values(_IN_MANIFESTS), values(_IN_MANIFESTS))
def test_any_workload_is_read_or_refused(kind: str, metadata: Any, spec: Any) -> None:
    item = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "x", "labels": metadata}, "spec": spec}
    in_file(yaml_bytes(item), manifests)


# -- the implementation file ----------------------------------------------------------------------------------

_TABLES = ["implementation", "issuer", "run", "features", "known_failures"]
_IN_TABLES = ["name", "version", "contact", "contract", "kind", "vault_at", "command", "env", "image", "images", "all"]
_IN_TABLES += ["supported", "service_account", "ready_log", "approves", "manifests", "VI-SIGN-001", "{kubeconfig}"]


@given(BYTES)
@example(b"a = " + b"[" * 3000)
@example(b"a = " + b"9" * 5000)
@example(b"\xef\xbb\xbf")
def test_any_implementation_file_is_read_or_refused(content: bytes) -> None:
    in_file(content, lambda path: load_implementation(str(path)))


def refused_or_right(data: dict[str, Any]) -> None:
    try:
        described = Implementation.from_mapping(data, Path("/project"))
    except ConfigurationError as error:
        check(error)
    else:
        assert described.name
        assert described.issuer.kind
        assert all(described.resolve(path).is_absolute() for path in described.run.manifests)


@given(st.dictionaries(st.sampled_from(_TABLES), values(_IN_TABLES)))
def test_any_tables_are_read_or_refused(data: dict[str, Any]) -> None:
    refused_or_right(data)


@given(
    st.dictionaries(
        st.sampled_from(["command", "images", "crds", "rbac", "manifests"]), st.lists(st.text(), max_size=3)
    ),
    st.dictionaries(st.text(max_size=4), st.text(max_size=8), max_size=2),
    st.dictionaries(
        st.sampled_from(["image", "service_account", "cluster_resource_namespace", "ready_log"]), st.text(max_size=12)
    ),
    st.dictionaries(st.sampled_from(["api_version", "kind", "cluster_kind", "vault_at"]), st.text(max_size=12)),
    st.lists(st.sampled_from([*FEATURES, *PROFILES, ""]), max_size=3),
)
def test_any_texts_of_an_implementation_are_read_or_refused(
    lists: dict[str, list[str]], env: dict[str, str], texts: dict[str, str], issuer: dict[str, str], features: list[str]
) -> None:
    about = {"name": "x", "version": "1"}
    run = {**lists, **texts, "env": env}
    refused_or_right({"implementation": about, "run": run, "issuer": issuer, "features": {"supported": features}})


# -- configurations of clusters -------------------------------------------------------------------------------

_IN_KIND = ["nodes", "role", "control-plane", "worker", "image", "extraMounts", "kubeadmConfigPatches", "hostPath"]


@given(values(_IN_KIND), values(_IN_KIND))
def test_any_configuration_of_kind_is_read_or_refused(nodes: Any, patches: Any) -> None:
    config = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": nodes,
        "kubeadmConfigPatches": patches,
    }
    made = in_file(yaml_bytes(config), lambda path: configuration(path, Path("/ours")))
    if made is not None:
        assert any(mount["hostPath"] == "/ours" for node in made["nodes"] for mount in node.get("extraMounts") or [])
        assert yaml.safe_load(made["kubeadmConfigPatches"][-1])["kind"] == "ClusterConfiguration"


_IN_KUBECONFIGS = ["name", "cluster", "context", "user", "server", "https://a.test", "exec", "token", "client-key-data"]
_IN_KUBECONFIGS += ["certificate-authority-data", "proxy-url", "tls-server-name", "command", "auth-provider"]


@given(values(_IN_KUBECONFIGS), values(_IN_KUBECONFIGS), values(_IN_KUBECONFIGS))
def test_any_kubeconfig_is_read_or_refused(cluster: Any, context: Any, user: Any) -> None:
    config = {
        "clusters": [{"name": "a", "cluster": cluster}],
        "contexts": [{"name": "a", "context": context if context else {"cluster": "a", "user": "a"}}],
        "users": [{"name": "a", "user": user}],
        "current-context": "a",
    }
    in_file(yaml_bytes(config), lambda path: read_connection(path, None))


# -- options --------------------------------------------------------------------------------------------------

_VALUES = [
    "process",
    "kind",
    "existing",
    "1",
    "true",
    "core",
    "1.36",
    "a/b:1",
    "https://vault.test",
    "::1",
    "nan",
    "1e9",
]


@given(
    st.dictionaries(st.sampled_from([option.name for option in OPTIONS]), st.sampled_from(_VALUES) | TEXTS, max_size=4)
)
@example({"vault-issuer-vault-addr": "https://["})
@example({"vault-issuer-kubernetes-host": "https://a:٣"})
@example({"vault-issuer-vault-addr": "https://a]"})
def test_any_options_are_read_or_refused(given_options: dict[str, str]) -> None:
    line: dict[str, Any] = {
        option.name: [given_options[option.name]] if option.many else given_options[option.name]
        for option in OPTIONS
        if option.name in given_options
    }
    try:
        settings = Settings.collect(line.get, lambda name: "", {}, Path())
    except ConfigurationError as error:
        check(error)
    else:
        assert not settings.vault_addr or not why_no_url(settings.vault_addr)
        assert 0 < settings.timeout_scale <= 1000


@given(TEXTS)
@example("https://[v1.a]")
@example("https://a.test\u2100")
def test_any_address_is_accepted_or_refused(text: str) -> None:
    for address in (text, f"https://{text}", f"https://a.test:{text}", f"https://[{text}]:1"):
        if not why_no_url(address):
            assert address.lower().startswith(("https://", "http://"))
    if not why_no_host(text):
        assert not set(text) & set("/@ \n?#")


@given(TEXTS)
def test_any_image_is_accepted_or_refused(text: str) -> None:
    try:
        check_image("option", text)
    except ConfigurationError as error:
        check(error)
    else:
        assert not set(text) & set(" \n\t")
