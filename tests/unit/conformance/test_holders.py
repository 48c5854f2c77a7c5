"""Tests that hold the controller have the marker holds_controller, so that they can run alone."""

from __future__ import annotations

import ast
from importlib import resources
from pathlib import Path

import pytest

from pytest_vault_issuer.judge.schedule import EXCLUSIVE, HOLDS
from pytest_vault_issuer.requirements.catalogue import SUITE

MODULES = sorted(Path(str(resources.files(SUITE))).glob("test_*.py"))
#: Faults that occupy a worker: held requests, and answers after which Vault clients retry (501 is not one).
FAULTS = {
    "Hold", "Delay", "Hang", "Latency", "ResetBefore", "ResetAfter", "Trickle", "retry_later", "seal", "wait_held",
}  # fmt: skip


def holds(function: ast.AST) -> bool:
    for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        first = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
        if name in FAULTS or (name == "Respond" and first in (500, 502, 503)):
            return True
    return False


def unmarked(tree: ast.Module) -> list[str]:
    # The marker of a module makes its tests run alone.
    marks = [node.value for node in tree.body if isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node)]
    if any(f"mark.{EXCLUSIVE}" in ast.unparse(mark) for mark in marks):
        return []
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    helpers = {f.name for f in functions if not f.name.startswith("test_") and holds(f)}
    found = []
    for function in functions:
        called = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
        marked = any(mark in decorator for decorator in decorators for mark in (HOLDS, EXCLUSIVE))
        if function.name.startswith("test_") and (holds(function) or helpers & called) and not marked:
            found.append(function.name)
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_tests_that_occupy_the_controller_are_marked(module: Path) -> None:
    assert unmarked(ast.parse(module.read_text())) == [], f"mark them: @pytest.mark.{HOLDS}"


def test_a_held_request_of_a_helper_is_found() -> None:
    helper = "def helper():\n    Hold()\n"
    tests = (
        "def test_a():\n    helper()\n@pytest.mark.holds_controller\ndef test_b():\n    Hold()\n"
        "@pytest.mark.exclusive\ndef test_c():\n    Hold()\n"
    )
    assert unmarked(ast.parse(helper + tests)) == ["test_a"]
