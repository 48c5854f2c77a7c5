"""The long description: README.md with absolute links, which work on PyPI too. pyproject.toml has everything else."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
PICTURES = (".png", ".svg")


def absolute(text: str, repository: str, tag: str) -> str:
    """Return Markdown whose relative links name the files of a tag of the repository; pictures are its raw files."""

    def link(match: re.Match[str]) -> str:
        kind = "raw" if match[1].partition("#")[0].endswith(PICTURES) else "blob"
        return f"]({repository}/{kind}/{tag}/{match[1]})"

    return re.sub(r"\]\((?![a-z]+:|#)([^)\s]+)\)", link, text)


project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
setup(
    long_description=absolute(
        (ROOT / "README.md").read_text(encoding="utf-8"), project["urls"]["Source"], f"v{project['version']}"
    ),
    long_description_content_type="text/markdown",
)
