"""The errors of the project, and the message of a failed barrier."""

from __future__ import annotations

import pytest

from pytest_vault_issuer.errors import BarrierUnmet, StackError, Unmet, at_barrier


@pytest.mark.parametrize("error", [Unmet("waited 20 s"), BarrierUnmet("waited 20 s"), AssertionError("waited 20 s")])
def test_failed_assertion_in_barrier_is_failed_barrier(error: AssertionError) -> None:
    with pytest.raises(BarrierUnmet) as caught, at_barrier():
        raise error
    assert str(caught.value) == "the barrier failed: waited 20 s"


def test_error_of_stack_in_barrier_stays_error() -> None:
    with pytest.raises(StackError), at_barrier():
        raise StackError("Vault is gone")
