"""Makes sure that a container engine answers; where none does, starts one of its own, away from any other."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pytest_vault_issuer.errors import ToolchainError

from . import debian, network
from .docker import Docker

#: Here rather than in the cache: the path of a socket must be short.
RUN = Path("/run/vault-issuer-engine")
#: Seconds. An engine that starts cleans up after an earlier one first; one that ends waits for its containers.
_START, _STOP = 90, 60
_SYS_RESOURCE = 24
_UMOUNT = "umount"
_WRAPPER = Path(__file__).with_name("runtime_without_capability.py")


class Engine:
    """Docker's daemon, started by us: sockets and processes in :data:`RUN`, images and containers in `data`."""

    def __init__(self, data: Path, say: Callable[[str], None]) -> None:
        self.data = data
        self.docker = Docker(f"unix://{RUN}/docker.sock")
        self._say = say

    @property
    def _process_file(self) -> Path:
        return RUN / "dockerd.pid"

    @property
    def _network_file(self) -> Path:
        """The state of the machine's network before this engine, which :meth:`stop` restores."""
        return RUN / "network.json"

    @property
    def log(self) -> Path:
        """What the daemon says."""
        return self.data / "dockerd.log"

    def answering(self) -> Docker | None:
        """Return the engine to use: the one that docker's client would, or ours; None where neither answers."""
        return next((docker for docker in (Docker(), self.docker) if not docker.trouble()), None)

    def ensure(self) -> Docker:
        """Return an engine that answers, starting ours where there is none.

        :raises ToolchainError: where it cannot be started, with what to do.
        """
        if (docker := self.answering()) is not None:
            self._say(f"engine: {docker.address or 'the default one'} answers")
            return docker
        trouble = Docker().trouble()
        self._say(f"engine: none answers ({trouble})")
        if sys.platform != "linux" or os.geteuid() != 0:
            raise ToolchainError(
                f"no container engine answers: {trouble}",
                hint="start Docker, or run this as root on Linux: then it starts an engine of its own",
            )
        if shutil.which("dockerd") is None:
            debian.install("dockerd", "docker.io", "there is no dockerd", lambda line: self._say(f"engine: {line}"))
            if not Docker().trouble():  # its package starts it, where services are started
                return Docker()
        self._start()
        return self.docker

    def _start(self) -> None:
        for directory in (RUN, self.data):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        network.write_state(self._network_file)
        config = RUN / "daemon.json"
        config.write_text(json.dumps(self._runtime()))
        self._say(f"engine: starting dockerd with its data in {self.data} and its log in {self.log}")
        arguments = [
            "dockerd",
            f"--host={self.docker.address}",
            f"--config-file={config}",
            f"--data-root={self.data / 'root'}",
            f"--exec-root={RUN / 'exec'}",
            f"--pidfile={self._process_file}",
            # Where a containerd of the system runs, dockerd uses it: away from other engines' containers.
            "--containerd-namespace=vault-issuer",
            "--containerd-plugins-namespace=vault-issuer-plugins",
        ]
        with self.log.open("w") as log:
            daemon = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        for _ in range(_START):
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(timeout=1)
                raise ToolchainError(f"dockerd ended at once:\n{_tail(self.log)}", hint=f"see {self.log}")
            if not self.docker.trouble():
                return
        daemon.kill()
        raise ToolchainError(f"dockerd did not answer in {_START} s:\n{_tail(self.log)}", hint=f"see {self.log}")

    def _runtime(self) -> dict[str, object]:
        status = Path("/proc/self/status").read_text()
        bounding = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:")), 16)
        if bounding >> _SYS_RESOURCE & 1:
            return {}
        self._say(
            "engine: this machine lacks CAP_SYS_RESOURCE, so privileged containers would be refused: "
            "this engine starts containers by a runtime that does not ask for it"
        )
        wrapper = RUN / "runc-without-sys-resource"
        # -I -S: fast, and nothing of an environment that a container's client might set
        wrapper.write_text(f"#!{Path(sys.executable).resolve()} -IS\n{_WRAPPER.read_text()}")
        wrapper.chmod(0o755)
        return {"runtimes": {"vault-issuer": {"path": str(wrapper)}}, "default-runtime": "vault-issuer"}

    def stop(self) -> bool:
        """End our engine with its containers, and remove what it changed in the machine's network; leave its images.

        :return: whether there was something to end or to remove.
        :raises ToolchainError: when it does not end.
        """
        bridges = self.docker.bridges()
        if not self._end():
            if not self._network_file.exists():
                return False
            # Its containers may still run. Docker ends those of a killed engine when it starts.
            self._say("engine: it was not stopped: starting it again to remove what it left")
            self._process_file.unlink(missing_ok=True)  # the number may be another process's by now
            self._start()
            bridges = self.docker.bridges()
            self._end()
        restored: list[str] = []
        if self._network_file.exists():  # an engine that an older version started has none
            restored = network.restore(self._network_file, bridges, alone=not _other_engines())
        for line in [*restored, *self._unmount()]:
            self._say(f"engine: {line}")
        shutil.rmtree(RUN, ignore_errors=True)
        return True

    def _unmount(self) -> list[str]:
        """Unmount what a killed daemon left mounted; return what was unmounted and what could not be."""
        said = []
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            place = Path(line.split()[1].replace("\\040", " "))
            if self.data in place.parents or RUN in place.parents:
                done = subprocess.run([_UMOUNT, str(place)], capture_output=True, text=True, check=False)
                said.append(f"unmounted {place}" if done.returncode == 0 else done.stderr.strip())
        return said

    def _end(self) -> bool:
        """End the daemon; return whether it ran."""
        try:
            process = int(self._process_file.read_text())
            handle = os.pidfd_open(process)
        except (FileNotFoundError, ProcessLookupError):
            return False
        try:
            # A number may be another process's by now; the handle keeps it from becoming one meanwhile.
            command = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
            if f"--pidfile={self._process_file}".encode() not in command:
                return False
            self._say("engine: stopping dockerd and its containers")
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            if not select.select([handle], [], [], _STOP)[0]:
                raise ToolchainError(f"dockerd (process {process}) does not end", hint=f"see {self.log}")
        finally:
            os.close(handle)
        return True


def _other_engines() -> list[int]:
    """Return the processes of other engines, which use Docker's chains of the firewall too. Ours has ended."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            is_engine = entry.name.isdigit() and (entry / "comm").read_text().strip() == "dockerd"
            if is_engine and (entry / "cmdline").read_bytes():  # it is empty after the end of a process
                found.append(int(entry.name))
    return found


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])
