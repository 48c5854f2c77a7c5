"""The mark that assigns requirements to a test; the requirements and features of a test; the order of tests."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

import pytest

from ..requirements.catalogue import SUITE
from ..requirements.features import KINDS

REQUIREMENT = "vault_issuer_requirement"


def requirement(*identifiers: str) -> pytest.MarkDecorator:
    """Return the mark for the requirements that a test judges.

    :param identifiers: ids of requirements.
    """
    return getattr(pytest.mark, REQUIREMENT)(*identifiers)  # type: ignore[no-any-return]


def requirement_ids(item: pytest.Item) -> list[str]:
    """Return the ids of the requirements that a test judges."""
    return [identifier for mark in item.iter_markers(REQUIREMENT) for identifier in mark.args]


def features_of(item: pytest.Item) -> set[str]:
    """Return the features that a test's parameters need, such as an auth method or a kind of issuer object.

    The parameters are ``feature``, ``other_feature``, ``kind`` and ``other_kind``.
    """
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    needed = {parameters[name] for name in ("feature", "other_feature") if name in parameters}
    return needed | {KINDS[parameters[name]] for name in ("kind", "other_kind") if parameters.get(name) in KINDS}


def name_of(item: pytest.Item) -> str:
    """Return a test's node id; for a test of the suite, one that does not depend on the place of installation."""
    if item.path.parent != _suite_directory():
        return item.nodeid
    return f"{SUITE}/{item.path.name}::{item.nodeid.partition('::')[2]}"


@cache
def _suite_directory() -> Path:
    return Path(str(resources.files(SUITE)))


def spread(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests in an order that spreads those marked slow evenly over the first half.

    pytest-xdist gives neighboring tests to the same worker. Slow tests side by side would all go to one worker, and at
    the end the session would wait for them alone.
    """
    slow = [item for item in items if item.get_closest_marker("slow")]
    ordered = [item for item in items if not item.get_closest_marker("slow")]
    step = len(ordered) / 2 / len(slow) if slow else 0
    for number, item in enumerate(slow):
        ordered.insert(number + round(number * step), item)
    return ordered
