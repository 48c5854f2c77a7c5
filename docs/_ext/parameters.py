"""The list of the parameters of Vault and OpenBao: reads it, compares it with a server, and makes its page."""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "vault-parameters.toml"
SERVERS = {"vault": "Vault", "openbao": "OpenBao"}


class ListError(ValueError):
    """The list contradicts itself."""


@dataclass(frozen=True)
class Coverage:
    """What covers some parameters or paths.

    :ivar names: of the parameters, or patterns of the paths.
    :ivar requirements: ids.
    :ivar reason: one sentence, '' if the requirements say all.
    :ivar server: a key of `SERVERS`, '' for both.
    """

    names: tuple[str, ...]
    requirements: tuple[str, ...]
    reason: str
    server: str

    def is_of(self, server: str) -> bool:
        """Whether a server has it."""
        return self.server in ("", server)


@dataclass
class Endpoint:
    """Paths with the same parameters."""

    title: str
    paths: tuple[str, ...]
    server: str
    coverages: list[Coverage] = field(default_factory=list)


@dataclass(frozen=True)
class Listing:
    """The list."""

    endpoints: Mapping[str, Endpoint]
    paths: tuple[Coverage, ...]

    def parameters(self, server: str) -> dict[str, set[str]]:
        """Return the listed parameters of a server by path.

        :raises ListError: if a parameter of a path is listed twice.
        """
        found: dict[str, set[str]] = {}
        for endpoint in self.endpoints.values():
            if endpoint.server not in ("", server):
                continue
            for path in endpoint.paths:
                names = found.setdefault(path, set())
                for coverage in filter(lambda coverage: coverage.is_of(server), endpoint.coverages):
                    if twice := names.intersection(coverage.names):
                        raise ListError(f"{FILE.name} lists {', '.join(sorted(twice))} of {path} twice")
                    names.update(coverage.names)
        return found

    def differences(self, server: str, seen: Mapping[str, set[str]]) -> list[str]:
        """Return how a server differs from the list, each with what to change; [] if it does not.

        :param seen: the server's parameters by path.
        """
        name, listed = SERVERS[server], self.parameters(server)
        patterns = [pattern for coverage in self.paths if coverage.is_of(server) for pattern in coverage.names]
        return [
            *_new_paths(name, seen, listed, patterns),
            *_gone_paths(name, seen, listed, patterns),
            *_changed(name, seen, listed),
        ]


def _new_paths(
    server: str, seen: Mapping[str, set[str]], listed: Mapping[str, set[str]], patterns: list[str]
) -> Iterator[str]:
    for path, names in seen.items():
        if path not in listed and not any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
            yield (
                f"{server} has the path {path} ({', '.join(sorted(names)) or 'no parameters'}), which is not in the"
                " list: add it to an [endpoints] table or to [[paths]]"
            )


def _gone_paths(
    server: str, seen: Mapping[str, set[str]], listed: Mapping[str, set[str]], patterns: list[str]
) -> Iterator[str]:
    for path in listed:
        if path not in seen:
            yield f"{server} has no path {path}: remove it from its [endpoints] table, or set its server"
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(path, pattern) for path in seen if path not in listed):
            yield f"{server} has no path {pattern}: remove it from [[paths]], or set its server"


def _changed(server: str, seen: Mapping[str, set[str]], listed: Mapping[str, set[str]]) -> Iterator[str]:
    for path in listed:
        if path not in seen:
            continue
        for name in sorted(seen[path] - listed[path]):
            yield (
                f"{server} has the parameter {name} of {path}, which is not in the list: add it to [[parameters]] with"
                " the requirements that cover it, or with the reason why none can"
            )
        for name in sorted(listed[path] - seen[path]):
            yield f"{server} has no parameter {name} of {path}: remove it from [[parameters]], or set its server"


def load(text: str | None = None) -> Listing:
    """Read the list.

    :param text: default the content of `FILE`.
    :raises ListError: if an entry names an unknown endpoint.
    """
    content = tomllib.loads(FILE.read_text(encoding="utf-8") if text is None else text)
    endpoints = {
        name: Endpoint(entry["title"], tuple(entry["paths"]), entry.get("server", ""))
        for name, entry in content["endpoints"].items()
    }
    for entry in content["parameters"]:
        if unknown := set(entry["endpoints"]) - set(endpoints):
            raise ListError(f"{FILE.name} has no [endpoints.{min(unknown)}], which {entry['names']} name")
        for name in entry["endpoints"]:
            endpoints[name].coverages.append(_coverage(entry, "names"))
    return Listing(endpoints, tuple(_coverage(entry, "patterns") for entry in content["paths"]))


def _coverage(entry: Mapping[str, Any], names: str) -> Coverage:
    return Coverage(
        tuple(entry[names]), tuple(entry.get("requirements", ())), entry.get("reason", ""), entry.get("server", "")
    )


# -- the page -------------------------------------------------------------------------------------------------


def sections() -> str:
    """Return a section with a table for each endpoint, and one for the paths that are not listed."""
    listing = load()
    lines: list[str] = []
    for endpoint in listing.endpoints.values():
        lines += [f"## {endpoint.title}", "", f"{_only(endpoint.server)}{_code(endpoint.paths)}", ""]
        lines += _table("parameters", endpoint.coverages)
    lines += ["## Other paths", "", "The parameters of these paths are not listed.", ""]
    return "\n".join([*lines, *_table("paths", listing.paths)])


def _table(what: str, coverages: list[Coverage] | tuple[Coverage, ...]) -> list[str]:
    rows = [f"| {what} | requirements | |", "|---|---|---|"]
    for coverage in coverages:
        requirements = ", ".join(map(_link, coverage.requirements))
        note = f"{_only(coverage.server)}{coverage.reason}".strip()
        rows.append(f"| {_code(coverage.names)} | {requirements} | {note} |")
    return [*rows, ""]


def _only(server: str) -> str:
    return f"{SERVERS[server]} only. " if server else ""


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _link(identifier: str) -> str:
    area = identifier.split("-")[1].lower()
    return f"[{identifier}](requirements/{area}.md#{identifier.lower()})"
