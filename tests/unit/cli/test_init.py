"""`vault-issuer init` writes files that a session and a CI system can read."""

from __future__ import annotations

import argparse
import io
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_vault_issuer.cli import init
from pytest_vault_issuer.cli.main import main
from pytest_vault_issuer.implementation import load_implementation
from pytest_vault_issuer.implementation.spec import IssuerDescription
from pytest_vault_issuer.requirements.features import expand
from pytest_vault_issuer.scaffold import Answers, implementation_file, render
from pytest_vault_issuer.scaffold.suite import from_record
from pytest_vault_issuer.version import __version__

COMMAND = "./bin/issuer --kubeconfig={kubeconfig}"

#: The record of an installation from a clone.
CLONE = '{"url": "file:///a%20clone", "dir_info": {"editable": true}}'


def run(directory: Path, *options: str) -> int:
    return main(["init", "--directory", str(directory), *options])


def test_the_least_that_can_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--name", "mine", "--command", COMMAND) == 0
    described = load_implementation(str(tmp_path / "mine.toml"))
    assert described.name == "mine"
    assert described.run.command == ["./bin/issuer", "--kubeconfig={kubeconfig}"]
    assert described.features == expand(["core"])
    assert described.run.service_account == "mine/mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.toml", "rbac.yaml"]
    assert f"vault-issuer judge {tmp_path / 'mine.toml'}" in capsys.readouterr().out


def test_all_answers_can_be_given(tmp_path: Path) -> None:
    options = ["--name", "mine", "--command", "run 'with a \"quote\" and a \\'", "--release", "2.0", "--ci", "none"]
    options += ["--api-version", "example.com/v1beta1", "--kind", "VaultIssuer", "--cluster-kind", ""]
    options += ["--vault-at", "spec.backend.vault", "--service-account", "system/issuer"]
    options += [
        "--crds",
        "config/crd",
        "--rbac",
        "a.yaml",
        "--rbac",
        "b.yaml",
        "--feature",
        "token",
        "--feature",
        "jwt",
    ]
    assert run(tmp_path, *options) == 0
    described = load_implementation(str(tmp_path / "mine.toml"))
    assert described.version == "2.0"
    assert described.run.command == ["run", 'with a "quote" and a \\']
    issuer = IssuerDescription("example.com/v1beta1", "VaultIssuer", cluster_kind="", vault_at="spec.backend.vault")
    assert described.issuer == issuer
    assert described.run.service_account == "system/issuer"
    assert described.run.cluster_resource_namespace == "system"
    assert (described.run.crds, described.run.rbac) == (["config/crd"], ["a.yaml", "b.yaml"])
    assert described.features == {"token", "jwt", "issuer", "certificate-request"}
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"], "RBAC that there is is not drafted"


def test_without_a_cluster_scoped_kind_its_feature_is_not_claimed(tmp_path: Path) -> None:
    assert run(tmp_path, "--name", "mine", "--command", COMMAND, "--cluster-kind", "none") == 0
    assert load_implementation(str(tmp_path / "mine.toml")).features == expand(["core"]) - {"cluster-issuer"}


def test_the_draft_of_rbac_is_for_its_kinds_and_account(tmp_path: Path) -> None:
    answers = Answers("mine", COMMAND, api_version="example.com/v1", kind="VaultIssuer", cluster_kind="")
    role, binding = yaml.safe_load_all(render(answers, tmp_path)["rbac.yaml"])
    assert role["rules"][0] == {
        "apiGroups": ["example.com"],
        "resources": ["vaultissuers"],
        "verbs": ["get", "list", "watch"],
    }
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "mine", "namespace": "mine"}]


def workflow(tmp_path: Path, ci: str, path: str, build: str = "make 'the issuer': all") -> Any:
    assert run(tmp_path, "--name", "mine", "--command", COMMAND, "--ci", ci, "--build", build) == 0
    return yaml.safe_load((tmp_path / path).read_text())


JUDGE = "vault-issuer judge mine.toml"


def test_github_workflow(tmp_path: Path) -> None:
    read = workflow(tmp_path, "github", ".github/workflows/vault-issuer.yml")
    job = read["jobs"]["conformance"]
    steps = [step.get("run", step.get("uses")) for step in job["steps"]]
    assert "make 'the issuer': all" in steps
    assert steps.index("vault-issuer toolchain build kubernetes vault cert-manager-crds") < steps.index(JUDGE)
    restored, kept = (step["with"] for step in job["steps"] if "cache/" in step.get("uses", ""))
    assert restored == kept
    assert set(read[True]) == {"push", "pull_request"}, "`on` is a boolean to YAML 1.1"


