"""``vault-issuer stack``: starts, lists and removes dev stacks, and removes orphaned resources."""

from __future__ import annotations

import argparse
import contextlib
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
from ..options import Settings
from ..requirements.features import PROFILES
from ..session.session import Session, SessionKey
from ..stack import finish
from ..stack import record as records
from ..stack.kind import cleanup
from ..stack.record import UNFINISHED, CleanupRecord
from ..supervisor.discovery import IN_BETWEEN, KEPT, ORPHAN, UNATTRIBUTED, UNDER_WAY, FoundSession, find_sessions
from . import session_options, stack_images
from .output import add_command, add_format, markdown_table, print_json, show, table
from .progress import Progress

DEFAULT_NAME = "dev-stack"
#: Instead of an implementation: no controller runs.
NONE = "none"
#: Fields of the settings that `stack up` has options for.
_UP_FIELDS = ("vault_version", "kubernetes_version", "timeout_scale")


def add_parser(commands: Any) -> None:
    """Add the command to those of ``vault-issuer``."""
    stack = add_command(
        commands,
        "stack",
        "start, use and remove a dev stack: Vault, Kubernetes, a controller, and issuer objects to try",
        "A dev stack keeps running when the command ends. It has a Vault with a PKI and every auth method, a\n"
        "Kubernetes API with cert-manager's CRDs, a controller, and an Issuer and a ClusterIssuer for each auth\n"
        "method. Everything listens on this machine only, with random ports and credentials.",
        """
vault-issuer stack up                     # a dev stack with cert-manager
eval "$(vault-issuer stack env)"          # this shell talks to it
kubectl get issuers,clusterissuers
vault-issuer stack status                 # list what is running, and orphaned resources
vault-issuer stack down                   # remove every process and file
""",
    )
    actions = stack.add_subparsers(dest="action", required=True, metavar="ACTION")
    up = add_command(
        actions,
        "up",
        "start a dev stack",
        "Start a dev stack and print what to type next. It takes seconds if the components are built (see\n"
        "`vault-issuer toolchain status`), and it runs until `vault-issuer stack down`. The tokens of its service\n"
        "accounts expire after 24 hours. Ctrl-C before it is up removes what was started.\n"
        "Exit status: 0 if every issuer object is Ready; 1 if the dev stack is up, but an issuer object is not Ready.\n"
        "The command prints no credentials: they are in files in the stack's directory that only you can read.",
        """
vault-issuer stack up
vault-issuer stack up --implementation ./my-issuer.toml --name mine
vault-issuer stack up --implementation none               # Vault and Kubernetes only, to develop against
pytest --pyargs vault_issuer_conformance --vault-issuer=./my-issuer.toml --vault-issuer-join=DIRECTORY
                                                          # judge on it; this pauses its own controller
""",
    )
    up.add_argument(
        "--implementation",
        default="cert-manager",
        metavar="IMPLEMENTATION",
        help="controller to start: cert-manager (default), cert-manager@VERSION, sample-controller, a TOML file, "
        f"package.module:factory, or {NONE}",
    )
    up.add_argument("--name", default=DEFAULT_NAME, help="name of the dev stack (default: %(default)s)")
    session_options.add_options(up, *_UP_FIELDS)
    add_format(up)
    up.set_defaults(run=_up)
    env = add_command(
        actions,
        "env",
        "print the environment of a dev stack, for eval",
        "Print VAULT_ADDR, VAULT_CACERT, VAULT_TOKEN, KUBECONFIG and, if kubectl is not in the PATH, a PATH with it,\n"
        "as lines for a POSIX shell. Your shell reads the token from its file; the command does not print it.",
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
        "list dev stacks, running sessions, and orphaned resources",
        "List what you have in the directory for temporary files (TMPDIR): running dev stacks, running sessions, and\n"
        "orphaned resources. These are the directories, the processes and, if a container engine answers, the\n"
        "resources on it that remain of a session that was killed together with its supervisor.",
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
        "List your sessions on existing clusters and Vaults (providers existing, and kind with a named cluster).\n"
        "A session that was killed together with its supervisor is unfinished: `vault-issuer stack down` removes what\n"
        "it created there. The records are in $XDG_STATE_HOME/vault-issuer (~/.local/state/vault-issuer).",
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
        "remove a dev stack, and orphaned resources",
        "Stop every process of a dev stack and remove its directory. The command also removes the orphaned\n"
        "resources of killed sessions: directories, containers, kind clusters, container networks, and objects in\n"
        "existing clusters and Vaults (`vault-issuer stack list`). For an existing Vault, it needs the token, in\n"
        "VAULT_ISSUER_VAULT_TOKEN or in --vault-token-file. If it cannot remove something, it prints the command for\n"
        "it. It does not touch running sessions, or anything that other users started.",
        """
vault-issuer stack down            # the only one
vault-issuer stack down mine       # by its name or directory
vault-issuer stack down --all      # all dev stacks
vault-issuer stack down vault-issuer-0123456789ab    # what a killed session left, by its name
""",
    )
    down.add_argument(
        "--vault-token-file", default="", metavar="FILE", help="file with the token for the Vault of a killed session"
    )
    _add_name(down)
    down.add_argument("--all", action="store_true", help="remove all dev stacks")
    add_format(down)
    down.set_defaults(run=_down)


