"""``vault-issuer stack``: a dev stack that stays until it is taken down."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..devstack import DevStack, dev_stacks, load, make
from ..errors import ConfigurationError, StackError, VaultIssuerError
from ..implementation.process import PROCESS
from ..leftovers import Removed
from ..options import Settings, versions_of
from ..session.session import Session, SessionKey
from ..stack import finish
from ..stack import record as records
from ..stack.kind import cleanup
from ..stack.record import UNFINISHED, CleanupRecord
from ..supervisor.discovery import IN_BETWEEN, KEPT, ORPHAN, UNATTRIBUTED, UNDER_WAY, FoundRun, find_runs
from . import stack_images
from .output import add_command, add_format, markdown_table, print_json, table
from .progress import Progress

DEFAULT_NAME = "dev-stack"
#: In the place of an implementation: none runs.
NONE = "none"


def add_parser(commands: Any) -> None:
    """Add the command to those of ``vault-issuer``."""
    stack = add_command(
        commands,
        "stack",
        "a dev stack: real Vault and Kubernetes, an issuer that runs, and issuers of each kind to try",
        "A stack that stays when the command ends: Vault with a PKI and every auth method set up, a Kubernetes API\n"
        "with cert-manager's CRDs, an issuer that runs, and an Issuer and a ClusterIssuer for each way of\n"
        "authenticating. Everything listens on this machine alone, with random ports and credentials.",
        """
vault-issuer stack up                     # a dev stack with cert-manager
eval "$(vault-issuer stack env)"          # this shell talks to it
kubectl get issuers,clusterissuers
vault-issuer stack status                 # what is up, and what killed runs have left
vault-issuer stack down                   # gone, with every process and file
""",
    )
    actions = stack.add_subparsers(dest="action", required=True, metavar="ACTION")
    up = add_command(
        actions,
        "up",
        "start one, and say what to type next",
        "Start a dev stack and print what to type next. It takes seconds where the components are built\n"
        "(`vault-issuer toolchain status`), and stays until `vault-issuer stack down`; after 24 hours the tokens of\n"
        "its service accounts expire. Ctrl-C before it is up removes what was started.\n"
        "Exit status: 0 when every issuer is Ready; 1 when the dev stack is up, but an issuer in it is not Ready.\n"
        "Credentials are never printed: they are in files of the stack's directory that only you can read.",
        """
vault-issuer stack up
vault-issuer stack up --implementation ./my-issuer.toml --name mine
vault-issuer stack up --implementation none               # Vault and Kubernetes only, to develop against
pytest --pyargs vault_issuer_conformance --vault-issuer=./my-issuer.toml --vault-issuer-join=DIRECTORY
                                                          # judge on it; an issuer that runs in it stands still
""",
    )
    up.add_argument(
        "--implementation",
        default="cert-manager",
        metavar="ISSUER",
        help="what runs in it: cert-manager (default), cert-manager@VERSION, sample-controller, a TOML file, "
        f"package.module:factory, or {NONE}",
    )
    up.add_argument("--name", default=DEFAULT_NAME, help="its name among those that are up (default: %(default)s)")
    up.add_argument("--vault-version", default="", help=f"build and use this Vault: {versions_of('vault')}")
    up.add_argument(
        "--kubernetes-version", default="", help=f"build and use this Kubernetes: {versions_of('kubernetes')}"
    )
    up.add_argument(
        "--timeout-scale", default="", metavar="NUMBER", help="multiply every timeout by this, on a slow machine"
    )
    add_format(up)
    up.set_defaults(run=_up)
    env = add_command(
        actions,
        "env",
        "print a dev stack's environment, for eval",
        "Print VAULT_ADDR, VAULT_CACERT, VAULT_TOKEN, KUBECONFIG and, where kubectl is not in the PATH, a PATH\n"
        "with it, as lines for a POSIX shell. The token is read by your shell from its file; it is not printed.",
        """
eval "$(vault-issuer stack env)"
eval "$(vault-issuer stack env mine)"
""",
    )
    _add_name(env)
    env.set_defaults(run=_env)
    status = add_command(
        actions,
        "status",
        "list dev stacks, runs under way, and what killed runs have left",
        "List what this user has in the directory for temporary files (TMPDIR): dev stacks that are up, test runs\n"
        "under way, and orphans, which are what is left when everything of a run was killed: directories, processes,\n"
        "and what is on the container engine, if one answers.",
        """
