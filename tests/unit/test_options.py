"""Options: the command line overrides the environment, which overrides the ini file; invalid values are rejected."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.judge.progress import SESSION_KEY
from pytest_vault_issuer.options import OPTIONS, TOKEN_VARIABLE, Option, Settings
from pytest_vault_issuer.toolchain import find, releases

pytest_plugins = ("pytester",)


def collect(
    *,
    line: dict[str, Any] | None = None,
    env: dict[str, str] | None = None,
    ini: dict[str, Any] | None = None,
    base: Path = Path(),
) -> Settings:
    return Settings.collect((line or {}).get, (ini or {}).get, env or {}, base)


def refused(**sources: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        collect(**sources)
    assert caught.value.hint
    return caught.value


#: Values for fields that do not accept any text.
VALUES = {
    "stack": "process",
    "timeout_scale": "2.5",
    "vault_version": find("vault").line,
    "kubernetes_version": find("kubernetes").line,
    "vault_mode": "dev",
    "vault_image": "of/vault:1",
    "node_image": "of/node:1",
    "image": "of/mine:1",
    "implementation": "./of a friend/mine.toml",
    "vault_addr": "https://vault.test:8200",
    "kubernetes_host": "https://10.0.0.1",
    "bind": "192.0.2.7",
    "kind_cluster": "mine",
    "registry_mirror": "mirror.test:5000/hub",
}


def again(settings: Settings) -> Settings:
    """Return the settings of the command line that the options of these settings produce, relative to the same
    directory."""
    line: dict[str, Any] = {}
    for word in settings.options():
        name, _, value = word.removeprefix("--").partition("=")
        option = next(o for o in OPTIONS if o.name == name)
        line[name] = [*line.get(name, []), value] if option.many else ("true" if option.flag else value)
    return collect(line=line)


# -- where a value comes from ---------------------------------------------------------------------------------


def test_settings_have_defaults() -> None:
    assert collect() == Settings()


def test_command_line_before_environment_before_ini() -> None:
    line = {"vault-issuer": "from-line"}
    env = {"VAULT_ISSUER": "from-env"}
    ini = {"vault_issuer": "from-ini"}
    assert collect(line=line, env=env, ini=ini).implementation == "from-line"
    assert collect(env=env, ini=ini).implementation == "from-env"
    assert collect(ini=ini).implementation == "from-ini"


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.field)
def test_options_reproduce_the_settings(option: Option) -> None:
    """The source of an option does not matter; unset options are not listed."""
    given = VALUES.get(option.field, "true" if option.flag else "SIGN TLS" if option.many else "a b")
    for sources in ({"env": {option.env: given}}, {"ini": {option.ini: given}, "base": Path("/some where")}):
        settings = collect(**sources)
        assert again(settings) == settings
        assert {word.partition("=")[0] for word in settings.options()} == {f"--{option.name}"}


def test_empty_variable_is_ignored() -> None:
    assert collect(env={"VAULT_ISSUER": ""}, ini={"vault_issuer": "from-ini"}).implementation == "from-ini"


def test_option_takes_many_values() -> None:
    assert collect(line={"vault-issuer-select": ["SIGN", "TLS"]}).select == ("SIGN", "TLS")
    assert collect(env={"VAULT_ISSUER_SELECT": " SIGN  TLS "}).select == ("SIGN", "TLS")
    assert collect(ini={"vault_issuer_select": ["SIGN", "TLS"]}).select == ("SIGN", "TLS")


def test_value_keeps_its_spaces() -> None:
    assert collect(env={"VAULT_ISSUER_REPORT": "my reports"}).report == Path("my reports")


def test_kubebuilder_assets_is_the_last_resort() -> None:
    env = {"KUBEBUILDER_ASSETS": "/assets"}
    assert collect(env=env).kubernetes_binaries == Path("/assets")
    ini = {"vault_issuer_kubernetes_binaries": "/mine"}
    assert collect(env=env, ini=ini).kubernetes_binaries == Path("/mine")


def test_paths_of_the_ini_file_are_relative_to_it() -> None:
    base = Path("/project")
    ini = {"vault_issuer_report": "out", "vault_issuer_vault_binary": "/usr/bin/bao", "vault_issuer": "my/issuer.toml"}
    settings = collect(ini=ini, base=base)
    assert settings.report == Path("/project/out")
    assert settings.vault_binary == Path("/usr/bin/bao")
    assert settings.implementation == "/project/my/issuer.toml"


def test_other_paths_are_relative_to_the_current_directory() -> None:
    base = Path("/project")
    assert collect(line={"vault-issuer-report": "out"}, base=base).report == Path("out")
    assert collect(env={"VAULT_ISSUER": "my.toml"}, base=base).implementation == "my.toml"


def test_name_of_an_implementation_is_not_a_path() -> None:
    assert collect(ini={"vault_issuer": "cert-manager"}, base=Path("/project")).implementation == "cert-manager"


def test_fields_declare_options_completely() -> None:
    assert [option.field for option in OPTIONS] == [field.name for field in dataclasses.fields(Settings)]
    for option in OPTIONS:
        assert option.name.startswith("vault-issuer")
        assert option.help[0].islower()
        assert option.default == getattr(Settings(), option.field)


def test_help_of_an_option_is_a_phrase() -> None:
    """It starts with a verb or a noun, not with a demonstrative, and has no period."""
    for option in OPTIONS:
        text = option.help.removeprefix("kind: ")
        assert not text.startswith(("this ", "the ", "use this", "whether")), option.name
        assert not text.endswith("."), option.name


def test_a_command_takes_the_other_values_from_the_environment() -> None:
    env = {"VAULT_ISSUER": "from-env", "VAULT_ISSUER_JOIN": "elsewhere", "VAULT_ISSUER_BIND": "192.0.2.7"}
    settings = Settings.of_command(environment=env, implementation="mine", timeout_scale=2.0)
    assert (settings.implementation, settings.timeout_scale, settings.bind) == ("mine", 2.0, "192.0.2.7")
    assert settings.join is None


def test_a_value_of_a_command_counts_even_if_it_is_the_default() -> None:
    settings = Settings.of_command(environment={"VAULT_ISSUER": "from-env"}, implementation="")
    assert settings.implementation == ""


def test_a_version_of_a_command_comes_before_kubebuilder_assets() -> None:
    env = {"KUBEBUILDER_ASSETS": "/assets"}
    assert Settings.of_command(environment=env, kubernetes_version="1.36").kubernetes_binaries is None
    assert Settings.of_command(environment=env).kubernetes_binaries == Path("/assets")


# -- what is refused ------------------------------------------------------------------------------------------


def test_unknown_stack_is_refused() -> None:
    error = refused(line={"vault-issuer-stack": "minikube"})
    assert "--vault-issuer-stack=minikube" in error.message
    assert "existing" in error.hint


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e-9", "1e300"])
def test_timeout_scale_out_of_bounds_is_refused(value: str) -> None:
    assert "--vault-issuer-timeout-scale" in refused(env={"VAULT_ISSUER_TIMEOUT_SCALE": value}).message


def test_timeout_scale_must_be_a_number() -> None:
    error = refused(ini={"vault_issuer_timeout_scale": "long"})
    assert error.message == "--vault-issuer-timeout-scale must be a number, got long"


@pytest.mark.parametrize("given", [{}, {"vault-issuer-kubeconfig": "k"}, {"vault-issuer-vault-addr": "https://v"}])
def test_existing_needs_both_addresses(given: dict[str, str]) -> None:
    error = refused(line={"vault-issuer-stack": "existing", **given})
    assert "needs a cluster and a Vault" in error.message


def test_existing_takes_both_addresses() -> None:
    line = {"vault-issuer-kubeconfig": "k", "vault-issuer-vault-addr": "https://v"}
    assert collect(line={**line, "vault-issuer-stack": "existing"}).names_existing
    assert not collect().names_existing


#: Invalid addresses of Vault or of the API server, and the reason.
ADDRESSES = {
    "vault.test": "it does not begin with https:// or http://",
    "vault.test:8200": "it does not begin with https:// or http://",
    "//vault.test": "it does not begin with https:// or http://",
    "https:vault.test": "it does not begin with https:// or http://",
    "ftp://vault.test": "it does not begin with https:// or http://",
    "unix:///run/vault.sock": "it does not begin with https:// or http://",
    "https://": "its host is missing or cannot be one",
    "https://:8200": "its host is missing or cannot be one",
    "https://vault..test": "its host is missing or cannot be one",
    "https://-vault": "its host is missing or cannot be one",
    "https://999.1.1.1": "its host is missing or cannot be one",
    "https://vault.test:0": "its port is 0",
    "https://vault.test:65536": "its host or port cannot be read",
    "https://vault.test:http": "its host or port cannot be read",
    "https://[::1": "its host or port cannot be read",
    "https://::1:8200": "its host",
    "https://vault.test?x": "it contains ? or #",
    "https://vault.test#x": "it contains ? or #",
    "https://me:hush@vault.test": "it contains a user or a password",
    "https://hush@vault.test": "it contains a user or a password",
    " https://vault.test": "it contains a space or a control character",
    "https://vault.test\n": "it contains a space or a control character",
    "https://va ult.test": "it contains a space or a control character",
    "https://vault.test\x00": "it contains a space or a control character",
    "https://vault.test\u202e": "it contains a space or a control character",
}


@pytest.mark.parametrize("option", ["vault-addr", "kubernetes-host"])
@pytest.mark.parametrize(("address", "why"), ADDRESSES.items())
def test_wrong_address_is_refused(option: str, address: str, why: str) -> None:
    error = refused(line={f"vault-issuer-{option}": address})
    assert error.message.startswith(f"--vault-issuer-{option} is not the URL of a server: {why}")
    assert "hush" not in str(error)


@pytest.mark.parametrize(
    "address",
    [
        "https://vault.test",
        "http://127.0.0.1:8200",
        "https://[::1]:8200/",
        "https://vault.test/behind/a/path",
        "HTTPS://A",
    ],
)
def test_address_is_accepted(address: str) -> None:
    assert collect(line={"vault-issuer-vault-addr": address}).vault_addr == address


@pytest.mark.parametrize(
    "bind", ["https://192.0.2.7", "192.0.2.7:80", "[::1]", "a b", "192.0.2", "-", "192.0.2.7/24", "a\n"]
)
def test_wrong_bind_address_is_refused(bind: str) -> None:
    assert refused(env={"VAULT_ISSUER_BIND": bind}).message.startswith(f"--vault-issuer-bind={bind} is not an address")


@pytest.mark.parametrize("bind", ["0.0.0.0", "::1", "host.docker.internal", "localhost"])
def test_bind_address_is_accepted(bind: str) -> None:
    assert collect(env={"VAULT_ISSUER_BIND": bind}).bind == bind


@pytest.mark.parametrize("mirror", ["https://mirror.test", "mirror.test:port", "a b", "me:hush@mirror.test", "/hub"])
def test_wrong_mirror_is_refused(mirror: str) -> None:
    error = refused(line={"vault-issuer-registry-mirror": mirror})
    assert "is not the name of a registry" in error.message
    assert "hush" not in str(error)


@pytest.mark.parametrize("name", ["Mine", "a b", "-x", "a/b"])
def test_wrong_name_of_a_kind_cluster_is_refused(name: str) -> None:
    assert "is not the name of a kind cluster" in refused(line={"vault-issuer-kind-cluster": name}).message


# -- versions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("component", ["vault", "kubernetes"])
def test_every_version_of_the_toolchain_is_accepted(component: str) -> None:
    built = releases(component)
    for version in [text for entry in built for text in (entry.line, entry.version, entry.version.lstrip("v"))]:
        settings = collect(env={f"VAULT_ISSUER_{component.upper()}_VERSION": version})
        assert getattr(settings, f"{component}_version") == version


@pytest.mark.parametrize("component", ["vault", "kubernetes"])
def test_unknown_version_is_refused(component: str) -> None:
    error = refused(line={f"vault-issuer-{component}-version": "0.9"})
    assert error.message == f"--vault-issuer-{component}-version=0.9: there is no {component} 0.9"
    newest = find(component)
    assert error.hint.startswith(f"one of: {newest.version.lstrip('v')}")


@pytest.mark.parametrize(
    "given",
    [
        {"vault-issuer-vault-binary": "bao"},
        {"vault-issuer-kubeconfig": "k", "vault-issuer-vault-addr": "https://v"},
        {"vault-issuer-join": "elsewhere"},
    ],
)
def test_version_of_a_given_component_is_refused(given: dict[str, str]) -> None:
    error = refused(line={"vault-issuer-vault-version": "1.21", **given})
    assert error.message == (
        "--vault-issuer-vault-version=1.21: this session does not build vault, because other options provide it"
    )


def test_version_and_binary_of_different_components_are_accepted() -> None:
    line = {"vault-issuer-kubernetes-version": "1.36", "vault-issuer-vault-binary": "bao"}
    assert collect(line=line).kubernetes_version == "1.36"


def test_version_comes_before_kubebuilder_assets() -> None:
    settings = collect(line={"vault-issuer-kubernetes-version": "1.36"}, env={"KUBEBUILDER_ASSETS": "/assets"})
    assert settings.kubernetes_binaries is None


# -- containers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["vault-image", "node-image", "image"])
@pytest.mark.parametrize("image", ["hashicorp/vault", "hashicorp/vault:latest", "registry.test:5000/vault"])
def test_image_with_a_moving_version_is_refused(option: str, image: str) -> None:
    error = refused(line={f"vault-issuer-{option}": image})
    assert f"--vault-issuer-{option}={image} names no version" in error.message


def test_image_by_digest_is_accepted() -> None:
    image = "hashicorp/vault@sha256:" + "0" * 64
    assert collect(line={"vault-issuer-vault-image": image}).vault_image == image


def test_unknown_vault_mode_is_refused() -> None:
    assert "server, dev" in refused(line={"vault-issuer-vault-mode": "production"}).hint


@pytest.mark.parametrize("other", [{"vault-issuer-node-image": "node:1"}, {"vault-issuer-kind-config": "kind.yaml"}])
def test_nodes_of_an_existing_cluster_cannot_be_chosen(other: dict[str, str]) -> None:
    assert "its nodes cannot be chosen" in refused(line={"vault-issuer-kind-cluster": "mine", **other}).message


@pytest.mark.parametrize(
    "there",
    [
        {"vault-issuer-kind-cluster": "mine"},
        {"vault-issuer-kubeconfig": "config", "vault-issuer-vault-addr": "https://vault.test"},
    ],
)
def test_foreign_stack_cannot_be_kept(there: dict[str, str]) -> None:
    assert "starts itself" in refused(line={"vault-issuer-keep-stack": "true", **there}).message


@pytest.mark.parametrize("component", ["vault", "kubernetes"])
def test_version_to_build_is_refused_for_containers(component: str) -> None:
    version = find(component).line
    refused(line={"vault-issuer-stack": "kind", f"vault-issuer-{component}-version": version})


# -- the existing Vault's token -------------------------------------------------------------------------------


def test_token_file_comes_before_the_variable(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    env = {TOKEN_VARIABLE: "from-env"}
    assert Settings(vault_token_file=file).vault_token(env) == "from-file"
    assert Settings().vault_token(env) == "from-env"


def test_missing_token_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no token") as caught:
        Settings().vault_token({})
    assert TOKEN_VARIABLE in caught.value.hint


def test_missing_token_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        Settings(vault_token_file=tmp_path / "absent").vault_token({TOKEN_VARIABLE: "not used"})


# -- through pytest -------------------------------------------------------------------------------------------

#: For each option, a value other than its default, as text and as parsed.
SAMPLES = {
    "vault-issuer": "cert-manager",
    "vault-issuer-stack": "process",
    "vault-issuer-profile": "core",
    "vault-issuer-select": "SIGN VI-TLS-001",
    "vault-issuer-report": "out",
    "vault-issuer-timeout-scale": "2.5",
    "vault-issuer-kubeconfig": "config.yaml",
    "vault-issuer-kube-context": "dev",
    "vault-issuer-kubernetes-host": "https://10.0.0.1",
    "vault-issuer-bind": "0.0.0.0",
    "vault-issuer-vault-addr": "https://vault.test",
    "vault-issuer-vault-ca-cert": "ca.pem",
    "vault-issuer-vault-token-file": "token",
    "vault-issuer-vault-binary": "bao",
    "vault-issuer-kubernetes-binaries": "bin",
    "vault-issuer-vault-image": "registry.test/vault:1.20.3",
    "vault-issuer-vault-mode": "dev",
    "vault-issuer-node-image": "kindest/node:v1.36.1",
    "vault-issuer-kind-config": "kind.yaml",
    "vault-issuer-kind-binary": "kind",
    "vault-issuer-image": "my-issuer:1.4.0",
    "vault-issuer-kubectl-binary": "kubectl",
    "vault-issuer-helm-binary": "helm",
    "vault-issuer-registry-mirror": "mirror.test/hub",
}
#: Some options need an existing stack, or exclude each other.
VALUED = [
    option
    for option in OPTIONS
    if not option.flag and option.field not in ("join", "vault_version", "kubernetes_version", "kind_cluster")
]
PATHS = (
    "report",
    "kubeconfig",
    "vault_ca_cert",
    "vault_token_file",
    "vault_binary",
    "kubernetes_binaries",
    "kind_config",
    "kind_binary",
    "kubectl_binary",
    "helm_binary",
)


def expected(base: Path) -> dict[str, Any]:
    values: dict[str, Any] = {option.field: SAMPLES[option.name] for option in VALUED}
    values |= {name: base / values[name] for name in PATHS}
    values |= {
        "profile": ("core",),
        "select": ("SIGN", "VI-TLS-001"),
        "timeout_scale": 2.5,
        "certify": False,
        "keep_go_caches": False,
        "keep_stack": False,
        "join": None,
        "vault_version": "",
        "kubernetes_version": "",
        "kind_cluster": "",
    }
    return values


class Grab:
    """Records the settings that the plugin creates."""

    settings: Settings

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        self.settings = config.stash[SESSION_KEY].settings


def settings_of(pytester: pytest.Pytester, *arguments: str) -> Settings:
    grab = Grab()
    result = pytester.runpytest_inprocess(*arguments, plugins=[grab])
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    return grab.settings


def test_command_line_has_every_option(pytester: pytest.Pytester) -> None:
    arguments = [
        f"--{option.name}={value}"
        for option in VALUED
        for value in (SAMPLES[option.name].split() if option.many else [SAMPLES[option.name]])
    ]
    assert dataclasses.asdict(settings_of(pytester, *arguments)) == expected(Path())


def test_environment_has_every_option(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    for option in VALUED:
        monkeypatch.setenv(option.env, SAMPLES[option.name])
    assert dataclasses.asdict(settings_of(pytester)) == expected(Path())


def test_ini_file_has_every_option(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{option.ini} = {SAMPLES[option.name]}" for option in VALUED]
    pytester.makeini("\n".join(["[pytest]", *lines]))
    monkeypatch.chdir(pytester.mkdir("elsewhere"))
    settings = settings_of(pytester, f"--rootdir={pytester.path}", "-c", str(pytester.path / "tox.ini"))
    assert dataclasses.asdict(settings) == expected(pytester.path)


def test_help_names_every_twin(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--help")
    words = set(re.findall(r"[\w-]+", result.stdout.str()))
    assert {option.env for option in OPTIONS} <= words
    assert {option.ini for option in OPTIONS} <= words
    assert {f"--{option.name}" for option in OPTIONS} <= words


@pytest.mark.parametrize("source", ["command line", "environment", "ini"])
def test_wrong_value_is_a_usage_error(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    arguments = []
    if source == "command line":
        arguments = ["--vault-issuer-stack=nonsense"]
    elif source == "environment":
        monkeypatch.setenv("VAULT_ISSUER_STACK", "nonsense")
    else:
        pytester.makeini("[pytest]\nvault_issuer_stack = nonsense")
    result = pytester.runpytest_inprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--vault-issuer-stack=nonsense: no such provider", "*hint: one of: *existing*"])


def test_unknown_implementation_is_a_usage_error(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--vault-issuer=cert-manger")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--vault-issuer=cert-manger: no such implementation", "*hint: built in: *"])


def test_other_tests_are_not_affected(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(): pass")
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.OK
    assert "vault-issuer:" not in result.stdout.str()


def test_joining_a_missing_stack_is_a_usage_error(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--vault-issuer=cert-manager", "--vault-issuer-join=absent")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*--vault-issuer-join=absent: there is no stack in this directory*", "*hint: name the directory*"]
    )


@pytest.mark.parametrize("source", ["command line", "environment", "ini"])
def test_flag_is_taken_from_each_source(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    arguments = []
    if source == "command line":
        arguments = ["--vault-issuer-certify"]
    elif source == "environment":
        monkeypatch.setenv("VAULT_ISSUER_CERTIFY", "1")
    else:
        pytester.makeini("[pytest]\nvault_issuer_certify = true")
    assert settings_of(pytester, *arguments).certify is True


def test_flag_must_be_true_or_false(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ISSUER_CERTIFY", "maybe")
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*vault_issuer_certify must be true or false, got maybe"])


# -- Vault's address and token ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["canary\n", " canary\r\n", "\ncanary\t", "\ufeffcanary\n"])
def test_whitespace_around_the_token_is_removed(tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_text(token)
    assert Settings(vault_token_file=tmp_path / "token").vault_token({}) == "canary"
    assert Settings().vault_token({TOKEN_VARIABLE: token.removeprefix("\ufeff")}) == "canary"


@pytest.mark.parametrize(
    "token", [b"canary\ncanary", b"can\x00ary", b"can ary", b"can\xff\xfeary", "canäry".encode(), b"\x1b[canary"]
)
def test_token_that_cannot_be_sent_is_refused_and_not_shown(tmp_path: Path, token: bytes) -> None:
    (tmp_path / "token").write_bytes(token)
    with pytest.raises(ConfigurationError) as raised:
        Settings(vault_token_file=tmp_path / "token").vault_token({})
    assert raised.value.hint
    assert "ary" not in str(raised.value).replace(str(tmp_path), "")
    assert raised.value.__cause__ is None


def test_empty_token_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with pytest.raises(ConfigurationError, match="is empty"):
        Settings(vault_token_file=tmp_path / "token").vault_token({TOKEN_VARIABLE: "not used"})


@pytest.mark.parametrize(
    "address",
    [
        "vault.example.com:8200",
        "https://",
        "ftp://vault",
        "https://vault:port",
        "https://vault:0",
        "https://user:canary@vault:8200",
        "user:canary@vault:8200",
        "https://vault:8200?x=canary",
        "https://vault:8200\n",
        "https://va ult",
        "https://[::1",
    ],
)
def test_wrong_address_of_a_vault_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Settings(vault_addr=address)
    assert raised.value.hint
    assert "user:canary" not in str(raised.value)


@pytest.mark.parametrize("address", ["https://vault:8200", "http://[::1]:8200/", "https://vault.example.com"])
def test_address_of_a_vault_is_accepted(address: str) -> None:
    assert Settings(vault_addr=address).vault_addr == address
