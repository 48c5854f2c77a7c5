"""Parts of a test that the implementation's shape cannot express are reported, not left out silently."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from vault_issuer_conformance.conftest import pytest_pyfunc_call
from vault_issuer_conformance.helpers import for_each_kind, never_ready

from pytest_vault_issuer import InexpressibleError, Issuer, NotRunnable, RefusedError, Sandbox
from pytest_vault_issuer.kube.client import ApiError


class OneShape:
    """Rejects one variant of an issuer object and cannot express the others."""

    def __init__(self) -> None:
        self.left_out: list[InexpressibleError] = []

    def issuer(self, kind: str, *, server: str) -> Issuer:
        if server == "refused":
            raise RefusedError(ApiError("create", 422, {"reason": "Invalid"}))
        raise InexpressibleError("server")

    def ready_issuer(self, kind: str) -> None:
        """Create the issuer object of the barrier."""


def judged(**variants: str) -> OneShape:
    sandbox = OneShape()
    never_ready(cast(Any, sandbox), "Issuer", {what: {"server": server} for what, server in variants.items()})
    return sandbox


def call(left_out: list[NotRunnable]) -> object:
    """Run the hook around a test that returns a result."""
    sandbox = Sandbox.__new__(Sandbox)
    sandbox.left_out = list(left_out)
    wrapper = pytest_pyfunc_call(cast(Any, SimpleNamespace(funcargs={"sandbox": sandbox})))
    next(wrapper)
    try:
        wrapper.send("result")
    except StopIteration as end:
        return end.value
    raise AssertionError("expected the hook to end, saw it wait")


def test_variants_that_cannot_be_expressed_are_noted() -> None:
    assert [error.what for error in judged(a="refused", b="other").left_out] == ["server"]


def test_no_variant_is_noted_if_all_can_be_expressed() -> None:
    assert judged(a="refused").left_out == []


def test_test_without_any_variant_is_unsupported() -> None:
    with pytest.raises(InexpressibleError):
        judged(a="other")


def test_passed_test_without_a_part_is_unsupported() -> None:
    with pytest.raises(InexpressibleError, match="cannot express serverName"):
        call([InexpressibleError("serverName")])


def test_passed_test_with_all_parts_passes() -> None:
    assert call([]) == "result"


def refused() -> RefusedError:
    return RefusedError(ApiError("create", 422, {"message": 'Issuer "x" is invalid: metadata.name: Too long'}))


def test_passed_test_without_a_part_that_the_api_refuses_is_not_run() -> None:
    with pytest.raises(NotRunnable, match=r"metadata\.name: Too long") as caught:
        call([refused()])
    assert not isinstance(caught.value, InexpressibleError)


@pytest.mark.parametrize("kinds", [("Issuer", "ClusterIssuer"), ("ClusterIssuer", "Issuer")])
@pytest.mark.parametrize("problem", [refused(), InexpressibleError("server")])
def test_failure_for_one_kind_counts_although_the_check_cannot_run_for_the_other(
    kinds: tuple[str, str], problem: Exception
) -> None:
    def check(kind: str) -> None:
        if kind == "Issuer":
            raise problem
        raise AssertionError("it fails for the other kind")

    sandbox: Any = SimpleNamespace(environment=SimpleNamespace(kinds=kinds), pki=None)
    with pytest.raises(AssertionError, match="it fails"):
        for_each_kind(sandbox, check)


def test_check_that_one_kind_refuses_is_not_run() -> None:
    def check(kind: str) -> None:
        if kind == "Issuer":
            raise refused()

    sandbox: Any = SimpleNamespace(environment=SimpleNamespace(kinds=("Issuer", "ClusterIssuer")), pki=None)
    with pytest.raises(RefusedError):
        for_each_kind(sandbox, check)