vault-issuer stack status
vault-issuer stack status --format json
""",
    )
    add_format(status)
    status.set_defaults(run=_status)
    listing = add_command(
        actions,
        "list",
        "list the cleanup records of sessions on existing clusters and Vaults",
        "List this user's sessions on clusters and Vaults of others (providers existing, and kind with a named\n"
        "cluster). A session that was killed together with its supervisor is unfinished: `vault-issuer stack down`\n"
        "removes what it has created there. Records are in $XDG_STATE_HOME/vault-issuer (~/.local/state/vault-issuer).",
        """
vault-issuer stack list
vault-issuer stack list --format json
""",
    )
    add_format(listing)
    listing.set_defaults(run=_list)
    stack_images.add_parser(actions)
    down = add_command(
        actions,
        "down",
        "remove a dev stack, and what killed runs have left",
        "Stop every process of a dev stack and remove its directory. Orphans of killed runs are removed too, with\n"
        "their containers, kind clusters and container networks, and what they have created in existing clusters and\n"
        "Vaults (`vault-issuer stack list`): that needs the Vault's token again, from its file or in\n"
        "VAULT_ISSUER_VAULT_TOKEN. What cannot be removed is listed, with a command that removes it.\n"
        "Nothing else is: test runs that are under way go on, and what others started is not looked at.",
        """
