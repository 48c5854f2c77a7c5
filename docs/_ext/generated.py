"""Generates Markdown from the code: requirements, options, the command line, features, outcomes, versions."""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from unittest import mock

import parameters

from pytest_vault_issuer.bench import Result
from pytest_vault_issuer.cli import bench as bench_command
from pytest_vault_issuer.cli import main as cli
from pytest_vault_issuer.options import OPTIONS, Option
from pytest_vault_issuer.report import html as report_page
from pytest_vault_issuer.report.load import versions
from pytest_vault_issuer.report.published import DIGEST_FILE, DIRECTORY, Published, read_all
from pytest_vault_issuer.requirements.catalogue import LEVELS, SUITE, Catalogue, Requirement
from pytest_vault_issuer.requirements.features import AREAS, BY_PROFILE, CORE
from pytest_vault_issuer.scaffold import GITHUB, Answers, render
from pytest_vault_issuer.text import markdown
from pytest_vault_issuer.timeouts import Timeouts
from pytest_vault_issuer.toolchain import COMPONENTS

VAULT_PAGE = "https://cert-manager.io/docs/configuration/vault/"
#: Width of the help, independent of the terminal.
COLUMNS = "100"


# -- requirements ---------------------------------------------------------------------------------------------


def requirement_pages() -> dict[str, str]:
    """Return a page for each area that has requirements, by its name without suffix."""
    tests = tests_by_requirement()
    by_area: dict[str, list[Requirement]] = {}
    for requirement in Catalogue.load().requirements:
        by_area.setdefault(requirement.area, []).append(requirement)
    return {area.lower(): "\n".join(_area_page(area, members, tests)) for area, members in by_area.items()}


def _area_page(area: str, members: list[Requirement], tests: dict[str, list[str]]) -> Iterator[str]:
    yield f"# {area}: {AREAS[area]}\n"
    profiles = {requirement.profile for requirement in members}
    profile = "" if CORE in profiles else f" and `--vault-issuer-profile={min(profiles)}`"
    yield f"{_counted(members)}. Run them with `--vault-issuer-select={area}`{profile}.\n"
    for requirement in members:
        yield f"## {requirement.id}\n"
        yield f"{_emphasised(requirement)}\n"
        yield f"Source\n: {_source(requirement.citation)}\n"
        yield f"Profile\n: {requirement.profile}{_feature(requirement)}\n"
        if requirement.since:
            yield f"Since\n: cert-manager {requirement.since}\n"
        if requirement.upstream:
            yield f"Known upstream\n: {', '.join(map(_issue, requirement.upstream))}\n"
        yield "Tests\n: " + "\n  ".join(f"`{test}`  " for test in tests.get(requirement.id, ())).rstrip() + "\n"


def requirement_overview() -> str:
    """Return a table of the areas, each a link to its page."""
    lines = ["| area | | profile | MUST | SHOULD | MAY |", "|---|---|---|---:|---:|---:|"]
    listed = Catalogue.load().requirements
    for area, about in AREAS.items():
        members = [requirement for requirement in listed if requirement.area == area]
        if not members:
            continue  # it has no page
        profiles = " and ".join(sorted({requirement.profile for requirement in members}))
        counts = " | ".join(str(_count(members, level) or "") for level in LEVELS)
        lines.append(f"| [{area}](requirements/{area.lower()}.md) | {about} | {profiles} | {counts} |")
    totals = " | ".join(f"**{_count(listed, level)}**" for level in LEVELS)
    lines.append(f"| | **{len(listed)} in all** | | {totals} |")
    return "\n".join(lines)


def requirement_toctree() -> str:
    """Return the list of the areas' pages for the navigation."""
    return "\n".join(["```{toctree}", ":hidden:", "", *(f"requirements/{name}" for name in requirement_pages()), "```"])


