"""The connection of the sample controller to the API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_vault_issuer.sample_controller import connection
from pytest_vault_issuer.sample_controller.connection import ConnectionSettingsError, of_pod, read_kubeconfig
from pytest_vault_issuer.stack.local.kubernetes import kubeconfig

CLUSTER = {"server": "https://127.0.0.1:6443/", "certificate-authority": "/ca.pem"}


def written(directory: Path, user: dict[str, Any], **parts: Any) -> str:
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig(CLUSTER, user) | parts))
    return str(path)


def bearer(found: connection.Connection) -> str:
    return found.auth_settings().get("BearerToken", {}).get("value", "")


def test_kubeconfig_with_a_token_is_read(tmp_path: Path) -> None:
    found = read_kubeconfig(written(tmp_path, {"token": "t0ken"}))
    assert (found.host, found.ssl_ca_cert, bearer(found)) == ("https://127.0.0.1:6443", "/ca.pem", "Bearer t0ken")
    assert "t0ken" not in repr(found)


def test_kubeconfig_with_a_certificate_is_read(tmp_path: Path) -> None:
    found = read_kubeconfig(written(tmp_path, {"client-certificate": "/c.pem", "client-key": "/k.pem"}))
    assert (found.cert_file, found.key_file, bearer(found)) == ("/c.pem", "/k.pem", "")


@pytest.mark.parametrize(
    ("user", "parts", "message"),
    [
        ({"exec": {"command": "aws"}}, {}, "fields that are not supported: ['exec']"),
        ({}, {"current-context": "other"}, "it has no context other"),
        ({}, {"clusters": None}, "cannot be read"),
    ],
    ids=["a plugin", "a missing context", "no clusters"],
)
def test_other_kubeconfigs_are_refused(
    tmp_path: Path, user: dict[str, Any], parts: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConnectionSettingsError) as caught:
        read_kubeconfig(written(tmp_path, user, **parts))
    assert message in str(caught.value)


def test_replaced_token_of_a_pod_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(ConnectionSettingsError, match="not a pod"):
        of_pod()
    (tmp_path / "token").write_text("first\n")
    found = of_pod()
    assert (found.host, bearer(found)) == ("https://[fd00::1]:443", "Bearer first")
    (tmp_path / "token").write_text("second")
    assert bearer(found) == "Bearer second"
