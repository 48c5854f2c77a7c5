"""The sources of binaries, and which of them a user allows."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from .digests import digest_of
from .images import tag_of

#: Environment variable with the allowed sources, separated by commas; default: all.
VARIABLE = "VAULT_ISSUER_SOURCES"
#: Environment variable with the URL or directory of a mirror, which replaces every host.
MIRROR = "VAULT_ISSUER_MIRROR"
WHEEL, DOWNLOAD, BUILD = "wheel", "download", "build"
#: Sources that are not the toolchain's: a path that the user names, and a container image.
USER, IMAGE = "user", "image"
#: Source of the CRDs that this package contains.
PACKAGE = "package"
#: In words: a part without an allowed source.
MISSING = "missing"
#: In the order in which they are tried. What the user names comes before all of them.
SOURCES = (WHEEL, DOWNLOAD, BUILD)
#: What to do about a binary that is not pinned.
PINNED = "use the binaries that this package pins or builds, or images that the engine pulled by or with a digest"


@dataclass(frozen=True)
class Origin:
    """Where a binary comes from.

    :ivar source: ``wheel``, ``download``, ``build``, ``user`` or ``image``.
    :ivar version: of the program; '' if it is unknown.
    :ivar url: address of the download, distribution of the wheel, Go package, path of the user, or name of the image.
    :ivar sha256: of the program, or of the manifest of its image, in hexadecimal; '' if it is unknown.
    :ivar pinned: whether its contents are known: this package pins them by their own digest, by that of their archive,
        or by go.sum; or the image has a digest.
    """

    binary: str
    source: str
    version: str
    url: str
    sha256: str
    pinned: bool

    @property
    def refusal(self) -> str:
        """Why a report with this binary cannot be certified; '' if it can: others must get the same binary."""
        if self.source == USER:
            return f"{self.binary} is a binary of your own: {self.url}"
        if self.source not in (*SOURCES, IMAGE):
            return f"{self.binary} comes from an unknown source: {self.source}"
        if not (self.pinned and self.sha256):
            return f"{self.binary} is not pinned: {self.url}"
        return ""


def of_user(binary: str, path: Path) -> Origin:
    """Return the origin of a binary that the user names. This reads the whole file for its digest."""
    return Origin(binary, USER, "", str(path), digest_of(path), False)


def of_image(binary: str, image: str, digest: str = "") -> Origin:
    """Return the origin of a binary in a container image.

    :param image: name, with a tag or digest.
    :param digest: of the image, such as ``sha256:...``, if the name has none; '' if it is unknown.
    """
    name, _, own = image.partition("@")
    sha256 = (own or digest).removeprefix("sha256:")
    return Origin(binary, IMAGE, tag_of(name), image, sha256, bool(sha256))


def allowed() -> tuple[str, ...]:
    """Return the sources that the user allows, in their order.

    :raises ConfigurationError: for an unknown source.
    """
    text = os.environ.get(VARIABLE, "")
    named = [word for word in re.split(r"[,\s]+", text) if word]
    if unknown := [word for word in named if word not in SOURCES]:
        raise ConfigurationError(
            f"{VARIABLE}={text}: there is no source {unknown[0]}", hint=f"one or more of: {','.join(SOURCES)}"
        )
    return tuple(source for source in SOURCES if source in (named or SOURCES))


def at_mirror(url: str) -> str:
    """Return the address of a file in the mirror: its URL, or its path in a directory; `url` without a mirror.

    :raises ConfigurationError: for a mirror that is neither.
    """
    mirror = os.environ.get(MIRROR, "")
    if not mirror:
        return url
    parts = urlsplit(url)
    scheme = urlsplit(mirror).scheme
    if scheme not in ("http", "https") and not Path(mirror).is_absolute():
        raise ConfigurationError(
            f"{MIRROR} must be a URL or an absolute path, got {mirror}", hint="for example https://mirror.test/binaries"
        )
    return f"{mirror.rstrip('/')}/{parts.netloc}{parts.path}"
