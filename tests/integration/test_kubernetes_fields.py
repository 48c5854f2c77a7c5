"""docs/kubernetes-fields.md lists every field of the resources whose CRDs the stack installs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.toolchain import Toolchain

PAGE = Path(__file__).parents[2] / "docs" / "kubernetes-fields.md"
#: Section of the page -> the CRD, and the prefix of its fields.
RESOURCES = {
    "CertificateRequest": ("certificaterequests", ("spec.", "status.")),
    "Certificate": ("certificates", ("spec.", "status.")),
    "Issuer and ClusterIssuer": ("issuers", ("spec.vault.", "status.conditions")),
}
#: Sections whose first column is text.
TEXTS = ("Names and extensions of RFC 5280", "PEM of RFC 7468")


def rows(section: str) -> dict[str, str]:
    """Return the rows of a section: the last column by the first one."""
    text = PAGE.read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (.+?) \| (.+) \|$", text, re.MULTILINE)
    listed = [(first.strip("`"), last) for first, last in found if last != "requirements, or why there is none"]
    assert len(dict(listed)) == len(listed), f"{section}: a field is listed twice"
    return dict(listed)


def leaves(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the paths of the fields that have no fields themselves."""
    if schema.get("properties"):
        for name, inner in schema["properties"].items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif schema.get("type") == "array":
        yield from leaves(schema["items"], f"{path}[]")
    else:
        yield path


@pytest.mark.parametrize("section", RESOURCES)
def test_page_lists_every_field(section: str, toolchain: Toolchain) -> None:
    plural, starts = RESOURCES[section]
    directory = toolchain.crds()
    assert directory is not None
    definition = yaml.safe_load((directory / f"cert-manager.io_{plural}.yaml").read_text())
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert sorted(rows(section)) == sorted(field for field in leaves(schema) if field.startswith(starts))


@pytest.mark.parametrize("section", [*RESOURCES, *TEXTS])
def test_each_row_names_a_requirement_or_a_reason(section: str) -> None:
    known = set(Catalogue.load().ids)
    for field, text in rows(section).items():
        named = set(re.findall(r"\bVI-[A-Z]+-\d+", text))
        assert named <= known, f"{field} names requirements that do not exist"
        assert named or text.endswith("."), f"{field} needs a requirement or a reason, which is a sentence"
