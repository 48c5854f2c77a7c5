"""Downloads files whose digests are known: with progress, resumable, bounded in size and time."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import requests

from ..errors import ToolchainError
from ..version import __version__
from .sources import MIRROR, at_mirror

#: Maximum size of a file in bytes.
LARGEST = 1 << 30
#: Maximum size in bytes of a file without a known digest.
_SMALL = 4 << 20
#: Seconds to connect, and to wait for the next bytes.
_CONNECT, _READ = 5.0, 30.0
#: Seconds for one file.
_LONGEST = 1800.0
#: Seconds between two lines of progress.
_REPORT_EVERY = 5.0
_ATTEMPTS = 3
_CHUNK = 1 << 18
#: Environment variables with the certificates to trust, in their order. The first two are those of requests.
_TRUST = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


class DownloadError(ToolchainError):
    """A file cannot be downloaded or used. Another source may have the binary."""


class _InterruptedTransfer(Exception):
    """The connection ended too early; what has arrived is kept."""


class Fetcher:
    """Downloads files into a directory. One process at a time may use it.

    :param directory: contains complete files by digest, and parts of others, which the next download continues.
    :param progress: receives lines for people.
    """

    def __init__(self, directory: Path, progress: Callable[[str], None]) -> None:
        self.directory = directory
        self._progress = progress
        self._session = requests.Session()
        self._session.headers.update(
            {"User-Agent": f"pytest-vault-issuer/{__version__}", "Accept-Encoding": "identity"}
        )
        self._verify = next((os.environ[name] for name in _TRUST if os.environ.get(name)), True)
        self._unreachable: dict[str, DownloadError] = {}

    def file(
        self, what: str, url: str, digest: str, *, size: int = 0, headers: Mapping[str, str] | None = None
    ) -> Path:
        """Return the path of a file after a check of its digest.

        :param what: name of the file, for people.
        :param digest: such as ``sha256:...``.
        :param size: in bytes; 0 if it is unknown.
        :raises DownloadError: if it cannot be downloaded, or is another file.
        :raises ToolchainError: if the disk is full.
        """
        place = self.directory / digest.replace(":", "-")
        # Another component of this archive asked for it, or an earlier build: a power cut may have damaged it since.
        if has_digest(place, digest):
            return place
        part = place.with_suffix(".part")
        address = at_mirror(url)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            continued = part.exists()
            self._receive(what, address, part, size, headers or {})
            if (found := _digest(part, digest)) != digest and continued:
                part.unlink()  # the beginning was of another file
                self._receive(what, address, part, size, headers or {})
                found = _digest(part, digest)
            if found != digest:
                part.unlink()
                raise DownloadError(
                    f"{address} is not the pinned file: its digest is {found}, expected {digest}",
                    hint=f"check the server at this address, which {MIRROR} and HTTPS_PROXY select",
                )
            part.rename(place)
        except requests.RequestException as error:
            raise self._explain(address, error) from error
        except OSError as error:
            raise unwritable(self.directory, error) from error
        return place

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """Return a response of a server; the caller reads the body and checks the status.

        :raises DownloadError: if the server cannot be reached, or redirects to a server without TLS.
        """
        host = urlsplit(url).netloc
        if host in self._unreachable:
            raise self._unreachable[host]
        try:
            response = self._session.get(
                url, headers=dict(headers or {}), stream=True, timeout=(_CONNECT, _READ), verify=self._verify
            )
        except requests.RequestException as error:
            self._unreachable[host] = self._explain(url, error)
            raise self._unreachable[host] from error
        if url.startswith("https:") and not response.url.startswith("https:"):
            response.close()
            raise DownloadError(f"{url} redirects to {host_of(response.url)} without TLS", hint="use another mirror")
        return response

    def small(self, url: str, headers: Mapping[str, str] | None = None) -> bytes:
        """Return a small file whose digest is not known, such as a signature.

        :param headers: of the request.
        :raises DownloadError: if it cannot be downloaded, or is not small.
        """
        address = at_mirror(url)
        if "://" not in address:
            return read_mirrored(address)
        with self.get(address, headers) as response:
            return content_of(address, response, _SMALL)

    def _receive(self, what: str, address: str, part: Path, size: int, headers: Mapping[str, str]) -> None:
        known = f", {megabytes(size)}" if size else ""
        if "://" not in address:
            self._progress(f"copying {what} from {address}")
            _copy(Path(address), part)
            return
        if host_of(address) not in self._unreachable:
            self._progress(f"downloading {what} from {host_of(address)}{known}")
        deadline = time.monotonic() + _LONGEST
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._transfer(what, address, part, size, headers, deadline)
                return
            except _InterruptedTransfer as error:
                if attempt == _ATTEMPTS:
                    raise DownloadError(
                        f"{address} ended too early: {error}",
                        hint="run the command again: it continues the download",
                    ) from error
                self._progress(f"  {what}: {error}; continuing")

    def _transfer(
        self, what: str, address: str, part: Path, size: int, headers: Mapping[str, str], deadline: float
    ) -> None:
        have = part.stat().st_size if part.exists() else 0
        if size and have >= size:  # a complete file, or another one: its digest decides
            return
        asked = {**headers, "Range": f"bytes={have}-"} if have else headers
        with self.get(address, asked) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                part.unlink()
                raise _InterruptedTransfer("the kept part is of another file")
            if response.status_code not in (requests.codes.ok, requests.codes.partial_content):
                raise refused(address, response)
            begun = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            if response.status_code == requests.codes.partial_content and not begun:
                part.unlink()
                raise _InterruptedTransfer("the server sends another range")
            if response.status_code == requests.codes.ok:
                have = 0
            length = response.headers.get("Content-Length", "")
            total = have + int(length) if length.isdecimal() else size
            if total > LARGEST or (size and total != size):
                expected = f"expected {size}" if size else f"at most {LARGEST} are allowed"
                raise DownloadError(f"{address} has {total} bytes, {expected}", hint="check the server at this address")
            if total - have > (free := shutil.disk_usage(part.parent).free):
                raise ToolchainError(
                    f"{part.parent} has {megabytes(free)} of free disk, and the download needs {megabytes(total)}",
                    hint="free some space, or set VAULT_ISSUER_CACHE to a directory on another disk",
                )
            if total and not size:
                self._progress(f"  {what}: {megabytes(total)}")
            self._write(what, response, part, have, total, deadline)

    def _write(
        self, what: str, response: requests.Response, part: Path, have: int, total: int, deadline: float
    ) -> None:
        reported = time.monotonic()
        with part.open("ab" if have else "wb") as file:
            try:
                for chunk in response.iter_content(_CHUNK):
                    have += len(chunk)
                    if have > (total or LARGEST):
                        raise DownloadError(
                            f"{response.url} has more than {total or LARGEST} bytes",
                            hint="check the server at this address",
                        )
                    file.write(chunk)
                    now = time.monotonic()
                    if now > deadline:
                        raise DownloadError(
                            f"{response.url} took longer than {_LONGEST:.0f} s",
                            hint="run the command again, or use a mirror",
                        )
                    if now - reported > _REPORT_EVERY:
                        reported = now
                        self._progress(f"  {what}: {megabytes(have)} of {megabytes(total)}")
            except requests.RequestException as error:
                raise _InterruptedTransfer(f"the connection ended after {have} of {total} bytes") from error
        if total and have < total:
            raise _InterruptedTransfer(f"the connection ended after {have} of {total} bytes")

    def _explain(self, url: str, error: requests.RequestException) -> DownloadError:
        texts = str(error)
        causes = (
            ("Connection refused", "refuses the connection"),
            ("timed out", "does not answer in time"),
            ("Name or service not known", "is unknown"),
            ("nodename nor servname", "is unknown"),
            ("name resolution", "is unknown: DNS does not answer"),
            ("CERTIFICATE_VERIFY_FAILED", "has a certificate that is not trusted"),
            ("unreachable", "cannot be reached"),
        )
        reason = next((text for sign, text in causes if sign in texts), f"cannot be reached ({type(error).__name__})")
        via = "the proxy for " if isinstance(error, requests.exceptions.ProxyError) else ""
        return DownloadError(
            f"{via}{host_of(url)} {reason}", hint=f"check the network, HTTPS_PROXY and SSL_CERT_FILE, or set {MIRROR}"
        )


def read_mirrored(address: str) -> bytes:
    """Return a file of a mirror that is a directory.

    :raises DownloadError: if it cannot be read.
    """
    try:
        return Path(address).read_bytes()
    except OSError as error:
        raise DownloadError(
            f"{address} cannot be read: {error.strerror}", hint=f"fill the directory that {MIRROR} names"
        ) from error


def unreachable(url: str) -> str:
    """Return why a file is not served; '' if a server answers for it, also if it wants a login."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            with Fetcher(Path(directory), lambda _: None).get(url, {"Range": "bytes=0-0"}) as response:
                status = response.status_code
        except DownloadError as error:
            return error.message
    is_served = status < 500 and status not in (requests.codes.not_found, requests.codes.gone)
    return "" if is_served else f"{host_of(url)} answers {status} for {url}"


