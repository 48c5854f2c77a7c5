"""Kubeconfigs that need the official client, and kubeconfigs that do not."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_vault_issuer.certificates import Authority
from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.kube.client import Cluster, _official_configuration
from pytest_vault_issuer.kube.kubeconfig import read_connection
from tests.support.reader import ROOT

SERVER = "https://127.0.0.1:6443/"


def kubeconfig(directory: Path, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    path = directory / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "a", "cluster": cluster}],
                "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
                "users": [{"name": "a", "user": user}],
                "current-context": "a",
            }
        )
    )
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Return the paths of a CA, and of a client certificate and its key."""
    authority = Authority()
    client = authority.issue_client("admin")
    contents = {"ca": authority.pem, "certificate": client.certificate_pem, "key": client.key_pem}
    for name, content in contents.items():
        (tmp_path / f"{name}.pem").write_text(content)
    return {name: str(tmp_path / f"{name}.pem") for name in contents}


def settings(configuration: Any) -> list[Any]:
    names = ("host", "ssl_ca_cert", "cert_file", "key_file", "verify_ssl")
    bearer = configuration.auth_settings().get("BearerToken")
    return [*(getattr(configuration, name) for name in names), bearer and bearer["value"]]


@pytest.mark.parametrize("way", ["certificate", "token", "neither"])
@pytest.mark.parametrize("trust", [True, False], ids=["CA file", "system trust store"])
def test_plain_kubeconfig_is_read_as_the_official_client_reads_it(
    tmp_path: Path, files: dict[str, str], way: str, trust: bool
) -> None:
    users = {
        "certificate": {"client-certificate": files["certificate"], "client-key": files["key"]},
        "token": {"token": "t0ken"},
        "neither": {},
    }
    cluster = {"server": SERVER} | ({"certificate-authority": files["ca"]} if trust else {})
    path = kubeconfig(tmp_path, cluster, users[way])
    plain = read_connection(path, None).plain
    assert plain is not None
    assert settings(plain) == settings(_official_configuration(path, None))
    assert "t0ken" not in repr(plain)


@pytest.mark.parametrize(
    ("cluster", "user"),
    [
        ({"server": "http://127.0.0.1:8080"}, {}),
        ({"certificate-authority-data": "QQ=="}, {}),
        ({"insecure-skip-tls-verify": True}, {}),
        ({"certificate-authority": "ca.pem"}, {}),
        ({"certificate-authority": "/does/not/exist.pem"}, {}),
        ({}, {"client-certificate": "{certificate}"}),
        ({}, {"client-certificate": "{certificate}", "client-key-data": "QQ=="}),
        ({}, {"tokenFile": "token"}),
        ({}, {"username": "a", "password": "b"}),
        ({}, {"exec": {"command": "aws"}}),
        ({}, {"auth-provider": {"name": "oidc"}}),
    ],
    ids=lambda value: ", ".join(value) or "-",
)
def test_other_kubeconfigs_are_left_to_the_official_client(
    tmp_path: Path, files: dict[str, str], cluster: dict[str, Any], user: dict[str, Any]
) -> None:
    user = {key: value.format(**files) if isinstance(value, str) else value for key, value in user.items()}
    assert read_connection(kubeconfig(tmp_path, {"server": SERVER} | cluster, user), None).plain is None


def test_missing_file_of_a_kubeconfig_is_an_error(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"server": SERVER, "certificate-authority": str(tmp_path / "none.pem")}, {})
    with pytest.raises(ConfigurationError, match=r"none\.pem"):
        Cluster(path)


def test_plain_kubeconfig_does_not_import_the_official_client(tmp_path: Path, files: dict[str, str]) -> None:
    cluster = {"server": SERVER, "certificate-authority": files["ca"]}
    user = {"client-certificate": files["certificate"], "client-key": files["key"]}
    program = (
        "import sys; from pathlib import Path; from pytest_vault_issuer.kube.client import Cluster; "
        "Cluster(Path(sys.argv[1])); print('kubernetes' in sys.modules)"
    )
    path = kubeconfig(tmp_path, cluster, user)
    said = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "False"


def test_missing_official_client_is_reported_with_its_extra(
    tmp_path: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    path = kubeconfig(tmp_path, {"server": SERVER, "insecure-skip-tls-verify": True}, {"exec": {"command": "aws"}})
    with pytest.raises(ConfigurationError, match="not installed, to read exec, insecure-skip-tls-verify") as caught:
        Cluster(path)
    assert caught.value.hint == "run: pip install 'pytest-vault-issuer[kubeconfig]'"
    Cluster(kubeconfig(tmp_path, {"server": SERVER, "certificate-authority": files["ca"]}, {"token": "t0ken"}))


def test_nothing_but_kubeconfigs_imports_the_official_client() -> None:
    """Sessions on their own stacks, their controllers and the commands work without the extra."""
    found = {
        path.relative_to(ROOT)
        for path in (ROOT / "pytest_vault_issuer").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == "kubernetes")
        or (isinstance(node, ast.Import) and any(name.name.split(".")[0] == "kubernetes" for name in node.names))
    }
    assert found == {Path("pytest_vault_issuer/kube/client.py")}
