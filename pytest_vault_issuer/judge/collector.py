"""Collects the tests that a session runs, and detects tests that something leaves out."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from . import certification
from .items import name_of, requirement_ids, spread
from .selection import Selection


@dataclass(frozen=True)
class PlannedTest:
    """A test that the session runs.

    :ivar nodeid: its node id in reports.
    :ivar requirements: ids of what it judges.
    """

    nodeid: str
    requirements: list[str]


class Collector:
    """Selects the tests of the selected requirements.

    :ivar planned: each test that this process runs and that judges a requirement, by node id.
    """

    def __init__(self, selection: Selection, *, certify: bool) -> None:
        self._selection = selection
        self._certify = certify
        self._seen: dict[str, None] = {}  # node ids, in order
        self.planned: dict[str, PlannedTest] = {}

    @property
    def has_seen(self) -> bool:
        """Whether a test that judges a requirement was collected."""
        return bool(self._seen)

    def see(self, item: pytest.Item) -> None:
        """Note a test that judges a requirement, before any other plugin can leave it out."""
        if requirement_ids(item):
            self._seen[item.nodeid] = None

    def choose(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """Keep the tests of the selected requirements in a list, slow ones early, and return the others.

        :raises ConfigurationError: when a test judges an unknown requirement.
        """
        kept: list[pytest.Item] = []
        dropped: list[pytest.Item] = []
        for item in items:
            (kept if self._selection.check(item) else dropped).append(item)
        for item in dropped:
            self._seen.pop(item.nodeid, None)
        items[:] = spread(kept)
        return dropped

    def plan(self, items: list[pytest.Item]) -> None:
        """Note the tests that run.

        :raises ConfigurationError: in certify mode, when a plugin or an option left out a selected test.
        """
        for item in items:
            if ids := requirement_ids(item):
                self.planned[item.nodeid] = PlannedTest(name_of(item), ids)
        if self._certify:
            here = {item.nodeid for item in items}
            certification.check_collection([nodeid for nodeid in self._seen if nodeid not in here])