def test_actions_are_pinned_by_commit(tmp_path: Path) -> None:
    """A tag can move to other code, which would run with the job's credentials."""
    workflow(tmp_path, "github", ".github/workflows/vault-issuer.yml")
    written = (tmp_path / ".github/workflows/vault-issuer.yml").read_text()
    shown = (Path(__file__).parents[3] / "docs/reports.md").read_text()
    used = re.findall(r"uses: (.*)", written + shown)
    assert len(used) > 5
    pinned = re.compile(r"actions/[\w/-]+@[0-9a-f]{40}  # v[0-9]+\.[0-9]+\.[0-9]+")
    assert [line for line in used if not pinned.fullmatch(line)] == []


def test_the_example_s_workflow_is_one_of_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workflow of the Go example has another file name and, until a release exists, installs its own wheel."""
    monkeypatch.setattr(init, "installed", lambda: from_record(CLONE))
    example = Path(__file__).parents[3] / "examples/external-issuer"
    for name in ("go.mod", "main.go"):
        (tmp_path / name).symlink_to(example / name)
    assert run(tmp_path, "--name=external-issuer", "--command=bin/vault-issuer", "--ci=github") == 0
    workflow = ".github/workflows/vault-issuer.yml"
    written = (tmp_path / workflow).read_text()
    assert written.count("judge external-issuer.toml") == 1
    assert (example / workflow).read_text() == written.replace("external-issuer.toml", "conformance.toml")


def installs(directory: Path) -> tuple[str, str]:
    """Return the value of SUITE, and what the workflow installs."""
    written = yaml.safe_load((directory / ".github/workflows/vault-issuer.yml").read_text())
    (step,) = [step for step in written["jobs"]["conformance"]["steps"] if step.get("name") == "Install"]
    return written["env"]["SUITE"], step["run"]


def test_ci_of_a_copy_that_no_index_has_installs_a_wheel_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(init, "installed", lambda: from_record(CLONE))
    assert run(tmp_path, "--name", "mine", "--command", COMMAND, "--ci", "github") == 0
    file = f"pytest_vault_issuer-{__version__}-py3-none-any.whl"
    version, installed = installs(tmp_path)
    assert installed.replace("$SUITE", version) == f'pip install "./{file}[xdist,go,aws]"'
    said = capsys.readouterr().out
    assert f"  pip wheel --no-deps --wheel-dir {tmp_path} '/a clone'\n" in said


def test_ci_of_a_named_release_installs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--name", "mine", "--command", COMMAND, "--ci", "github", "--suite", "1.2.0") == 0
    assert installs(tmp_path) == ("1.2.0", 'pip install "pytest-vault-issuer[xdist,go,aws]==$SUITE"')
    assert "pip wheel" not in capsys.readouterr().out


@pytest.mark.parametrize("version", ["", "latest", '1"; true'])
def test_suite_must_be_a_version(tmp_path: Path, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path, "--name", "mine", "--command", COMMAND, "--ci", "github", f"--suite={version}")
    assert "must be a version such as 1.2.0" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "files", "build"),
    [
        ("bin/mine --flag", {"Makefile": "build:\n\tgo build"}, "make build"),
        ("bin/mine", {"Makefile": ".PHONY: build\nbuild: generate\n", "go.mod": "", "main.go": ""}, "make build"),
        ("bin/mine", {"Makefile": "build := 1\nimage: build\n"}, ""),
        ("bin/mine --flag", {"go.mod": "", "main.go": ""}, "go build -o bin/mine ."),
        ("./bin/mine", {"go.mod": "", "cmd/mine/main.go": ""}, "go build -o ./bin/mine ./cmd/mine"),
        ("bin/manager", {"go.mod": "", "cmd/main.go": ""}, "go build -o bin/manager ./cmd"),
        ("'bin/my issuer' --flag", {"go.mod": "", "main.go": ""}, "go build -o 'bin/my issuer' ."),
        ("bin/mine", {"go.mod": ""}, ""),
        ("bin/mine", {"main.go": ""}, ""),
        ("mine", {"go.mod": "", "main.go": ""}, ""),
        ("/usr/bin/mine", {"Makefile": "build:"}, ""),
    ],
)
def test_build_command_is_found(
    tmp_path: Path, command: str, files: dict[str, str], build: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in files.items():
        write(tmp_path, name, text)
    assert run(tmp_path, "--name", "mine", "--command", command, "--ci", "github") == 0
    assert ("CI builds nothing" in capsys.readouterr().out) == (not build)
    (job,) = yaml.safe_load((tmp_path / ".github/workflows/vault-issuer.yml").read_text())["jobs"].values()
    assert [step["run"] for step in job["steps"] if step.get("name") == "Build the controller"] == [build] * bool(build)
    assert any(step.get("uses", "").startswith("actions/setup-go@") for step in job["steps"]) == ("go.mod" in files)
    answers = init._answers(
        options_of("--directory", str(tmp_path), f"--command={command}"), lambda _, default: default
    )
    assert answers.build == build


def test_gitlab_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = workflow(tmp_path, "gitlab", "vault-issuer.gitlab-ci.yml")["vault-issuer"]
    assert job["script"][-2:] == ["make 'the issuer': all", f"{JUDGE} --junitxml=report/junit.xml"]
    assert job["variables"]["VAULT_ISSUER_CACHE"].endswith(job["cache"]["paths"][0])
    assert "- local: vault-issuer.gitlab-ci.yml" in capsys.readouterr().out


def test_nothing_is_overwritten_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rbac.yaml").write_text("precious")
    assert run(tmp_path, "--name", "mine", "--command", COMMAND) == 2
    assert "rbac.yaml exists" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["rbac.yaml"], "nor is anything else written"
    assert (tmp_path / "rbac.yaml").read_text() == "precious"
    assert run(tmp_path, "--name", "mine", "--command", COMMAND, "--force") == 0
    assert (tmp_path / "rbac.yaml").read_text() != "precious"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--command is required: the manifests have no Deployment"),
        (["--name", "My Issuer", "--command", "x"], "'My Issuer' is not a valid name"),
        (["--name", "mine", "--command", "x 'y"], "fix its quotes"),
        (["--name", "mine", "--command", "x {kubeconf}"], "did you mean kubeconfig?"),
        (["--name", "mine", "--command", "x", "--service-account", "alone"], "is not namespace/name"),
    ],
)
def test_invalid_option_is_explained_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert run(tmp_path, *options) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "hint: " in error
    assert list(tmp_path.iterdir()) == []


def options_of(*words: str) -> argparse.Namespace:
    from pytest_vault_issuer.cli.main import parser

    return parser().parse_args(["init", *words])


def test_questions_are_asked_about_missing_options(tmp_path: Path) -> None:
    asked = {}

    def ask(question: str, default: str) -> str:
        asked[question] = default
        return {"Features that it supports": "token, approle", "CI workflow (github, gitlab or none)": "github"}.get(
            question, default
        )

    answers = init._answers(options_of("--directory", str(tmp_path / "My_Issuer"), "--kind", "Given"), ask)
    assert asked["Name of the controller"] == "my-issuer"
    assert not any("Namespaced kind" in question for question in asked), "it was given"
    assert (answers.name, answers.kind, answers.features) == ("my-issuer", "Given", ("token", "approle"))
    assert asked["Command that builds it in CI (none for nothing)"] == "none"
    assert answers.command.startswith("./my-issuer --kubeconfig={kubeconfig}")


CRD = "kind: CustomResourceDefinition\nspec: {group: example.com}\n"
OWN_GROUP = ["--name", "mine", "--command", COMMAND, "--api-version", "example.com/v1"]


def write(directory: Path, name: str, text: str) -> None:
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(text)


def test_its_manifests_are_found(tmp_path: Path) -> None:
    write(tmp_path, "config/crd/bases/a.yaml", CRD)
    write(tmp_path, "config/crd/kustomization.yaml", "resources: [bases/a.yaml]")
    write(tmp_path, "config/rbac/role.yaml", "kind: ClusterRole")
    write(tmp_path, "config/rbac/binding.yaml", "kind: ClusterRoleBinding\n---\nkind: ServiceAccount")
    write(tmp_path, "deploy/all.yaml", "kind: ClusterRole\n---\nkind: Deployment")
    write(tmp_path, "deploy/template.yaml", "{{ kind }}: {{")
    write(tmp_path, "permissions.yaml", "kind: Role")
    assert run(tmp_path, *OWN_GROUP) == 0
    described = load_implementation(str(tmp_path / "mine.toml"))
    assert described.run.crds == ["config/crd/bases"]
    assert described.run.rbac == ["permissions.yaml", "config/rbac"]
    assert not (tmp_path / "rbac.yaml").exists()


def test_role_that_a_chart_completes_is_not_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "deploy/charts/mine/Chart.yaml", "name: mine")
    write(tmp_path, "deploy/charts/mine/files/role.yaml", "kind: ClusterRole\nmetadata: {name: mine}")
    assert run(tmp_path, "--name", "mine", "--command", COMMAND) == 0
    assert load_implementation(str(tmp_path / "mine.toml")).run.rbac == ["rbac.yaml"]
    assert 'write [run] chart = "deploy/charts/mine", or edit the draft' in capsys.readouterr().out


def test_chart_can_be_given_as_source_of_permissions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for chart in ("one", "two"):
        write(tmp_path, f"charts/{chart}/Chart.yaml", f"name: {chart}")
    write(tmp_path, "more.yaml", "kind: Role\nmetadata: {name: mine}")
    given = ["--name", "mine", "--command", COMMAND, "--rbac=charts/one", "--rbac=more.yaml"]
    assert run(tmp_path, *given) == 0
    described = load_implementation(str(tmp_path / "mine.toml")).run
    assert (described.chart, described.rbac) == ("charts/one", ["more.yaml"])
    assert run(tmp_path, *given, "--rbac=charts/two", "--force") == 2
    assert "a session installs one" in capsys.readouterr().err


def test_files_are_named_if_their_folder_has_others(tmp_path: Path) -> None:
    write(tmp_path, "deploy/crd.yaml", CRD)
    write(tmp_path, "deploy/other.yaml", CRD.replace("example.com", "other.example.com"))
    assert run(tmp_path, *OWN_GROUP) == 0
    assert load_implementation(str(tmp_path / "mine.toml")).run.crds == ["deploy/crd.yaml"]


def test_question_about_manifests_shows_those_found(tmp_path: Path) -> None:
    write(tmp_path, "config/crd/a.yaml", CRD)
    write(tmp_path, "config/rbac/a.yaml", "kind: Role")
    asked = {}

    def ask(question: str, default: str) -> str:
        asked[question] = default
        return "none" if "Roles" in question else default

    answers = init._answers(options_of("--directory", str(tmp_path), "--api-version=example.com/v1"), ask)
    assert asked["Its CustomResourceDefinitions"] == "config/crd"
    assert asked["Its Roles and bindings (none for a draft)"] == "config/rbac"
    assert (answers.crds, answers.rbac) == (("config/crd",), ())
    asked.clear()
    init._answers(options_of("--directory", str(tmp_path)), ask)
    assert "Its CustomResourceDefinitions" not in asked, "those of cert-manager.io are always there"


@pytest.mark.parametrize(
    ("file", "text", "system"),
    [
        (".github/CODEOWNERS", "", "github"),
        (".git/config", '[remote "origin"]\n\turl = git@github.com:example/mine.git', "github"),
        (".git/config", '[remote "origin"]\n\turl = https://gitlab.example.com/mine.git', "gitlab"),
        (".gitlab-ci.yml", "", "gitlab"),
        ("README.md", "github.com", ""),
    ],
)
def test_the_repository_shows_its_ci(tmp_path: Path, file: str, text: str, system: str) -> None:
    write(tmp_path, file, text)
    assert run(tmp_path, "--name", "mine", "--command", COMMAND) == 0
    written = {
        "github": (tmp_path / ".github/workflows/vault-issuer.yml").exists(),
        "gitlab": (tmp_path / "vault-issuer.gitlab-ci.yml").exists(),
    }
    assert [name for name, there in written.items() if there] == [system] * bool(system)
    answers = init._answers(options_of("--directory", str(tmp_path)), lambda _, default: default)
    assert answers.ci == (system or "github"), "who is asked and just agrees gets a workflow"


def test_command_asks_on_a_terminal(tmp_path: Path) -> None:
    import os
    import pty
    import subprocess
    import sys

    ours, theirs = pty.openpty()
    script = "from pytest_vault_issuer.cli.main import run; run()"
    with subprocess.Popen(
        [sys.executable, "-c", script, "init", "--directory", str(tmp_path)],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(theirs)
        os.write(ours, b"typed\n./it\n" + b"\n" * 10)
        _, questions = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0, questions
    assert "Name of the controller [" in questions
    assert load_implementation(str(tmp_path / "typed.toml")).run.command == ["./it"]


def test_other_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--name", "mine", "--command", COMMAND, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["written"] == [str(tmp_path / "mine.toml"), str(tmp_path / "rbac.yaml")]
    assert run(tmp_path, "--name", "mine", "--command", COMMAND, "--format", "markdown", "--force") == 0
    assert capsys.readouterr().out.startswith("| written |\n|---|\n")


def test_text_that_is_hard_to_quote(tmp_path: Path) -> None:
    answers = Answers("mine", "run", version='1 "β" \\ \t \x7f 🔑', build='say "it": {}')
    import tomllib

    assert tomllib.loads(render(answers, tmp_path)["mine.toml"])["implementation"]["version"] == answers.version


DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: controller, namespace: mine-system}
spec:
  selector: {}
  template:
    spec:
      serviceAccountName: controller
      containers: [{name: controller, image: "mine:1", command: [/controller]}]
"""


