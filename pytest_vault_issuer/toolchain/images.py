"""Names of container images: checks that the version cannot change, and converts a name for a mirror."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import ConfigurationError

#: Default image of Vault: the version that the toolchain builds.
VAULT_IMAGE = "hashicorp/vault:1.21.2"
_IMAGE = re.compile(r"(\[[0-9a-fA-F:]+\](:[0-9]+)?/)?[\w.-]+([./:_-]+[\w.-]+)*(@\w+:[0-9a-fA-F]+)?")


@dataclass(frozen=True)
class NeededImage:
    """An image that the container engine needs before a session.

    :ivar purpose: what the image is for, for people.
    :ivar in_nodes: whether it must be loaded into the nodes of the cluster.
    """

    image: str
    purpose: str
    in_nodes: bool = False


def check_image(option: str, image: str) -> None:
    """Refuse an image whose version can change.

    :param option: the option that names the image.
    :raises ConfigurationError: for a name without tag and digest, or with the tag ``latest``; and for an invalid name.
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
    """Return the tag of an image; '' if it has none."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def mirrored(image: str, registry_mirror: str) -> str:
    """Return the name of an image in a mirror, which replaces the registry of the image ('' for no mirror)."""
    if not registry_mirror:
        return image
    registry, separator, rest = image.partition("/")
    # The same rule by which docker distinguishes a registry from a path.
    path = rest if separator and (re.search(r"[.:]", registry) or registry == "localhost") else image
    return f"{registry_mirror.rstrip('/')}/{path if '/' in path else f'library/{path}'}"
