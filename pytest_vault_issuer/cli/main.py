"""The ``vault-issuer`` command."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from .. import streams
from ..errors import VaultIssuerError
from ..version import __version__

_EPILOG = """
start here:
  vault-issuer doctor                    # check this machine
  vault-issuer judge cert-manager        # judge the reference, real cert-manager
  vault-issuer init                      # describe your own controller, and judge it in CI
  vault-issuer judge ./my-issuer.toml    # judge it here
  vault-issuer judge --failed            # repeat what failed
  vault-issuer report show report        # show the results again
  vault-issuer stack up                  # start Vault and Kubernetes to try things

Help for a command: vault-issuer COMMAND --help.
Exit status: 0 success; 1 the command found a problem; 2 an error, with a hint; 130 interrupted.
`vault-issuer judge` has the exit status of pytest.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    # Imported here, and not with this module, so that Ctrl-C during the imports is handled, too.
    from . import bench, completion, doctor, init, judge, report, requirements, stack, toolchain
    from .output import Parser

    top = Parser(
        prog="vault-issuer",
        description="Tools for the conformance suite for Vault-backed certificate controllers.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (doctor, judge, init, stack, requirements, report, bench, toolchain, completion):
        module.add_parser(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    0 success, 1 the command found a problem, 2 an error (4 of ``judge``), 130 interrupted.
    """
    options = argparse.Namespace(command="")
    try:
        from .completion import completing

        options = completing(parser()).parse_args(arguments)
        status: int = options.run(options)
    except VaultIssuerError as error:
        return _failed(str(error), getattr(options, "error_status", 2))
    except OSError as error:  # an unexpected error of a file, such as a failing disk or missing permissions
        where = f": {error.filename}" if error.filename else ""
        return _failed(
            f"{options.command}: {error.strerror or error}{where}\n"
            "  hint: check that the path exists and that this user may use it"
        )
    except KeyboardInterrupt as interrupt:
        return _failed(str(interrupt) or "interrupted", 130)
    return status


def _failed(text: str, status: int = 2) -> int:
    """Print an error, which may quote text of others, and return its exit status."""
    from ..redaction.redactor import Redactor
    from ..text import printable

    print(f"vault-issuer: {printable(Redactor().redact(text))}", file=sys.stderr)
    return status


def run() -> None:
    """Entry point of the console script. SIGTERM ends it as Ctrl-C does, with everything that it started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    streams.open_missing()
    sys.stdout = streams.LosableOutput(sys.stdout)
    status = main()
    sys.stdout.flush()
    sys.exit(status)
