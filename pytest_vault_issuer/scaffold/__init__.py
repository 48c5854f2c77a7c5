"""The files an issuer's author starts with: the implementation file, its RBAC, and a CI workflow."""

from .answers import Answers
from .files import CI_SYSTEMS, GITHUB, GITLAB, render

__all__ = ["CI_SYSTEMS", "GITHUB", "GITLAB", "Answers", "render"]
