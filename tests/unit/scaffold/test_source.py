"""What ``vault-issuer init`` finds in Dockerfiles, Makefiles and Go source."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vault_issuer.scaffold.source import built, entrypoint, flags, uses_issuer_lib
from tests.support.files import write_files


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ('FROM x\nENTRYPOINT ["/manager"]\n', "manager"),
        ('ENTRYPOINT ["./usr/bin/tini", "--", "/app/issuer", "--verbose"]\n', "issuer"),
        ("entrypoint [ '/manager' ]\n", ""),
        ("ENTRYPOINT /manager\n", ""),
        ('CMD ["/manager"]\n', ""),
        ("", ""),
    ],
)
def test_program_is_that_of_the_image(text: str, program: str, tmp_path: Path) -> None:
    assert entrypoint(write_files(tmp_path, {"Dockerfile": text})) == program


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("build: fmt vet\n\tgo build -o bin/manager cmd/main.go\n", "bin/manager"),
        (
            "build:\n\t@mkdir -p out\n\n\tCGO_ENABLED=0 go build -mod=vendor -o ./out/other .\n\nrun:\n\tgo run .\n",
            "out/other",
        ),
        ("build:\n\tgo build -o bin/tool ./tool\n\tgo build -o bin/manager .\n", "bin/manager"),
        ("build:\n\tgo build -o bin/tool ./tool\n\tgo build -o bin/other .\n", ""),
        ("build:\n\tgo build -o $(BIN)/manager .\n", ""),
        ("build:\n\tgo build -o /usr/bin/manager .\n", ""),
        ("build:\n\tgo build -o ../manager .\n", ""),
        ("build := 1\n\ntest:\n\tgo build -o bin/test .\n", ""),
        ("build:\n\tgo build ./...\n", ""),
    ],
)
def test_built_file_is_that_of_the_target_build(text: str, file: str, tmp_path: Path) -> None:
    assert built(write_files(tmp_path, {"Makefile": text}), "manager") == file


@pytest.mark.parametrize(
    ("declared", "flag"),
    [
        (
            'flag.StringVar(&address, "metrics-bind-address", ":8080", "text")',
            "--metrics-bind-address=127.0.0.1:{free_port}",
        ),
        ('fs.StringVarP(&o.Address, "probe-addr", "p", "0.0.0.0:8081", "text")', "--probe-addr=127.0.0.1:{free_port}"),
        ('address := flag.String("listen", "127.0.0.1:9", "text")', "--listen=127.0.0.1:{free_port}"),
        (
            'flag.StringVar(\n\t\t&address,\n\t\t"metrics-addr", ":8080", "text")',
            "--metrics-addr=127.0.0.1:{free_port}",
        ),
        ('fs.IntVar(&o.Port, "readiness-probe-port", 6060, "text")', "--readiness-probe-port={free_port}"),
        ('flag.BoolVar(&elect, "leader-elect", true, "text")', "--leader-elect=false"),
        ('flag.BoolVar(&elect, "enable-leader-election", true, "text")', "--enable-leader-election=false"),
        (
            'flag.StringVar(&namespace, "cluster-resource-namespace", "default", "text")',
            "--cluster-resource-namespace={cluster_resource_namespace}",
        ),
        ('flag.StringVar(&address, "metrics-bind-address", "0", "text")', ""),
        ('flag.StringVar(&address, "metrics-bind-address", ":0", "text")', ""),
        ('flag.BoolVar(&elect, "leader-elect", false, "text")', ""),
        ('fs.IntVar(&o.Port, "vault-port", 8200, "text")', ""),
        ('flag.StringVar(&server, "server", "vault.example.test:8200", "text")', ""),
    ],
)
def test_flags_are_those_that_a_process_on_this_machine_needs(declared: str, flag: str, tmp_path: Path) -> None:
    write_files(tmp_path, {"cmd/manager/app/options.go": f"package app\n\nfunc add() {{\n\t{declared}\n}}\n"})
    assert flags(tmp_path, "manager", ()) == ((flag,) if flag else ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("module x\n\nrequire (\n\tgithub.com/cert-manager/issuer-lib v0.11.0\n)\n", True),
        ("module x\n\nrequire github.com/cert-manager/issuer-lib v0.11.0\n", True),
        ("module github.com/cert-manager/issuer-lib\n", False),
        ("require github.com/cert-manager/issuer-lib-extra v1.0.0\n", False),
        ("", False),
    ],
)
def test_issuer_lib_is_a_requirement_of_the_module(text: str, expected: bool, tmp_path: Path) -> None:
    assert uses_issuer_lib(write_files(tmp_path, {"go.mod": text})) == expected


def test_flags_of_the_manifests_are_not_repeated(tmp_path: Path) -> None:
    write_files(tmp_path, {"main.go": 'flag.StringVar(&a, "metrics-bind-address", ":8080", "text")\n'})
    assert flags(tmp_path, "manager", ("-metrics-bind-address=127.0.0.1:{free_port}",)) == ()


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("main.go", True),
        ("cmd/main.go", True),
        ("cmd/manager/app/options/options.go", True),
        ("cmd/demo/main.go", False),
        ("main_test.go", False),
        ("internal/main.go", False),
    ],
)
def test_only_the_source_of_the_program_is_read(file: str, read: bool, tmp_path: Path) -> None:
    write_files(tmp_path, {"cmd/manager/main.go": "package main\n", "cmd/demo/go.go": "package main\n"})
    write_files(tmp_path, {file: 'flag.BoolVar(&elect, "leader-elect", true, "text")\n'})
    assert bool(flags(tmp_path, "manager", ())) == read
