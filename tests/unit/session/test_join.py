"""A joined session registers its cleanup with its supervisor before it creates anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from pytest_vault_issuer.kube.client import Kubernetes
from pytest_vault_issuer.session.join import LEAVE, UNREGISTER, join, unregister_at_end
from pytest_vault_issuer.stack.local.kubernetes import kubeconfig
from pytest_vault_issuer.stack.select import STATE
from pytest_vault_issuer.stack.types import Stack
from pytest_vault_issuer.supervisor.daemon import EXIT_HOOK_LIMIT, recorded_commands
from pytest_vault_issuer.supervisor.run_directory import RunDirectory
from pytest_vault_issuer.timeouts import Timeouts
from pytest_vault_issuer.vault.client import VaultServer

#: Factor of the timeouts on a slow machine.
SCALE = 10.0
PROVIDER: Any = SimpleNamespace(has_nodes=False, stop_at_end=lambda: None)


@pytest.fixture
def owning(short_directory: Path) -> Iterator[RunDirectory]:
    """A session whose stack stays. Nothing of the stack is started."""
    run = RunDirectory(short_directory / "owning", os.getpid())
    run.open()
    config = run.write("kubeconfig", yaml.safe_dump(kubeconfig({"server": "https://127.0.0.1:1"}, {"token": "any"})))
    stack = Stack(
        "process",
        "",
        disposable=False,
        kubernetes=Kubernetes(str(config), "", ""),
        vault=VaultServer("https://127.0.0.1:2"),
        components={},
        reviewer_token="",
    )
    run.write(STATE, stack.to_json())
    yield run
    if run.exists:
        run.close()


@pytest.fixture
def joining(short_directory: Path, owning: RunDirectory) -> Iterator[RunDirectory]:
    run = RunDirectory(short_directory / "vault-issuer-0123456789ab", os.getpid())
    run.open()
    yield run
    owning.close()  # first: a stack that is gone needs no cleanup
    run.close()


@pytest.mark.parametrize("cleanup", [LEAVE, UNREGISTER])
def test_cleanup_of_a_joined_session_has_the_time_of_all_that_it_waits_for(
    owning: RunDirectory, joining: RunDirectory, cleanup: str
) -> None:
    """A slow cluster has longer timeouts, and so has the cleanup."""
    if cleanup == LEAVE:
        join(owning.path, joining, PROVIDER, SCALE, print)
    else:
        unregister_at_end(owning.path, joining, SCALE)
    ((command, _, limit),) = recorded_commands(joining.path)
    timeouts = Timeouts().scaled(SCALE)
    assert command[-4:] == [cleanup, str(owning.path), joining.path.name, str(SCALE)]
    assert limit > EXIT_HOOK_LIMIT
    assert limit >= 2 * timeouts.deletion + timeouts.api
