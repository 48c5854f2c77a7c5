"""The implementation file: valid content, and the error for each mistake."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.implementation import Implementation, IssuerDescription, RunDescription, load_implementation
from pytest_vault_issuer.implementation.process import check_command, filled
from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.requirements.features import BY_PROFILE, FEATURES
from pytest_vault_issuer.toolchain import COMPONENTS, Component

pytest_plugins = ("pytester",)

#: Text in the reason of a known failure that no issue reports.
UNREPORTED = "no upstream issue is known"

MINIMAL = {"implementation": {"name": "mine", "version": "1"}, "features": {"all": True}}


def described(**tables: Any) -> Implementation:
    return Implementation.from_mapping(MINIMAL | tables, Path("/project"))


def refused(data: dict[str, Any]) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        Implementation.from_mapping(data, Path("/project"))
    assert caught.value.hint, "an error without a hint"
    return caught.value


# -- what a file says -----------------------------------------------------------------------------------------

FILE = """
[implementation]
name = "my-issuer"
version = "1.4.0"
organization = "Größe & Co"
url = "https://example.test"
contact = ["a@example.test"]
contract = "1.18"
[issuer]
api_version = "example.test/v1"
kind = "VaultIssuer"
cluster_kind = ""
vault_at = "spec"
signer_name = "vault.test/{name}"
cluster_signer_name = ""
ready_condition = "Available"
[run]
command = ["./controller", "--kubeconfig={kubeconfig}", "--ns={cluster_resource_namespace}"]
env = { HERE = "{directory}" }
service_account = "mine/controller"
crds = ["crds"]
rbac = ["rbac.yaml"]
manifests = ["more.yaml"]
cluster_resource_namespace = "mine"
approves = true
ready_log = "^started"
[features]
supported = ["token", "approle"]
[known_failures]
"VI-HEALTH-007" = "issue #12"
"""


def test_every_key_of_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(FILE, encoding="utf-8")
    assert load_implementation(str(path)) == Implementation(
        name="my-issuer",
        version="1.4.0",
        organization="Größe & Co",
        url="https://example.test",
        contact=["a@example.test"],
        contract="1.18",
        issuer=IssuerDescription(
            "example.test/v1",
            "VaultIssuer",
            "",
            "spec",
            signer_name="vault.test/{name}",
            cluster_signer_name="",
            ready_condition="Available",
        ),
        run=RunDescription(
            command=["./controller", "--kubeconfig={kubeconfig}", "--ns={cluster_resource_namespace}"],
            env={"HERE": "{directory}"},
            service_account="mine/controller",
            crds=["crds"],
            rbac=["rbac.yaml"],
            manifests=["more.yaml"],
            cluster_resource_namespace="mine",
            approves=True,
            ready_log="^started",
        ),
        features=frozenset({"token", "approle", "issuer", "certificate-request"}),
        known_failures={"VI-HEALTH-007": "issue #12"},
        directory=tmp_path.resolve(),
    )


def test_concurrency_and_the_time_of_a_retry_can_be_stated() -> None:
    mine = described(run={"concurrency": 1}, timing={"retry": "5m"})
    assert (mine.run.concurrency, mine.timing.retry_seconds) == (1, 300.0)
    assert described(timing={"retry": "90s"}).timing.retry_seconds == 90.0
    assert (described().run.concurrency, described().timing.retry_seconds) == (0, 0.0)


def test_missing_keys_have_defaults() -> None:
    mine = described()
    assert mine.issuer == IssuerDescription("cert-manager.io/v1", "Issuer", "ClusterIssuer", "spec.vault")
    assert mine.run == RunDescription()
    assert mine.features == frozenset(FEATURES)
    assert mine.known_failures == {}


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mine.toml").write_text(FILE, encoding="utf-8")
    mine = load_implementation(str(tmp_path / "sub" / "mine.toml"))
    assert mine.resolve("../rbac.yaml") == tmp_path.resolve() / "rbac.yaml"
    assert mine.resolve("/etc/rbac.yaml") == Path("/etc/rbac.yaml")


def test_with_run_changes_only_the_run() -> None:
    mine = described(run={"service_account": "a/b"})
    changed = mine.with_run(command=["x"])
    assert (changed.run.command, changed.run.service_account) == (["x"], "a/b")
    assert changed.with_run(command=[]) == mine


# -- what is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tables", "message", "hint"),
    [
        ({"isuer": {}}, "unknown key 'isuer' in the file", "did you mean issuer?"),
        ({"run": {"comand": []}}, "unknown key 'comand' in [run]", "did you mean command?"),
        ({"issuer": {"zzz": ""}}, "unknown key 'zzz' in [issuer]", "one of: api_version, kind, "),
        ({"features": {"suported": []}}, "unknown key 'suported' in [features]", "did you mean supported?"),
        ({"implementation": {"nam": "x"}}, "unknown key 'nam' in [implementation]", "did you mean name?"),
        ({"run": "x"}, "run must be a table", "write [run]"),
        ({"implementation": {"version": "1"}}, "[implementation] name is missing", 'add name = "…"'),
        ({"implementation": {"name": "x"}}, "[implementation] version is missing", 'add version = "…"'),
        ({"implementation": {"name": "x", "version": 1.4}}, "[implementation] version must be a string, got 1.4", ""),
        (
            {"implementation": {"name": "x", "version": "1", "contact": "me"}},
            "[implementation] contact must be a list of strings, got 'me'",
            "",
        ),
        (
            {"implementation": {"name": "x", "version": "1", "contract": "newest"}},
            "[implementation] contract 'newest' is not a release of cert-manager",
            'for example "1.18"',
        ),
        ({"implementation": {"name": "x", "version": "1", "contract": 1.18}}, "contract must be a string", ""),
        ({"run": {"command": "x --y"}}, "[run] command must be a list of strings, got 'x --y'", ""),
        ({"run": {"command": ["x", 8080]}}, "[run] command must be a list of strings", ""),
        ({"run": {"env": {"PORT": 80}}}, "[run] env must be a table of strings", ""),
        ({"run": {"approves": "yes"}}, "[run] approves must be true or false, got 'yes'", ""),
        ({"run": {"approves": 1}}, "[run] approves must be true or false, got 1", ""),
        ({"features": {}}, "[features] needs either all = true or a list supported", "kubernetes-secretless"),
        ({"features": {"all": True, "supported": ["token"]}}, "[features] needs either", "token"),
        ({"features": {"supported": []}}, "[features] needs either", "token"),
        ({"features": {"supported": ["aprole"]}}, "there is no feature 'aprole'", "did you mean approle?"),
        ({"known_failures": {"VI-SIGN-1": "x"}}, "[known_failures] 'VI-SIGN-1' is not a requirement", "list them: "),
        ({"known_failures": {"VI-SIGN-001": True}}, "[known_failures] VI-SIGN-001 must be a string, got True", ""),
        ({"known_failures": {"VI-SIGN-001": {"fixed_in": "2"}}}, "VI-SIGN-001 reason must be a string, got None", ""),
        (
            {"known_failures": {"VI-SIGN-001": {"reason": "x", "fixed_in": "newest"}}},
            "[known_failures] VI-SIGN-001 fixed_in 'newest' cannot be compared with version '1'",
            "1.20",
        ),
        ({"run": {"service_account": "controller"}}, "service_account 'controller' is not namespace/name", "/"),
        ({"issuer": {"cluster_kind": ""}}, "cluster-issuer is claimed but [issuer] cluster_kind is empty", "name the"),
        ({"issuer": {"kind": ""}}, "issuer is claimed but [issuer] kind is empty", 'unsupported = ["issuer"]'),
        (
            {"issuer": {"kind": "", "cluster_kind": ""}, "features": {"supported": ["token"]}},
            "[features] claims no kind of issuer object",
            "issuer, cluster-issuer",
        ),
        (
            {"features": {"supported": ["token"], "unsupported": ["certificate-request"]}},
            "[features] claims no way to request certificates",
            "certificate-signing-request",
        ),
        ({"features": {"all": True, "unsupported": ["awz"]}}, "there is no feature 'awz'", "did you mean aws?"),
        ({"issuer": {"signer_name": "{plural}/{nam}"}}, "no placeholder of [issuer] signer_name 'nam'", "name"),
        ({"issuer": {"signer_name": "vault/all"}}, "signer_name 'vault/all' does not contain {name}", "{name}"),
        ({"issuer": {"cluster_signer_name": "{name"}}, "cluster_signer_name '{name' does not contain {name}", "{name}"),
        ({"issuer": {"ready_condition": ""}}, "[issuer] ready_condition is empty", "Ready"),
        ({"issuer": {"shape": "flat"}}, "[issuer] shape must be a table, got 'flat'", ""),
        ({"issuer": {"shape": {"fields": {"spec.x": "{y}"}}}}, "there is no placeholder 'y'", "one of"),
        ({"issuer": {"vault_at": "spec", "render": "a:b"}}, "[issuer] has vault_at and another shape", "remove"),
        ({"issuer": {"shape": {"fields": {}}, "render": "a:b"}}, "[issuer] has both shape and render", "one of"),
        ({"issuer": {"render": "no_such_module:b"}}, "[issuer] render 'no_such_module:b' cannot be imported", "folder"),
        ({"run": {"command": ["{kubeconfg}"]}}, "there is no placeholder 'kubeconfg'", "did you mean kubeconfig?"),
        ({"run": {"env": {"A": "{home}"}}}, "there is no placeholder 'home'", "one of: kubeconfig, "),
        ({"run": {"concurrency": "one"}}, "[run] concurrency must be a number, got 'one'", ""),
        ({"run": {"concurrency": True}}, "[run] concurrency must be a number, got True", ""),
        ({"run": {"concurrency": -1}}, "[run] concurrency must not be negative, got -1", "or remove it"),
        ({"timing": {"retry": "soon"}}, "[timing] retry must be a number with a unit", 'for example "5m"'),
        ({"timing": {"retry": 300}}, "[timing] retry must be a string, got 300", ""),
        ({"timing": {"retries": "5m"}}, "unknown key 'retries' in [timing]", "did you mean retry?"),
        ({"run": {"ready_log": "("}}, "[run] ready_log is not a regular expression", "escape"),
    ],
)
def test_mistake(tables: dict[str, Any], message: str, hint: str) -> None:
    error = refused(MINIMAL | tables)
    assert message in error.message
    assert hint in error.hint


def test_a_cluster_kind_is_not_needed_without_its_feature() -> None:
    mine = described(issuer={"cluster_kind": ""}, features={"supported": ["token"]})
    assert mine.features == {"token", "issuer", "certificate-request"}


def test_kind_and_request_api_may_be_disclaimed() -> None:
    mine = described(issuer={"kind": ""}, features={"all": True, "unsupported": ["issuer", "certificate-request"]})
    assert mine.features == frozenset(FEATURES) - {"issuer", "certificate-request"}


def test_namespaced_kind_is_not_implied_without_one() -> None:
    mine = described(issuer={"kind": ""}, features={"supported": ["token", "cluster-issuer"]})
    assert mine.features == {"token", "cluster-issuer", "certificate-request"}


# -- finding it -----------------------------------------------------------------------------------------------


def not_loaded(name: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_implementation(name)
    assert caught.value.hint
    return caught.value


def test_built_in_cert_manager() -> None:
    reference = load_implementation("cert-manager")
    assert reference.name == "cert-manager"
    assert reference.features >= frozenset(BY_PROFILE["core"])
    assert all(reference.resolve(path).exists() for path in reference.run.rbac)


RELEASES = [component for component in COMPONENTS if component.name == "cert-manager"]
RELEASE_1_18 = next(release.version.removeprefix("v") for release in RELEASES if release.line == "1.18")


@pytest.mark.parametrize("release", RELEASES, ids=lambda component: component.line)
def test_a_release_of_cert_manager(release: Component) -> None:
    version = release.version.removeprefix("v")
    reference = load_implementation(f"cert-manager@{release.line}")
    assert load_implementation(f"cert-manager@{version}") == reference
    assert (reference.name, reference.version, reference.contract) == ("cert-manager", version, version)
    assert reference.component == f"cert-manager@{version}"


def test_the_newest_cert_manager_is_the_default() -> None:
    default = load_implementation("cert-manager")
    assert Version(default.version) == max(Version(release.version) for release in RELEASES)
    assert default == load_implementation(f"cert-manager@{default.version}")


def test_fixed_failure_is_a_known_failure_of_older_releases() -> None:
    """cert-manager stored a certificate for another key before 1.19.3, and renewed an expired certificate at once
    before 1.21."""
    failing = {
        r.line for r in RELEASES if "VI-CERTIFICATE-016" in load_implementation(f"cert-manager@{r.line}").known_failures
    }
    assert failing == {"1.15", "1.18"}
    failing = {
        r.line for r in RELEASES if "VI-CERTIFICATE-018" in load_implementation(f"cert-manager@{r.line}").known_failures
    }
    assert failing == {"1.15", "1.18", "1.19", "1.20"}


@pytest.mark.parametrize("release", RELEASES, ids=lambda component: component.line)
def test_known_failure_of_a_release_names_its_source(release: Component) -> None:
    """The reason or the requirement names an issue, or the reason states that no issue reports the failure."""
    catalogue = Catalogue.load()
    for identifier, reason in load_implementation(f"cert-manager@{release.line}").known_failures.items():
        named = "cert-manager#" in reason or bool(catalogue[identifier].upstream)
        assert named is not (UNREPORTED in reason), f"{identifier}: {reason}"


def test_component_gives_the_version_and_the_contract() -> None:
    mine = described(implementation={"name": "mine", "component": "cert-manager@1.18"})
    assert (mine.version, mine.contract) == (RELEASE_1_18, RELEASE_1_18)
    assert mine.component == f"cert-manager@{RELEASE_1_18}"


def test_known_failure_ends_with_the_version_that_fixes_it() -> None:
    known = {"VI-SIGN-018": {"reason": "not compared", "fixed_in": "1.4"}, "VI-SIGN-019": "never"}
    versions = {"1.3.9": {"VI-SIGN-018", "VI-SIGN-019"}, "1.4": {"VI-SIGN-019"}, "1.10": {"VI-SIGN-019"}}
    for version, expected in versions.items():
        mine = described(implementation={"name": "mine", "version": version}, known_failures=known)
        assert set(mine.known_failures) == expected


def test_an_unknown_release_of_cert_manager() -> None:
    error = not_loaded("cert-manager@1.9")
    assert error.message == "--vault-issuer=cert-manager@1.9: there is no cert-manager 1.9"
    assert error.hint == f"one of: {', '.join(release.version.removeprefix('v') for release in RELEASES)}"


def test_an_empty_release_of_cert_manager() -> None:
    error = not_loaded("cert-manager@")
    assert error.message == "--vault-issuer=cert-manager@: the release is missing"
    assert "cert-manager@1.20" in error.hint


def test_unknown_name() -> None:
    error = not_loaded("cert-manger")
    assert error.message == "--vault-issuer=cert-manger: no such implementation"
    assert "built in: cert-manager" in error.hint


def test_missing_file() -> None:
    assert "absent.toml cannot be read: No such file" in not_loaded("absent.toml").message


@pytest.mark.parametrize("content", [b"name: x", b'[implementation]\nname = "\xff"'])
def test_file_that_is_not_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    assert f"{path} is not TOML" in not_loaded(str(path)).message


def test_a_mistake_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("[runn]")
    error = not_loaded(str(path))
    assert error.message == f"{path}: unknown key 'runn' in the file"
    assert error.hint == "did you mean run?"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a module with valid and invalid factories."""
    (tmp_path / "factories_of_test.py").write_text(
        "from pathlib import Path\n"
        "from pytest_vault_issuer import Implementation\n"
        f"def right(): return Implementation.from_mapping({MINIMAL!r}, Path())\n"
        "def wrong(): return {}\n"
        "def failing(): raise OSError('no')\n"
        "def asking(name): return {}\n"
        "nothing = None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "factories_of_test", raising=False)
    return "factories_of_test"


def test_factory(module: str) -> None:
    assert load_implementation(f"{module}:right").name == "mine"


def test_factory_that_returns_something_else(module: str) -> None:
    assert f"{module}:wrong must return an Implementation, got dict" in not_loaded(f"{module}:wrong").message


@pytest.mark.parametrize(("name", "why"), [("failing", "OSError: no"), ("asking", "TypeError: asking")])
def test_factory_that_fails(module: str, name: str, why: str) -> None:
    error = not_loaded(f"{module}:{name}")
    assert f"--vault-issuer={module}:{name} failed: {why}" in error.message
    assert "takes no arguments" in error.hint


def test_factory_that_is_no_function(module: str) -> None:
    assert f"--vault-issuer={module}:nothing is not a function" in not_loaded(f"{module}:nothing").message


@pytest.mark.parametrize("name", ["{}:absent", "{}:", "absent_module:factory", ":factory", ".relative:factory"])
def test_factory_that_cannot_be_imported(module: str, name: str) -> None:
    assert "cannot be imported" in not_loaded(name.format(module)).message


# -- the command ----------------------------------------------------------------------------------------------


def command_of(directory: Path, *command: str, **binaries: Path) -> list[str]:
    mine = Implementation.from_mapping(MINIMAL | {"run": {"command": list(command)}}, directory)
    return check_command(mine, binaries)


def test_no_command() -> None:
    assert command_of(Path()) == []


@pytest.mark.parametrize("command", ["./controller", "{directory}/controller"])
def test_program_beside_the_file(tmp_path: Path, command: str) -> None:
    program = tmp_path / "controller"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    assert command_of(tmp_path, command, "--x") == [str(program), "--x"]


def test_program_in_path(tmp_path: Path) -> None:
    program, argument = command_of(tmp_path, "sh", "-c")
    assert Path(program).is_absolute()
    assert argument == "-c"


def test_program_of_the_toolchain_comes_first(tmp_path: Path) -> None:
    mine = tmp_path / "sh"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o700)
    assert command_of(tmp_path, "sh", sh=mine) == [str(mine)]


