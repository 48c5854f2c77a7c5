"""Writes the files of a report, complete or not at all, and recognizes them later."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Any

from ..text import plain

GENERATOR = "pytest-vault-issuer"
#: The first line of a file that can hold a comment.
MARKDOWN_MARK = f"<!-- written by {GENERATOR} -->\n"
YAML_MARK = f"# written by {GENERATOR}\n"
HTML_MARK = f'<meta name="generator" content="{GENERATOR}">'
#: How the files of a report begin, by suffix.
_BEGINNINGS = {
    ".json": re.compile(r'\{\s*"schema_version": \d+,\s*"generator": \{\s*"name": "' + GENERATOR + '"'),
    ".jsonl": re.compile(r'\{"type": "run", "schema_version": '),
    ".html": re.compile(r"<!DOCTYPE html>[^\0]{0,200}?" + re.escape(HTML_MARK)),
    ".md": re.compile(re.escape(MARKDOWN_MARK)),
    ".yaml": re.compile(re.escape(YAML_MARK)),
}
_LONGEST_BEGINNING = 1000


def write_text(path: Path, text: str) -> None:
    """Write a file completely or not at all: until then, an older file stays. The umask of the user sets its mode."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def json_text(value: Any) -> str:
    """Return any value as JSON in ASCII that every JSON parser accepts."""
    text = json.dumps(plain(value), indent=2, allow_nan=False)
    return text.replace("\x7f", "\\u007f") + "\n"


def is_ours(path: Path) -> bool:
    """Whether a file belongs to an earlier report, or is empty: nothing is lost if it is replaced."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        beginning = file.read(_LONGEST_BEGINNING).decode("utf-8", "replace")
    return not beginning or bool(_BEGINNINGS[path.suffix].match(beginning))
