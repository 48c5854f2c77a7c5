"""The few questions asked of a container engine, by its command line client."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from pytest_vault_issuer.errors import ToolchainError

#: On every image that is made here: the key of what it was made from.
LABEL = "org.vault-issuer.key"
#: The option of a network with the name of its interface; without it, the name contains the network's id.
_BRIDGE = "com.docker.network.bridge.name"
#: Seconds. A version takes no time; an image of half a gigabyte takes long on a slow disk.
_ANSWER, _LOAD = 20, 600


class Docker:
    """A container engine.

    :param address: as in DOCKER_HOST; '' for what the client would use.
    """

    def __init__(self, address: str = "") -> None:
        self.address = address

    def trouble(self) -> str:
        """Return '' if the engine answers, else what the client says."""
        if shutil.which("docker") is None:
            return "there is no docker command"
        try:
            answer = self._run("version", "--format", "{{.Server.Version}}", timeout=_ANSWER)
        except subprocess.TimeoutExpired:
            return f"no answer in {_ANSWER} s"
        return "" if answer.returncode == 0 else answer.stderr.strip()

    def holds(self, image: str, key: str) -> bool:
        """Tell whether the engine has the image, and the one of that key."""
        answer = self._run("image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', image)
        return answer.returncode == 0 and answer.stdout.strip() == key

    def bridges(self) -> list[str]:
        """Return the names of the machine's interfaces for the engine's networks; [] if it does not answer."""
        if self.trouble():
            return []
        listed = self._run("network", "ls", "--filter", "driver=bridge", "--format", "{{.ID}}").stdout.split()
        if not listed:
            return []
        found = map(json.loads, self._run("network", "inspect", "--format", "{{json .}}", *listed).stdout.splitlines())
        return [(about["Options"] or {}).get(_BRIDGE) or f"br-{about['Id'][:12]}" for about in found]

    def load(self, archive: Path) -> None:
        """Give the engine the images of an archive.

        :raises ToolchainError: with what the engine says.
        """
        answer = self._run("load", "--input", str(archive), timeout=_LOAD)
        if answer.returncode != 0:
            raise ToolchainError(
                f"docker load of {archive} failed: {answer.stderr.strip()}", hint="is the engine's disk full?"
            )

    def _run(self, *arguments: str, timeout: float = _ANSWER) -> subprocess.CompletedProcess[str]:
        command = ["docker", *arguments]
        environment = os.environ | ({"DOCKER_HOST": self.address} if self.address else {})
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, check=False)
