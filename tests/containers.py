"""What tests of containers need: an engine, images that are there, and kind; without one of these they are not run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vault_issuer.errors import VaultIssuerError
from pytest_vault_issuer.stack.engine import RUN_LABEL, Engine
from pytest_vault_issuer.stack.kind_cluster import find_kind

#: As `tools/images` names what it makes.
VAULT, NODE = "vault-issuer/vault:1.21.0", "vault-issuer/node:v1.36.3"
CERT_MANAGER = "vault-issuer/cert-manager-controller:1.21.2"
BUSYBOX = "vault-issuer/busybox:bookworm"
#: Set where what is missing is a failure.
REQUIRED = "TEST_CONTAINERS_REQUIRED"


def engine_with(*images: str) -> Iterator[Engine]:
    """Yield an engine that has the images."""
    try:
        engine = Engine()
    except VaultIssuerError as error:
        not_run(error.message)
    missing = [image for image in images if not engine.client.images.list(image)]
    if missing:
        not_run(f"the container engine has no {', '.join(missing)}: python tools/images")
    yield engine
    engine.close()


def on_kind() -> list[str]:
    """Return the options of a run on kind, with images that are there."""
    return [
        "--vault-issuer-stack=kind",
        f"--vault-issuer-vault-image={VAULT}",
        f"--vault-issuer-node-image={NODE}",
        f"--vault-issuer-kind-binary={kind_program()}",
    ]


def everything(engine: Engine) -> set[str]:
    """Name all containers, and the networks that are ours."""
    networks = engine.client.networks.list(filters={"label": RUN_LABEL})
    return {c.name for c in engine.client.containers.list(all=True)} | {n.name for n in networks}


def kind_program() -> Path:
    """Return kind's path."""
    given = os.environ.get("VAULT_ISSUER_KIND_BINARY")
    try:
        return find_kind(Path(given) if given else None)
    except VaultIssuerError as error:
        not_run(error.message)


def not_run(why: str) -> None:
    """End the test: as not run, or as failed where it is to be run."""
    if os.environ.get(REQUIRED):
        pytest.fail(f"not run: {why}")
    pytest.skip(f"not run: {why}")
