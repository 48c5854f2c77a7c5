"""The catalogue: the requirements on controllers, with their levels and citations."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from packaging.version import InvalidVersion, Version

from ..errors import ConfigurationError
from .features import AREAS, FEATURES, PROFILES, check_known

SUITE = "vault_issuer_conformance"
#: From the strongest to the weakest: the order of every list.
LEVELS = ("MUST", "SHOULD", "MAY")
#: The shape with the field names of cert-manager's API reference; some requirements only apply to it.
SHAPE = "cert-manager"
_ID = re.compile(r"VI-([A-Z]+)-[0-9]{3}")


@dataclass(frozen=True)
class Requirement:
    """One required behavior.

    :ivar id: ``VI-<AREA>-<NNN>``.
    :ivar level: MUST, SHOULD or MAY.
    :ivar feature: it applies to implementations that claim this feature; '' for all.
    :ivar citation: page and section, or contract.
    :ivar quote: a few words of the cited text; each MUST has a quote.
    :ivar since: the cert-manager version that introduced it, '' for always.
    :ivar upstream: known upstream issues.
    :ivar shape: ``cert-manager`` if it is about the field names of cert-manager's API reference, '' otherwise.
    """

    id: str
    statement: str
    level: str
    profile: str
    feature: str
    citation: str
    since: str = ""
    upstream: tuple[str, ...] = ()
    quote: str = ""
    shape: str = ""

    @property
    def area(self) -> str:
        """The area: the part of the id between the dashes."""
        return self.id.split("-")[1]

    def entry(self) -> dict[str, Any]:
        """Return what reports and lists show of it."""
        return {
            "id": self.id,
            "area": self.area,
            "level": self.level,
            "profile": self.profile,
            "feature": self.feature,
            "statement": self.statement,
            "citation": self.citation,
            "since": self.since,
            "upstream": list(self.upstream),
        }

    def later_than(self, contract: str) -> bool:
        """Whether it was introduced after a release of cert-manager ('' for the newest)."""
        return bool(self.since and contract) and Version(self.since) > Version(contract)


@dataclass(frozen=True)
class Catalogue:
    """All requirements, in the order of the areas."""

    requirements: tuple[Requirement, ...]

    @classmethod
    @cache
    def load(cls) -> Catalogue:
        """Return the catalogue of the installed suite: one file per area, in the order of :data:`~.features.AREAS`."""
        directory = resources.files(SUITE) / "requirements"
        files = [directory / f"{area.lower()}.toml" for area in AREAS]
        return cls.parse("\n".join(file.read_text() for file in files if file.is_file()))

    @classmethod
    def parse(cls, text: str) -> Catalogue:
        """Read a catalogue.

        :raises ValueError: if an entry is incomplete, or an id is wrong or not unique.
        """
        entries = tomllib.loads(text)["requirement"]
        listed = tuple(_requirement(entry) for entry in entries)
        ids = [requirement.id for requirement in listed]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"not unique: {', '.join(twice)}")
        return cls(listed)

    def __getitem__(self, identifier: str) -> Requirement:
        for requirement in self.requirements:
            if requirement.id == identifier:
                return requirement
        raise KeyError(identifier)

    @property
    def ids(self) -> list[str]:
        """All ids."""
        return [requirement.id for requirement in self.requirements]

    def features_after(self, contract: str) -> frozenset[str]:
        """Return the features that came after a release of cert-manager: those with later requirements only.

        :param contract: such as "1.15.3"; '' for the newest, which has them all.
        """
        later, before = (
            {r.feature for r in self.requirements if r.feature and r.later_than(contract) is is_later}
            for is_later in (True, False)
        )
        return frozenset(later - before)

    def select(self, profiles: tuple[str, ...], selection: tuple[str, ...] = ()) -> list[Requirement]:
        """Return the requirements of profiles; only those of the selected areas and ids, if there is a selection.

        :raises ConfigurationError: for a profile, area or id that does not exist, or that is in none of the profiles.
        """
        check_known("profile", profiles, PROFILES)
        check_known("area or requirement", selection, [*AREAS, *self.ids])
        for name in selection:
            if self._profiles_with(name).isdisjoint(profiles):
                (profile,) = self.profiles_of([name])
                raise ConfigurationError(
                    f"{name} belongs to the profile {profile}, which is not selected",
                    hint=f"add --vault-issuer-profile={profile}, or select no profile",
                )
        return [
            requirement
            for requirement in self.requirements
            if requirement.profile in profiles
            and (not selection or requirement.area in selection or requirement.id in selection)
        ]

    def profiles_of(self, selection: Iterable[str]) -> tuple[str, ...]:
        """Return the profiles to judge if the user selects only areas and ids: the first one that contains each.

        :raises ConfigurationError: for an area or id that does not exist.
        """
        check_known("area or requirement", selection, [*AREAS, *self.ids])
        first = {next(name for name in PROFILES if name in self._profiles_with(one)) for one in selection}
        return tuple(name for name in PROFILES if name in first)

    def _profiles_with(self, name: str) -> set[str]:
        """Return the profiles that contain a requirement, or requirements of an area."""
        return {requirement.profile for requirement in self.requirements if name in (requirement.id, requirement.area)}

    def one_per_area(self, profiles: tuple[str, ...]) -> list[Requirement]:
        """Return the first requirement of each area of the profiles.

        :raises ConfigurationError: for a profile that does not exist.
        """
        areas: dict[str, Requirement] = {}
        for requirement in self.select(profiles):
            areas.setdefault(requirement.area, requirement)
        return list(areas.values())


def _requirement(entry: dict[str, Any]) -> Requirement:
    requirement = Requirement(**{**entry, "upstream": tuple(entry.get("upstream", ()))})
    matched = _ID.fullmatch(requirement.id)
    if matched is None or matched[1] not in AREAS:
        raise ValueError(f"{requirement.id!r} is not VI-<AREA>-<NNN> with a known area")
    if requirement.level not in LEVELS or f" {requirement.level} " not in requirement.statement:
        raise ValueError(f"{requirement.id}: the statement does not contain its level, {requirement.level}")
    try:
        Version(requirement.since or "0")
    except InvalidVersion as error:
        raise ValueError(f"{requirement.id}: since {requirement.since!r} is not a version") from error
    if requirement.shape not in ("", SHAPE):
        raise ValueError(f"{requirement.id}: shape {requirement.shape!r} is not {SHAPE!r}")
    try:
        check_known("profile", [requirement.profile], PROFILES)
        check_known("feature", [requirement.feature], ["", *FEATURES])
    except ConfigurationError as error:
        raise ValueError(f"{requirement.id}: {error}") from error
    return requirement