def content_of(address: str, response: requests.Response, most: int) -> bytes:
    """Return the content of a response.

    :param most: bytes that it may have.
    :raises DownloadError: for another status than 200, or if it has more.
    """
    if response.status_code != requests.codes.ok:
        raise refused(address, response)
    content: bytes = response.raw.read(most + 1, decode_content=True)
    if len(content) > most:
        raise DownloadError(f"{address} has more than {most} bytes", hint="check the server at this address")
    return content


def refused(address: str, response: requests.Response) -> DownloadError:
    """Return the error for a status that is not a success."""
    return DownloadError(
        f"{host_of(address)} answers {response.status_code} for {address}", hint=f"set {MIRROR} to a mirror that has it"
    )


def host_of(url: str) -> str:
    """Return the host and port of a URL, without a user."""
    return urlsplit(url).netloc.rpartition("@")[2]


def megabytes(size: int) -> str:
    """Return a size for people."""
    return f"{size / 10**6:.1f} MB" if size < 10**7 else f"{size / 10**6:.0f} MB"


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError as error:
        raise DownloadError(f"{source} does not exist", hint=f"fill the mirror of {MIRROR} again") from error


def _digest(path: Path, like: str) -> str:
    algorithm = like.partition(":")[0]
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def has_digest(path: Path, digest: str) -> bool:
    """Return whether a file exists and has a digest.

    :param digest: such as ``sha256:...``.
    """
    return path.is_file() and _digest(path, digest) == digest


def unwritable(directory: Path, error: OSError) -> ToolchainError:
    """Return the error for a directory in which a file cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ToolchainError(
            f"the disk is full: {directory}",
            hint="free some space, or set VAULT_ISSUER_CACHE to a directory on another disk",
        )
    return ToolchainError(
        f"{directory} cannot be written: {error.strerror}", hint="set VAULT_ISSUER_CACHE to another directory"
    )
