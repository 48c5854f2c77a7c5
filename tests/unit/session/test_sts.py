"""A session has a local STS if the controller can use it, and otherwise states the reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import pytest_vault_issuer.session.session
from pytest_vault_issuer.aws import Sts
from pytest_vault_issuer.implementation import Implementation, IssuerDescription, RunDescription
from pytest_vault_issuer.kube.client import Kubernetes
from pytest_vault_issuer.options import Settings
from pytest_vault_issuer.session.session import Session, SessionKey
from pytest_vault_issuer.stack.types import Stack
from pytest_vault_issuer.vault.client import VaultServer

RIGHT = Implementation(
    name="mine",
    version="1",
    issuer=IssuerDescription(),
    run=RunDescription(command=["mine"], env={"AWS_ENDPOINT_URL_STS": "{sts_endpoint}"}),
    features=frozenset({"issuer", "certificate-request", "token", "aws"}),
)
STARTED = Sts("http://127.0.0.1:1", "record")


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that returns the STS of a session; nothing is started."""
    runs: list[Session] = []
    monkeypatch.setattr(pytest_vault_issuer.session.session, "start_sts", lambda *_: STARTED)
    monkeypatch.setattr(
        pytest_vault_issuer.session.session, "service_account_issuer", lambda _: "https://cluster.example.test"
    )
    monkeypatch.setattr(pytest_vault_issuer.session.session, "service_account_keys", lambda _: [])
    monkeypatch.setattr(Session, "cluster", lambda _: None)
    monkeypatch.setattr(pytest_vault_issuer.session.session, "missing_modules", list)

    def of(implementation: Implementation = RIGHT, *, provider: str = "process", **settings: Any) -> Sts:
        run = Session(Settings(**{"profile": ("extended",)} | settings), SessionKey.new(), print)
        runs.append(run)
        run.implementation = implementation
        vault = VaultServer("https://127.0.0.1:2")
        run._stack = Stack(provider, "", True, Kubernetes("", "", ""), vault, {}, reviewer_token="")
        return run.sts()

    yield of
    for run in runs:
        run.close()


def test_local_sts_starts(sts: Any) -> None:
    assert sts() == STARTED
    assert sts(select=("VI-AWS-001",)) == STARTED
    assert sts(profile=(), certify=True) == STARTED, "what is certified is all that is claimed"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"profile": ("core",)}, "requirements of the feature aws"),
        ({"profile": ()}, "requirements of the feature aws"),
        ({"select": ("JWT", "VI-PKI-002")}, "requirements of the feature aws"),
        (
            {"implementation": replace(RIGHT, features=frozenset({"issuer", "certificate-request", "token"}))},
            "feature aws",
        ),
        ({"implementation": RIGHT.with_run(env={})}, "no {sts_endpoint}"),
        ({"implementation": RIGHT.with_run(command=[], env={})}, "no {sts_endpoint}"),
        ({"provider": "existing"}, "provider existing"),
    ],
)
def test_missing_precondition_is_named(sts: Any, options: dict[str, Any], reason: str) -> None:
    found = sts(**options)
    assert found.endpoint == ""
    assert reason in found.absence


def test_missing_moto_is_named(sts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytest_vault_issuer.session.session, "missing_modules", lambda: ["moto", "flask"])
    assert "moto, flask not installed" in sts().absence
