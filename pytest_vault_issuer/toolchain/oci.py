"""A small client of image registries: takes one program out of an image that is named by its digest.

See https://github.com/opencontainers/distribution-spec/blob/main/spec.md and the image specification beside it.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import requests

from .archives import copy_from_layers
from .fetch import DownloadError, Fetcher, content_of, read_mirrored, refused
from .sources import at_mirror

_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
#: Maximum size of a manifest in bytes, as in the specification.
_LARGEST_MANIFEST = 4 << 20
#: Maximum size of an answer with a token in bytes.
_LARGEST_TOKEN = 1 << 20
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Repository:
    """A repository of images in a registry, which is read without credentials.

    :param name: such as ``quay.io/jetstack/cert-manager-controller``.
    """

    def __init__(self, fetcher: Fetcher, name: str) -> None:
        self._fetcher = fetcher
        self._name = name
        host, _, path = name.partition("/")
        self._base = f"https://{host}/v2/{path}"
        self._headers: dict[str, str] = {}

    def copy_program(self, digest: str, member: str, target: Path) -> None:
        """Copy a program of an image to `target`.

        :param digest: of the image's manifest for one platform.
        :raises DownloadError: if the image, or the program in it, is missing or another one.
        """
        _, layers = self.manifest(digest)
        if not copy_from_layers(map(self.layer, reversed(layers)), member, target):
            raise DownloadError(f"{self._name}@{digest} does not contain {member}", hint="please report it")

    def manifest_url(self, reference: str) -> str:
        """Return the URL of a manifest, which a mirror also serves."""
        return f"{self._base}/manifests/{reference}"

    def layer_url(self, layer: dict[str, Any]) -> str:
        """Return the URL of a layer, which a mirror also serves."""
        return f"{self._base}/blobs/{layer['digest']}"

    def manifest(self, digest: str) -> tuple[bytes, list[dict[str, Any]]]:
        """Return the manifest of an image after a check of its digest, and its layers, the lowest first.

        :raises DownloadError: if it is missing or another one.
        """
        content = self.read(digest)
        if digest_of(content) != digest:
            raise DownloadError(
                f"{self._name}@{digest} is not the pinned image: its digest is {digest_of(content)}",
                hint="check the server at this address",
            )
        try:
            return content, json.loads(content).get("layers", [])
        except (ValueError, AttributeError) as error:
            raise DownloadError(
                f"the manifest of {self._name} is not a JSON object", hint="check the server at this address"
            ) from error

    def layer(self, layer: dict[str, Any]) -> Path:
        """Return the path of a layer in the fetcher's directory, after a check of its digest.

        :param layer: from :meth:`manifest`.
        """
        what = f"a layer of {self._name}"
        return self._fetcher.file(
            what, self.layer_url(layer), layer["digest"], size=layer["size"], headers=self._headers
        )

    def read(self, reference: str) -> bytes:
        """Return a manifest or index, unchecked.

        :param reference: a digest or a tag.
        :raises DownloadError: if it is missing.
        """
        address = at_mirror(self.manifest_url(reference))
        if "://" not in address:
            return read_mirrored(address)
        accepted = {"Accept": ", ".join(_MANIFESTS)}
        response = self._fetcher.get(address, {**self._headers, **accepted})
        if response.status_code == requests.codes.unauthorized and not self._headers:
            self._headers = self._login(address, response)
            response = self._fetcher.get(address, {**self._headers, **accepted})
        with response:
            return content_of(address, response, _LARGEST_MANIFEST)

    def _login(self, address: str, response: requests.Response) -> dict[str, str]:
        """Return the header with an anonymous token, for which the response names a server."""
        with response:
            challenge = dict(_CHALLENGE.findall(response.headers.get("WWW-Authenticate", "")))
        realm = challenge.pop("realm", "")
        if not realm.startswith("https://"):
            raise refused(address, response)
        with self._fetcher.get(f"{realm}?{urlencode(challenge)}") as response:
            content = content_of(realm, response, _LARGEST_TOKEN)
            try:
                token = json.loads(content)
                return {"Authorization": f"Bearer {token.get('token') or token['access_token']}"}
            except (ValueError, KeyError, AttributeError) as error:
                raise DownloadError(f"{realm} gives no token", hint="check the server at this address") from error


def digest_of(content: bytes) -> str:
    """Return the digest of a manifest."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