def names_up() -> list[str]:
    """Return the names of the dev stacks that are up."""
    return [dev_stack.name for session, dev_stack in dev_stacks(find_sessions()) if session.state == KEPT]


def _add_name(parser: argparse.ArgumentParser) -> None:
    name = parser.add_argument(
        "name", nargs="?", metavar="NAME", help="name or directory of a dev stack (default: the only one)"
    )
    # An attribute for argcomplete.
    name.completer = lambda **_: names_up()  # type: ignore[attr-defined]


# -- up ----------------------------------------------------------------------------------------


def _up(options: argparse.Namespace) -> int:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", options.name):
        raise ConfigurationError(
            f"--name={options.name} is not a valid name", hint="use letters, digits, dots, dashes and underscores"
        )
    if options.name in names_up():
        raise ConfigurationError(
            f"a stack named {options.name} is up already",
            hint="use it (vault-issuer stack env), remove it (vault-issuer stack down), or give another --name",
        )
    if not options.implementation:
        raise ConfigurationError(
            "--implementation is empty", hint=f"name the controller to start, or {NONE} for a stack without one"
        )
    settings = Settings.of_command(
        implementation="" if options.implementation == NONE else options.implementation,
        profile=PROFILES,  # with the extended profile, the session starts a local STS if it can
        stack="process",
        **session_options.given(options, *_UP_FIELDS),
    )
    with Progress() as progress:
        session = Session(settings, SessionKey.new(), progress)
        try:
            dev_stack = make(session, options.name, progress)
        except BaseException:  # Ctrl-C too
            with contextlib.suppress(StackError):  # the first error is the one that matters
                session.close()
            raise
    show(options.format, _dev_stack_as_dict(dev_stack), _up_markdown(dev_stack), _up_pretty(dev_stack))
    return 0 if all(issuer.ready == "True" for issuer in dev_stack.issuers) else 1


def _next(dev_stack: DevStack) -> list[tuple[str, str]]:
    """Return commands to type next, and what each does."""
    name = "" if dev_stack.name == DEFAULT_NAME else f" {dev_stack.name}"
    steps = []
    if dev_stack.issuers:
        steps.append(("kubectl get issuers,clusterissuers", "an issuer object for each auth method, Ready"))
    if dev_stack.sample:
        steps.append((f"kubectl apply -f {dev_stack.sample}", "request a certificate"))
        steps.append(("kubectl get certificate,certificaterequest,secret", "watch it being issued"))
    elif dev_stack.issuers and not dev_stack.approves:
        steps.append(("cmctl approve REQUEST", f"approve requests yourself: {dev_stack.implementation} does not"))
    # Every user of the machine can read the arguments of a command, so the token is not one of them.
    header = shlex.quote(f"@{dev_stack.vault_header_file}")
    steps.append(
        (
            f'curl --cacert "$VAULT_CACERT" --header {header} "$VAULT_ADDR/v1/sys/auth"',
            "list Vault's auth methods, as `vault auth list` does",
        )
    )
    steps.append(
        (
            "pytest --pyargs vault_issuer_conformance --vault-issuer=./my-issuer.toml "
            f"--vault-issuer-join={dev_stack.directory}",
            "judge a controller on it" + (f"; this pauses {dev_stack.implementation}" * bool(dev_stack.issuers)),
        )
    )
    return [*steps, (f"vault-issuer stack down{name}", "remove the dev stack")]


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
    lines = [f"{dev_stack.name} is up: {components}, {dev_stack.implementation or 'no controller'}"]
    lines += [f"directory: {dev_stack.directory} (logs in {dev_stack.directory}/logs)"]
    if dev_stack.issuers:
        lines += ["", *(f"  {line}" for line in table(_ISSUER_HEADERS, _issuer_rows(dev_stack)))]
    lines += [f"  left out: {feature}, {why}" for feature, why in dev_stack.left_out.items()]
    lines += [
        "",
        f"sign path: {dev_stack.pki_sign_path}",
        "",
        'In your shell (or: eval "$(vault-issuer stack env)"):',
        "",
    ]
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
    sessions = find_sessions()
    up = dev_stacks(sessions)
    unreadable = [
        session for session in sessions if session.state == KEPT and session not in [known for known, _ in up]
    ]
    if unreadable and not up:
        raise StackError(
            f"the state of the stack in {unreadable[0].path} is incomplete, or of another version",
            hint=f"remove it and start another: vault-issuer stack down {unreadable[0].path}",
        )
    _, dev_stack = _chosen(options.name, up)
    print("\n".join(dev_stack.exports))
    return 0


