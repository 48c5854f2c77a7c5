"""What a container engine changes in the machine's network, and leaves there when it ends: bridges and firewall rules.

Docker restores them when it starts again. An engine that is stopped for good has to take them along: bridges without
an engine occupy address ranges, and the policy of the chain FORWARD keeps the traffic of others away.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

#: The firewalls, whose rules PROGRAM-save prints and PROGRAM-restore changes.
FIREWALLS = ("iptables", "ip6tables")
#: Docker's own chains begin with this.
_OWN = "DOCKER"
_FORWARD = "FORWARD"
#: Seconds for one command; it waits for others that change the firewall.
_LIMIT = 60


@dataclass
class Table:
    """A table of a firewall.

    :ivar chains: their policies; '-' for a chain that is not built in.
    :ivar rules: as ``iptables-save`` prints them: ``-A FORWARD -o docker0 -j DOCKER``.
    """

    chains: dict[str, str] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)


def parse(saved: str) -> dict[str, Table]:
    """Return the tables that ``iptables-save`` printed, by name."""
    tables: dict[str, Table] = {}
    table = Table()
    for line in saved.splitlines():
        if line.startswith("*"):
            table = tables[line[1:].strip()] = Table()
        elif line.startswith(":"):
            name, policy = line[1:].split()[:2]
            table.chains[name] = policy
        elif line.startswith("-A "):
            table.rules.append(line.strip())
    return tables


def removal(before: str, now: str, bridges: Iterable[str], *, alone: bool) -> str:
    """Return the input of ``iptables-restore --noflush`` that removes what an engine added; '' if it is nothing.

    :param before: what ``iptables-save`` printed before the engine started; :param now: what it prints now.
    :param bridges: that only this engine has.
    :param alone: whether no other engine runs, which would use Docker's chains too.
    """
    mine, script = set(bridges), ""
    earlier = parse(before)
    for name, table in parse(now).items():
        old = earlier.get(name, Table())
        chains = [chain for chain in table.chains if chain.startswith(_OWN) and chain not in old.chains]
        chains = chains if alone else []
        lines = []
        for rule in table.rules:
            words = rule.split()
            is_mine = bool(mine & set(words)) or _target(words) in chains
            if rule not in old.rules and is_mine and words[1] not in chains:
                lines.append(f"-D{rule[2:]}")
        lines += [f"-F {chain}" for chain in chains] + [f"-X {chain}" for chain in chains]
        policy = old.chains.get(_FORWARD)
        if alone and policy == "ACCEPT" and table.chains.get(_FORWARD) == "DROP":
            lines.append(f"-P {_FORWARD} {policy}")
        if lines:
            script += "\n".join([f"*{name}", *lines, "COMMIT", ""])
    return script


def _target(words: list[str]) -> str:
    return words[words.index("-j") + 1] if "-j" in words else ""


def links() -> list[str]:
    """Return the names of the network interfaces."""
    return [name for _, name in socket.if_nameindex()]


def look() -> dict[str, object]:
    """Return the state of the machine's network before an engine starts, for :func:`restore`."""
    return {"links": links(), **{program: _saved(program) for program in FIREWALLS}}


def write_state(file: Path) -> None:
    """Write the state of the network. Keep that of an earlier engine that was not stopped."""
    if not file.exists():
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(look()))
        draft.rename(file)


def restore(file: Path, bridges: Iterable[str], *, alone: bool) -> list[str]:
    """Remove bridges and rules that are new since :func:`write_state`; return what was removed and what could not be.

    :param bridges: the engine's; those that existed before are kept.
    :param alone: whether no other engine runs.
    """
    state = json.loads(file.read_text())
    # An engine that finds docker0 shares it.
    mine = [name for name in bridges if name not in state["links"] and (alone or name != "docker0")]
    said = []
    for program in FIREWALLS:
        script = removal(state[program], _saved(program), mine, alone=alone)
        if script:
            rules = sum(line.startswith("-D ") for line in script.splitlines())
            said.append(_run(f"{rules} rules of {program}", [f"{program}-restore", "--noflush"], script))
    for name in mine:
        if name in links():
            said.append(_run(f"bridge {name}", ["ip", "link", "delete", name]))
    return said


def _saved(program: str) -> str:
    command = f"{program}-save"
    if shutil.which(command) is None:
        return ""
    done = subprocess.run([command], capture_output=True, text=True, timeout=_LIMIT, check=False)
    return done.stdout if done.returncode == 0 else ""


def _run(what: str, command: list[str], text: str = "") -> str:
    try:
        subprocess.run(command, input=text, capture_output=True, text=True, timeout=_LIMIT, check=True)
    except subprocess.CalledProcessError as error:
        return f"could not remove {what}: {error.stderr.strip()}"
    except (OSError, subprocess.SubprocessError) as error:
        return f"could not remove {what}: {error}"
    return f"removed {what}"