def binding(account: str, namespace: str) -> str:
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    item = {"kind": "ClusterRoleBinding", "metadata": {"name": account}, "subjects": [subject]}
    return yaml.safe_dump(item)


def test_name_is_that_of_the_directory_if_the_command_cannot_ask(tmp_path: Path) -> None:
    directory = tmp_path / "My_Issuer"
    write(directory, "deploy/deployment.yaml", DEPLOYMENT)
    assert run(directory) == 0
    assert load_implementation(str(directory / "my-issuer.toml")).name == "my-issuer"


def test_permissions_in_a_file_with_a_namespace_are_found(tmp_path: Path) -> None:
    """Beside a file for cert-manager's approver, which binds another account."""
    namespace = "kind: Namespace\nmetadata: {name: mine-system}\n"
    write(tmp_path, "deploy/deployment.yaml", DEPLOYMENT)
    write(tmp_path, "deploy/rbac/approver.yaml", binding("cert-manager", "cert-manager"))
    write(tmp_path, "deploy/rbac/rbac.yaml", f"{namespace}---\n{binding('controller', 'mine-system')}")
    assert run(tmp_path, "--name", "mine") == 0
    assert load_implementation(str(tmp_path / "mine.toml")).run.rbac == ["deploy/rbac"]


def test_permissions_in_a_file_with_the_deployment_are_copied(tmp_path: Path) -> None:
    role = "kind: ClusterRole\nmetadata: {name: mine}\nrules: []\n"
    bound = binding("controller", "mine-system")
    write(tmp_path, "deploy/install.yaml", f"{role}---\n{bound}---\n{DEPLOYMENT}")
    assert run(tmp_path, "--name", "mine") == 0
    assert load_implementation(str(tmp_path / "mine.toml")).run.rbac == ["mine-rbac.yaml"]
    text = (tmp_path / "mine-rbac.yaml").read_text()
    assert text.startswith("# The permissions of the controller, copied from deploy/install.yaml")
    assert [item["kind"] for item in yaml.safe_load_all(text)] == ["ClusterRole", "ClusterRoleBinding"]


