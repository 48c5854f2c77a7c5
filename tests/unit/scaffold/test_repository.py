"""What ``vault-issuer init`` finds in repositories like those of ten public controllers, and in unusual ones.

A file of ``layouts`` recreates the folders and names of such a repository. It contains none of its text.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_vault_issuer.cli.main import main
from pytest_vault_issuer.implementation import load_implementation
from pytest_vault_issuer.implementation.spec import CLUSTER_SIGNER_NAME
from pytest_vault_issuer.scaffold.detect import build_of, rbac_of
from pytest_vault_issuer.scaffold.repository import Detected, detect
from tests.support.files import write_files

LAYOUTS = sorted((Path(__file__).parent / "layouts").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _no_helm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read charts as on a machine without helm."""
    monkeypatch.setenv("PATH", os.devnull)


def found_in(layout: Path, directory: Path) -> tuple[dict[str, Any], Detected]:
    described = yaml.safe_load(layout.read_text())
    return described["expected"], detect(write_files(directory, described["files"]))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda path: path.stem)
def test_group_kinds_crds_and_account_of_public_controllers_are_found(layout: Path, tmp_path: Path) -> None:
    expected, found = found_in(layout, tmp_path)
    expected = {"columns": ["Ready"], "missing": []} | expected
    seen = {key: json.loads(json.dumps(getattr(found, key))) for key in expected}
    assert seen | {"missing": [what.partition(":")[0] for what in found.missing]} == expected


def test_fourteen_layouts_are_covered() -> None:
    assert len(LAYOUTS) == 14


def test_empty_repository_lists_what_is_missing(tmp_path: Path) -> None:
    found = detect(tmp_path)
    assert found == Detected(missing=found.missing)
    assert [what.partition(":")[0] for what in found.missing] == [
        "API group and kinds",
        "service account",
        "program and flags",
    ]


def test_chart_alone_shows_kinds_and_account(tmp_path: Path) -> None:
    """The CRDs are templates, so no file of them can be applied."""
    files = yaml.safe_load((Path(__file__).parent / "layouts/google-cas-issuer.yaml").read_text())["files"]
    write_files(tmp_path, {name: text for name, text in files.items() if "charts" in name})
    found = detect(tmp_path)
    assert (found.kind, found.cluster_kind) == ("GoogleCASIssuer", "GoogleCASClusterIssuer")
    assert (found.crds, found.chart) == ((), "deploy/charts/google-cas-issuer")
    assert any("write [run] chart" in what for what in found.missing)


def test_helm_renders_the_chart_if_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, {"chart/Chart.yaml": "name: mine\n", "chart/templates/x.yaml": "{{ fail }}"})
    helm = tmp_path / "bin/helm"
    account = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x", "namespace": "ns"}}
    pod = {"serviceAccountName": "rendered", "containers": [{"name": "c", "image": "x:1"}]}
    rendered = yaml.safe_dump({**account, "spec": {"selector": {}, "template": {"spec": pod}}})
    helm.parent.mkdir()
    helm.write_text(f"#!/bin/sh\ncat <<'END'\n{rendered}END\n")
    helm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helm.parent}:/usr/bin:/bin")
    assert detect(tmp_path).service_account == "ns/rendered"


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--leader-elect", ()),
        ("--leader-elect=true", ("--leader-elect=false",)),
        ("--enable-leader-election=true", ("--enable-leader-election=false",)),
    ],
)
def test_leader_election_that_may_be_the_default_is_turned_off(
    flag: str, expected: tuple[str, ...], tmp_path: Path
) -> None:
    pod = {"containers": [{"name": "c", "image": "x:1", "args": [flag]}]}
    deployment = {"kind": "Deployment", "metadata": {"name": "x"}, "spec": {"selector": {}, "template": {"spec": pod}}}
    assert detect(write_files(tmp_path, {"deploy/x.yaml": yaml.safe_dump(deployment)})).flags == expected


