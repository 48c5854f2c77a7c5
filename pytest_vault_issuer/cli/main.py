"""The ``vault-issuer`` command."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from ..errors import VaultIssuerError
from ..redaction.redactor import Redactor
from ..text import printable
from ..version import __version__
from . import bench, completion, doctor, init, requirements, stack, toolchain
from . import report as report

_EPILOG = """
start here:
  vault-issuer doctor                                        # can this machine do it? what is missing?
  pytest --pyargs vault_issuer_conformance --vault-issuer=cert-manager
                                                             # judge the reference, real cert-manager
  vault-issuer init                                          # describe your own issuer, and run it in CI
  pytest --pyargs vault_issuer_conformance --vault-issuer=./my-issuer.toml --vault-issuer-report=report
  vault-issuer report show report                            # what came out of it
  vault-issuer stack up                                      # Vault and Kubernetes to play with

Every command explains itself: vault-issuer COMMAND --help.
Exit status: 0 done; 1 what the command judges is not right; 2 an error, which says what to do; 130 interrupted.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    top = argparse.ArgumentParser(
        prog="vault-issuer",
        description="Tools around the conformance suite for Vault-backed certificate issuers.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (doctor, init, stack, requirements, report, bench, toolchain, completion):
        module.add_parser(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    0 done, 1 what the command judges is not right, 2 an error that says what to do, 130 interrupted.
    """
    options = completion.completing(parser()).parse_args(arguments)
    try:
        status: int = options.run(options)
    except VaultIssuerError as error:
        return _failed(str(error))
    except BrokenPipeError:
        raise  # its reader has seen enough
    except OSError as error:  # what no command expects of a file: a disk that fails, rights that are missing
        where = f": {error.filename}" if error.filename else ""
        return _failed(
            f"{options.command}: {error.strerror or error}{where}\n"
            "  hint: check that the path is there and that this user may use it"
        )
    except KeyboardInterrupt:
        return 130
    return status


def _failed(text: str) -> int:
    """Print an error, which may quote what others wrote, and return its exit status."""
    print(f"vault-issuer: {printable(Redactor().redact(text))}", file=sys.stderr)
    return 2


def run() -> None:
    """Entry point of the console script; SIGTERM ends it as Ctrl-C does, with everything it started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # such as `| head`: whoever read it has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)
