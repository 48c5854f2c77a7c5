"""Mutants by rule: every site in the sample controller at which a rule applies, without a choice by a person.

The rules are: negate a condition, drop a statement, swap an operator, change a constant. They skip what the suite does
not judge by design: docstrings, type annotations, imports, log calls, and text for people (a string with a space).
"""

from __future__ import annotations

import ast
import copy
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .builds import SAMPLE_CONTROLLER, Edit, Mutant

HERE = Path(__file__).parent
#: Survivors that behave like the sample controller, each with the reason.
EQUIVALENT = HERE / "equivalent.toml"
#: Modules that only run with options that the built-in sample controller does not set: see test_variants.
OF_VARIANTS = ("habits.py", "logins.py", "shapes.py")

RULES = ("negate", "drop", "swap", "constant")
#: Names whose calls are not changed: logs, and the texts of options.
_LOG = ("log", "logging", "parser")
SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}


@dataclass(frozen=True)
class Site:
    """A site at which a rule applies.

    :ivar lines: first and last line of its statement; of a compound statement, of its head.
    :ivar path: fields and indexes from the module to the node.
    :ivar old: the node's text; :ivar new: the text of what replaces it.
    :ivar number: which one of several sites with the same function, rule and text.
    """

    module: str
    function: str
    lines: tuple[int, int]
    rule: str
    old: str
    new: str
    path: tuple[str | int, ...]
    number: int = 1

    @property
    def key(self) -> str:
        """An identifier that stays the same until the text of the site changes."""
        suffix = f" #{self.number}" if self.number > 1 else ""
        return f"{self.module}:{self.function}: {self.rule}: {self.old} -> {self.new}{suffix}"

    def mutant(self) -> Mutant:
        """Return the mutant: one edit that replaces the whole module."""
        return mutant_of([self])

    def overlaps(self, other: Site) -> bool:
        """Return whether one of two sites is inside of the other, or at the same node."""
        if self.module != other.module:
            return False
        common = min(len(self.path), len(other.path))
        return self.path[:common] == other.path[:common]


def mutant_of(sites: Sequence[Site]) -> Mutant:
    """Return the mutant with the changes of some sites, which must not overlap."""
    edits = []
    for module in dict.fromkeys(site.module for site in sites):
        text = (SAMPLE_CONTROLLER / module).read_text()
        edits.append(Edit(module, text, changed(text, [site for site in sites if site.module == module])))
    name = " + ".join(site.key for site in sites)
    return Mutant(name, tuple(edits), f"By rule: {name}.")


def changed(text: str, sites: Sequence[Site]) -> str:
    """Return a module's text with the changes of some sites, as :mod:`ast` writes it."""
    tree = ast.parse(text)
    for site in sites:
        _replace(tree, site.path, site.rule)
    return ast.unparse(tree) + "\n"


@cache
def sites() -> tuple[Site, ...]:
    """Return all sites, by module and position: the same for the same source."""
    found: list[Site] = []
    for file in sorted(SAMPLE_CONTROLLER.glob("*.py")):
        if file.name != "__init__.py" and file.name not in OF_VARIANTS:
            found += sites_in(file.name, file.read_text())
    return tuple(found)


def sites_in(module: str, text: str) -> list[Site]:
    """Return the sites of a module."""
    tree = ast.parse(text)
    found = list(_visit(module, tree, (), "", (0, 0)))
    times: Counter[str] = Counter()
    numbered = []
    for site in found:
        times[site.key] += 1
        numbered.append(Site(**(site.__dict__ | {"number": times[site.key]})))
    return numbered


@cache
def equivalent(file: Path = EQUIVALENT) -> dict[str, str]:
    """Return key -> reason of the survivors that are equivalent.

    :raises ValueError: if an entry is incomplete, or its site no longer exists.
    """
    entries = tomllib.loads(file.read_text()).get("equivalent", [])
    known = {site.key for site in sites()}
    for entry in entries:
        if set(entry) != {"key", "reason"}:
            raise ValueError(f"{file.name}: expected key and reason, got {sorted(entry)}")
        if entry["key"] not in known:
            raise ValueError(f"{file.name}: no such site, remove it: {entry['key']}")
    return {entry["key"]: entry["reason"] for entry in entries}


