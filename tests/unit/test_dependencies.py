"""Version ranges of the dependencies in pyproject.toml."""

from __future__ import annotations

import tomllib

import pytest
from packaging.requirements import Requirement

from tests.support.reader import ROOT

#: A new major release could change how these verify certificates, authenticate, retry, escape, or imitate AWS.
SAFETY = ("hvac", "requests", "kubernetes", "Jinja2", "moto", "flask")


def declared() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    return {requirement.name: requirement for requirement in map(Requirement, texts)}


@pytest.mark.parametrize("name", SAFETY)
def test_a_release_that_can_change_safety_is_excluded_until_it_is_tested(name: str) -> None:
    """An upper bound that admits the next major release does not exclude it."""
    specifier = declared()[name].specifier
    (lower,) = [int(part.version.split(".")[0]) for part in specifier if part.operator == ">="]
    upper = [int(part.version.split(".")[0]) for part in specifier if part.operator == "<"]
    assert upper, f"{name}{specifier} has no upper bound"
    # kubernetes has a major release for each minor release of Kubernetes; we test several.
    assert upper[0] == lower + 1 or name == "kubernetes", f"{name}{specifier} admits more than one major release"
