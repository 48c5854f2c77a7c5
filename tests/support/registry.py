"""A registry of images, the real one as Debian has it, on loopback; engines take those there without TLS."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import requests
from images import debian

from pytest_vault_issuer.stack.kind.engine import Engine
from pytest_vault_issuer.stack.local.ports import free_ports
from pytest_vault_issuer.timeouts import poll
from tests.support.containers import not_run


@contextlib.contextmanager
def empty_registry(directory: Path) -> Iterator[str]:
    """Run one with nothing in it; yield its address.

    :param directory: for its program and what it stores.
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
    """Put an image that an engine has into a registry, by a name of there; the engine does not keep that name."""
    there = f"{address}/{name}"
    engine.client.images.get(image).tag(there)
    try:
        answers = list(engine.client.images.push(there, stream=True, decode=True))
        assert not [answer for answer in answers if "error" in answer], answers
    finally:
        engine.client.images.remove(there)


def forget(engine: Engine, name: str) -> None:
    """Remove an image that an engine pulled through a registry from here, by both names that it got by that.

    Other names that it had before stay.
    """
    for tag in engine.client.images.get(name).tags:
        if tag.startswith("127.0.0.1:"):
            engine.client.images.remove(tag)
    # As it was named: the engine itself leaves docker.io and library out of it.
    engine.client.images.remove(name)
