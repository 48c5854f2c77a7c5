"""Mistakes in files: one error states the position and what to do."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.implementation import load_implementation
from pytest_vault_issuer.implementation.manifests import read
from pytest_vault_issuer.kube.client import Cluster
from pytest_vault_issuer.stack.kind.cluster import configuration, node_images


def no_kubectl() -> Path:
    raise AssertionError("kubectl is for kustomizations")


def refused(error: pytest.ExceptionInfo[ConfigurationError], path: Path, says: str) -> None:
    assert type(error.value) is ConfigurationError
    assert says in error.value.message
    assert str(path) in error.value.message
    assert error.value.hint
    assert len(error.value.message) < 1000


#: A document of ten lines that expands to ten billion values.
BOMB = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10 if n else ['x'] * 10)}]\n" for n in range(10))
DEEP = "[" * 5000 + "]" * 5000


def config_map(**parts: str) -> str:
    parts = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": "{name: x}", **parts}
    return "".join(f"{key}: {value}\n" for key, value in parts.items() if value)


def workload(pod: str, kind: str = "Deployment") -> str:
    return f"apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {{template: {{spec: {pod}}}}}\n"


#: Content of a manifest file, and the error. Texts are encoded as UTF-8.
MANIFESTS: dict[str, tuple[str | bytes, str]] = {
    "not UTF-8": (b"kind: \xff\xfe\n", "it is not UTF-8: byte 6 is 0xff"),
    "UTF-16": ("kind: ConfigMap".encode("utf-16"), "it is not UTF-8: byte 0 is 0xff"),
    "a binary": (b"\x7fELF\x02\x01\x01\x00", "special characters are not allowed"),
    "NUL": (b"kind: a\0b\n", "special characters are not allowed"),
    "a tab": ("kind:\n\t- a\n", "cannot start any token"),
    "not YAML": ("kind: [", "expected the node content"),
    "HTML": ("<!doctype html>\n<html>404: not found</html>\n", "mapping values are not allowed"),
    "a text": ("just text\n", "'just text' is not a Kubernetes object"),
    "a number": ("3\n", "3 is not a Kubernetes object"),
    "false": ("false\n", "False is not a Kubernetes object"),
    "a list": ("- a\n", "['a'] is not a Kubernetes object"),
    "an empty mapping": ("{}\n", "apiVersion of an object is missing"),
    "an empty list": ("[]\n", "[] is not a Kubernetes object"),
    "a tag of Python's": ("!!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
    "an unknown tag": ("!Ref a\n", "could not determine a constructor"),
    "a bomb": (BOMB, "its aliases expand to more than 1000000 values"),
    "a circle": ("a: &a [*a]\n", "an alias refers to a node that contains it, line 1"),
    "an unknown alias": ("a: *b\n", "found undefined alias"),
    "nested too deeply": (DEEP, "it is nested too deeply"),
    "nested mappings": ("{a: " * 5000 + "}" * 5000, "it is nested too deeply"),
    "a key twice": (config_map() + "kind: Secret\n", "the key 'kind' occurs twice, line 4"),
    "a nested key twice": (config_map(data="{a: b, a: c}"), "the key 'a' occurs twice, line 4"),
    "a long number": (config_map(data="{a: " + "9" * 5000 + "}"), "does not fit its type int, line 4"),
    "infinity": (config_map(data="{a: .inf}"), "data, a: inf is a number that JSON does not have"),
    "not a number": (config_map(data="{a: .nan}"), "data, a: nan is a number that JSON does not have"),
    "binary data": (config_map(data="{a: !!binary aGFsbG8=}"), "data, a: JSON has no bytes"),
    "a set": (config_map(data="!!set {a, b}"), "data: JSON has no set"),
    "a key that is a list": ("? [a]\n: b\n", "unhashable key"),
    "a key that is nothing": ("{~: b}\n", "None cannot be a key"),
    "half a character": (config_map(data='{a: "\\ud800"}'), "it contains half of a surrogate pair"),
    "no number of its tag": (config_map(data="{a: !!int x}"), "does not fit its type int"),
    "no apiVersion": (config_map(apiVersion=""), "apiVersion of an object is missing"),
    "apiVersion a number": (config_map(apiVersion="1"), "apiVersion of an object cannot be 1"),
    "apiVersion a path": (config_map(apiVersion="../../x"), "apiVersion of an object cannot be '../../x'"),
    "no kind": (config_map(kind=""), "kind of an object is missing"),
    "kind a list": (config_map(kind="[ConfigMap]"), "kind of an object cannot be ['ConfigMap']"),
    "kind a path": (config_map(kind="a/b"), "kind of an object cannot be 'a/b'"),
    "no metadata": (config_map(metadata=""), "metadata of a ConfigMap is missing"),
    "metadata nothing": (config_map(metadata="null"), "metadata of a ConfigMap is missing"),
    "metadata a list": (config_map(metadata="[name]"), "metadata of a ConfigMap cannot be ['name']"),
    "no name": (config_map(metadata="{namespace: x}"), "metadata.name of a ConfigMap is missing"),
    "an empty name": (config_map(metadata="{name: ''}"), "metadata.name of a ConfigMap is missing"),
    "a generated name": (config_map(metadata="{generateName: x-}"), "metadata.name of a ConfigMap is missing"),
    "name a number": (config_map(metadata="{name: 5}"), "metadata.name of a ConfigMap cannot be 5"),
    "name a path": (config_map(metadata="{name: ../../secrets/x}"), "metadata.name of a ConfigMap cannot be"),
    "name the folder above": (config_map(metadata="{name: ..}"), "metadata.name of a ConfigMap cannot be '..'"),
    "namespace a list": (config_map(metadata="{name: x, namespace: [a]}"), "ConfigMap x: metadata.namespace cannot be"),
    "namespace a path": (config_map(metadata="{name: x, namespace: a/b}"), "metadata.namespace cannot be 'a/b'"),
    "namespace empty": (config_map(metadata="{name: x, namespace: ''}"), "ConfigMap x: metadata.namespace is missing"),
    "labels a list": (config_map(metadata="{name: x, labels: [a]}"), "ConfigMap x: metadata.labels must be a mapping"),
    "a label a number": (
        config_map(metadata="{name: x, labels: {a: 1}}"),
        "metadata.labels must be a mapping of strings",
    ),
    "items a text": ("kind: List\nitems: x\n", "the items of List must be a list, got a string"),
    "items nothing": ("kind: List\nitems:\n", "the items of List must be a list, got nothing"),
    "an item a text": ("kind: List\nitems: [x]\n", "'x' is not a Kubernetes object"),
    "an item without a name": ("kind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {}}\n", "name of a Pod is"),
    "a list of a kind": ("kind: RoleList\nitems: {a: b}\n", "the items of RoleList must be a list, got a mapping"),
    "the second document": (config_map() + "---\nx\n", "'x' is not a Kubernetes object"),
    "spec a text": (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: y\n",
        "Pod x: spec must be a mapping, got a string",
    ),
    "template a list": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {template: [a]}\n",
        "Deployment x: template must be a mapping, got a list",
    ),
    "containers a mapping": (
        workload("{containers: {a: b}}"),
        "Deployment x: containers must be a list, got a mapping",
    ),
    "containers a text": (workload("{containers: x}"), "Deployment x: containers must be a list, got a string"),
    "a container a text": (workload("{containers: [x]}"), "Deployment x: a container must be a mapping, got a string"),
    "a container nothing": (
        workload("{containers: [null]}"),
        "Deployment x: a container must be a mapping, got nothing",
    ),
    "a container without a name": (workload("{containers: [{image: 'x:1'}]}"), "name of a container is missing"),
    "a container's name a number": (workload("{containers: [{name: 1}]}"), "name of a container cannot be 1"),
    "an initial one without a name": (
        workload("{initContainers: [{}]}", "Job"),
        "Job x: name of a container is missing",
    ),
    "an image a number": (workload("{containers: [{name: y, image: 1.5}]}"), "container y: image cannot be 1.5"),
    "an image with a space": (workload("{containers: [{name: y, image: 'x :1'}]}"), "container y: image=x :1 is not"),
    "an image that moves": (workload("{containers: [{name: y, image: x}]}"), "container y: image=x names no version"),
}


@pytest.mark.parametrize(("content", "says"), MANIFESTS.values(), ids=MANIFESTS)
def test_manifest(tmp_path: Path, content: str | bytes, says: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigurationError) as error:
        list(read([path], no_kubectl))
    refused(error, path, says)


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (b"", 0),
        (b"# nothing\n", 0),
        (b"---\n---\n", 0),
        (b"null\n", 0),
        (b"kind: List\napiVersion: v1\n", 0),
        (b"kind: List\napiVersion: v1\nitems: []\n", 0),
        (b"\xef\xbb\xbf" + config_map().encode(), 1),
        (config_map().replace("\n", "\r\n").encode(), 1),
        (config_map(data="{a: 2026-11-29, 80: http, true: x}").encode(), 1),
        (config_map(data="&a {b: c}", more="*a").encode(), 1),
        (workload("{containers:}").encode(), 1),
        (workload("{}").encode(), 1),
        (b"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n", 1),
        (b"kind: List\nitems:\n- kind: List\n  items: [{apiVersion: v1, kind: Pod, metadata: {name: x}}]\n", 1),
    ],
)
def test_manifest_that_is_fine(tmp_path: Path, content: bytes, count: int) -> None:
    """Kubernetes accepts an empty file, a byte order mark, dates, and keys that are numbers."""
    (tmp_path / "x.yaml").write_bytes(content)
    assert len(list(read([tmp_path / "x.yaml"], no_kubectl))) == count


def test_values_are_those_that_json_has(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(config_map(data="{a: 2026-11-29, 80: http, true: 010}"))
    (item,) = read([tmp_path / "x.yaml"], no_kubectl)
    assert item["data"] == {"a": "2026-11-29", "80": "http", "true": 8}


@pytest.mark.parametrize("name", ["absent.yaml", "a\0b.yaml", "x" * 300])
def test_manifest_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        list(read([tmp_path / name], no_kubectl))
    refused(error, tmp_path / name, "cannot be read")


def test_manifest_that_is_a_circle_of_links(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").symlink_to(tmp_path / "x.yaml")
    with pytest.raises(ConfigurationError) as error:
        list(read([tmp_path / "x.yaml"], no_kubectl))
    refused(error, tmp_path / "x.yaml", "cannot be read")


# -- the implementation file ----------------------------------------------------------------------------------

HEAD = '[implementation]\nname = "x"\nversion = "1"\n'
ALL = "[features]\nall = true\n"


def run_table(text: str) -> str:
    return f"{HEAD}{ALL}[run]\n{text}\n"


def issuer_table(text: str) -> str:
    return f"{HEAD}{ALL}[issuer]\n{text}\n"


IMPLEMENTATIONS: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "[implementation] name is missing"),
    "not UTF-8": (b'[implementation]\nname = "\xff"', "is not TOML"),
    "UTF-16": ("[implementation]".encode("utf-16"), "is not TOML"),
    "a binary": (b"\x7fELF\x00", "is not TOML"),
    "YAML": ("implementation:\n  name: x\n", "is not TOML"),
    "JSON": ('{"implementation": {}}', "is not TOML"),
    "a key twice": (HEAD + 'name = "y"\n', "is not TOML: Cannot overwrite a value"),
    "a table twice": (HEAD + HEAD, "is not TOML"),
    "an open text": ('[implementation]\nname = "x\n', "is not TOML"),
    "nested too deeply": ("a = " + "[" * 5000 + "]" * 5000, "it is nested too deeply"),
    "nested tables": ("a = " + "{b = " * 5000 + "1" + "}" * 5000, "it is nested too deeply"),
    "a long number": (f"a = {'9' * 5000}", "is not TOML"),
    "an unknown table": ("[runn]\n", "unknown key 'runn' in the file"),
    "a table of tables": (HEAD + ALL + "[[run]]\n", "run must be a table"),
    "a table a text": ('run = "x"\n' + HEAD + ALL, "run must be a table"),
    "a table a number": ("implementation = 1\n", "implementation must be a table"),
    "an unknown key": (run_table('comand = "x"'), "unknown key 'comand' in [run]"),
    "no name": ('[implementation]\nversion = "1"\n', "[implementation] name is missing"),
    "an empty name": ('[implementation]\nname = ""\nversion = "1"\n', "[implementation] name is missing"),
    "no version": ('[implementation]\nname = "x"\n', "[implementation] version is missing"),
    "an empty version": ('[implementation]\nname = "x"\nversion = ""\n', "[implementation] version is missing"),
    "name a number": (HEAD.replace('"x"', "1") + ALL, "[implementation] name must be a string, got 1"),
    "version a number": (HEAD.replace('"1"', "1.4") + ALL, "version must be a string, got 1.4"),
    "version a date": (HEAD.replace('"1"', "2026-11-29") + ALL, "version must be a string"),
    "version not a number": (HEAD.replace('"1"', "nan") + ALL, "version must be a string, got nan"),
    "contact a text": (HEAD + 'contact = "x"\n' + ALL, "[implementation] contact must be a list of strings"),
    "a contract of no release": (HEAD + 'contract = "newest"\n' + ALL, "contract 'newest' is not a release"),
    "features neither": (HEAD, "[features] needs either all = true or a list"),
    "features both": (HEAD + ALL + 'supported = ["token"]\n', "[features] needs either all = true or a list"),
    "features a text": (HEAD + '[features]\nall = "yes"\n', "[features] all must be true or false"),
    "features a list of numbers": (HEAD + "[features]\nsupported = [1]\n", "[features] supported must be a list"),
    "an unknown feature": (HEAD + '[features]\nsupported = ["aprole"]\n', "there is no feature 'aprole'"),
    "an empty feature": (HEAD + '[features]\nsupported = [""]\n', "there is no feature ''"),
    "a failure of nothing": (HEAD + ALL + '[known_failures]\nx = "y"\n', "[known_failures] 'x' is not a requirement"),
    "a failure without a reason": (HEAD + ALL + "[known_failures]\nVI-SIGN-001 = 1\n", "must be a string, got 1"),
    "command a text": (run_table('command = "x -y"'), "[run] command must be a list of strings"),
    "command of lists": (run_table('command = [["x"]]'), "[run] command must be a list of strings"),
    "command with a NUL": (run_table('command = ["a\\u0000b"]'), "[run] command contains a NUL character"),
    "an unknown placeholder": (run_table('command = ["{kubeconfg}"]'), "there is no placeholder 'kubeconfg'"),
    "env a list": (run_table('env = ["A=b"]'), "[run] env must be a table of strings"),
    "env of numbers": (run_table("env = {A = 1}"), "[run] env must be a table of strings"),
    "env without a name": (run_table('env = {"" = "b"}'), "[run] env '' is not the name of a variable"),
    "env with a sign": (run_table('env = {"A=B" = "b"}'), "[run] env 'A=B' is not the name of a variable"),
    "env with a NUL": (run_table('env = {A = "\\u0000"}'), "[run] env contains a NUL character"),
    "an account without a namespace": (run_table('service_account = "x"'), "service_account 'x' is not namespace/name"),
    "an account of paths": (run_table('service_account = "../.."'), "service_account '../..' is not namespace/name"),
    "an account of three": (run_table('service_account = "a/b/c"'), "'a/b/c' is not namespace/name"),
    "an empty namespace": (run_table('cluster_resource_namespace = ""'), "'' is not a valid namespace"),
    "a namespace of paths": (run_table('cluster_resource_namespace = "a/b"'), "'a/b' is not a valid namespace"),
    "approves a text": (run_table('approves = "yes"'), "[run] approves must be true or false"),
    "ready_log no expression": (run_table('ready_log = "("'), "[run] ready_log is not a regular expression"),
    "manifests a text": (run_table('manifests = "x.yaml"'), "[run] manifests must be a list of strings"),
    "a manifest with a NUL": (run_table('manifests = ["a\\u0000b"]'), "[run] manifests contains a NUL character"),
    "an image that moves": (run_table('image = "x"'), "[run] image=x names no version"),
    "an image with spaces": (run_table('image = "x y:1"'), "[run] image=x y:1 is not the name of an image"),
    "images a text": (run_table('images = "x:1"'), "[run] images must be a list of strings"),
    "an empty image": (run_table('images = [""]'), "[run] images= names no version"),
    "an empty kind": (issuer_table('kind = ""'), "[issuer] kind is empty"),
    "a kind of paths": (issuer_table('kind = "a/b"'), "[issuer] kind cannot be 'a/b'"),
    "a kind a number": (issuer_table("kind = 1"), "[issuer] kind must be a string, got 1"),
    "a cluster kind of spaces": (issuer_table('cluster_kind = " "'), "[issuer] cluster_kind cannot be ' '"),
    "no cluster kind": (issuer_table('cluster_kind = ""'), "[issuer] cluster_kind is empty"),
    "an empty api_version": (issuer_table('api_version = ""'), "[issuer] api_version is empty"),
    "an api_version of paths": (issuer_table('api_version = "a/b/v1"'), "[issuer] api_version cannot be 'a/b/v1'"),
    "an empty place": (issuer_table('vault_at = ""'), "[issuer] vault_at is empty"),
    "a place of dots": (issuer_table('vault_at = "spec..vault"'), "[issuer] vault_at cannot be 'spec..vault'"),
}


@pytest.mark.parametrize(("content", "says"), IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
def test_implementation_file(tmp_path: Path, content: str | bytes, says: str) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigurationError) as error:
        load_implementation(str(path))
    refused(error, path, says)


@pytest.mark.parametrize("kind", ["folder", "circle", "absent", "NUL"])
def test_implementation_file_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("a\0b.toml" if kind == "NUL" else "x.toml")
    if kind == "folder":
        path.mkdir()
    elif kind == "circle":
        path.symlink_to(path)
    with pytest.raises(ConfigurationError) as error:
        load_implementation(str(path))
    refused(error, path, "cannot be read")


def test_implementation_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbf" + (HEAD + ALL).encode())
    assert load_implementation(str(path)).name == "x"


# -- kind's configuration -------------------------------------------------------------------------------------

KIND_HEAD = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n"
KIND_CONFIGURATIONS: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "kind must be Cluster"),
    "a list": ("- a\n", "kind must be Cluster"),
    "a text": ("Cluster\n", "kind must be Cluster"),
    "another kind": ("kind: Deployment\n", "kind must be Cluster"),
    "not YAML": ("{", "expected the node content"),
    "not UTF-8": (b"kind: \xff\n", "it is not UTF-8"),
    "a bomb": (KIND_HEAD + BOMB, "its aliases expand to more than"),
    "a key twice": (KIND_HEAD + "kind: Cluster\n", "the key 'kind' occurs twice"),
    "two documents": (KIND_HEAD + "---\n" + KIND_HEAD, "it has 2 YAML documents, not one"),
    "no version": ("kind: Cluster\n", "apiVersion must be kind.x-k8s.io/v1alpha4, got None"),
    "another version": ("kind: Cluster\napiVersion: v1\n", "apiVersion must be kind.x-k8s.io/v1alpha4, got 'v1'"),
    "nodes a text": (KIND_HEAD + "nodes: three\n", "nodes must be a list, got 'three'"),
    "nodes a number": (KIND_HEAD + "nodes: 3\n", "nodes must be a list, got 3"),
    "nodes a mapping": (KIND_HEAD + "nodes: {role: worker}\n", "nodes must be a list, got {'role': 'worker'}"),
    "a node nothing": (
        KIND_HEAD + "nodes: [null]\n",
        "entry 0 must be a mapping such as role: worker, got None",
    ),
    "a node a text": (
        KIND_HEAD + "nodes: [worker]\n",
        "entry 0 must be a mapping such as role: worker",
    ),
    "a role a list": (
        KIND_HEAD + "nodes: [{role: [worker]}]\n",
        "entry 0: role must be a string, got ['worker']",
    ),
    "an image a number": (KIND_HEAD + "nodes: [{image: 1.3}]\n", "nodes, entry 0: image must be a string, got 1.3"),
    "no control plane": (KIND_HEAD + "nodes: [{role: worker}]\n", "a node must have the role control-plane"),
    "mounts a text": (
        KIND_HEAD + "nodes: [{extraMounts: /a}]\n",
        "extraMounts must be a list of mappings, got '/a'",
    ),
    "a mount a text": (
        KIND_HEAD + "nodes: [{extraMounts: [/a]}]\n",
        "must be a list of mappings, got ['/a']",
    ),
    "patches a text": (
        KIND_HEAD + "kubeadmConfigPatches: x\n",
        "must be a list of strings, got 'x'",
    ),
    "a patch a mapping": (
        KIND_HEAD + "kubeadmConfigPatches: [{a: b}]\n",
        "kubeadmConfigPatches must be a list of strings, got [{'a': 'b'}]",
    ),
    "a node's patch": (
        KIND_HEAD + "nodes: [{kubeadmConfigPatches: 1}]\n",
        "entry 0: kubeadmConfigPatches must be a list",
    ),
}


@pytest.mark.parametrize(("content", "says"), KIND_CONFIGURATIONS.values(), ids=KIND_CONFIGURATIONS)
def test_kind_configuration(tmp_path: Path, content: str | bytes, says: str) -> None:
    path = tmp_path / "kind.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    for use in (lambda: configuration(path, Path("/ours")), lambda: node_images(path)):
        with pytest.raises(ConfigurationError) as error:
            use()
        refused(error, path, says)


@pytest.mark.parametrize(
    "text",
    ["", "nodes:\n", "nodes: []\n", "nodes: [{}]\n", "nodes: [{extraMounts: , image: }]\nkubeadmConfigPatches:\n"],
)
def test_kind_configuration_that_leaves_everything_to_kind(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kind.yaml"
    path.write_text(KIND_HEAD + text)
    config = configuration(path, Path("/ours"))
    assert [len(node["extraMounts"]) for node in config["nodes"]] == [1]
    assert len(config["kubeadmConfigPatches"]) == 1
    assert node_images(path) == [""]


# -- kubeconfigs ----------------------------------------------------------------------------------------------


def kubeconfig(**changes: Any) -> dict[str, Any]:
    return {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "current-context": "x",
        **changes,
    }


def with_cluster(**entries: Any) -> dict[str, Any]:
    return kubeconfig(clusters=[{"name": "c", "cluster": {"server": "https://127.0.0.1:6443", **entries}}])


def with_user(**entries: Any) -> dict[str, Any]:
    return kubeconfig(users=[{"name": "u", "user": entries}])


KUBECONFIGS: dict[str, tuple[str | bytes | dict[str, Any], str]] = {
    "empty": ("", "it is not a kubeconfig"),
    "a list": ("- a\n", "it is not a kubeconfig"),
    "a text": ("x\n", "it is not a kubeconfig"),
    "not YAML": ("{", "expected the node content"),
    "not UTF-8": (b"kind: \xff\n", "it is not UTF-8"),
    "a bomb": (BOMB, "its aliases expand to more than"),
    "a key twice": ("clusters: []\nclusters: []\n", "the key 'clusters' occurs twice"),
    "two documents": ("a: b\n---\na: b\n", "it has 2 YAML documents"),
    "no context": ({}, "it has no current-context"),
    "an empty context": (kubeconfig(**{"current-context": ""}), "it has no current-context"),
    "a context a list": (kubeconfig(**{"current-context": ["x"]}), "it has no current-context"),
    "an unknown context": (kubeconfig(**{"current-context": "y"}), "it has no context y"),
    "no contexts": (kubeconfig(contexts=None), "it has no list of contexts"),
    "contexts a mapping": (kubeconfig(contexts={"x": {}}), "it has no list of contexts"),
    "a context a text": (kubeconfig(contexts=["x"]), "contexts: 'x' is not a mapping with a name"),
    "a context of nothing": (kubeconfig(contexts=[{"name": "x"}]), "its context x has no context: it is None"),
    "a context without a cluster": (kubeconfig(contexts=[{"name": "x", "context": {}}]), "context x names no cluster"),
    "no clusters": (kubeconfig(clusters=[]), "it has no cluster c"),
    "clusters a number": (kubeconfig(clusters=1), "it has no list of clusters"),
    "a cluster a text": (kubeconfig(clusters=[{"name": "c", "cluster": "d"}]), "its cluster c has no cluster"),
    "no server": (kubeconfig(clusters=[{"name": "c", "cluster": {}}]), "server is not a URL of http or https"),
    "server a number": (with_cluster(server=6443), "server must be a string"),
    "server without a scheme": (with_cluster(server="127.0.0.1:6443"), "server is not a URL"),
    "server of another scheme": (with_cluster(server="ftp://a"), "server is not a URL"),
    "server without a host": (with_cluster(server="https://:6443"), "server is not a URL"),
    "server with a wrong port": (with_cluster(server="https://a:99999"), "server is not a URL"),
    "server half an address": (with_cluster(server="https://[::1"), "server is not a URL"),
    "server with a space": (with_cluster(server="https://a b"), "server is not a URL"),
    "a CA that is not base64": (with_cluster(**{"certificate-authority-data": "é"}), "authority-data is not base64"),
    "a CA that is cut off": (with_cluster(**{"certificate-authority-data": "abc"}), "authority-data is not base64"),
    "a CA a number": (with_cluster(**{"certificate-authority-data": 1}), "certificate-authority-data must be a string"),
    "a CA that is not there": (with_cluster(**{"certificate-authority": "absent.pem"}), "absent.pem"),
    "a CA that is no certificate": (
        with_cluster(**{"certificate-authority-data": base64.b64encode(b"x").decode()}),
        "certificate-authority contains no certificate",
    ),
    "a proxy without a scheme": (with_cluster(**{"proxy-url": "proxy:3128"}), "proxy-url is not a URL"),
    "a proxy a list": (with_cluster(**{"proxy-url": ["http://a"]}), "proxy-url must be a string"),
    "a server name a number": (with_cluster(**{"tls-server-name": 1}), "tls-server-name must be a string"),
    "an unknown user": (kubeconfig(users=[]), "it has no user u"),
    "users a text": (kubeconfig(users="u"), "it has no list of users"),
    "a user a list": (kubeconfig(users=[{"name": "u", "user": []}]), "its user u has no user: it is []"),
    "a user of nothing": (kubeconfig(users=[{"name": "u"}]), "its user u has no user: it is None"),
    "a key that is not base64": (with_user(**{"client-key-data": "abc"}), "client-key-data is not base64"),
    "a key a list": (with_user(**{"client-key-data": ["a"]}), "client-key-data must be a string"),
    "a token a number": (with_user(token=1), "token must be a string"),
    "a token of two lines": (with_user(token="a\nb"), "token must not contain a line break or another"),
    "a certificate that is not there": (with_user(**{"client-certificate": "a.pem", "client-key": "a.key"}), "a.pem"),
    "a plugin a text": (with_user(exec="aws"), "exec must be a mapping"),
    "a plugin without a command": (with_user(exec={"apiVersion": "client.authentication.k8s.io/v1"}), "command"),
    "a plugin that is not there": (
        with_user(exec={"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin"}),
        "its exec plugin returns no credentials",
    ),
    "an auth provider a text": (with_user(**{"auth-provider": "gcp"}), "auth-provider must be a mapping"),
}


@pytest.mark.parametrize(("content", "says"), KUBECONFIGS.values(), ids=KUBECONFIGS)
def test_kubeconfig(tmp_path: Path, content: str | bytes | dict[str, Any], says: str) -> None:
    path = tmp_path / "kubeconfig"
    text = yaml.safe_dump(content) if isinstance(content, dict) else content
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigurationError) as error:
        Cluster(path)
    refused(error, path, says)


@pytest.mark.parametrize("name", ["absent", "folder", "a\0b"])
def test_kubeconfig_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigurationError) as error:
        Cluster(tmp_path / name)
    refused(error, tmp_path / name, "cannot be used")


def test_an_error_about_a_kubeconfig_repeats_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    for config in (
        with_cluster(server="https://me:hush@:1"),
        with_cluster(**{"proxy-url": "me:hush@proxy"}),
        with_user(token="hush\nhush"),
        with_user(**{"client-key-data": "hush!"}),
        with_user(password=["hush"]),
    ):
        path.write_text(yaml.safe_dump(config))
        with pytest.raises(ConfigurationError) as error:
            Cluster(path)
        assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    "config",
    [
        kubeconfig(),
        kubeconfig(contexts=[{"name": "x", "context": {"cluster": "c"}}], users=None),
        with_cluster(server="https://[::1]:6443"),
        with_cluster(server="https://me:secret@api.test/k8s/clusters/c-1"),
    ],
)
def test_kubeconfig_that_is_fine(tmp_path: Path, config: dict[str, Any]) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    cluster = Cluster(path)
    assert cluster.server == config["clusters"][0]["cluster"]["server"]
    cluster.close()
