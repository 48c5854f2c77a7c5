"""The files an issuer's author starts with: the implementation file, its RBAC, and a CI workflow."""

from .answers import Answers
from .files import CI_SYSTEMS, GITHUB, GITLAB, render
from .surroundings import ci_of, crds_in, rbac_in

__all__ = ["CI_SYSTEMS", "GITHUB", "GITLAB", "Answers", "ci_of", "crds_in", "rbac_in", "render"]