def _visit(
    module: str, node: ast.AST, path: tuple[str | int, ...], function: str, lines: tuple[int, int]
) -> Iterator[Site]:
    """Yield the sites inside of a node."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "bases", "type_params"):
            continue
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if not isinstance(child, ast.AST) or _left_out(child, node):
                continue
            inner = (*path, field, index) if isinstance(value, list) else (*path, field)
            name = getattr(child, "name", "") if isinstance(child, ast.FunctionDef | ast.ClassDef) else ""
            inside = ".".join(filter(None, (function, name)))
            within = _lines(child) if isinstance(child, ast.stmt) else lines
            for rule in RULES:
                replaced = _replaced(child, rule, node, field)
                if replaced is not None and not (rule == "drop" and _only_declares(child)):
                    old, new = _text(child), _text(replaced)
                    yield Site(module, inside or "module", within, rule, old, new, inner)
            yield from _visit(module, child, inner, inside, within)


def _lines(statement: ast.stmt) -> tuple[int, int]:
    """Return the first and the last line of a statement, or of the head of a compound one."""
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if body else statement.end_lineno
    return statement.lineno, max(statement.lineno, last or 0)


def _left_out(node: ast.AST, parent: ast.AST) -> bool:
    """Return whether the rules skip a node."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # a docstring
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        target = node.value.func
        while isinstance(target, ast.Attribute | ast.Call):
            target = target.value if isinstance(target, ast.Attribute) else target.func
        if isinstance(target, ast.Name) and target.id in _LOG:
            return True
    if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id in _LOG for t in node.targets):
        return True
    if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
        return True
    return isinstance(node, ast.Constant) and isinstance(parent, ast.FormattedValue)


def _only_declares(node: ast.AST) -> bool:
    """Whether a statement is an annotation without a value."""
    return isinstance(node, ast.AnnAssign) and node.value is None


def _replaced(node: ast.AST, rule: str, parent: ast.AST, field: str) -> ast.AST | None:
    """Return the node that a rule produces; None if it does not apply."""
    if rule == "negate":
        conditional = isinstance(parent, ast.If | ast.While | ast.IfExp) and field == "test"
        if conditional or (isinstance(parent, ast.comprehension) and field == "ifs"):
            assert isinstance(node, ast.expr)
            return node.operand if _is_not(node) else ast.UnaryOp(ast.Not(), node)  # type: ignore[attr-defined]
        return None
    if rule == "drop":
        calls = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        dropped = ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return | ast.Raise | ast.Continue | ast.Break
        return ast.Pass() if calls or isinstance(node, dropped) else None
    if rule == "swap":
        swapped = SWAPPED.get(type(node))
        return swapped() if swapped is not None else None
    return _changed(node)


def _is_not(node: ast.AST) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _changed(node: ast.AST) -> ast.Constant | None:
    if not isinstance(node, ast.Constant):
        return None
    value = node.value
    if isinstance(value, bool):
        return ast.Constant(not value)
    if isinstance(value, int | float):
        return ast.Constant(value + 1)
    if isinstance(value, str) and " " not in value:
        return ast.Constant(value + "x")
    if isinstance(value, bytes):
        return ast.Constant(value + b"x")
    return None


def _replace(tree: ast.Module, path: tuple[str | int, ...], rule: str) -> None:
    """Apply a rule at a site."""
    parent: ast.AST = tree
    container: object = tree
    field = ""
    for step in path[:-1]:
        container = getattr(container, step) if isinstance(step, str) else container[step]  # type: ignore[index]
        if isinstance(container, ast.AST):
            parent = container
    field = path[-1] if isinstance(path[-1], str) else path[-2]  # type: ignore[assignment]
    last = path[-1]
    old = getattr(container, last) if isinstance(last, str) else container[last]  # type: ignore[index]
    new = _replaced(copy.deepcopy(old), rule, parent, field)
    assert new is not None
    if isinstance(last, str):
        setattr(container, last, new)
    else:
        container[last] = new  # type: ignore[index]
    ast.fix_missing_locations(tree)


def _text(node: ast.AST) -> str:
    """Return a node's text in one line, without the bodies of compound statements; an operator's name."""
    if isinstance(node, ast.operator | ast.cmpop | ast.boolop):
        return type(node).__name__
    return " ".join(ast.unparse(node).split())
