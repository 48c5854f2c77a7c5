"""Generates parts of pages from the code: replaces each comment ``<!-- generated: NAME ARGUMENTS -->``.

It also writes one page per area of requirements into ``requirements/``, and what is published with the documentation
into ``_published/``.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import generated
import wire
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

_MARK = re.compile(r"^<!-- generated: (.+?) -->$", re.MULTILINE)
#: Its files are copied into the output: `html_extra_path` in conf.py.
PUBLISHED = "_published"
_MAKERS = {**generated.MAKERS, "architecture": wire.architecture, "wire": wire.picture}


def replace_marks(text: str) -> str:
    """Return the source of a page with its comments replaced.

    :raises ExtensionError: for a comment with an unknown name.
    """

    def made(mark: re.Match[str]) -> str:
        name, *arguments = shlex.split(mark[1])
        if name not in _MAKERS:
            raise ExtensionError(f"cannot generate {name}, only: {', '.join(_MAKERS)}")
        return _MAKERS[name](*arguments)

    return _MARK.sub(made, text)


def _on_source_read(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = replace_marks(source[0])


def _on_builder_inited(app: Sphinx) -> None:
    directory = Path(app.srcdir) / "requirements"
    directory.mkdir(exist_ok=True)
    for name, text in generated.requirement_pages().items():
        path = directory / f"{name}.md"
        # Sphinx reads a page again if its file is newer than the output.
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _publish_reports(app: Sphinx) -> None:
    directory = Path(app.srcdir) / PUBLISHED
    shutil.rmtree(directory)
    directory.mkdir()
    for name, text in generated.published_files().items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("builder-inited", _on_builder_inited)
    app.connect("builder-inited", _publish_reports)
    app.connect("source-read", _on_source_read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
