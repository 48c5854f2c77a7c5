"""Certify mode: rejects everything that makes a report incomplete or impossible to repeat."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ConfigurationError
from ..implementation import Implementation
from ..options import Settings
from ..requirements.features import BY_PROFILE
from ..toolchain import Origin
from ..toolchain.images import tag_of
from ..toolchain.sources import PINNED

OPTION = "--vault-issuer-certify"
#: A version that does not change, such as 1.4 or v1.4.0-rc.1+build; not main, latest or a commit.
_RELEASE = re.compile(r"v?\d+(\.\d+)+([-+.]?[0-9A-Za-z][0-9A-Za-z.+-]*)?")
#: Options of pytest and common plugins that leave tests out, repeat them or do not run them, by destination.
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
    """Check that a report can identify the implementation and its vendor.

    :raises ConfigurationError: when a version or an image is not a release, or the vendor is missing.
    """
    if not _RELEASE.fullmatch(implementation.version):
        raise ConfigurationError(
            f"{OPTION}: the version {implementation.version!r} is not a release",
            hint="certify a version that does not change, such as 1.4.0",
        )
    for image in filter(None, (implementation.run.image, *implementation.run.images)):
        if "@" not in image and not _RELEASE.fullmatch(tag_of(image)):
            raise ConfigurationError(
                f"{OPTION}: the image {image} is not a release",
                hint="use a tag that does not change, such as 1.4.0, or a digest",
            )
    for key in ("organization", "url", "contact"):
        if not getattr(implementation, key):
            raise ConfigurationError(
                f"{OPTION}: [implementation] {key} is missing",
                hint="add it: a certified report names the vendor and a contact",
            )


def check_settings(settings: Settings, provider: str) -> None:
    """Check that others can get the binaries of the session: none is the user's own.

    :param provider: name of the provider of the stack.
    :raises ConfigurationError: naming the option or the provider.
    """
    for name, value in (
        ("--vault-issuer-vault-binary", settings.vault_binary),
        ("--vault-issuer-kubernetes-binaries", settings.kubernetes_binaries),
    ):
        if value is not None and provider == "process" and settings.join is None:
            raise ConfigurationError(
                f"{OPTION} and {name}={value} cannot be combined",
                hint="remove the option, or unset KUBEBUILDER_ASSETS: others must be able to get the binaries",
            )
    if provider == "existing":
        raise ConfigurationError(
            f"{OPTION}: the binaries of an existing Vault and cluster are not known",
            hint="use --vault-issuer-stack=process or --vault-issuer-stack=kind",
        )


def check_origins(origins: Iterable[Origin]) -> None:
    """Check that the binaries of the session are pinned, and none is the user's own.

    :raises ConfigurationError: naming the first that is not; or if they are not known.
    """
    origins = list(origins)
    if not {"vault"} <= {origin.binary for origin in origins}:
        raise ConfigurationError(
            f"{OPTION}: the binaries of the stack are not known",
            hint="remove the stack, which an older version started, and start another",
        )
    for origin in origins:
        if origin.refusal:
            raise ConfigurationError(f"{OPTION}: {origin.refusal}", hint=PINNED)


def check_options(options: Mapping[str, Any], arguments: list[str], suite: str) -> None:
    """Check that the command line runs the whole suite, once.

    :param options: pytest's, by destination.
    :param arguments: what pytest collects.
    :param suite: what it must collect.
    :raises ConfigurationError: naming the option that leaves something out.
    """
    for destination, option in _REFUSED.items():
        if options.get(destination):
            raise ConfigurationError(
                f"{OPTION} and {option} cannot be combined", hint="run the whole suite, and each test once"
            )
    if arguments != [suite]:
        raise ConfigurationError(
            f"{OPTION} runs the whole suite, got {' '.join(arguments)}", hint=f"run: pytest --pyargs {suite}"
        )


def check_collection(missing: list[str]) -> None:
    """Check that no plugin or option left out tests after they were collected.

    :param missing: node ids of selected tests that do not run.
    :raises ConfigurationError: naming the first.
    """
    if missing:
        raise ConfigurationError(
            f"{OPTION}: {len(missing)} tests were left out: {missing[0]}{', ...' if len(missing) > 1 else ''}",
            hint="remove the option, conftest or plugin that leaves them out",
        )


def check_selection(implementation: Implementation, profiles: tuple[str, ...], selection: tuple[str, ...]) -> None:
    """Check that the session judges everything that the implementation claims.

    :raises ConfigurationError: naming what is claimed and not selected.
    """
    if selection:
        raise ConfigurationError(
            f"{OPTION} and --vault-issuer-select cannot be combined", hint="remove --vault-issuer-select"
        )
    for profile, features in BY_PROFILE.items():
        claimed = sorted(implementation.features.intersection(features))
        if claimed and profile not in profiles:
            raise ConfigurationError(
                f"{OPTION}: the implementation claims {', '.join(claimed)}, but the profile {profile} is not selected",
                hint=f"add --vault-issuer-profile={profile}, or do not claim them",
            )