@pytest.mark.parametrize(
    "text", ["a: [", "- 1\n- 2\n", "kind: CustomResourceDefinition\nmetadata: {}\nspec: 7\n", "\x00", "kind: [x]\n"]
)
def test_files_that_are_no_manifests_are_passed_over(text: str, tmp_path: Path) -> None:
    assert detect(write_files(tmp_path, {"config/x.yaml": text, "config/kustomization.yaml": text})).api_version == ""


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda path: path.stem)
def test_file_of_a_public_controller_is_one_that_a_session_can_read(layout: Path, tmp_path: Path) -> None:
    expected, found = found_in(layout, tmp_path)
    assert main(["init", f"--directory={tmp_path}", "--name=mine"]) == 0
    described = load_implementation(str(tmp_path / "mine.toml"))
    assert f"{described.issuer.api_version}" == expected["api_version"]
    assert (described.issuer.kind, described.issuer.cluster_kind) == (expected["kind"], expected["cluster_kind"])
    assert (described.run.crds, described.run.service_account) == (expected["crds"], expected["service_account"])
    assert described.run.command == [f"./bin/{found.program}", "--kubeconfig={kubeconfig}", *expected["flags"]]


def test_chart_that_binds_the_account_is_the_source_of_the_permissions(tmp_path: Path) -> None:
    found_in(Path(__file__).parent / "layouts/vault-issuer.yaml", tmp_path)
    assert main(["init", f"--directory={tmp_path}", "--name=mine"]) == 0
    run = load_implementation(str(tmp_path / "mine.toml")).run
    assert (run.chart, run.rbac) == ("deploy/charts/vault-issuer", [])
    assert not (tmp_path / "rbac.yaml").exists()


@pytest.mark.parametrize(
    ("rule", "kinds"),
    [
        ({"apiGroups": ["cert-manager.io"], "resources": ["issuers/status"], "verbs": ["patch"]}, ("Issuer", "")),
        (
            {"apiGroups": ["cert-manager.io"], "resources": ["clusterissuers/status"], "verbs": ["*"]},
            ("", "ClusterIssuer"),
        ),
        ({"apiGroups": ["cert-manager.io"], "resources": ["issuers/status"], "verbs": ["get"]}, ("", "")),
        ({"apiGroups": ["cert-manager.io"], "resources": ["issuers"], "verbs": ["update"]}, ("", "")),
        ({"apiGroups": ["example.test"], "resources": ["issuers/status"], "verbs": ["patch"]}, ("", "")),
    ],
)
def test_controller_that_writes_the_status_of_an_issuer_serves_it(
    rule: dict[str, Any], kinds: tuple[str, str], tmp_path: Path
) -> None:
    role = {"kind": "ClusterRole", "metadata": {"name": "x"}, "rules": [rule]}
    found = detect(write_files(tmp_path, {"config/role.yaml": yaml.safe_dump(role)}))
    assert (found.kind, found.cluster_kind) == kinds
    assert (found.api_version == "cert-manager.io/v1") == any(kinds)
    assert any(what.startswith("API group and kinds") for what in found.missing) != any(kinds)


@pytest.mark.parametrize(("module", "written"), [("github.com/cert-manager/issuer-lib v0.11.0", True), ("x v1", False)])
def test_issuer_lib_has_no_signer_name_for_a_namespaced_issuer_object(
    module: str, written: bool, tmp_path: Path
) -> None:
    write_files(tmp_path, {"go.mod": f"module mine\n\nrequire {module}\n"})
    assert main(["init", f"--directory={tmp_path}", "--name=mine", "--command=./mine"]) == 0
    assert (load_implementation(str(tmp_path / "mine.toml")).issuer.signer_name == "") == written


@pytest.mark.parametrize(
    ("kind", "source", "template"),
    [
        (
            "ClusterVault",
            'func (i *ClusterVault) GetIssuerTypeIdentifier() string { return "v.example.test" }',
            "v.example.test/{name}",
        ),
        (
            "ClusterVault",
            'func (*ClusterVault) GetIssuerTypeIdentifier() string {\n\treturn "v.example.test"\n}',
            "v.example.test/{name}",
        ),
        (
            "ClusterVault",
            'func (i *Vault) GetIssuerTypeIdentifier() string { return "v.example.test" }',
            CLUSTER_SIGNER_NAME,
        ),
        (
            "ClusterVault",
            'func (i *ClusterVault) GetIssuerTypeIdentifier() string { return "v." + group }',
            CLUSTER_SIGNER_NAME,
        ),
        ("", "", "cmclusterissuers.issuer.cert-manager.io/{name}"),
    ],
)
def test_signer_name_of_a_cluster_scoped_kind_is_that_of_issuer_lib(
    kind: str, source: str, template: str, tmp_path: Path
) -> None:
    files = {"go.mod": "module mine\n\nrequire github.com/cert-manager/issuer-lib v0.11.0\n", "api/types.go": source}
    if kind:
        files["crds/x.yaml"] = yaml.safe_dump(definition(f"{kind}Issuer", "Cluster", BLOCK["properties"]))
        files["api/types.go"] = source.replace("Vault)", "VaultIssuer)")
    else:
        rule = {"apiGroups": ["cert-manager.io"], "resources": ["clusterissuers/status"], "verbs": ["patch"]}
        role = {"kind": "ClusterRole", "metadata": {"name": "x"}, "rules": [rule]}
        files["config/role.yaml"] = yaml.safe_dump(role)
    write_files(tmp_path, files)
    assert main(["init", f"--directory={tmp_path}", "--name=mine", "--command=./mine"]) == 0
    issuer = load_implementation(str(tmp_path / "mine.toml")).issuer
    assert (issuer.signer_name, issuer.cluster_signer_name) == ("", template)