def _chosen(name: str | None, up: Sequence[tuple[FoundSession, DevStack]]) -> tuple[FoundSession, DevStack]:
    usable = [(session, dev_stack) for session, dev_stack in up if session.state == KEPT]
    named = [
        (session, dev_stack)
        for session, dev_stack in usable
        if name is None or name == dev_stack.name or Path(name).absolute() == session.path
    ]
    if len(named) == 1:
        return named[0]
    names = ", ".join(dev_stack.name for _, dev_stack in usable)
    if not named:
        raise ConfigurationError(
            f"no stack named {name} is up" if name else "no stack is up",
            hint=f"these are up: {names}" if names else "start one: vault-issuer stack up",
        )
    raise ConfigurationError("several stacks are up", hint=f"name one of: {names}; or give its directory")


# -- status ---------------------------------------------------------------------------------------


def _status(options: argparse.Namespace) -> int:
    found = [(session, load(session.path)) for session in cleanup.find_all()]
    headers = ("NAME", "STATE", "WHAT", "DIRECTORY")
    rows = [
        [dev_stack.name if dev_stack else "", _state(session), _what(session, dev_stack), str(session.path)]
        for session, dev_stack in found
    ]
    pretty = table(headers, rows) if rows else ["no stack is up; start one: vault-issuer stack up"]
    pretty += records.notices()
    if any(session.state == ORPHAN for session, _ in found):
        pretty.append("orphaned resources of killed sessions remain; remove them: vault-issuer stack down")
    pretty += _unattributed(session for session, _ in found)
    shown = markdown_table([header.lower() for header in headers], rows)
    show(options.format, [_session_as_dict(*each) for each in found], shown, pretty)
    return 0


def _unattributed(found: Iterable[FoundSession]) -> list[str]:
    """Return how to remove what the command leaves alone, because it may belong to a session that runs elsewhere."""
    return [
        f"{session.path.name} belongs to {session.whose}; if that does not run, remove it with:\n  {session.removal}"
        for session in found
        if session.state == UNATTRIBUTED
    ]


def _state(session: FoundSession) -> str:
    ended = [name for name, status in session.processes.items() if status is not None]
    return session.state + (f" ({', '.join(ended)} ended)" if session.state == KEPT and ended else "")


def _what(session: FoundSession, dev_stack: DevStack | None) -> str:
    if session.state == ORPHAN:
        return ", ".join([f"{len(session.leftovers)} processes", *session.containers])
    if session.state == UNATTRIBUTED:
        return ", ".join(session.containers)
    if session.state == UNDER_WAY:
        return f"of process {session.owner}"
    if dev_stack is None:
        return ""
    paused = " (paused for a joined session)" if PROCESS in session.paused else ""
    return f"{dev_stack.implementation or 'no controller'}{paused}, since {dev_stack.started}"


def _session_as_dict(session: FoundSession, dev_stack: DevStack | None) -> dict[str, Any]:
    return {
        "state": session.state,
        "directory": str(session.path),
        "owner": session.owner,
        "processes": session.processes,
        "leftovers": list(session.leftovers),
        "containers": list(session.containers),
        "whose": session.whose,
        "removal": session.removal,
        "dev-stack": _dev_stack_as_dict(dev_stack) if dev_stack else None,
    }


# -- list -----------------------------------------------------------------------------------------


