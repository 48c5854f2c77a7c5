"""An engine, local images and kind for container tests, which are skipped without them."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from pytest_vault_issuer.errors import VaultIssuerError
from pytest_vault_issuer.stack.kind.cluster import find_program
from pytest_vault_issuer.stack.kind.engine import Engine
from tests.support import missing

#: Names of the images of `tools/images`.
VAULT, NODE = "vault-issuer/vault:1.21.2", "vault-issuer/node:v1.36.3"
OPENBAO = "vault-issuer/openbao:2.7.2"
CERT_MANAGER = "vault-issuer/cert-manager-controller:1.21.2"
BUSYBOX = "vault-issuer/busybox:bookworm"
#: The network of kind clusters by default.
KIND_NETWORK = "kind"
#: If this variable is set, a missing engine or image is a failure.
REQUIRED = "TEST_CONTAINERS_REQUIRED"


def engine_with(*images: str) -> Iterator[Engine]:
    """Yield an engine that has the images."""
    try:
        engine = Engine()
    except VaultIssuerError as error:
        not_run(error.message)
    require(engine, *images)
    yield engine
    engine.close()


def require(engine: Engine, *images: str) -> None:
    """Check that an engine has images."""
    lacking = [image for image in images if not engine.client.images.list(image)]
    if lacking:
        not_run(f"the container engine has no {', '.join(lacking)}: python tools/images")


@contextlib.contextmanager
def user_cluster(engine: Engine, kubeconfig: Path, *options: str) -> Iterator[str]:
    """Create a user's kind cluster on the default network; yield its name; remove it.

    :param options: of ``kind create cluster``.
    """
    name, kind = f"user-{secrets.token_hex(3)}", str(kind_program())
    environment = {**os.environ, **engine.environment, "KUBECONFIG": str(kubeconfig)}
    had_network = bool(engine.client.networks.list(names=[KIND_NETWORK]))
    try:
        create = ["create", "cluster", f"--name={name}", f"--image={NODE}", *options]
        subprocess.run([kind, *create], check=True, env=environment)
        yield name
    finally:
        subprocess.run([kind, "delete", "cluster", f"--name={name}"], check=True, env=environment)
        if not had_network:
            for network in engine.client.networks.list(names=[KIND_NETWORK]):
                network.remove()


def on_kind() -> list[str]:
    """Return the options of a session on kind with local images."""
    return [
        "--vault-issuer-stack=kind",
        f"--vault-issuer-vault-image={VAULT}",
        f"--vault-issuer-node-image={NODE}",
        f"--vault-issuer-kind-binary={kind_program()}",
    ]


def all_names(engine: Engine) -> set[str]:
    """Return the names of all containers, networks and images."""
    client = engine.client
    named = {
        thing.name
        for things in (client.containers.list(all=True, ignore_removed=True), client.networks.list())
        for thing in things
    }
    return named | {tag for image in client.images.list() for tag in image.tags}


def kind_program() -> Path:
    """Return the path of kind."""
    given = os.environ.get("VAULT_ISSUER_KIND_BINARY")
    try:
        return find_program("kind", Path(given) if given else None)
    except VaultIssuerError as error:
        not_run(error.message)


def not_run(why: str) -> NoReturn:
    """Skip the test, or fail it if it is required."""
    missing.not_run(f"not run: {why}", REQUIRED)
