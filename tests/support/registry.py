"""Debian's image registry on loopback, from which engines pull without TLS."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import requests
from images import debian

from pytest_vault_issuer.stack.kind.engine import Engine
from pytest_vault_issuer.stack.local.components import free_ports
from pytest_vault_issuer.timeouts import poll
from tests.support.containers import not_run


@contextlib.contextmanager
def empty_registry(directory: Path) -> Iterator[str]:
    """Run an empty registry; yield its address.

    :param directory: for its program and its storage.
    """
    if shutil.which("apt-get") is None:
        not_run("a registry is made of Debian's package docker-registry")
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    config = directory / "registry.yml"
    storage = f"{{filesystem: {{rootdirectory: '{directory / 'data'}'}}}}"
    config.write_text(f"version: 0.1\nhttp: {{addr: '{address}'}}\nstorage: {storage}\n")
    program = debian.unpack("docker-registry", directory) / "usr/bin/docker-registry"
    log = directory / "registry.log"
    with log.open("w") as output:
        process = subprocess.Popen([program, "serve", config], stdout=output, stderr=output)
    try:
        assert poll(lambda: _answers(address, process), timeout=30), log.read_text()
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _answers(address: str, process: subprocess.Popen[bytes]) -> bool | None:
    assert process.poll() is None
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(f"http://{address}/v2/", timeout=5).ok
    return None


def push(engine: Engine, image: str, address: str, name: str) -> None:
    """Push an image of an engine into a registry under another name; the engine does not keep this name."""
    there = f"{address}/{name}"
    engine.client.images.get(image).tag(there)
    try:
        answers = list(engine.client.images.push(there, stream=True, decode=True))
        assert not [answer for answer in answers if "error" in answer], answers
    finally:
        engine.client.images.remove(there)


def forget(engine: Engine, name: str) -> None:
    """Remove an image that an engine pulled through a registry, under both names of this pull.

    Earlier names of the image stay.
    """
    for tag in engine.client.images.get(name).tags:
        if tag.startswith("127.0.0.1:"):
            engine.client.images.remove(tag)
    # The engine itself omits docker.io and library from names.
    engine.client.images.remove(name)
