"""Requirements that do not apply to an implementation of another shape, or with one kind or request API."""

from __future__ import annotations

from pathlib import Path

from pytest_vault_issuer.implementation import Implementation, load_implementation
from pytest_vault_issuer.judge.selection import Selection
from pytest_vault_issuer.report.outcomes import Outcome, TestResult
from pytest_vault_issuer.requirements.catalogue import Catalogue

FLAT = Path(__file__).parents[3] / "examples" / "shapes" / "flat" / "controller.toml"


def selection(implementation: Implementation) -> Selection:
    return Selection(Catalogue.load(), implementation, ("core", "extended"), frozenset())


def test_requirement_about_field_names_applies_to_their_shape_only() -> None:
    assert "another shape" in selection(load_implementation(str(FLAT))).results()["VI-SPEC-004"].later
    assert not selection(load_implementation("cert-manager")).results()["VI-SPEC-004"].later


def test_missing_kind_or_request_api_is_not_asked_for() -> None:
    data = {
        "implementation": {"name": "mine", "version": "1"},
        "issuer": {"kind": ""},
        "features": {"all": True, "unsupported": ["issuer", "certificate-request"]},
    }
    results = selection(Implementation.from_mapping(data, Path())).results()
    assert results["VI-SCOPE-001"].later == "mine does not have issuer"
    assert results["VI-REQUEST-001"].later == "mine does not have certificate-request"
    assert not results["VI-SCOPE-002"].later


def test_requirement_that_the_shape_cannot_express_does_not_apply() -> None:
    chosen = selection(load_implementation(str(FLAT)))
    results = chosen.results()
    message = "unsupported: the shape of the implementation cannot express path"
    results["VI-TLS-001"].tests.append(TestResult("x", Outcome.UNSUPPORTED, 0.0, message))
    results["VI-MTLS-001"].tests.append(TestResult("y", Outcome.UNSUPPORTED, 0.0, "unsupported: not claimed"))
    chosen.note_unsupported(results.values())
    assert results["VI-TLS-001"].later == "the shape of the implementation cannot express path"
    assert not results["VI-MTLS-001"].later
