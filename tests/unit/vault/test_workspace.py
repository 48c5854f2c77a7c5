"""The parts of a Vault workspace that need no Vault."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_vault_issuer.vault.workspace import random_names


@pytest.fixture
def often() -> Iterator[None]:
    """Switch threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_share_the_names_of_a_workspace(often: None) -> None:
    """Tests create the roles of several issuer objects at the same time."""
    names = random_names()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: [next(names) for _ in range(500)], range(8)))
    assert len({name for part in found for name in part}) == 4000