def tests_by_requirement() -> dict[str, list[str]]:
    """Return which tests judge which requirement, read from the suite's source, as ``file::test``."""
    found: dict[str, list[str]] = {}
    for path in sorted(Path(str(resources.files(SUITE))).glob("test_*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        # A parameter of several tests may carry the mark, under a name of the module's.
        named: dict[str, list[str]] = {}
        for node in module.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                named[node.targets[0].id] = _marked(node.value, named)
            elif isinstance(node, ast.FunctionDef):
                for decorator in node.decorator_list:
                    for identifier in _marked(decorator, named):
                        found.setdefault(identifier, []).append(f"{path.name}::{node.name}")
    return found


def _marked(expression: ast.expr, named: dict[str, list[str]]) -> list[str]:
    """Return the ids in an expression's marks, also those of names that stand for some."""
    ids: list[str] = []
    for node in ast.walk(expression):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "requirement":
            ids += [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        elif isinstance(node, ast.Name):
            ids += named.get(node.id, [])
    return list(dict.fromkeys(ids))


def _emphasised(requirement: Requirement) -> str:
    words = f"{requirement.level} NOT" if f" {requirement.level} NOT " in requirement.statement else requirement.level
    return requirement.statement.replace(f" {words} ", f" **{words}** ", 1)


def _source(citation: str) -> str:
    return re.sub(r"\bVault page\b", f"[Vault page]({VAULT_PAGE})", citation, count=1)


def _feature(requirement: Requirement) -> str:
    return (
        f", if the implementation claims `{requirement.feature}`" if requirement.feature else ", for every controller"
    )


def _issue(reference: str) -> str:
    project, _, number = reference.partition("#")
    owner = "cert-manager" if "/" not in project else project.partition("/")[0]
    return f"[{reference}](https://github.com/{owner}/{project.rpartition('/')[2]}/issues/{number})"


def _count(requirements: list[Requirement] | tuple[Requirement, ...], level: str) -> int:
    return sum(requirement.level == level for requirement in requirements)


def _counted(members: list[Requirement]) -> str:
    parts = [f"{number} {level}" for level in LEVELS if (number := _count(members, level))]
    return f"{len(members)} requirement{'s' if len(members) != 1 else ''}: {', '.join(parts)}"


# -- options --------------------------------------------------------------------------------------------------


def options() -> str:
    """Return a section for each option of the plugin, with its twins."""
    return "\n".join(line for option in OPTIONS for line in _option(option))


def _option(option: Option) -> Iterator[str]:
    yield f"## {option.name}\n"
    yield f"{option.help[0].upper()}{option.help[1:]}.\n"
    shown = f"--{option.name}" if option.flag else f"--{option.name}={option.metavar}"
    value = "true" if option.flag else option.metavar
    yield "| | |\n|---|---|"
    yield f"| command line | `{shown}`{' (repeatable)' if option.many else ''} |"
    yield f"| ini file | `{option.ini} = {value}`{' (several: separated by spaces)' if option.many else ''} |"
    yield f"| environment | `{option.env}={value}`{' (several: separated by spaces)' if option.many else ''} |"
    yield f"| default | {_default(option)} |\n"


def _default(option: Option) -> str:
    if option.default in (None, "", ()):
        return "none"
    return f"`{str(option.default).lower() if option.flag else option.default}`"


# -- command line ---------------------------------------------------------------------------------------------


def command_line() -> str:
    """Return a section for each command of ``vault-issuer``, with its help as it prints it."""
    return "\n".join(_command(cli.parser(), 2))


def _command(parser: argparse.ArgumentParser, depth: int) -> Iterator[str]:
    yield f"{'#' * min(depth, 4)} {parser.prog}\n"
    yield f"```text\n{help_of(parser)}```\n"
    for actions in parser._actions:
        if isinstance(actions, argparse._SubParsersAction):
            # An alias leads to the same parser a second time.
            for child in dict.fromkeys(actions.choices.values()):
                yield from _command(child, depth + 1)


def help_of(parser: argparse.ArgumentParser) -> str:
    """Return a parser's help without colors, at one width."""
    with mock.patch.dict(os.environ, {"COLUMNS": COLUMNS, "NO_COLOR": "1"}):
        return parser.format_help()


# -- smaller ones ---------------------------------------------------------------------------------------------


def features() -> str:
    """Return a table of the features and the profiles they belong to."""
    listed = Catalogue.load().requirements
    lines = ["| feature | profile | what it is | requirements |", "|---|---|---|---:|"]
    for profile, members in BY_PROFILE.items():
        for feature, about in members.items():
            number = sum(requirement.feature == feature for requirement in listed)
            lines.append(f"| `{feature}` | {profile} | {about} | {number or 'through others'} |")
    return "\n".join(lines)


def timeouts() -> str:
    """Return a table of the timeouts, with their comments."""
    table = Timeouts()
    source = Path(str(resources.files("pytest_vault_issuer") / "timeouts.py")).read_text(encoding="utf-8")
    comments = dict(re.findall(r"#: (.+)\n    (\w+): float", source))
    about = {name: comment for comment, name in comments.items()}
    lines = ["| wait | seconds | bounds |", "|---|---:|---|"]
    for name, comment in about.items():
        lines.append(f"| `{name}` | {getattr(table, name):g} | {comment} |")
    return "\n".join(lines)


def components() -> str:
    """Return a table of what the toolchain builds."""
    lines = ["| component | version | binaries | builds in about | keeps |", "|---|---|---|---:|---:|"]
    seen: set[str] = set()
    for entry in COMPONENTS:
        default = "" if entry.name in seen else " (default)"
        seen.add(entry.name)
        binaries = ", ".join(f"`{name}`" for name in entry.packages) or "none: CRDs only"
        cells = (
            entry.name,
            f"{entry.version.lstrip('v')}{default}",
            binaries,
            f"{entry.minutes:g} min",
            f"{entry.kept} MB",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def bench(name: str) -> str:
    """Return the table of a ``bench.json`` that is kept in ``docs/bench/``."""
    return "\n".join(bench_command.markdown(bench_results(name)))


def bench_results(name: str) -> list[Result]:
    """Return what a ``bench.json`` that is kept in ``docs/bench/`` says."""
    text = (Path(__file__).parents[1] / "bench" / f"{name}.json").read_text(encoding="utf-8")
    return [Result.from_dict(result) for result in json.loads(text)["results"]]


# -- published reports ----------------------------------------------------------------------------------------

REPORTS = Path(__file__).parents[2] / DIRECTORY


def published_reports() -> str:
    """Return a table of the published reports for each version of the suite."""
    return "\n".join(_published(read_all(REPORTS), REPORTS))


def _published(reports: list[Published], directory: Path) -> Iterator[str]:
    if not reports:
        yield "No report is published yet."
    for suite in dict.fromkeys(each.suite_version for each in reports):
        members = [each for each in reports if each.suite_version == suite]
        profiles = [name for name in BY_PROFILE if any(name in each.report["profiles"] for each in members)]
        released = (directory / suite / DIGEST_FILE).is_file()
        yield f"\n## Judged by pytest-vault-issuer {suite}{'' if released else ' (not released yet)'}\n"
        yield f"| implementation | {' | '.join(profiles)} |"
        yield f"|---|{'---|' * len(profiles)}"
        for each in members:
            cells = [_implementation(each, directory), *(_verdict(each, profile) for profile in profiles)]
            yield f"| {' | '.join(cells)} |"


def _implementation(each: Published, directory: Path) -> str:
    """Return the first cell of a row: what was judged, with what and when, and the links to page and data."""
    target = published_path(each, directory)
    stack = each.report["stack"]
    lines = [
        f'<a href="{target}.html">{markdown(each.name)} {markdown(each.version)}</a>',
        markdown(f"with {versions(stack['components'])}" if stack else "no stack"),
        f'{each.report["reproduction"]["time"][:10]}, <a href="{target}.json">report.json</a>',
    ]
    return "<br>".join(lines)


def _verdict(each: Published, profile: str) -> str:
    """Return the cell of a profile: its verdict, and how many requirements passed."""
    entry = each.report["profiles"].get(profile)
    if entry is None:
        return "not judged"
    lines = [f"**{entry['verdict']}**"]
    for level in LEVELS:
        counts = entry["counts"].get(level, {})
        if asked := sum(counts.values()) - counts.get("unsupported", 0):
            lines.append(f"{counts['passed']} of {asked} {level}")
    return "<br>".join(lines)


def published_path(each: Published, directory: Path) -> str:
    """Return the path of a report in the documentation, without its suffix."""
    return f"{DIRECTORY}/{each.path.relative_to(directory).as_posix().removesuffix('.json')}"


def published_files() -> dict[str, str]:
    """Return the page and the data of each published report, by path in the documentation."""
    found: dict[str, str] = {}
    for each in read_all(REPORTS):
        path = published_path(each, REPORTS)
        found[f"{path}.html"] = report_page.render(each.report)
        found[f"{path}.json"] = each.path.read_text(encoding="utf-8")
    return found


# -- the workflow ---------------------------------------------------------------------------------------------


def workflow() -> str:
    """Return the workflow that ``vault-issuer init`` writes for GitHub Actions."""
    answers = Answers("my-issuer", "bin/manager --kubeconfig={kubeconfig}", build="make build", ci=GITHUB)
    (text,) = (text for path, text in render(answers, Path()).items() if path.startswith(".github/"))
    return f"```yaml\n{text}```"


MAKERS: dict[str, Callable[..., str]] = {
    "requirement-overview": requirement_overview,
    "requirement-toctree": requirement_toctree,
    "options": options,
    "command-line": command_line,
    "features": features,
    "timeouts": timeouts,
    "components": components,
    "bench": bench,
    "published-reports": published_reports,
    "workflow": workflow,
    "vault-parameters": parameters.sections,
}
