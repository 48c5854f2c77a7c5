"""Adds the CustomResourceDefinitions of cert-manager's releases to the package, before a release of the package.

Go's checksums in the package pin the module that they come from. Run: python tools/ship_crds.py
With ``--check FILE...``, checks that each wheel or source distribution contains them.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

from pytest_vault_issuer.toolchain import COMPONENTS, CRDS, Toolchain

#: Folder in this clone, also if another copy of the package is imported.
TARGET = Path(__file__).parents[1] / "pytest_vault_issuer" / "toolchain" / "shipped_crds"
NOTICE = """\
The CustomResourceDefinitions in these folders are those of cert-manager, by version:
https://github.com/cert-manager/cert-manager/tree/VERSION/deploy/crds
Copyright The cert-manager Authors. Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0
Changed: the directives of Helm in those of older versions are replaced by what its chart installs.
"""
VERSIONS = [component.version for component in COMPONENTS if component.name == CRDS]


def ship(target: Path = TARGET, cache: Path | None = None) -> None:
    """Write the CRDs of all releases into a directory, which is replaced."""
    shutil.rmtree(target, ignore_errors=True)
    for version in VERSIONS:
        toolchain = Toolchain(cache, versions={"cert-manager": version}, shipped_crds=target)
        toolchain.build([CRDS])
        place = toolchain.crds()
        assert place is not None
        (target / version).mkdir(parents=True)
        for path in place.glob("*.yaml"):
            shutil.copyfile(path, target / version / path.name)
    (target / "NOTICE").write_text(NOTICE)


def missing(distribution: Path) -> list[str]:
    """Return the versions whose CRDs are not in a wheel or source distribution."""
    if distribution.suffix == ".whl":
        with zipfile.ZipFile(distribution) as wheel:
            names = wheel.namelist()
    else:
        with tarfile.open(distribution) as archive:
            names = archive.getnames()
    return [
        version
        for version in VERSIONS
        if not any(f"/shipped_crds/{version}/" in name and name.endswith(".yaml") for name in names)
    ]


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    if not arguments:
        ship()
        print(f"CRDs of {', '.join(VERSIONS)}: {TARGET}")
        return 0
    if arguments[0] != "--check" or not arguments[1:]:
        print("usage: python tools/ship_crds.py [--check FILE...]", file=sys.stderr)
        return 2
    problems = [
        f"{file} has no CRDs of {', '.join(lacking)}" for file in arguments[1:] if (lacking := missing(Path(file)))
    ]
    print("\n".join(problems) or "all CRDs are there")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
