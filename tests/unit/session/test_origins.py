"""The header and the report name the source of each binary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.judge.ending import Ending
from pytest_vault_issuer.judge.hooks import sources_line
from pytest_vault_issuer.judge.start import start
from pytest_vault_issuer.kube.client import Kubernetes
from pytest_vault_issuer.options import Settings
from pytest_vault_issuer.sandbox.pace import Pace
from pytest_vault_issuer.session.session import Session, SessionKey
from pytest_vault_issuer.stack.types import Stack
from pytest_vault_issuer.toolchain import Origin, Toolchain
from pytest_vault_issuer.vault.client import VaultServer

VAULT = Origin("vault", "build", "v1.21.0", "github.com/hashicorp/vault@v1.21.0", "a" * 64, True)


def stack(*origins: Origin) -> Stack:
    return Stack("process", "", True, Kubernetes("k", "", ""), VaultServer("https://v"), {}, "", origins=list(origins))


def session(**settings: Any) -> Session:
    return Session(Settings(**settings), SessionKey.new(), lambda line: None)


def test_origins_are_those_of_the_stack_and_of_the_programs_of_the_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toolchain, "origin", lambda self, name: replace(VAULT, binary=name))
    made = session(implementation="cert-manager")
    made._stack = stack(VAULT)
    assert [origin.binary for origin in made.origins()] == [
        "vault",
        "cert-manager-controller",
        "cert-manager-webhook",
    ]


def test_header_names_what_is_missing_and_what_the_user_names(tmp_path: Path) -> None:
    line = sources_line(session(implementation="cert-manager", vault_binary=tmp_path / "bao").sources())
    assert line == (
        "named by you: vault; to build: etcd, kube-apiserver, kube-controller-manager, cert-manager-crds, "
        "cert-manager-controller, cert-manager-webhook"
    )


def test_header_names_the_image_of_vault() -> None:
    line = sources_line(session(implementation="cert-manager", stack="kind", vault_image="vault:1.21.0").sources())
    assert line.startswith("vault:1.21.0: vault; image that kind chooses: kubernetes; to build: cert-manager-crds, ")


@pytest.mark.parametrize(("certify", "refused"), [(True, True), (False, False)])
def test_certify_mode_refuses_an_unpinned_binary_when_the_stack_is_up(certify: bool, refused: bool) -> None:
    fake: Any = SimpleNamespace(
        settings=Settings(certify=certify),
        implementation=SimpleNamespace(name="mine"),
        build=lambda: None,
        stack=stack,
        origins=lambda: [VAULT, replace(VAULT, binary="etcd", pinned=False)],
        running=lambda: None,
        answers=lambda: True,
        notices=list,
        measure=Pace,
        refusals=list,
    )
    said: list[str] = []
    ending = Ending()
    if not refused:
        assert start(fake, ending, said.append, str)
        return
    with pytest.raises(pytest.UsageError, match="etcd is not pinned") as caught:
        start(fake, ending, said.append, str)
    assert isinstance(caught.value.__cause__, ConfigurationError)
    assert "etcd is not pinned" in ending.early