vault-issuer stack down            # the one that is up
vault-issuer stack down mine       # by its name or directory
vault-issuer stack down --all      # all of them
vault-issuer stack down vault-issuer-0123456789ab    # what a killed session has left, by its name
""",
    )
    down.add_argument(
        "--vault-token-file", default="", metavar="FILE", help="file with the token of a killed session's Vault"
    )
    _add_name(down)
    down.add_argument("--all", action="store_true", help="all dev stacks")
    add_format(down)
    down.set_defaults(run=_down)


def names_up() -> list[str]:
    """Return the names of the dev stacks that are up."""
    return [dev_stack.name for run, dev_stack in dev_stacks(find_runs()) if run.state == KEPT]


def _add_name(parser: argparse.ArgumentParser) -> None:
    name = parser.add_argument("name", nargs="?", metavar="NAME", help="name or directory; default: the only one")
    # argcomplete looks for this attribute; without argcomplete it means nothing.
    name.completer = lambda **_: names_up()  # type: ignore[attr-defined]


# -- up ----------------------------------------------------------------------------------------


def _up(options: argparse.Namespace) -> int:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", options.name):
        raise ConfigurationError(f"--name={options.name} is no name", hint="letters, digits, dots and dashes")
    if options.name in names_up():
        raise ConfigurationError(
            f"a stack named {options.name} is up already",
            hint="`vault-issuer stack env` uses it, `vault-issuer stack down` removes it; or give another --name",
        )
    given = {
        "vault-issuer": "" if options.implementation == NONE else options.implementation,
        # With the second profile, an STS is started where it can be.
        "vault-issuer-profile": ["core", "extended"],
        "vault-issuer-stack": "process",
        "vault-issuer-vault-version": options.vault_version,
        "vault-issuer-kubernetes-version": options.kubernetes_version,
        "vault-issuer-timeout-scale": options.timeout_scale,
    }
    # What names the issuer, or a stack that is there already, is no matter of this command.
    ours = {key: value for key, value in os.environ.items() if key not in ("VAULT_ISSUER", "VAULT_ISSUER_JOIN")}
    settings = Settings.collect(given.get, lambda _: "", ours)
    with Progress() as progress:
        run = Session(settings, SessionKey.new(), progress)
        try:
            dev_stack = make(run, options.name, progress)
        except BaseException:  # also Ctrl-C
            with contextlib.suppress(StackError):  # the first error is the one that matters
                run.close()
            raise
    if options.format == "json":
        print_json(_dev_stack_as_dict(dev_stack))
    elif options.format == "markdown":
        print("\n".join(_up_markdown(dev_stack)))
    else:
        print("\n".join(_up_pretty(dev_stack)))
    return 0 if all(issuer.ready == "True" for issuer in dev_stack.issuers) else 1


def _next(dev_stack: DevStack) -> list[tuple[str, str]]:
    """Return what to type next, and what it does."""
    name = "" if dev_stack.name == DEFAULT_NAME else f" {dev_stack.name}"
    steps = []
    if dev_stack.issuers:
        steps.append(("kubectl get issuers,clusterissuers", "every way of authenticating, Ready"))
    if dev_stack.sample:
        steps.append((f"kubectl apply -f {dev_stack.sample}", "ask for a certificate"))
        steps.append(("kubectl get certificate,certificaterequest,secret", "and see it come"))
    elif dev_stack.issuers and not dev_stack.approves:
        steps.append(("cmctl approve REQUEST", f"{dev_stack.implementation} does not approve: somebody has to"))
    # The token is not among its arguments, which every user of the machine can read.
    header = shlex.quote(f"@{dev_stack.vault_header_file}")
    steps.append(
        (
            f'curl --cacert "$VAULT_CACERT" --header {header} "$VAULT_ADDR/v1/sys/auth"',
            "Vault's auth methods; `vault auth list` where vault is installed",
        )
    )
    steps.append(
        (
            "pytest --pyargs vault_issuer_conformance --vault-issuer=./my-issuer.toml "
            f"--vault-issuer-join={dev_stack.directory}",
            "judge an issuer on it"
            + (f"; {dev_stack.implementation} stands still meanwhile" * bool(dev_stack.issuers)),
        )
    )
    return [*steps, (f"vault-issuer stack down{name}", "remove all of it")]


def _issuer_rows(dev_stack: DevStack) -> list[list[str]]:
    return [
        [issuer.kind, issuer.namespace, issuer.name, issuer.ready or "no condition", _short(issuer.message)]
        for issuer in dev_stack.issuers
    ]


def _short(message: str) -> str:
    return textwrap.shorten(message, 120, placeholder=" …")


_ISSUER_HEADERS = ("KIND", "NAMESPACE", "NAME", "READY", "STATUS")


def _up_pretty(dev_stack: DevStack) -> list[str]:
    components = ", ".join(f"{name} {version}" for name, version in dev_stack.components.items())
    lines = [f"{dev_stack.name} is up: {components}, {dev_stack.implementation or 'no issuer'}"]
    lines += [f"directory: {dev_stack.directory} (logs in {dev_stack.directory}/logs)"]
    if dev_stack.issuers:
        lines += ["", *(f"  {line}" for line in table(_ISSUER_HEADERS, _issuer_rows(dev_stack)))]
    lines += [f"  left out: {feature}, {why}" for feature, why in dev_stack.left_out.items()]
    lines += [
        "",
        f"They sign at {dev_stack.pki_sign_path}." if dev_stack.issuers else f"PKI: {dev_stack.pki_sign_path}",
    ]
    lines += ["", 'In your shell (or: eval "$(vault-issuer stack env)"):', ""]
    lines += [f"  {line}" for line in dev_stack.exports]
    lines += ["", "Then try:", ""]
    for command, what in _next(dev_stack):
        lines += [f"  {command}", *textwrap.wrap(what, 100, initial_indent="      # ", subsequent_indent="      # ")]
    return lines


def _up_markdown(dev_stack: DevStack) -> list[str]:
    return [
        f"## {dev_stack.name}",
        "",
        *markdown_table([header.lower() for header in _ISSUER_HEADERS], _issuer_rows(dev_stack)),
        "",
        "```sh",
        *dev_stack.exports,
        *(f"{command}  # {what}" for command, what in _next(dev_stack)),
        "```",
    ]


def _dev_stack_as_dict(dev_stack: DevStack) -> dict[str, Any]:
    return {**vars(dev_stack), "issuers": [vars(issuer) for issuer in dev_stack.issuers]}


# -- env -----------------------------------------------------------------------------------------


def _env(options: argparse.Namespace) -> int:
    runs = find_runs()
    up = dev_stacks(runs)
    unreadable = [run for run in runs if run.state == KEPT and run not in [known for known, _ in up]]
    if unreadable and not up:
        raise StackError(
            f"the state of the stack in {unreadable[0].path} is cut off, or of another version",
            hint=f"take it down and start another: vault-issuer stack down {unreadable[0].path}",
        )
    _, dev_stack = _chosen(options.name, up)
    print("\n".join(dev_stack.exports))
    return 0


def _chosen(name: str | None, up: Sequence[tuple[FoundRun, DevStack]]) -> tuple[FoundRun, DevStack]:
    usable = [(run, dev_stack) for run, dev_stack in up if run.state == KEPT]
    named = [
        (run, dev_stack)
        for run, dev_stack in usable
        if name is None or name == dev_stack.name or Path(name).absolute() == run.path
    ]
    if len(named) == 1:
        return named[0]
    names = ", ".join(dev_stack.name for _, dev_stack in usable)
    if not named:
        raise ConfigurationError(
            f"no stack named {name} is up" if name else "no stack is up",
            hint=f"those that are: {names}" if names else "start one: vault-issuer stack up",
        )
    raise ConfigurationError("several stacks are up", hint=f"name one of: {names}; or its directory")


# -- status ---------------------------------------------------------------------------------------


def _status(options: argparse.Namespace) -> int:
    found = [(run, load(run.path)) for run in cleanup.find_all()]
    if options.format == "json":
        print_json([_run_as_dict(run, dev_stack) for run, dev_stack in found])
        return 0
    headers = ("NAME", "STATE", "WHAT", "DIRECTORY")
    rows = [
        [dev_stack.name if dev_stack else "", _state(run), _what(run, dev_stack), str(run.path)]
        for run, dev_stack in found
    ]
    if options.format == "markdown":
        print("\n".join(markdown_table([header.lower() for header in headers], rows)))
        return 0
    print("\n".join(table(headers, rows)) if rows else "nothing is up: vault-issuer stack up")
    for line in records.notices():
        print(line)
    if any(run.state == ORPHAN for run, _ in found):
        print("orphans are what killed runs have left: vault-issuer stack down removes them")
    _print_unattributed(run for run, _ in found)
    return 0


def _print_unattributed(found: Iterable[FoundRun]) -> None:
    """Say how to remove what is not removed, because it may be of a run that is under way elsewhere."""
    for run in found:
        if run.state == UNATTRIBUTED:
            print(f"{run.path.name} is of {run.whose}; if that is not under way, remove it with:\n  {run.removal}")


def _state(run: FoundRun) -> str:
    ended = [name for name, status in run.processes.items() if status is not None]
    return run.state + (f" ({', '.join(ended)} ended)" if run.state == KEPT and ended else "")


def _what(run: FoundRun, dev_stack: DevStack | None) -> str:
    if run.state == ORPHAN:
        return ", ".join([f"{len(run.leftovers)} processes", *run.containers])
    if run.state == UNATTRIBUTED:
        return ", ".join(run.containers)
    if run.state == UNDER_WAY:
        return f"of process {run.owner}"
    if dev_stack is None:
        return ""
    held = " (stands still: another is judged)" if PROCESS in run.held else ""
    return f"{dev_stack.implementation or 'no issuer'}{held}, since {dev_stack.started}"


def _run_as_dict(run: FoundRun, dev_stack: DevStack | None) -> dict[str, Any]:
    return {
        "state": run.state,
        "directory": str(run.path),
        "owner": run.owner,
        "processes": run.processes,
        "leftovers": list(run.leftovers),
        "containers": list(run.containers),
        "whose": run.whose,
        "removal": run.removal,
        "dev-stack": _dev_stack_as_dict(dev_stack) if dev_stack else None,
    }


# -- list -----------------------------------------------------------------------------------------


def _list(options: argparse.Namespace) -> int:
    rows = [_record_row(record) for record in records.records()]
    if options.format == "json":
        print_json([dict(zip(_RECORD_KEYS, row, strict=True)) for row in rows])
        return 0
    if options.format == "markdown":
        print("\n".join(markdown_table(_RECORD_KEYS, rows)))
        return 0
    headers = [key.upper() for key in _RECORD_KEYS]
    print("\n".join(table(headers, rows)) if rows else "no session has left anything in a cluster or Vault of others")
    if any(row[1] == UNFINISHED for row in rows):
        print("vault-issuer stack down removes what unfinished sessions have left")
    return 0


_RECORD_KEYS = ("session", "state", "cluster", "vault", "started", "record")


def _record_row(record: CleanupRecord) -> list[str]:
    state = records.state_of(record)
    try:
        where = record.read().whereabouts
    except StackError as error:
        return [record.session, state, error.message, "", "", str(record.path)]
    return [where.session, state, where.cluster, where.vault_addr, where.started, str(record.path)]


# -- down -----------------------------------------------------------------------------------------


def _down(options: argparse.Namespace) -> int:
    if options.all and options.name:
        raise ConfigurationError("--all and a name exclude each other", hint="leave out one")
    runs = cleanup.find_all()
    orphans = [run for run in runs if run.state == ORPHAN]
    kept = [run for run in runs if run.state == KEPT]
    unfinished = records.unfinished()
    if options.name and (record := records.find(options.name)):
        # With its directory, which holds credentials; and nothing else.
        unfinished = [record]
        orphans = [run for run in orphans if run.path.name == record.session]
        chosen = []
    elif options.all:
        chosen = kept
    elif options.name or len(kept) > 1:
        chosen = _named(options.name, runs)
    else:
        chosen = kept
    removed = []
    for run in [*chosen, *(orphan for orphan in orphans if orphan not in chosen)]:
        dev_stack = load(run.path)
        removed.append((run, dev_stack.name if dev_stack else "", cleanup.remove(run)))
    status = _finish([record for record in unfinished if record.path.exists()], removed, options)
    if options.format != "json":
        _print_unattributed(runs)
    return status


def _finish(
    unfinished: Sequence[CleanupRecord], removed: Sequence[tuple[FoundRun, str, Removed]], options: argparse.Namespace
) -> int:
    """Finish the cleanup of killed sessions, and print what was removed; one that fails does not keep another."""
    finished, errors = [], []
    for record in unfinished:
        things = Removed()
        try:
            if left := finish.finish(record, _token_of(record, options.vault_token_file), removed=things):
                raise finish.unremoved(record.session, left)
        except VaultIssuerError as error:
            errors.append(str(error))
        else:
            finished.append((record, things))
    if options.format == "json":
        print_json(
            [_removed_as_dict(run, name, things) for run, name, things in removed]
            + [
                {
                    "directory": "",
                    "name": record.session,
                    "state": UNFINISHED,
                    "containers": [],
                    "removed": things.names,
                }
                for record, things in finished
            ]
        )
    else:
        for run, name, things in removed:
            _print_removed(f"{name or run.path.name} ({run.state})", things)
        for record, things in finished:
            _print_removed(f"{record.session} ({UNFINISHED})", things)
        if not removed and not unfinished:
            print("nothing is up, and nothing is left of killed runs")
    if errors:
        raise StackError("\n".join(errors))
    return 0


def _token_of(record: CleanupRecord, file: str) -> str:
    if not file:
        return finish.token_of(record.read().whereabouts)
    return Settings(vault_token_file=Path(file)).vault_token()


def _print_removed(what: str, things: Removed) -> None:
    print(f"removed {what}")
    for line in things.lines:
        print(f"  {line}")


def _removed_as_dict(run: FoundRun, name: str, things: Removed) -> dict[str, Any]:
    about = {"directory": str(run.path), "name": name, "state": run.state, "containers": list(run.containers)}
    return {**about, "removed": things.names}


def _named(name: str | None, runs: Sequence[FoundRun]) -> list[FoundRun]:
    """Return the one dev stack or orphan of a name or directory."""
    path = Path(name).absolute() if name else None
    for run in runs:
        if run.path == path and run.state in (UNDER_WAY, IN_BETWEEN):
            raise ConfigurationError(
                f"{path} is a run that is {run.state}" + (f", of process {run.owner}" if run.owner else ""),
                hint="end that process; the run goes with it",
            )
        if run.state == KEPT and run.path == path:
            return [run]
        if run.state == ORPHAN and (run.path == path or (name and name == getattr(load(run.path), "name", None))):
            return [run]
    return [_chosen(name, dev_stacks(runs))[0]]
