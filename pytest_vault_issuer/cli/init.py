"""``vault-issuer init``: writes an implementation file and a CI workflow."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from ..requirements.features import FEATURES, PROFILES, check_known
from ..scaffold import (
    CI_SYSTEMS,
    GITHUB,
    GITLAB,
    Answers,
    Detected,
    build_of,
    ci_of,
    crds_in,
    detect,
    installed,
    is_go,
    rbac_of,
    release,
    render,
)
from ..text import one_line
from .output import add_command, add_format, markdown_table, print_json

_NONE = "none"
#: The group whose CustomResourceDefinitions every session installs.
_CONTRACT = Answers.api_version.partition("/")[0]
#: What a repository without manifests shows.
_NOTHING = Detected()
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!]*")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def add_parser(commands: Any) -> None:
    """Add the command to those of ``vault-issuer``."""
    parser = add_command(
        commands,
        "init",
        "describe your own controller, and judge it in CI: asks a few questions and writes the files",
        "Write the file that describes a controller (--vault-issuer=NAME.toml), a draft of its RBAC rules, and a CI\n"
        "workflow. On a terminal, the command asks about missing options. Elsewhere, --command is required if no\n"
        "manifest has a Deployment; other options have the defaults below. The command reads the directory: manifests\n"
        "in it and in config/, deploy/, manifests/, crds/ and rbac/; the CI system from .github, .gitlab-ci.yml or\n"
        "the remotes; the build command from a Makefile's target build, or from go.mod and main.go in ., cmd/PROGRAM\n"
        "or cmd; the flags in the Go files there. It does not overwrite existing files, unless you give --force.",
        """
vault-issuer init                                   # asks
vault-issuer init --name my-issuer --ci github \\
    --command './bin/my-issuer --kubeconfig={kubeconfig}' \\
    --api-version issuers.example.com/v1 --kind VaultIssuer --cluster-kind '' \\
    --crds config/crd --rbac config/rbac --feature token --feature approle
