"""Names of container images: none whose version moves, and how they are called in a mirror."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import ConfigurationError

#: The Vault of a run that names no other: the version that the toolchain builds.
VAULT_IMAGE = "hashicorp/vault:1.21.0"
_IMAGE = re.compile(r"(\[[0-9a-fA-F:]+\](:[0-9]+)?/)?[\w.-]+([./:_-]+[\w.-]+)*(@\w+:[0-9a-fA-F]+)?")


@dataclass(frozen=True)
class NeededImage:
    """An image that the container engine has to have before a run.

    :ivar purpose: for people.
    :ivar in_nodes: whether it is loaded into the nodes of the cluster.
    """

    image: str
    purpose: str
    in_nodes: bool = False


def check_image(option: str, image: str) -> None:
    """Refuse an image whose version moves.

    :param option: the place where it is named.
    :raises ConfigurationError: for one without tag and digest, or with the tag ``latest``; and for what cannot be one.
    """
    if image and not _IMAGE.fullmatch(image):
        raise ConfigurationError(
            f"{option}={image} is not the name of an image", hint=f"for example {VAULT_IMAGE}; no scheme, no spaces"
        )
    if "@" not in image and tag_of(image) in ("", "latest"):
        raise ConfigurationError(
            f"{option}={image} names no version", hint=f"for example {image.removesuffix(':latest')}:1.2.3, or a digest"
        )


def tag_of(image: str) -> str:
    """Return an image's tag, '' where it has none."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def mirrored(image: str, mirror: str) -> str:
    """Return an image's name in a mirror, which stands in the place of the image's registry ('' for no mirror)."""
    if not mirror:
        return image
    registry, separator, rest = image.partition("/")
    # As docker tells a registry from a path.
    path = rest if separator and (re.search(r"[.:]", registry) or registry == "localhost") else image
    return f"{mirror.rstrip('/')}/{path if '/' in path else f'library/{path}'}"
