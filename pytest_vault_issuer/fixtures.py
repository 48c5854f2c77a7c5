"""The fixtures. Each returns an object of the packages below."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from .judge.progress import SESSION_KEY
from .kube import Cluster
from .sandbox import Environment, Sandbox
from .session.session import Session
from .stack.types import Stack
from .vault import VaultAdmin, VaultWorkspace


@pytest.fixture(scope="session")
def vault_issuer_session(pytestconfig: pytest.Config) -> Session:
    """The session. It starts the stack and the controller when they are first needed."""
    return pytestconfig.stash[SESSION_KEY]


@pytest.fixture(scope="session")
def vault_issuer_stack(vault_issuer_session: Session) -> Stack:
    """One Vault and one Kubernetes API, shared by all workers."""
    return vault_issuer_session.stack()


@pytest.fixture(scope="session")
def vault_issuer_cluster(vault_issuer_session: Session) -> Cluster:
    """A client of the stack's Kubernetes API with all permissions."""
    return vault_issuer_session.cluster()


@pytest.fixture(scope="session")
def vault_issuer_vault(vault_issuer_session: Session) -> VaultAdmin:
    """The stack's Vault, with hvac as ``client``."""
    return vault_issuer_session.admin()


@pytest.fixture
def vault_issuer_workspace(vault_issuer_stack: Stack, vault_issuer_vault: VaultAdmin) -> Iterator[VaultWorkspace]:
    """PKI, policies and auth methods for one test, removed when it ends."""
    workspace = VaultWorkspace(vault_issuer_vault, vault_issuer_stack.kubernetes, vault_issuer_stack.reviewer_token)
    with contextlib.closing(workspace):
        yield workspace


@pytest.fixture(scope="session")
def vault_issuer_environment(vault_issuer_session: Session) -> Environment:
    """The stack and the controller under test, which runs on it."""
    return vault_issuer_session.environment()


@pytest.fixture
def vault_issuer_sandbox(vault_issuer_environment: Environment) -> Iterator[Sandbox]:
    """What one test owns: a namespace, Vault mounts, a proxy, issuer objects and requests."""
    with contextlib.closing(Sandbox(vault_issuer_environment)) as sandbox:
        yield sandbox