@pytest.mark.parametrize(
    ("module", "flag", "retry"),
    [
        ("github.com/cert-manager/issuer-lib v0.11.0", "--max-retry-duration=2m", "2m"),
        ("github.com/cert-manager/issuer-lib v0.11.0", "--max-retry-duration=1m30s", ""),
        ("github.com/cert-manager/issuer-lib v0.11.0", "", ""),
        ("x v1", "--max-retry-duration=2m", ""),
    ],
)
def test_time_after_which_issuer_lib_gives_up_is_that_of_its_flag(
    module: str, flag: str, retry: str, tmp_path: Path
) -> None:
    write_files(tmp_path, {"go.mod": f"module mine\n\nrequire {module}\n"})
    assert main(["init", f"--directory={tmp_path}", "--name=mine", f"--command=./mine {flag}"]) == 0
    assert load_implementation(str(tmp_path / "mine.toml")).timing.retry == retry
    assert ('# retry = "1m"' in (tmp_path / "mine.toml").read_text()) == ("issuer-lib" in module and not retry)


def definition(kind: str, scope: str, spec: dict[str, Any]) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"properties": spec}}}}
    return {
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.example.test"},
        "spec": {
            "group": "example.test",
            "names": {"kind": kind, "plural": plural},
            "scope": scope,
            "versions": [{"name": "v1", "storage": True, "schema": schema}],
        },
    }


BLOCK = {"properties": {name: {} for name in ("server", "path", "auth", "caBundle")}}


@pytest.mark.parametrize(
    ("specs", "vault_at", "fields"),
    [
        ([{"vault": BLOCK, "ca": {}}] * 2, "spec.vault", ()),
        ([BLOCK["properties"]] * 2, "spec", ()),
        ([{"ca": {}, "backend": {"properties": {"vault": BLOCK}}}], "spec.backend.vault", ()),
        (
            [{"vault": {"properties": {"url": {}}}}, {"other": {"properties": {"url": {}}}}],
            "",
            ("spec.vault.url", "spec.other.url"),
        ),
        ([{"url": {}, "role": {}}, {"url": {}, "zone": {}}], "", ("spec.url", "spec.role", "spec.zone")),
        ([{}], "", ()),
    ],
)
def test_place_of_the_vault_configuration_is_that_of_all_kinds(
    specs: list[dict[str, Any]], vault_at: str, fields: tuple[str, ...], tmp_path: Path
) -> None:
    kinds = [("Issuer", "Namespaced"), ("ClusterIssuer", "Cluster")]
    items = [definition(*kind, spec) for kind, spec in zip(kinds, specs, strict=False)]
    found = detect(write_files(tmp_path, {"crds/all.yaml": yaml.safe_dump_all(items, sort_keys=False)}))
    assert (found.vault_at, found.fields) == (vault_at, fields)
    assert any("write [issuer.shape]" in what for what in found.missing) == bool(fields)


@pytest.mark.parametrize(
    ("spec", "written"),
    [
        ({"url": {}, "role": {}}, '# [issuer.shape.fields]\n# "spec.url" = "{server}"\n# "spec.role" = "…"\n'),
        (BLOCK["properties"], 'vault_at = "spec"\n'),
        ({}, 'vault_at = "spec.vault"\n'),
    ],
)
def test_file_names_the_place_of_the_vault_configuration_or_the_fields_of_a_shape(
    spec: dict[str, Any], written: str, tmp_path: Path
) -> None:
    write_files(tmp_path, {"crds/all.yaml": yaml.safe_dump(definition("Issuer", "Namespaced", spec), sort_keys=False)})
    assert main(["init", f"--directory={tmp_path}", "--name=mine", "--command=./mine"]) == 0
    text = (tmp_path / "mine.toml").read_text()
    assert written in text
    assert text.count("vault_at") == written.count("vault_at")


