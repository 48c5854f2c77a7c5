"""Requirements that do not apply to an implementation of another shape, or with one kind or request API."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from pytest_vault_issuer.implementation import Implementation, load_implementation
from pytest_vault_issuer.judge.selection import Selection
from pytest_vault_issuer.report.outcomes import Outcome, TestResult
from pytest_vault_issuer.requirements.catalogue import SUITE, Catalogue

pytest_plugins = ("pytester",)
FLAT = Path(__file__).parents[3] / "examples" / "shapes" / "flat" / "controller.toml"


def selection(implementation: Implementation) -> Selection:
    return Selection(Catalogue.load(), implementation, ("core", "extended"), frozenset())


def test_requirement_about_field_names_applies_to_their_shape_only() -> None:
    assert "another shape" in selection(load_implementation(str(FLAT))).results()["VI-SPEC-004"].later
    assert not selection(load_implementation("cert-manager")).results()["VI-SPEC-004"].later


def test_missing_kind_or_request_api_is_not_tested() -> None:
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


def left_out(*ids: str) -> set[str]:
    """Return the modules of the suite that a session with this selection does not import."""
    chosen = Selection(Catalogue.load(), load_implementation("cert-manager"), ("core",), frozenset(ids))
    return {path.name for entry in resources.files(SUITE).iterdir() if chosen.leaves_out(path := Path(str(entry)))}


def test_only_modules_of_the_selected_areas_are_imported() -> None:
    every = left_out()
    assert {"test_sign.py", "test_health.py", "test_health_standby.py"} < every
    assert every - left_out("VI-HEALTH-004", "VI-SIGN-001") == {
        "test_sign.py",
        "test_health.py",
        "test_health_standby.py",
    }
    assert not every & {"conftest.py", "helpers.py", "__init__.py", "requirements"}


def test_test_of_the_user_in_a_file_of_the_same_name_is_collected(tmp_path: Path) -> None:
    chosen = Selection(Catalogue.load(), load_implementation("cert-manager"), ("core",), frozenset())
    assert not chosen.leaves_out(tmp_path / "test_sign.py")


def test_session_collects_the_selected_areas_only(pytester: pytest.Pytester) -> None:
    options = ["--pyargs", SUITE, "--vault-issuer=cert-manager", "--vault-issuer-select=VI-TOKEN-001"]
    result = pytester.runpytest_inprocess(*options, "--collect-only", "-q", "-p", "no:cacheprovider")
    assert result.ret == 0
    collected = [line.partition("::")[0] for line in result.outlines if "::" in line]
    assert {Path(file).name for file in collected} == {"test_token.py"}
    assert result.parseoutcomes()["deselected"] < 100, "the tests of other areas"