pytest --pyargs vault_issuer_conformance --vault-issuer=./my-issuer.toml
""",
    )
    parser.add_argument("--directory", type=Path, default=Path(), help="directory to read and to write (default: .)")
    parser.add_argument(
        "--name", help="the controller's name: lower-case letters, digits and dashes (default: the directory's)"
    )
    parser.add_argument(
        "--command",
        dest="program",
        metavar="COMMAND",
        help="its program and arguments; the suite fills {kubeconfig} and {cluster_resource_namespace}",
    )
    parser.add_argument("--release", metavar="VERSION", help=f"the controller's version (default: {Answers.version})")
    parser.add_argument("--api-version", help=f"group and version of its kinds (default: {Answers.api_version})")
    parser.add_argument("--kind", help=f"its namespaced kind (default: {Answers.kind})")
    parser.add_argument(
        "--cluster-kind", help=f"its cluster-scoped kind, '' for none (default: {Answers.cluster_kind})"
    )
    parser.add_argument(
        "--vault-at",
        help="path of the Vault configuration in them, '' for another shape (default: that of their CRDs, or "
        f"{Answers.vault_at})",
    )
    parser.add_argument("--service-account", help="namespace/name of its service account (default: NAME/NAME)")
    parser.add_argument(
        "--crds", action="append", metavar="PATH", help="file or folder of its CRDs, repeatable (default: those found)"
    )
    parser.add_argument(
        "--rbac",
        action="append",
        metavar="PATH",
        help="file or folder of its RBAC, or its Helm chart, repeatable (default: those found, or a draft)",
    )
    parser.add_argument(
        "--feature",
        action="append",
        metavar="FEATURE",
        choices=(*PROFILES, *FEATURES),
        help=f"feature that it supports, repeatable (default: core): {', '.join((*PROFILES, *FEATURES))}",
    )
    parser.add_argument("--build", help="command that builds it in CI, '' for none (default: the detected one)")
    parser.add_argument(
        "--ci",
        choices=(*CI_SYSTEMS, _NONE),
        help=f"workflow to write: {GITHUB} (Actions), {GITLAB}, or {_NONE} (default: the repository's)",
    )
    parser.add_argument(
        "--suite",
        type=_version,
        metavar="VERSION",
        help="release of pytest-vault-issuer that CI installs from the package index (default: the installed copy, "
        "from its source)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    add_format(parser)
    parser.set_defaults(run=_run)


def _version(text: str) -> str:
    if not _VERSION.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be a version such as 1.2.0, got {text!r}")
    return text


def _run(options: argparse.Namespace) -> int:
    found = detect(options.directory)
    answers = _answers(options, _ask if sys.stdin.isatty() else None, found)
    files = render(answers, options.directory)
    for path in files:
        _check_inside(options.directory, path)
    taken = [path for path in files if os.path.lexists(options.directory / path)]
    if taken and not options.force:
        raise ConfigurationError(
            f"{', '.join(taken)} {'exists' if len(taken) == 1 else 'exist'} in {options.directory.absolute()}: "
            "nothing was written",
            hint="give --force to overwrite, or another --directory or --name",
        )
    for path, text in files.items():
        target = options.directory / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if options.force:
                target.unlink(missing_ok=True)
            with target.open("x", encoding="utf-8") as file:  # does not follow a link
                file.write(text)
        except OSError as error:
            raise ConfigurationError(
                f"{target} cannot be written: {error.strerror}", hint="check its permissions"
            ) from error
    _print(options, answers, list(files), (*found.missing, *_drafted(answers, found)))
    return 0


def _check_inside(directory: Path, path: str) -> None:
    """Check that a file is in a directory: a link of a repository may lead anywhere.

    :raises ConfigurationError: otherwise.
    """
    parent = (directory / path).parent.resolve()
    if not parent.is_relative_to(directory.resolve()):
        raise ConfigurationError(
            f"{directory / path} is not in {directory.absolute()}: a link leads to {parent}",
            hint="replace the link by a folder, or give another --directory",
        )


def _drafted(answers: Answers, found: Detected) -> Iterator[str]:
    if answers.rbac_unbound:
        yield (
            f"permissions of the service account {answers.account}: no binding in {', '.join(answers.rbac)} names it; "
            "write [run] service_account or rbac"
        )
    if found.chart and not answers.rbac and not answers.chart:
        yield f'Roles and bindings: only the chart defines them; write [run] chart = "{found.chart}", or edit the draft'


def _answers(options: argparse.Namespace, ask: Callable[[str, str], str] | None, found: Detected = _NOTHING) -> Answers:
    """Take answers from options, else from questions, else from the repository, else from the defaults.

    :param found: what the repository shows.
    :param ask: gets a question and the default; None if the command cannot ask.
    :raises ConfigurationError: when what is needed is not given, or wrong.
    """
    if ask is None and not (options.program or _command(found)):
        raise ConfigurationError(
            "--command is required: the manifests have no Deployment, and the command cannot ask",
            hint="name the program and its arguments: --command './bin/manager --kubeconfig={kubeconfig}'",
        )

    def answer(value: str | None, question: str, default: str) -> str:
        if value is not None:
            return value
        return ask(question, default) if ask else default

    def optional(value: str | None, question: str, default: str) -> str:
        answered = answer(value, question, default or _NONE)
        return "" if answered == _NONE else answered

    def manifests(given: list[str] | None, question: str, found: tuple[str, ...]) -> tuple[str, ...]:
        answered = answer(",".join(given) if given else None, question, ", ".join(found))
        return tuple(part for part in re.split(r"\s*,\s*", answered) if part and part != _NONE)

    name = answer(options.name, "Name of the controller", _name_of(options.directory))
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is not a valid name", hint="use lower-case letters, digits and dashes: my-issuer"
        )
    usual = f"./{name} --kubeconfig={{kubeconfig}} --cluster-resource-namespace={{cluster_resource_namespace}}"
    command = answer(options.program, "Command that runs it", _command(found) or usual)
    known = found if found.api_version else Detected(Answers.api_version, Answers.kind, Answers.cluster_kind)
    api_version = answer(options.api_version, "Group and version of its kinds", known.api_version)
    kind = answer(options.kind, "Namespaced kind", known.kind)
    cluster_kind = optional(options.cluster_kind, f"Cluster-scoped kind ({_NONE} for none)", known.cluster_kind)
    ours = api_version == found.api_version
    place = "" if ours and found.fields else (ours and found.vault_at) or Answers.vault_at
    vault_at = optional(options.vault_at, f"Path of the Vault configuration in them ({_NONE} for another shape)", place)
    asked = answer(",".join(options.feature) if options.feature else None, "Features that it supports", "core")
    features = tuple(re.split(r"[,\s]+", asked.strip()))
    check_known("feature", features, [*PROFILES, *FEATURES])
    group = api_version.rpartition("/")[0]
    if group == _CONTRACT:
        crds = tuple(options.crds or ())
    else:
        known_crds = found.crds if ours and found.crds else crds_in(options.directory, group)
        crds = manifests(options.crds, "Its CustomResourceDefinitions", known_crds)
    overlay = (f"{name}-rbac",) if found.rbac else ()
    granted = rbac_of(options.directory, options.service_account or found.service_account)
    copy = (f"{name}-rbac.yaml",) if granted.copied and not overlay else ()
    in_chart = (found.chart,) if found.chart_binds else ()
    known_rbac = overlay or (*granted.files, *copy) or in_chart
    paths = manifests(options.rbac, f"Its Roles and bindings ({_NONE} for a draft)", known_rbac)
    charts = tuple(path for path in paths if (options.directory / path / "Chart.yaml").is_file())
    if len(charts) > 1:
        raise ConfigurationError(f"{', '.join(charts)} are charts: a session installs one", hint="name one of them")
    rbac = tuple(path for path in paths if path not in charts)
    # The default answer is a workflow. If the command cannot ask, only a repository with a CI system gets one.
    usual_ci = ci_of(options.directory) or (GITHUB if ask else "")
    ci = optional(options.ci, f"CI workflow ({', '.join(CI_SYSTEMS)} or {_NONE})", usual_ci)
    check_known("CI system", [ci or _NONE], [*CI_SYSTEMS, _NONE])
    build = ""
    if ci:
        question = f"Command that builds it in CI ({_NONE} for nothing)"
        build = optional(options.build, question, build_of(options.directory, command))
    return Answers(
        name=name,
        command=command,
        version=options.release or Answers.version,
        api_version=api_version,
        kind=kind,
        cluster_kind=cluster_kind,
        vault_at=vault_at,
        fields=found.fields if ours else (),
        own_fields=found.own_fields if ours else {},
        issuer_lib=found.issuer_lib,
        signer_type=found.signer_type if ours else "",
        service_account=options.service_account or found.service_account,
        crds=crds,
        rbac=rbac,
        chart=next(iter(charts), ""),
        rbac_base=found.rbac if overlay and rbac == overlay else "",
        overlay=found.overlay,
        rbac_copied=granted.copied if set(copy) & set(rbac) else (),
        rbac_sources=granted.sources,
        rbac_unbound=bool(granted.files) and rbac == granted.files and not granted.bound,
        columns=found.columns,
        features=features,
        build=build,
        go=is_go(options.directory),
        ci=ci,
        suite=release(options.suite) if options.suite else installed(),
    )


def _command(found: Detected) -> str:
    """Return the command that runs the Deployment's program here; '' if there is none."""
    if not found.program:
        return ""
    kubeconfig = ["--kubeconfig={kubeconfig}"] if found.kubeconfig else []
    return shlex.join([f"./{found.built or f'bin/{found.program}'}", *kubeconfig, *found.flags])


