"""A controller with several mistakes at once, as a new controller may have.

It is the sample controller with several mutants, in a folder with its implementation file.
"""

from __future__ import annotations

import json
from pathlib import Path

from pytest_vault_issuer.implementation import load_implementation
from tests.mutation.builds import PACKAGE, Build
from tests.mutation.load import mutants

#: The mutants, and the requirement that each breaks.
BROKEN = {
    "approle-last-segment-of-the-mount": "VI-APPROLE-001",
    "ksecretless-an-hour": "VI-KSECRETLESS-004",
    "verified-in-other-words": "VI-HEALTH-003",
    "sealed-vault-is-initialized": "VI-HEALTH-004",
    "default-of-thirty-days": "VI-SIGN-011",
    "chain-from-the-top": "VI-SIGN-012",
}


def write(directory: Path) -> Path:
    """Write the controller and its implementation file into a directory, and return the path of the file."""
    chosen = [mutant for mutant in mutants() if mutant.name in BROKEN]
    assert {mutant.name: mutant.requirement for mutant in chosen} == BROKEN
    Build("my-issuer", tuple(edit for mutant in chosen for edit in mutant.edits), "").write(directory)
    right = load_implementation("sample-controller")
    module = right.run.command.index("-m") + 1
    command = ["{python}", "-m", PACKAGE, *right.run.command[module + 1 :]]
    tables = {
        "implementation": {"name": "my-issuer", "version": "0.3.0"},
        "run": {
            "command": command,
            "service_account": right.run.service_account,
            "rbac": [str(right.resolve(path)) for path in right.run.rbac],
            "cluster_resource_namespace": right.run.cluster_resource_namespace,
        },
        "run.env": dict(right.run.env),
        "features": {"supported": sorted(right.features)},
    }
    lines = []
    for table, fields in tables.items():
        lines += [f"[{table}]", *(f"{name} = {json.dumps(value)}" for name, value in fields.items())]
    path = directory / "my-issuer.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


if __name__ == "__main__":
    import sys

    print(write(Path(sys.argv[1])))
