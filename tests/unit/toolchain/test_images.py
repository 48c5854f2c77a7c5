"""Names of container images."""

from __future__ import annotations

import pytest

from pytest_vault_issuer.toolchain.images import mirrored

MIRROR = "mirror.test:5000/hub"


@pytest.mark.parametrize(
    ("image", "there"),
    [
        ("hashicorp/vault:1.21.0", "hashicorp/vault:1.21.0"),
        ("docker.io/hashicorp/vault:1.21.0", "hashicorp/vault:1.21.0"),
        ("quay.io/openbao/openbao:2.4.1", "openbao/openbao:2.4.1"),
        ("localhost/mine:1", "library/mine:1"),
        ("localhost:5000/mine/issuer:1", "mine/issuer:1"),
        ("vault:1.13.3", "library/vault:1.13.3"),
        ("kindest/node@sha256:abc", "kindest/node@sha256:abc"),
    ],
)
def test_mirror_replaces_the_registry(image: str, there: str) -> None:
    assert mirrored(image, MIRROR) == f"{MIRROR}/{there}"


def test_image_without_a_mirror_keeps_its_name() -> None:
    assert mirrored("quay.io/openbao/openbao:2.4.1", "") == "quay.io/openbao/openbao:2.4.1"
