"""README.md and docs/ match the code: commands, options, requirements, messages, keys, fixtures, counts and links."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import re
import shlex
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from mutation.load import mutants

import pytest_vault_issuer
from pytest_vault_issuer import fixtures
from pytest_vault_issuer.bench import plot
from pytest_vault_issuer.cli.main import parser
from pytest_vault_issuer.implementation import Implementation, IssuerDescription, RunDescription
from pytest_vault_issuer.implementation.builtin import load_builtin
from pytest_vault_issuer.implementation.spec import PLACEHOLDERS
from pytest_vault_issuer.options import OPTIONS
from pytest_vault_issuer.report import build as json_report
from pytest_vault_issuer.report.outcomes import Outcome
from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.requirements.features import AREAS, PROFILES
from pytest_vault_issuer.timeouts import Timeouts
from tests.support import sample_report

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.glob("*.md")),
    *sorted(DOCS.glob("upstream/*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]
SOURCE = Path(pytest_vault_issuer.__file__).parent
#: Environment variables that do not belong to an option.
OTHER_VARIABLES = {
    "VAULT_ISSUER_VAULT_TOKEN", "VAULT_ISSUER_CACHE", "VAULT_ISSUER_GO", "VAULT_ISSUER_MIRROR", "VAULT_ISSUER_SOURCES",
}  # fmt: skip

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


def page(name: str) -> str:
    return (DOCS / name).read_text()


def blocks(text: str, *languages: str) -> list[str]:
    """Return the content of the code blocks of a page in one of the languages."""
    found = re.findall(r"^( *)```([^\n`]*)\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL)
    return [block for _, language, block in found if language in languages]


def commands(text: str) -> Iterator[tuple[list[str], bool]]:
    """Yield the commands of a page as words, and whether each is complete.

    Commands in shell blocks are complete. Inline code may contain only the name of a command.
    """
    lines = [(line, True) for line in "\n".join(blocks(text, "sh")).replace("\\\n", " ").splitlines()]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines += [(code, False) for code in re.findall(r"`((?:vault-issuer|pytest|tox) [^`\n]+)`", prose)]
    for line, whole in lines:
        for part in _split(shlex.split(line, comments=True), "&&"):
            while part and re.fullmatch(r"[A-Z_]+=.*", part[0]):
                part = part[1:]
            if part:
                yield [part[0].rpartition("/")[2], *part[1:]], whole


def _split(words: list[str], separator: str) -> Iterator[list[str]]:
    part: list[str] = []
    for word in [*words, separator]:
        if word == separator:
            yield part
            part = []
        else:
            part.append(word)


# -- commands and options -------------------------------------------------------------------------------------


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error of a command for arguments that it rejects, '' if it accepts them."""
    try:
        parser().parse_args(arguments)
    except SystemExit as left:
        return capsys.readouterr().err if left.code else ""
    return ""