def _name_of(directory: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "-", directory.absolute().name.lower()).strip("-") or "my-issuer"


def _ask(question: str, default: str) -> str:
    """Ask on the terminal; an empty answer is the default."""
    suggested = f" [{one_line(default)}]" if default else ""
    print(f"{question}{suggested}: ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise ConfigurationError(
            "the questions were not answered", hint="answer them, or give options: vault-issuer init --help"
        )
    return line.strip() or default


def _print(options: argparse.Namespace, answers: Answers, files: list[str], missing: tuple[str, ...]) -> None:
    paths = [str(options.directory / path) for path in files]
    file = shlex.quote(str(options.directory / answers.file))
    workers = "" if find_spec("xdist") else " --workers 1"
    judge = f"vault-issuer judge {file}{workers}"
    wheel = answers.suite.preparation(options.directory) if answers.ci else ""
    if options.format == "json":
        print_json({"written": paths, "not_detected": list(missing), "before_ci": wheel or None, "next": judge})
    elif options.format == "markdown":
        print("\n".join([*markdown_table(["written"], [[path] for path in paths]), "", f"Next: `{judge}`"]))
        if wheel:
            print(f"\nFor CI, commit the wheel: `{wheel}`")
    else:
        print("\n".join(f"written: {one_line(path)}" for path in paths))
        for what in missing:
            print(f"not detected: {one_line(what)}")
        if answers.ci == GITLAB:
            print(f"in .gitlab-ci.yml:\n  include:\n    - local: {files[-1]}")
        if answers.ci and not answers.build:
            print("CI builds nothing (no --build): the program of the command must be in the repository")
        if wheel:
            print("CI installs the suite from a wheel, as this copy is not from an index. Make and commit it:")
            print(f"  {wheel}")
        print(f"next: look through them, then\n  {judge}")
