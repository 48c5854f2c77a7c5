"""How a session counts the workers of a controller."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_vault_issuer.errors import ConfigurationError, StackError, UnsupportedError
from pytest_vault_issuer.kube.client import ApiError
from pytest_vault_issuer.sandbox.handles import RefusedError
from pytest_vault_issuer.sandbox.pace import BATCH
from pytest_vault_issuer.session import pace
from pytest_vault_issuer.session.pace import _count


@pytest.mark.parametrize(
    ("arrivals", "count"), [((0, 1), 1), ((2, 3, 5), 5), ((4, BATCH), BATCH), ((4, BATCH + 2), BATCH)]
)
def test_requests_that_arrive_while_all_are_held_are_counted(arrivals: tuple[int, ...], count: int) -> None:
    left = list(arrivals)

    def hits() -> int:
        return left.pop(0) if len(left) > 1 else left[0]

    assert _count(hits, 0.05) == count


def test_no_request_at_all_is_no_concurrency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_READY", 0.0)
    assert _count(lambda: 0, 0.05) == 0


class _Unclosable:
    """A sandbox whose setup is interrupted, and whose cleanup then fails."""

    def __init__(self, environment: object) -> None:
        pass

    def default_authentication(self, kind: str) -> None:
        raise KeyboardInterrupt

    def close(self) -> None:
        raise StackError("cannot remove a namespace", hint="")


def test_interrupt_is_not_lost_in_an_error_of_the_cleanup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "Sandbox", _Unclosable)
    environment: Any = SimpleNamespace(kinds=("Issuer",))
    with pytest.raises((KeyboardInterrupt, StackError)):
        pace.measure(environment, 0)


def problem_of_the_second_kind(error: Exception) -> str:
    """Return what is stated about a controller whose ClusterIssuers cannot be created."""

    def issuer(kind: str, auth: object) -> Any:
        raise error

    sandbox: Any = SimpleNamespace(
        environment=SimpleNamespace(kinds=("Issuer", "ClusterIssuer")),
        request=lambda issuer: SimpleNamespace(wait_issued=lambda timeout: None),
        default_authentication=lambda kind: None,
        issuer=issuer,
    )
    return pace._problem(sandbox, sandbox)


def test_second_kind_whose_objects_the_api_refuses_is_stated() -> None:
    error = RefusedError(ApiError("POST", 422, {"message": 'Issuer "x" is invalid: spec.ca: Required value'}))
    assert "spec.ca: Required value" in problem_of_the_second_kind(error)


def test_second_kind_that_is_unsupported_is_no_problem() -> None:
    assert problem_of_the_second_kind(UnsupportedError("no field for it")) == ""


def test_controller_whose_api_refuses_its_first_issuer_object_is_not_called_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = RefusedError(ApiError("POST", 422, {"message": 'X "x" is invalid: spec.path: Invalid value'}))

    def issuer(kind: str, auth: object) -> Any:
        raise error

    sandbox = SimpleNamespace(issuer=issuer, default_authentication=lambda kind: None, close=lambda: None)
    monkeypatch.setattr(pace, "Sandbox", lambda environment: sandbox)
    environment: Any = SimpleNamespace(kinds={"Issuer": SimpleNamespace(kind="VaultIssuer")})
    with pytest.raises(ConfigurationError, match=r"refuses a VaultIssuer of \[issuer\].*spec\.path: Invalid value"):
        pace.answers(environment)
