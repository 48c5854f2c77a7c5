"""What keeps a JSON value from fulfilling a JSON Schema: as much of the language as the schema of reports uses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

#: Characters of a value that are quoted in a problem.
_QUOTED = 60
_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: _TYPES["number"](value) and value == value // 1,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
#: Keywords that say nothing of a value, or are read with others.
NO_RULES = frozenset({"$schema", "$id", "$defs", "title", "description"})


def problems(value: Any, schema: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a value, each with its place, such as ``requirements[0].tests``.

    :param schema: a whole one: its ``$ref`` lead into it.
    :raises KeyError: for a keyword that is not known here.
    """
    yield from _Rules(schema).problems(value, schema, "")


class _Rules:
    """The keywords of a schema. Each method says what is wrong with the value of a place."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root

    def problems(self, value: Any, schema: Any, place: str) -> Iterator[str]:
        if schema is True:
            return
        if schema is False:
            yield f"{place} is not expected"
            return
        for keyword, argument in schema.items():
            if keyword not in NO_RULES:
                yield from RULES[keyword](self, value, argument, place, schema)

    def ref(self, value: Any, argument: str, place: str, schema: Any) -> Iterator[str]:
        found: Any = self._root
        for part in argument.removeprefix("#/").split("/"):
            found = found[part]
        yield from self.problems(value, found, place)

    def type(self, value: Any, argument: str | list[str], place: str, schema: Any) -> Iterator[str]:
        wanted = [argument] if isinstance(argument, str) else argument
        if not any(_TYPES[name](value) for name in wanted):
            yield f"{place or 'all of it'} is to be of type {' or '.join(wanted)}, not {_quoted(value)}"

    def const(self, value: Any, argument: Any, place: str, schema: Any) -> Iterator[str]:
        if not _equal(value, argument):
            yield f"{place} is to be {_quoted(argument)}, not {_quoted(value)}"

    def enum(self, value: Any, argument: list[Any], place: str, schema: Any) -> Iterator[str]:
        if not any(_equal(value, allowed) for allowed in argument):
            yield f"{place} is to be one of {', '.join(map(str, argument))}, not {_quoted(value)}"

    def required(self, value: Any, argument: list[str], place: str, schema: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from (f"{_inside(place, name)} is missing" for name in argument if name not in value)

    def properties(self, value: Any, argument: dict[str, Any], place: str, schema: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in argument.items():
                if name in value:
                    yield from self.problems(value[name], inner, _inside(place, name))

    def additional(self, value: Any, argument: Any, place: str, schema: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for name in value:
                if name not in schema.get("properties", {}):
                    yield from self.problems(value[name], argument, _inside(place, name))

    def names(self, value: Any, argument: Any, place: str, schema: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for name in value:
                yield from self.problems(name, argument, f"the name {_inside(place, name)}")

    def items(self, value: Any, argument: Any, place: str, schema: Any) -> Iterator[str]:
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from self.problems(item, argument, f"{place}[{index}]")

    def length(self, value: Any, argument: int, place: str, schema: Any) -> Iterator[str]:
        if isinstance(value, str) and len(value) < argument:
            yield f"{place} is to have a text"

    def fewest(self, value: Any, argument: int, place: str, schema: Any) -> Iterator[str]:
        if isinstance(value, list) and len(value) < argument:
            yield f"{place} is to have at least {argument} items"

    def most(self, value: Any, argument: int, place: str, schema: Any) -> Iterator[str]:
        if isinstance(value, list) and len(value) > argument:
            yield f"{place} is to have at most {argument} items"

    def unique(self, value: Any, argument: bool, place: str, schema: Any) -> Iterator[str]:
        if isinstance(value, list) and argument and len({json.dumps(i, sort_keys=True) for i in value}) < len(value):
            yield f"{place} is to have each item once"

    def pattern(self, value: Any, argument: str, place: str, schema: Any) -> Iterator[str]:
        if isinstance(value, str) and not re.search(argument, value):
            yield f"{place} is to match {argument}, not {_quoted(value)}"

    def format(self, value: Any, argument: str, place: str, schema: Any) -> Iterator[str]:
        if isinstance(value, str) and not _FORMATS[argument](value):
            yield f"{place} is to be a {argument}, not {_quoted(value)}"

    def minimum(self, value: Any, argument: float, place: str, schema: Any) -> Iterator[str]:
        if _TYPES["number"](value) and value < argument:
            yield f"{place} is to be at least {argument}, not {_quoted(value)}"

    def maximum(self, value: Any, argument: float, place: str, schema: Any) -> Iterator[str]:
        if _TYPES["number"](value) and value > argument:
            yield f"{place} is to be at most {argument}, not {_quoted(value)}"

    def above(self, value: Any, argument: float, place: str, schema: Any) -> Iterator[str]:
        if _TYPES["number"](value) and value <= argument:
            yield f"{place} is to be more than {argument}, not {_quoted(value)}"


#: What each keyword asks of a value.
RULES: dict[str, Callable[[_Rules, Any, Any, str, Any], Iterator[str]]] = {
    "$ref": _Rules.ref,
    "type": _Rules.type,
    "const": _Rules.const,
    "enum": _Rules.enum,
    "required": _Rules.required,
    "properties": _Rules.properties,
    "additionalProperties": _Rules.additional,
    "propertyNames": _Rules.names,
    "items": _Rules.items,
    "minLength": _Rules.length,
    "minItems": _Rules.fewest,
    "maxItems": _Rules.most,
    "uniqueItems": _Rules.unique,
    "pattern": _Rules.pattern,
    "format": _Rules.format,
    "minimum": _Rules.minimum,
    "maximum": _Rules.maximum,
    "exclusiveMinimum": _Rules.above,
}


def _moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


_FORMATS: dict[str, Callable[[str], bool]] = {"date-time": _moment}


def _equal(one: Any, other: Any) -> bool:
    """JSON's true is not its 1, as it is in Python."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _quoted(value: Any) -> str:
    """A value as short JSON."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