@every_page
def test_documented_commands_parse(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for (program, *arguments), whole in commands(page.read_text()):
        if program != "vault-issuer" or "COMMAND" in arguments:
            continue
        if (said := refusal(arguments, capsys)) and (whole or "arguments are required" not in said):
            pytest.fail(f"vault-issuer {' '.join(arguments)}: {said}")


@every_page
def test_environments_of_tox_exist(page: Path) -> None:
    described = re.findall(r"^\[testenv:([\w-]+)\]", (ROOT / "tox.ini").read_text(), re.MULTILINE)
    for (program, *arguments), _ in commands(page.read_text()):
        if program == "tox" and "-e" in arguments:
            assert set(arguments[arguments.index("-e") + 1].split(",")) <= {*described, "tests"}


@every_page
def test_options_exist(page: Path) -> None:
    named = set(re.findall(r"--(vault-issuer[a-z-]*[a-z])", page.read_text()))
    assert named <= {option.name for option in OPTIONS}


@every_page
def test_ini_options_and_variables_exist(page: Path) -> None:
    text = page.read_text()
    assert set(re.findall(r"^(vault_issuer[a-z_]*) *=", "\n".join(blocks(text, "ini")), re.MULTILINE)) <= {
        option.ini for option in OPTIONS
    }
    known = {option.env for option in OPTIONS} | OTHER_VARIABLES
    assert set(re.findall(r"\bVAULT_ISSUER_[A-Z_]*[A-Z]\b", text)) <= known


@every_page
def test_options_that_take_names_are_given_known_ones(page: Path) -> None:
    known = {"select": {*AREAS, *Catalogue.load().ids}, "profile": set(PROFILES)}
    for option, values in known.items():
        given = set(re.findall(rf"--(?:vault-issuer-)?{option}[= ]([A-Za-z0-9-]+)", page.read_text()))
        assert given <= values


# -- requirements, features, links ----------------------------------------------------------------------------


@every_page
def test_requirements_exist(page: Path) -> None:
    named = set(re.findall(r"\bVI-[A-Z]+-[0-9]{3}\b", page.read_text()))
    assert named <= set(Catalogue.load().ids)


@every_page
def test_every_command_is_in_a_shell_block(page: Path) -> None:
    """Indented blocks are neither parsed nor run."""
    outside = re.sub(r"^( *)```.*?^\1```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    started = r"^ {4,}(?:[A-Z_]+=\S+ )*(?:\S*/)?(?:pytest|tox|pip|python3?|vault-issuer|go|export|eval|kubectl) .*"
    assert re.findall(started, outside, re.MULTILINE) == []


@every_page
def test_files_that_are_linked_to_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, _ = target.partition("#")
        if path and "://" not in target and not path.startswith("requirements/"):
            assert (page.parent / path).exists(), target


def test_the_readme_links_to_every_page_s_section() -> None:
    """The anchor of a heading in a built page consists of its words."""
    for name, anchor in re.findall(r"\]\(docs/([\w-]+\.md)#([\w-]+)\)", (ROOT / "README.md").read_text()):
        headings = re.findall(r"^#+ (.+)$", page(name), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# -- what is generated ----------------------------------------------------------------------------------------


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import the module that generates parts of the pages; it does not need Sphinx."""
    monkeypatch.syspath_prepend(DOCS / "_ext")
    monkeypatch.delitem(sys.modules, "generated", raising=False)
    return importlib.import_module("generated")


def test_every_generated_mark_has_a_generator(generated: Any) -> None:
    named = {name for path in DOCS.glob("*.md") for name in re.findall(r"<!-- generated: ([\w-]+)", path.read_text())}
    assert named == {*generated.MAKERS, "architecture", "wire"}


def test_every_option_is_on_its_page_with_its_twins(generated: Any) -> None:
    assert "<!-- generated: options -->" in page("options.md")
    text = generated.options()
    for option in OPTIONS:
        assert f"## {option.name}\n" in text
        assert all(f"`{twin}" in text for twin in (f"--{option.name}", option.ini, option.env))


def test_every_requirement_has_a_section_with_its_tests(generated: Any) -> None:
    pages = generated.requirement_pages()
    tests = generated.tests_by_requirement()
    for requirement in Catalogue.load().requirements:
        text = pages[requirement.area.lower()]
        section = text.partition(f"## {requirement.id}\n")[2].partition("\n## ")[0]
        assert requirement.statement in section.replace("**", "")
        assert tests[requirement.id]
        assert all(test in section for test in tests[requirement.id])
        assert all(f"[{issue}](https://github.com/" in section for issue in requirement.upstream)


@pytest.mark.parametrize("name", ["README.md", "docs/getting-started.md", "docs/trust.md"])
def test_quoted_counts_are_those_of_cert_manager_and_the_catalogue(name: str) -> None:
    core = [requirement for requirement in Catalogue.load().requirements if requirement.profile == "core"]
    known = load_builtin("cert-manager").known_failures
    expected = []
    for level in ("MUST", "SHOULD"):
        ids = {requirement.id for requirement in core if requirement.level == level}
        expected.append((str(len(ids - known.keys())), str(len(ids)), level))
    quoted = re.findall(r"(\d+) of (\d+)\s(MUST|SHOULD)", (ROOT / name).read_text())
    assert quoted == expected


def test_changelog_states_the_number_of_requirements() -> None:
    profiles = Counter(requirement.profile for requirement in Catalogue.load().requirements)
    (added,) = re.findall(
        r"^\* (\d+ requirements:.*?)\.$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE | re.DOTALL
    )
    numbers = [int(number) for number in re.findall(r"\b(\d+) (?:requirements|in the profile)", added)]
    assert numbers == [profiles.total(), *(profiles[profile] for profile in PROFILES)]


def test_every_generator_without_arguments_works(generated: Any) -> None:
    for name, make in generated.MAKERS.items():
        if not inspect.signature(make).parameters:
            assert make(), name
    bounds = [field.name for field in dataclasses.fields(Timeouts) if field.type in ("float", float)]
    assert [name for name in bounds if f"| `{name}` |" not in generated.timeouts()] == []


def test_published_reports_are_listed_with_verdicts_and_links(
    generated: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for version, outcomes in (("1.4.0", [Outcome.PASSED]), ("1.10.0", [Outcome.FAILED]), ("1.10.0-openbao", [])):
        made = sample_report.report(*outcomes)
        made["implementation"] |= {"name": "My | <b>Issuer", "version": version.partition("-")[0]}
        path = tmp_path / f"0.1.0/my-b-issuer/{version}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(made))
    monkeypatch.setattr(generated, "REPORTS", tmp_path)
    head, *rows = [line for line in generated.published_reports().splitlines() if line.startswith("| ")]
    assert head == "| implementation | core |"
    assert [re.findall(r'href="reports/0.1.0/my-b-issuer/([^"]+)"', row) for row in rows] == [
        ["1.10.0.html", "1.10.0.json"],
        ["1.10.0-openbao.html", "1.10.0-openbao.json"],
        ["1.4.0.html", "1.4.0.json"],
    ]
    assert "**non-conformant**" in rows[0]
    assert "## Judged by pytest-vault-issuer 0.1.0 (not released yet)" in generated.published_reports()
    (tmp_path / "0.1.0/suite.sha256").write_text("")
    assert "## Judged by pytest-vault-issuer 0.1.0\n" in generated.published_reports()
    assert "<b>" not in "".join(rows)
    files = generated.published_files()
    assert len(files) == 6
    assert files["reports/0.1.0/my-b-issuer/1.4.0.html"].startswith("<!DOCTYPE html>")


def test_page_of_published_reports_can_be_empty(generated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "REPORTS", Path("/nonexistent"))
    assert "No report is published yet." in generated.published_reports()


def test_every_command_s_help_is_on_its_page(generated: Any) -> None:
    text = generated.command_line()
    assert "## vault-issuer\n" in text
    assert "### vault-issuer requirements\n" in text
    assert "#### vault-issuer report compare\n" in text


def test_the_picture_of_the_bench_is_of_its_numbers(generated: Any) -> None:
    assert (DOCS / "pictures/bench.svg").read_text() == plot.render(generated.bench_results("releases"))


def test_the_table_of_the_bench_is_of_the_command_that_is_shown(generated: Any) -> None:
    """The table has as many issuer objects, requests and rounds as the command requests."""
    load = json.loads((DOCS / "bench/releases.json").read_text())["load"]
    shown = next(words for words, _ in commands(page("command-line.md")) if words[:2] == ["vault-issuer", "bench"])
    asked = parser().parse_args(shown[1:])
    assert load == {name: getattr(asked, name) for name in ("issuers", "requests", "concurrency", "auth", "rounds")}
    assert len(generated.bench("releases").splitlines()) == 2 + 2 * len(asked.implementations)


@every_page
def test_the_number_of_mutants_is_about_right(page: Path) -> None:
    said = re.findall(r"[Mm]ore than (\d+)\s+plausible\s+mistakes", page.read_text())
    assert all(int(number) < len(mutants()) < int(number) + 100 for number in said)


# -- messages -------------------------------------------------------------------------------------------------


def messages() -> list[str]:
    """Return the texts in the source of plugin and suite, with … for each computed part."""
    found = []
    for path in [*SOURCE.rglob("*.py"), *(ROOT / "conformance").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.BinOp | ast.JoinedStr | ast.Constant):
                found.append(_text(node))
    return [text for text in found if text.strip("…")]


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else "…"
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.IfExp):
        return max(_text(node.body), _text(node.orelse), key=len)
    return "…"


def test_messages_are_those_of_the_code() -> None:
    quoted = re.findall(r"^### `(.+)`$", page("troubleshooting.md"), re.MULTILINE)
    assert len(quoted) > 30

    def plain(text: str) -> str:
        # A name in an f-string stands for a name in another message: both are "…".
        return re.sub(r"[\s…:]+", " ", text.replace("….…", "…")).strip()

    known = {plain(text) for text in messages()}
    wrong = [text for text in quoted if not any(plain(text) in message for message in known)]
    assert wrong == []


# -- what the guides say ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [IssuerDescription, RunDescription])
def test_every_key_of_a_table_is_explained_with_its_default(table: type) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", page("implementers.md"), re.MULTILINE)
    shown = {"": "none", "true": "`true`", "false": "`false`"}
    for field in dataclasses.fields(table):
        default = "" if field.default is dataclasses.MISSING or not field.default else str(field.default)
        if field.default is False:
            default = "false"
        assert (field.name, shown.get(default, f"`{default}`")) in rows, field.name


def test_keys_of_the_other_tables_are_explained() -> None:
    text = page("implementers.md")
    about = {"name", "version", "contract", "organization", "url", "contact"}
    fields = {field.name for field in dataclasses.fields(Implementation)}
    assert about <= fields
    assert [key for key in about if f"`{key}`" not in text] == []
    assert [name for name in PLACEHOLDERS if f"`{{{name}}}`" not in text] == []


def test_implementation_files_are_whole() -> None:
    shown = [block for path in PAGES for block in blocks(path.read_text(), "toml")]
    whole = [block for block in shown if "[implementation]" in block]
    assert len(whole) >= 3
    for block in whole:
        Implementation.from_mapping(tomllib.loads(block), ROOT)
    for block in shown:
        tomllib.loads(block)


@every_page
def test_yaml_can_be_read(page: Path) -> None:
    for block in blocks(page.read_text(), "yaml"):
        list(yaml.safe_load_all(block))


@every_page
def test_python_can_be_run(page: Path) -> None:
    """The examples are not collected here; importing them shows that every name exists."""
    for block in blocks(page.read_text(), "python"):
        exec(compile(block, page.name, "exec"), {"__name__": "example"})


def test_every_fixture_is_shown_with_an_example() -> None:
    text = page("fixtures.md")
    named = {
        node.name: "session" if "session" in ast.unparse(node.decorator_list[0]) else "function"
        for node in ast.walk(ast.parse(Path(fixtures.__file__).read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    sources = [path.read_text() for path in (DOCS / "examples").rglob("*.py")]
    examples = "\n".join(text.replace("from __future__ import annotations\n", "") for text in sources)
    for name, scope in named.items():
        kind = ast.unparse(_function(fixtures.__file__, name).returns or ast.Constant(None))
        kind = re.sub(r"Iterator\[(\w+)\]", r"\1", kind)
        assert f"[`{name}`](#{name.replace('_', '-')}) | {scope} | `{kind}` |" in text
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        shown = re.findall(r":pyobject: (\w+)", section)
        assert shown
        assert [example for example in shown if name not in ast.unparse(_function_in(examples, example).args)] == []


def _function(path: str, name: str) -> ast.FunctionDef:
    return _function_in(Path(path).read_text(), name)


def _function_in(source: str, name: str) -> ast.FunctionDef:
    (found,) = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef) and n.name == name)
    return found


def test_the_report_s_keys_and_outcomes_are_explained() -> None:
    text = page("reports.md")
    keys = list(json_report.schema()["properties"])
    rows = re.findall(r"^\| `(\w+)` \| ", text.partition("## report.json\n")[2], re.MULTILINE)
    assert rows[: len(keys)] == keys
    assert [outcome.value for outcome in Outcome if f"| `{outcome.value}` |" not in text] == []


def test_the_wire_has_a_picture_of_each_recording() -> None:
    drawn = re.findall(r"<!-- generated: wire ([\w-]+) -->", page("wire.md"))
    assert sorted(drawn) == sorted(path.stem for path in (DOCS / "wire").glob("*.json"))
    for flow in drawn:
        recording = json.loads((DOCS / "wire" / f"{flow}.json").read_text())
        assert recording["signing"][-1]["call"] == "POST /v1/pki/sign/example-dot-com"
