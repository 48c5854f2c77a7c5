"""The requirements that a session judges, and the tests that do not apply to the implementation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import pytest

from ..errors import ConfigurationError
from ..implementation import Implementation
from ..report.outcomes import Outcome, RequirementResult
from ..requirements.catalogue import SUITE, Catalogue, Requirement
from ..requirements.features import AREAS, KINDS, REQUEST_APIS
from ..session.session import Session
from .items import features_of, requirement_ids


@dataclass(frozen=True)
class Selection:
    """The requirements that a session judges.

    :ivar profiles: names of the profiles.
    :ivar ids: of the selected requirements; a profile may have more.
    """

    catalogue: Catalogue
    implementation: Implementation
    profiles: tuple[str, ...]
    ids: frozenset[str]

    @classmethod
    def of(cls, session: Session) -> Selection:
        """Return what a session's settings select.

        :raises ConfigurationError: when the selection or a known failure names an unknown requirement.
        """
        catalogue = Catalogue.load()
        selected = catalogue.select(session.profiles, session.settings.select)
        for identifier in session.implementation.known_failures:
            if identifier not in catalogue.ids:
                raise ConfigurationError(
                    f"[known_failures] {identifier}: the suite has no such requirement",
                    hint="list the requirements: vault-issuer requirements",
                )
        return cls(catalogue, session.implementation, session.profiles, frozenset(r.id for r in selected))

    @cached_property
    def _other_modules(self) -> frozenset[Path]:
        """The modules of the suite whose area has no selected requirement; all tests of a module belong to its area."""
        others = set(AREAS) - {self.catalogue[identifier].area for identifier in self.ids}
        modules = (Path(str(path)) for path in resources.files(SUITE).iterdir())
        return frozenset(path for path in modules if path.name.startswith("test_") and _area(path) in others)

    def leaves_out(self, path: Path) -> bool:
        """Return whether a module of the suite has no selected test. Importing all modules takes seconds of CPU."""
        return path in self._other_modules

    def check(self, item: pytest.Item) -> bool:
        """Return whether a session runs a test: it judges a selected requirement, or none at all.

        :raises ConfigurationError: if it judges an unknown requirement.
        """
        ids = requirement_ids(item)
        if unknown := [i for i in ids if i not in self.catalogue.ids]:
            raise ConfigurationError(
                f"{item.nodeid} judges {', '.join(unknown)}: the catalogue has no such requirement",
                hint="list the requirements: vault-issuer requirements",
            )
        return not ids or not self.ids.isdisjoint(ids)

    def unsupported(self, item: pytest.Item) -> str:
        """Return why a test does not apply to the implementation; '' if it applies."""
        ids = requirement_ids(item)
        if later := next(filter(None, (self._later(self.catalogue[i]) for i in ids)), ""):
            return later
        needed = {self.catalogue[i].feature for i in ids} | features_of(item)
        missing = sorted(needed - self.implementation.features - {""})
        return f"{self.implementation.name} does not claim {', '.join(missing)}" if missing else ""

    def results(self) -> dict[str, RequirementResult]:
        """Return an empty result for each requirement of the profiles, by its id."""
        members = [r for r in self.catalogue.requirements if r.profile in self.profiles]
        return {r.id: RequirementResult(r, later=self._later(r)) for r in members}

    def note_unsupported(self, results: Iterable[RequirementResult]) -> None:
        """Mark as unsupported what the implementation has no method or kind for, although it claims the feature."""
        for result in results:
            claimed = result.requirement.feature in {"", *self.implementation.features}
            if claimed and result.tests and result.outcome is Outcome.UNSUPPORTED:
                result.later = result.later or result.tests[-1].message.rpartition("unsupported: ")[2]

    def _later(self, requirement: Requirement) -> str:
        """Return why a requirement does not apply to the implementation; '' if it does."""
        implementation = self.implementation
        if requirement.later_than(implementation.contract):
            return f"since cert-manager {requirement.since}, {implementation.name} follows {implementation.contract}"
        if requirement.shape and not implementation.shape.own_fields:
            return f"about the fields of spec.vault, {implementation.name} writes its configuration in another shape"
        if (
            requirement.feature in (*KINDS.values(), *REQUEST_APIS)
            and requirement.feature not in implementation.features
        ):
            return f"{implementation.name} does not have {requirement.feature}"
        return ""


def _area(module: Path) -> str:
    """Return the area of a module of the suite, such as HEALTH of ``test_health_standby.py``."""
    return module.stem.split("_")[1].upper()
