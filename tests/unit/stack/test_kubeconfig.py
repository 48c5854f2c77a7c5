"""A session's copy of a kubeconfig: it has only the needed parts, and temporary files have no credentials."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_vault_issuer.certificates import Authority
from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.kube import Cluster
from pytest_vault_issuer.stack.kubeconfig import private_copy
from pytest_vault_issuer.supervisor.run_directory import RunDirectory


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def config() -> dict[str, Any]:
    client = Authority("clients").issue_client("me")
    return {
        "current-context": "one",
        "contexts": [
            {"name": "one", "context": {"cluster": "one", "user": "me", "namespace": "mine"}},
            {"name": "two", "context": {"cluster": "two", "user": "other"}},
        ],
        "clusters": [
            {
                "name": "one",
                "cluster": {"server": "https://one", "certificate-authority-data": encoded(client.certificate_pem)},
            },
            {"name": "two", "cluster": {"server": "https://two", "certificate-authority": "ca.pem"}},
        ],
        "users": [
            {
                "name": "me",
                "user": {
                    "client-certificate-data": encoded(client.certificate_pem),
                    "client-key-data": encoded(client.key_pem),
                },
            },
            {
                "name": "other",
                "user": {"exec": {"command": "./login", "apiVersion": "client.authentication.k8s.io/v1"}},
            },
        ],
    }


def copy(tmp_path: Path, text: str, context: str | None = None) -> Path:
    (tmp_path / "kubeconfig").write_text(text)
    (tmp_path / "run").mkdir()
    return private_copy(tmp_path / "kubeconfig", context, RunDirectory(tmp_path / "run", 0).write)


def test_the_private_key_is_nowhere_but_in_the_run_directory(
    tmp_path: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    cluster = Cluster(copy(tmp_path, yaml.safe_dump(config)))
    assert cluster.server == "https://one"
    assert list((tmp_path / "temporary").iterdir()) == []
    private = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(private) == 4
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}


def test_only_the_context_that_is_used_is_copied_and_paths_stay_right(tmp_path: Path, config: dict[str, Any]) -> None:
    copied = yaml.safe_load(copy(tmp_path, yaml.safe_dump(config), "two").read_text())
    assert [entry["name"] for entry in copied["users"]] == ["other"]
    assert copied["users"][0]["user"]["exec"]["command"] == str(tmp_path / "login")
    assert copied["clusters"][0]["cluster"]["certificate-authority"] == str(tmp_path / "ca.pem")
    assert copied["current-context"] == "two"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a kubeconfig"),
        ("[]", "not a kubeconfig"),
        ("a: [", "expected the node content"),
        ("{current-context: a}", "no list of contexts"),
        ("{contexts: []}", "no current-context"),
        ("{current-context: a, contexts: []}", "no context a"),
        ("{current-context: a, contexts: [{name: a, context: {cluster: b}}], clusters: []}", "no cluster b"),
        ("{current-context: a, contexts: [3]}", "not a mapping with a name"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_an_error_that_names_it(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as raised:
        copy(tmp_path, text)
    assert str(tmp_path / "kubeconfig") in raised.value.message


def test_a_missing_context_is_named(tmp_path: Path, config: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="no context three"):
        copy(tmp_path, yaml.safe_dump(config), "three")


def test_data_that_is_not_base64_is_an_error(tmp_path: Path, config: dict[str, Any]) -> None:
    config["users"][0]["user"]["client-key-data"] = "a"
    with pytest.raises(ConfigurationError, match="client-key-data is not base64"):
        copy(tmp_path, yaml.safe_dump(config))
