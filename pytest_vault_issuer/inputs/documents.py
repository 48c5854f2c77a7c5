"""Reads and writes YAML as Kubernetes does.

What users write is read, or is an error with one clear reason. PyYAML alone accepts much that fails later and
elsewhere: duplicate keys, dates, sets, numbers that JSON does not have, and aliases that expand to gigabytes. What is
written has quotes around each text that Go reads as a number, such as 8e2, which PyYAML writes without them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

#: The maximum number of values with expanded aliases. A large CustomResourceDefinition has about ten thousand.
_MOST = 1_000_000
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_MERGE = "tag:yaml.org,2002:merge"


class DocumentError(ValueError):
    """A file is wrong. The message is the reason, without the name of the file."""


class _Loader(yaml.SafeLoader):
    # A date is a text, as for Kubernetes.
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, expression) for tag, expression in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except DocumentError:
            raise
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            # PyYAML raises these for values that do not fit their tag, such as !!int without a number. It quotes the
            # value, which may be a secret, in another spelling.
            raise DocumentError(f"a value does not fit its type {node.tag.rpartition(':')[2]}{_place(node)}") from error


class _Dumper(yaml.SafeDumper):
    pass


# 8e2 is a number in JSON and for Kubernetes; YAML 1.1 requires a point and a sign. PyYAML compares only the start of a
# text with the expression, so the expression has to name the end.
for _yaml in (_Loader, _Dumper):
    _yaml.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+\Z"),
        list("-+.0123456789"),
    )


def write_documents(*documents: Any, sort_keys: bool = True, allow_unicode: bool = False, width: int = 80) -> str:
    """Return values of JSON's types as YAML documents."""
    text: str = yaml.dump_all(
        documents,
        Dumper=_Dumper,
        explicit_start=len(documents) > 1,
        sort_keys=sort_keys,
        allow_unicode=allow_unicode,
        width=width,
    )
    return text


def read_documents(path: Path) -> list[Any]:
    """Return the YAML documents of a file that are not empty.

    :raises DocumentError: if the file cannot be read, is not UTF-8 or YAML, or has values that JSON does not have.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DocumentError(error.strerror or str(error)) from error
    except ValueError as error:  # a NUL in its name
        raise DocumentError(str(error)) from error
    return parse_documents(content)


def read_document(path: Path) -> Any:
    """Return the one YAML document of a file, None for an empty file.

    :raises DocumentError: as :func:`read_documents`, and for several documents.
    """
    documents = read_documents(path)
    if len(documents) > 1:
        raise DocumentError(f"it has {len(documents)} YAML documents, not one")
    return documents[0] if documents else None


def parse_documents(content: bytes) -> list[Any]:
    """Return the YAML documents in a text that are not empty.

    :raises DocumentError: if it is not UTF-8 or YAML, or has values that JSON does not have.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"it is not UTF-8: byte {error.start} is 0x{content[error.start]:02x}") from error
    try:
        return [document for document in _load(text) if document is not None]
    except DocumentError:
        raise
    except RecursionError as error:
        raise DocumentError("it is nested too deeply") from error
    except yaml.MarkedYAMLError as error:
        # Its own text quotes the line, which may hold a secret.
        said = ": ".join(part for part in (error.context, error.problem) if part)
        raise DocumentError(f"{said}{_line(error.problem_mark)}") from error
    except yaml.YAMLError as error:
        raise DocumentError(" ".join(str(error).split())) from error


def _load(text: str) -> Iterator[Any]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            assert node is not None
            _check_size(node)
            _check_keys(node)
            yield _plain(loader.construct_document(node), "the document")
    finally:
        loader.dispose()


def _check_size(root: yaml.Node) -> None:
    """Refuse a document that contains itself, or that is too large with expanded aliases."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in open_nodes:
            raise DocumentError(f"an alias refers to a node that contains it{_place(node)}")
        if id(node) not in sizes:
            open_nodes.add(id(node))
            sizes[id(node)] = 1 + sum(map(size, _children(node)))
            open_nodes.discard(id(node))
        return sizes[id(node)]

    if size(root) > _MOST:
        raise DocumentError(f"its aliases expand to more than {_MOST} values")


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _check_keys(node: yaml.Node) -> None:
    """Refuse a duplicate key: one of its values would be lost."""
    waiting, seen = [node], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        waiting += _children(node)
        if isinstance(node, yaml.MappingNode):
            keys = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                    if key.value in keys:
                        raise DocumentError(f"the key {key.value!r} occurs twice{_place(key)}")
                    keys.add(key.value)


def _place(node: yaml.Node) -> str:
    return _line(node.start_mark)


def _line(mark: yaml.Mark | None) -> str:
    return f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _plain(value: Any, place: str) -> Any:
    """Return a value of JSON's types, with texts as keys."""
    if isinstance(value, dict):
        return {_key(key, place): _plain(item, f"{place}, {key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{place}, entry {number}") for number, item in enumerate(value)]
    if isinstance(value, str):
        return _text(value, place)
    if isinstance(value, float) and not math.isfinite(value):
        raise DocumentError(f"{place}: {value} is a number that JSON does not have")
    if value is None or isinstance(value, bool | int | float):
        return value
    raise DocumentError(f"{place}: JSON has no {type(value).__name__}")


def _key(key: Any, place: str) -> str:
    if isinstance(key, str):
        return _text(key, place)
    if isinstance(key, bool):
        return str(key).lower()
    if isinstance(key, int):
        return str(key)
    raise DocumentError(f"{place}: {key!r} cannot be a key")


def _text(text: str, place: str) -> str:
    try:
        # JSON writes some characters as two escapes, which PyYAML reads as two characters.
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise DocumentError(f"{place}: {text!r} is not text: it contains half of a surrogate pair") from error