def test_permissions_that_no_binding_grants_are_listed_as_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "deploy/deployment.yaml", DEPLOYMENT)
    write(tmp_path, "deploy/rbac/rbac.yaml", binding("another", "mine-system"))
    assert run(tmp_path, "--name", "mine") == 0
    assert "no binding in deploy/rbac names it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        ({"go.mod": "", "main.go": 'flag.StringVar(&path, "kubeconfig", "", "")'}, True),
        ({"go.mod": "", "cmd/main.go": "ctrl.SetLogger(x)\nflag.Parse()"}, True),
        ({"go.mod": "", "main.go": "pflag.CommandLine.AddGoFlagSet(flag.CommandLine)"}, True),
        ({"go.mod": "", "main.go": "command := &cobra.Command{}"}, False),
        ({"go.mod": "", "main.go": "flags := genericclioptions.NewConfigFlags(true)"}, True),
        (
            {"go.mod": "", "main.go": "package main", "pkg/options.go": 'fs.StringVar(&c.Path, "kubeconfig", "", "")'},
            True,
        ),
        ({"Cargo.toml": ""}, False),
        ({"pyproject.toml": ""}, False),
        ({}, True),
    ],
)
def test_flag_for_the_kubeconfig_is_left_out_of_programs_without_it(
    files: dict[str, str], taken: bool, tmp_path: Path
) -> None:
    """They read KUBECONFIG, which the suite sets."""
    for name, text in files.items():
        write(tmp_path, name, text)
    write(tmp_path, "deploy/deployment.yaml", DEPLOYMENT)
    assert run(tmp_path, "--name", "mine") == 0
    command = load_implementation(str(tmp_path / "mine.toml")).run.command
    assert ("--kubeconfig={kubeconfig}" in command) == taken


