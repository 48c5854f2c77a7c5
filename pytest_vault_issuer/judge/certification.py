"""Certify mode: a run whose report may be shown to others, because nothing was left out and it can be repeated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigurationError
from ..implementation import Implementation
from ..requirements.features import BY_PROFILE
from ..toolchain.images import tag_of

OPTION = "--vault-issuer-certify"
#: A version that stays what it is: 1.4, v1.4.0-rc.1+build; not main, latest or a commit.
_RELEASE = re.compile(r"v?\d+(\.\d+)+([-+.]?[0-9A-Za-z][0-9A-Za-z.+-]*)?")
#: Options of pytest and its usual plugins that leave tests out, repeat them or do not call them, by destination.
_REFUSED = {
    "keyword": "-k",
    "markexpr": "-m",
    "deselect": "--deselect",
    "ignore": "--ignore",
    "ignore_glob": "--ignore-glob",
    "maxfail": "-x or --maxfail",
    "lf": "--lf",
    "failedfirst": "--ff",
    "stepwise": "--stepwise",
    "reruns": "--reruns",
    "retries": "--retries",
    "force_flaky": "--force-flaky",
    "continue_on_collection_errors": "--continue-on-collection-errors",
    "setupplan": "--setup-plan",  # before --setup-only, which it implies
    "setuponly": "--setup-only",
}


def check_implementation(implementation: Implementation) -> None:
    """Check that a report can say whom it is about.

    :raises ConfigurationError: for a version or an image that is no release, or when nobody answers for it.
    """
    if not _RELEASE.fullmatch(implementation.version):
        raise ConfigurationError(
            f"{OPTION}: the version {implementation.version!r} is no release",
            hint="a branch or a tag that moves says nothing later: certify a version such as 1.4.0",
        )
    for image in filter(None, (implementation.run.image, *implementation.run.images)):
        if "@" not in image and not _RELEASE.fullmatch(tag_of(image)):
            raise ConfigurationError(
                f"{OPTION}: the image {image} is no release",
                hint="a branch or a tag that moves says nothing later: name a tag such as 1.4.0, or a digest",
            )
    for key in ("organization", "url", "contact"):
        if not getattr(implementation, key):
            raise ConfigurationError(
                f"{OPTION}: [implementation] {key} is missing", hint="a report says who made it and whom to ask"
            )


def check_options(options: Mapping[str, Any], arguments: list[str], suite: str) -> None:
    """Check that the command line runs the whole suite, once.

    :param options: pytest's, by destination.
    :param arguments: what pytest is to collect.
    :param suite: what it has to be.
    :raises ConfigurationError: naming the option that leaves something out.
    """
    for destination, option in _REFUSED.items():
        if options.get(destination):
            raise ConfigurationError(
                f"{OPTION} and {option} do not go together", hint="run the suite whole and each test once"
            )
    if arguments != [suite]:
        raise ConfigurationError(
            f"{OPTION} runs the whole suite, not {' '.join(arguments)}", hint=f"pytest --pyargs {suite}"
        )


def check_collection(missing: list[str]) -> None:
    """Check that nobody left out tests after they were collected.

    :param missing: node ids of those that are to be run and will not be.
    :raises ConfigurationError: naming the first.
    """
    if missing:
        raise ConfigurationError(
            f"{OPTION}: {len(missing)} tests were left out: {missing[0]}{', ...' if len(missing) > 1 else ''}",
            hint="leave out the option, conftest or plugin that does so",
        )


def check_selection(implementation: Implementation, profiles: tuple[str, ...], selection: tuple[str, ...]) -> None:
    """Check that everything the implementation claims is judged.

    :raises ConfigurationError: naming what is claimed and not selected.
    """
    if selection:
        raise ConfigurationError(
            f"{OPTION} and --vault-issuer-select do not go together", hint="leave --vault-issuer-select out"
        )
    for profile, features in BY_PROFILE.items():
        claimed = sorted(implementation.features.intersection(features))
        if claimed and profile not in profiles:
            raise ConfigurationError(
                f"{OPTION}: {', '.join(claimed)} claimed, and the profile {profile} is not selected",
                hint=f"add --vault-issuer-profile={profile}, or claim less",
            )
