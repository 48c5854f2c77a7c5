"""The fixtures; each only hands out an object of the packages below."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from .kube import Cluster
from .sandbox import Sandbox, World
from .session.session import Run
from .stack.types import Stack
from .vault import VaultAdmin, VaultWorkspace

RUN_KEY = pytest.StashKey[Run]()


@pytest.fixture(scope="session")
def vault_issuer_run(pytestconfig: pytest.Config) -> Run:
    """The run: starts stack and implementation when they are first needed."""
    return pytestconfig.stash[RUN_KEY]


@pytest.fixture(scope="session")
def vault_issuer_stack(vault_issuer_run: Run) -> Stack:
    """One Vault and one Kubernetes API, shared by all workers."""
    return vault_issuer_run.stack()


@pytest.fixture(scope="session")
def vault_issuer_cluster(vault_issuer_run: Run) -> Cluster:
    """A client of the stack's Kubernetes API with all rights."""
    return vault_issuer_run.cluster()


@pytest.fixture(scope="session")
def vault_issuer_vault(vault_issuer_run: Run) -> VaultAdmin:
    """The stack's Vault, with hvac as ``client``."""
    return vault_issuer_run.admin()


@pytest.fixture
def vault_issuer_workspace(vault_issuer_stack: Stack, vault_issuer_vault: VaultAdmin) -> Iterator[VaultWorkspace]:
    """PKI, policies and auth methods for one test, removed at its end."""
    workspace = VaultWorkspace(vault_issuer_vault, vault_issuer_stack.kubernetes, vault_issuer_stack.reviewer_token)
    with contextlib.closing(workspace):
        yield workspace


@pytest.fixture(scope="session")
def vault_issuer_world(vault_issuer_run: Run) -> World:
    """The stack with the implementation under test running on it."""
    return vault_issuer_run.world()


@pytest.fixture
def vault_issuer_sandbox(vault_issuer_world: World) -> Iterator[Sandbox]:
    """What one test of an implementation owns: namespace, mounts, proxy, issuers, requests."""
    with contextlib.closing(Sandbox(vault_issuer_world)) as sandbox:
        yield sandbox