def test_first_argument_that_is_a_program_is_the_program(tmp_path: Path) -> None:
    write(
        tmp_path,
        "deploy/deployment.yaml",
        DEPLOYMENT.replace("command: [/controller]", "args: [/bin/signer, --ttl=1h]"),
    )
    assert run(tmp_path, "--name", "mine") == 0
    command = load_implementation(str(tmp_path / "mine.toml")).run.command
    assert (command[0], command[-1]) == ("./bin/signer", "--ttl=1h")


def test_nested_fields_of_a_shape_are_listed_with_likely_values(tmp_path: Path) -> None:
    spec = {"url": {}, "provisioner": {"properties": {"passwordRef": {"properties": {"name": {}}}}}}
    schema = {"openAPIV3Schema": {"properties": {"spec": {"properties": spec}}}}
    crd = {
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "x"},
        "spec": {
            "group": "example.com",
            "names": {"kind": "VaultIssuer", "plural": "vaultissuers"},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "storage": True, "schema": schema}],
        },
    }
    write(tmp_path, "crds/x.yaml", yaml.safe_dump(crd))
    assert run(tmp_path, "--name", "mine", "--command", COMMAND) == 0
    text = (tmp_path / "mine.toml").read_text()
    assert '# "spec.url" = "{server}"\n' in text
    assert '# "spec.provisioner.passwordRef.name" = "…"\n' in text


