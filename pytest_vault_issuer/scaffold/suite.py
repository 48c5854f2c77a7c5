"""How a CI job gets pytest-vault-issuer: only from where the installed copy shows that it exists."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..version import __version__

_NAME = "pytest-vault-issuer"
_EXTRAS = "[xdist,go,aws]"
#: What a user replaces, if the folder is unknown.
_CLONE = "PATH-OF-A-CLONE"
#: URLs that need no quotes in a shell.
_PLAIN = re.compile(r"https://[\w./:@+~%-]+")


@dataclass(frozen=True)
class Suite:
    """The suite that a CI job installs.

    :ivar revision: version or commit. In the job, it is the value of the variable ``SUITE``.
    :ivar requirement: what pip installs, with ``$SUITE``, for a shell's double quotes.
    :ivar comment: one sentence that states what it is.
    :ivar source: folder or file of this machine that it comes from; '' if a job can get it by itself.
    """

    revision: str
    requirement: str
    comment: str
    source: str = ""

    def preparation(self, directory: Path) -> str:
        """Return the command that puts the wheel a job needs into a directory; '' if it needs none."""
        if not self.source:
            return ""
        return shlex.join(["pip", "wheel", "--no-deps", "--wheel-dir", str(directory), self.source])


def release(version: str = __version__) -> Suite:
    """Return a release from the package index."""
    return Suite(version, f"{_NAME}{_EXTRAS}==$SUITE", f"the release of {_NAME} that judges")


def installed() -> Suite:
    """Return the suite that is installed here.

    pip and uv record a source other than an index in ``direct_url.json``
    (https://packaging.python.org/en/latest/specifications/direct-url/). A copy without this record is a release. CI
    can get a commit or a file from the same HTTPS URL. It cannot reach a folder or a file of this machine: the
    controller's repository then has to contain a wheel.
    """
    try:
        recorded = distribution(_NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        return _wheel(_CLONE)
    return from_record(recorded) if recorded else release()


def from_record(text: str) -> Suite:
    """Return what the content of ``direct_url.json`` describes."""
    record = json.loads(text)
    url = record["url"]
    commit = record.get("vcs_info", {}).get("commit_id", "")
    plain = _PLAIN.fullmatch(url) and "subdirectory" not in record
    if plain and record.get("vcs_info", {}).get("vcs") == "git" and re.fullmatch(r"[0-9a-f]{40,64}", commit):
        return Suite(commit, f"{_NAME}{_EXTRAS} @ git+{url}@$SUITE", f"the commit of {_NAME} that judges")
    if plain and "archive_info" in record:
        digest = record["archive_info"].get("hashes", {}).get("sha256", "")
        pin = f"#sha256={digest}" if re.fullmatch(r"[0-9a-f]{64}", digest) else ""
        return Suite(__version__, f"{_NAME}{_EXTRAS} @ {url}{pin}", f"the version of {_NAME} that judges")
    parts = urlsplit(url)
    return _wheel(unquote(parts.path) if parts.scheme == "file" else _CLONE)


def _wheel(source: str) -> Suite:
    file = f"pytest_vault_issuer-{__version__}-py3-none-any.whl"
    return Suite(
        __version__,
        f"./{file.replace(__version__, '$SUITE')}{_EXTRAS}",
        f"the version of {_NAME} that judges; this repository contains its wheel, {file}",
        source,
    )
