"""The structure that CONTRIBUTING.md promises."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pytest_vault_issuer

PACKAGE = Path(pytest_vault_issuer.__file__).parent
KNOW_PYTEST = {"plugin.py", "conformance.py", "fixtures.py", "hooks.py", "marks.py", "secrecy.py"}
PROVIDERS = {"process", "kind", "existing"}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {"." * node.level + (node.module or "")}
    return found


def test_only_the_modules_that_are_named_import_pytest() -> None:
    importing = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if "pytest" in imports(path)}
    assert importing == KNOW_PYTEST


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_no_provider_imports_another(provider: str) -> None:
    others = {f".{name}" for name in PROVIDERS - {provider}}
    assert not imports(PACKAGE / "stack" / f"{provider}.py") & others


@pytest.mark.parametrize("package", ["aws", "cluster", "vault", "proxy", "issuer", "stack", "toolchain"])
def test_nothing_below_imports_what_is_above(package: str) -> None:
    above = {"..sandbox", "..run", "..conformance", "..plugin", "..fixtures", "..report", "..implementation"}
    assert [path for path in (PACKAGE / package).glob("*.py") if imports(path) & above] == []