# -- repositories of others ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("force", [[], ["--force"]], ids=["", "--force"])
@pytest.mark.parametrize("link", ["mine.toml", ".github", ".github/workflows/vault-issuer.yml"])
def test_no_file_is_written_through_a_link(tmp_path: Path, link: str, force: list[str]) -> None:
    here, outside = tmp_path / "here", tmp_path / "outside"
    (here / link).parent.mkdir(parents=True)
    if link == ".github":
        outside.mkdir()
    (here / link).symlink_to(outside)
    status = run(here, "--name=mine", f"--command={COMMAND}", "--ci=github", *force)
    assert not outside.exists() or list(outside.iterdir()) == []
    if force and link != ".github":
        assert (status, (here / link).is_symlink()) == (0, False)
    else:
        assert status == 2
        assert not (here / "rbac.yaml").exists()


def test_text_of_a_repository_is_not_obeyed_by_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert init._ask("Command that runs it", "./a\x1b]52;c;x\x07") == "./a\x1b]52;c;x\x07"
    pod = {"serviceAccountName": "x", "containers": [{"name": "c", "image": "x:1"}]}
    chart = "charts/\x1b]52;c;x\x07"
    (tmp_path / chart).mkdir(parents=True)
    (tmp_path / chart / "Chart.yaml").write_text("name: mine\n")
    (tmp_path / "deploy").mkdir()
    deployment = {"kind": "Deployment", "metadata": {"name": "x"}, "spec": {"selector": {}, "template": {"spec": pod}}}
    (tmp_path / "deploy/x.yaml").write_text(json.dumps(deployment))
    assert run(tmp_path, "--name=mine", f"--command={COMMAND}") == 0
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert "\\x1b]52" in captured.out


def test_name_of_a_column_stays_in_its_comment(tmp_path: Path) -> None:
    text = implementation_file.render(Answers("mine", COMMAND, columns=('Ready\n[run]\ncommand = ["x"]\n#',)))
    assert tomllib.loads(text)["run"]["command"] == ["./bin/issuer", "--kubeconfig={kubeconfig}"]