def test_field_of_only_one_kind_depends_on_the_kind(tmp_path: Path) -> None:
    both: dict[str, Any] = {"host": {}, "pkiMount": {}}
    kinds = [("Issuer", "Namespaced", both), ("ClusterIssuer", "Cluster", both | {"secretNamespace": {}})]
    items = [definition(*kind) for kind in kinds]
    write_files(tmp_path, {"crds/all.yaml": yaml.safe_dump_all(items, sort_keys=False)})
    assert main(["init", f"--directory={tmp_path}", "--name=mine", "--command=./mine"]) == 0
    assert (
        '# "spec.host" = "{address}"\n'
        '# "spec.pkiMount" = "{mount}"\n'
        '# "spec.secretNamespace" = { value = "…", when = "cluster-issuer" }\n'
    ) in (tmp_path / "mine.toml").read_text()


def test_field_of_the_only_kind_depends_on_nothing(tmp_path: Path) -> None:
    crd = definition("ClusterIssuer", "Cluster", {"host": {}})
    found = detect(write_files(tmp_path, {"crds/all.yaml": yaml.safe_dump(crd)}))
    assert (found.fields, found.own_fields) == (("spec.host",), {})


def test_permissions_get_the_names_that_the_installation_gives_them(tmp_path: Path) -> None:
    layout = Path(__file__).parent / "layouts/cmp-issuer.yaml"
    found_in(layout, tmp_path)
    assert main(["init", f"--directory={tmp_path}", "--name=mine"]) == 0
    assert load_implementation(str(tmp_path / "mine.toml")).run.rbac == ["mine-rbac"]
    assert yaml.safe_load((tmp_path / "mine-rbac/kustomization.yaml").read_text()) == {
        "namespace": "cmp-issuer-system",
        "namePrefix": "cmp-issuer-",
        "resources": ["../config/rbac"],
    }


# -- unusual files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "kind: CustomResourceDefinition\nmetadata: {at: 2024-99-99}\nspec: {}\n",
        "kind: CustomResourceDefinition\nmetadata: {}\nspec: &a {group: x, names: {kind: Issuer}, versions: [*a]}\n",
        f"a: {'[' * 5000}",
        "kind: !!int x\n",
    ],
    ids=["no date", "it contains itself", "nested", "no number"],
)
def test_values_that_yaml_cannot_hold_are_passed_over(text: str, tmp_path: Path) -> None:
    write_files(tmp_path, {"config/x.yaml": text, "chart/Chart.yaml": text, "chart/templates/x.yaml": text})
    assert detect(tmp_path).api_version == ""
    assert rbac_of(tmp_path, "a/b").files == ()


def test_fifo_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    for name in ("config/x.yaml", "Makefile", "main.go"):
        os.mkfifo(tmp_path / name)
    assert detect(tmp_path).api_version == ""
    assert build_of(tmp_path, "./bin/x") == ""


def test_template_with_many_directives_in_a_line_is_read(tmp_path: Path) -> None:
    """An ambiguous expression would try each way to divide the line."""
    chart = {"chart/Chart.yaml": "name: mine\n", "chart/templates/x.yaml": f"{'{{ a }}' * 60} x\n"}
    assert detect(write_files(tmp_path, chart)).chart == "chart"


@pytest.mark.parametrize("name", ["--post-renderer=x", "-f", "a b", "UPPER"])
def test_name_of_a_chart_is_no_option_of_helm(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, {"repository/--post-renderer=./Chart.yaml": f"name: {json.dumps(name)}\n"})
    helm = tmp_path / "bin/helm"
    helm.parent.mkdir()
    helm.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/words\n')
    helm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helm.parent}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path / "repository")
    detect(Path())
    words = (tmp_path / "words").read_text().splitlines()
    folder = str(tmp_path / "repository/--post-renderer=.")
    assert words == ["template", "--namespace=release", "--include-crds", "--", "release", folder]