def _list(options: argparse.Namespace) -> int:
    rows = [_record_row(record) for record in records.records()]
    headers = [key.upper() for key in _RECORD_KEYS]
    pretty = table(headers, rows) if rows else ["there are no records of sessions on existing clusters and Vaults"]
    if any(row[1] == UNFINISHED for row in rows):
        pretty.append("remove what unfinished sessions left: vault-issuer stack down")
    entries = [dict(zip(_RECORD_KEYS, row, strict=True)) for row in rows]
    show(options.format, entries, markdown_table(_RECORD_KEYS, rows), pretty)
    return 0


_RECORD_KEYS = ("session", "state", "cluster", "vault", "started", "record")


def _record_row(record: CleanupRecord) -> list[str]:
    state = records.state_of(record)
    try:
        where = record.read().session_info
    except StackError as error:
        return [record.session, state, error.message, "", "", str(record.path)]
    return [where.session, state, where.cluster, where.vault_addr, where.started, str(record.path)]


# -- down -----------------------------------------------------------------------------------------


def _down(options: argparse.Namespace) -> int:
    if options.all and options.name:
        raise ConfigurationError("--all and a name cannot be combined", hint="remove one of them")
    sessions = cleanup.find_all()
    orphans = [session for session in sessions if session.state == ORPHAN]
    kept = [session for session in sessions if session.state == KEPT]
    unfinished = records.unfinished()
    if options.name and (record := records.find(options.name)):
        # Also its directory, which contains credentials; and nothing else.
        unfinished = [record]
        orphans = [session for session in orphans if session.path.name == record.session]
        chosen = []
    elif options.all:
        chosen = kept
    elif options.name or len(kept) > 1:
        chosen = _named(options.name, sessions)
    else:
        chosen = kept
    removed, errors = [], []
    for session in [*chosen, *(orphan for orphan in orphans if orphan not in chosen)]:
        dev_stack = load(session.path)
        try:
            removed.append((session, dev_stack.name if dev_stack else "", cleanup.remove(session)))
        except (VaultIssuerError, OSError) as error:  # the other sessions are removed nevertheless
            errors.append(str(error))
    status = _finish([record for record in unfinished if record.path.exists()], removed, errors, options)
    if options.format != "json":
        for line in _unattributed(sessions):
            print(line)
    return status


def _finish(
    unfinished: Sequence[CleanupRecord],
    removed: Sequence[tuple[FoundSession, str, Removed]],
    errors: list[str],
    options: argparse.Namespace,
) -> int:
    """Finish the cleanup of killed sessions, and print what was removed. One failure does not prevent the others.

    :param errors: of sessions that could not be removed.
    :raises StackError: with all errors.
    """
    finished = []
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
            [
                _removed_as_dict(name, session.state, things, str(session.path), session.containers)
                for session, name, things in removed
            ]
            + [_removed_as_dict(record.session, UNFINISHED, things) for record, things in finished]
        )
    else:
        for session, name, things in removed:
            _print_removed(f"{name or session.path.name} ({session.state})", things)
        for record, things in finished:
            _print_removed(f"{record.session} ({UNFINISHED})", things)
        if not removed and not unfinished and not errors:
            print("no stack is up, and there are no orphaned resources")
    if errors:
        raise StackError("\n".join(errors))
    return 0


def _token_of(record: CleanupRecord, file: str) -> str:
    if not file:
        return finish.token_of(record.read().session_info)
    return Settings(vault_token_file=Path(file)).vault_token()


def _print_removed(what: str, things: Removed) -> None:
    print(f"removed {what}")
    for line in [*things.lines, *things.kept_lines]:
        print(f"  {line}")


def _removed_as_dict(
    name: str, state: str, things: Removed, directory: str = "", containers: Iterable[str] = ()
) -> dict[str, Any]:
    about = {"directory": directory, "name": name, "state": state, "containers": list(containers)}
    return {**about, "removed": things.names, "kept": things.kept}


def _named(name: str | None, sessions: Sequence[FoundSession]) -> list[FoundSession]:
    """Return the dev stack or orphan with a name or directory."""
    path = Path(name).absolute() if name else None
    for session in sessions:
        if session.path == path and session.state in (UNDER_WAY, IN_BETWEEN):
            raise ConfigurationError(
                f"{path} is a session that is {session.state}"
                + (f", of process {session.owner}" if session.owner else ""),
                hint="end that process; the session ends with it",
            )
        if session.state == KEPT and session.path == path:
            return [session]
        if session.state == ORPHAN and (
            session.path == path or (name and name == getattr(load(session.path), "name", None))
        ):
            return [session]
    return [_chosen(name, dev_stacks(sessions))[0]]
