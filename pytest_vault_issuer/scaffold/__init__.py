"""The first files for the author of a controller: the implementation file, its RBAC, and a CI workflow."""

from .answers import Answers
from .detect import build_of, ci_of, crds_in, is_go, rbac_of
from .files import CI_SYSTEMS, GITHUB, GITLAB, render
from .repository import Detected, detect
from .suite import installed, release

__all__ = [
    "CI_SYSTEMS",
    "GITHUB",
    "GITLAB",
    "Answers",
    "Detected",
    "build_of",
    "ci_of",
    "crds_in",
    "detect",
    "installed",
    "is_go",
    "rbac_of",
    "release",
    "render",
]