def test_program_that_is_a_symbolic_link_is_run_by_its_own_name(tmp_path: Path) -> None:
    """The interpreter of a virtual environment is a symbolic link, and finds its packages by its own path."""
    link = tmp_path / "interpreter"
    link.symlink_to(sys.executable)
    assert command_of(tmp_path, "./interpreter") == [str(link)]


def test_interpreter_that_runs_pytest(tmp_path: Path) -> None:
    assert command_of(tmp_path, "{python}", "-m", "module") == [sys.executable, "-m", "module"]


def test_program_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"the program \./controller does not exist"):
        command_of(tmp_path, "./controller")
    with pytest.raises(ConfigurationError, match="the program no-such-program does not exist"):
        command_of(tmp_path, "no-such-program")


def test_program_that_cannot_be_executed(tmp_path: Path) -> None:
    (tmp_path / "controller").write_text("")
    with pytest.raises(ConfigurationError, match=r"the program \./controller is not executable"):
        command_of(tmp_path, "./controller")


def test_a_hook_describes_an_implementation(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from dataclasses import replace

        from pytest_vault_issuer.implementation import load_implementation


        def pytest_vault_issuer_implementation(config, name):
            if name == "ours":
                return replace(load_implementation("cert-manager"), name="described in a conftest", version="7")
        """
    )
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_inprocess("--vault-issuer=ours", "--collect-only")
    result.stdout.fnmatch_lines(["vault-issuer: described in a conftest 7, *"])
    assert result.ret == 0
    refused = pytester.runpytest_inprocess("--vault-issuer=theirs", "--collect-only")
    refused.stderr.fnmatch_lines(["*--vault-issuer=theirs: no such implementation*"])


def test_placeholders_are_filled_and_empty_variables_left_out() -> None:
    described = RunDescription(
        command=["./controller", "--kubeconfig={kubeconfig}"],
        env={"AWS_ENDPOINT_URL_STS": "{sts_endpoint}", "HERE": "{directory}", "LEVEL": "debug"},
    )
    values = {"kubeconfig": "/k", "directory": "/d", "sts_endpoint": ""}
    assert filled(described, values) == (
        ["./controller", "--kubeconfig=/k"],
        {"HERE": "/d", "LEVEL": "debug"},
    )
    _, env = filled(described, values | {"sts_endpoint": "http://127.0.0.1:1"})
    assert env["AWS_ENDPOINT_URL_STS"] == "http://127.0.0.1:1"


def test_placeholders_that_are_used() -> None:
    described = RunDescription(command=["./controller", "--sts={sts_endpoint}"], env={"HERE": "{directory}"})
    assert described.uses("sts_endpoint")
    assert described.uses("directory")
    assert not described.uses("kubeconfig")
