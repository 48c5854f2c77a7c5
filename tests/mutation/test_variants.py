"""Correct variants of the sample controller pass, and the suite still catches their mutants.

A suite that never fails would also pass correct variants. Therefore a sample of mutants is applied to each variant.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vault_issuer.implementation import Implementation, load_implementation
from pytest_vault_issuer.requirements.catalogue import Catalogue
from pytest_vault_issuer.requirements.features import CORE, PROFILES
from tests.support.scope import FULL, complete

from .builds import Mutant, Variant
from .draw import SEED, drawn
from .judging import Bench, Conditions
from .load import mutants, variants

#: Variants are judged as users judge: slow controllers need the full timeouts.
TIMEOUT_SCALE = 1.0
#: Seconds after which the session of a variant is stopped: a variant with one worker takes long.
LIMIT = 5400
#: The number of mutants that are applied to each variant.
SAMPLE = 5
#: The share of the variants that are judged on one day, by one requirement per area.
SHARE = 0.3
#: Mutants whose mistake no variant hides, of many areas; the sample is selected from those whose requirement applies.
POOL = (
    "approle-white-space-around-the-secret-id",
    "audience-with-a-dot",
    "bad-token-is-quoted",
    "chain-from-the-top",
    "denied-is-failed",
    "every-bad-health-is-sealed",
    "expiration-in-minutes",
    "kstatic-default-key-of-another-method",
    "leaf-alone",
    "names-without-a-wildcard",
    "other-health-is-final",
    "response-of-the-review-is-not-read",
    "root-in-the-certificate",
    "server-with-a-slash-doubles-it",
    "tls-host-not-checked",
    "token-key-ignored",
    "verified-in-other-words",
)
#: Requirements that cannot be judged on a variant, by its name: a configuration in another object does not change the
#: generation of the issuer object; a CRD refuses plain HTTP, no CA bundle, and conditions of other types.
NOT_RUN = {
    "configmap": {"VI-HEALTH-014"},
    "strict-crd": {"VI-SPEC-006", "VI-TLS-022", "VI-ADDRESS-002", "VI-HEALTH-026"},
}
MUTANTS = {mutant.name: mutant for mutant in mutants()}
VARIANTS = variants()


def implementation(variant: Variant) -> Implementation:
    """Return a variant's description."""
    return load_implementation(str(variant.file or "sample-controller"))


def claimed(variant: Variant) -> set[str]:
    """Return the requirements that apply to a variant."""
    features = implementation(variant).features
    return {r.id for r in Catalogue.load().requirements if not r.feature or r.feature in features}


def sample_for(variant: Variant) -> list[Mutant]:
    """Return today's mutants for a variant."""
    applies = claimed(variant)
    # Mutants that wait for a CertificateRequest prove nothing on a variant that serves only the other API.
    own_api = "certificate-request" in implementation(variant).features
    fitting = [
        mutant
        for mutant in (MUTANTS[name] for name in POOL)
        if mutant.requirement in applies and (own_api or not mutant.requirement.startswith("VI-REQUEST-"))
    ]
    return drawn(fitting, 1)[:SAMPLE]


def one_per_area(profile: str, variant: Variant) -> list[str]:
    """Return one requirement of each area of a profile that applies to a variant."""
    applies = claimed(variant)
    first: dict[str, str] = {}
    for requirement in Catalogue.load().requirements:
        if requirement.profile == profile and requirement.id in applies:
            first.setdefault(requirement.area, requirement.id)
    return list(first.values())


def selected_today() -> list[Variant]:
    """Return the variants that are judged today; in the complete run, all."""
    return VARIANTS if complete() else drawn(VARIANTS, SHARE)


def skip_unless_drawn(variant: Variant) -> None:
    """Skip the test of a variant that is not judged today."""
    if variant not in selected_today():
        pytest.skip("today other variants are judged; all in the complete run: tox run -e full")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_variant_is_conformant(variant: Variant, profile: str, bench: Bench, tmp_path: Path, built: None) -> None:
    skip_unless_drawn(variant)
    if not complete() and profile != CORE:
        pytest.skip(f"{profile} only in the complete run: tox run -e full")
    selection = () if complete() else one_per_area(profile, variant)
    conditions = Conditions(profiles=(profile,), timeout_scale=TIMEOUT_SCALE, limit=LIMIT)
    judgement = bench.judge(variant, tmp_path, selection, conditions)
    known = set(implementation(variant).known_failures)
    assert judgement.of("failed", "error") == set(), judgement.output
    assert judgement.of("known-failure") <= known, judgement.output
    assert judgement.of("not-run") <= NOT_RUN.get(variant.name, set()), judgement.output
    assert judgement.of("passed")
    if not selection:
        assert judgement.verdicts[profile] in ("conformant", "partial"), judgement.output


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant.file], ids=lambda variant: variant.name)
def test_mutants_of_a_variant_are_caught(variant: Variant, bench: Bench, tmp_path: Path, built: None) -> None:
    skip_unless_drawn(variant)
    missed = {}
    for mutant in sample_for(variant)[: SAMPLE if complete() else 1]:
        directory = tmp_path / mutant.name
        directory.mkdir()
        conditions = Conditions(described=str(variant.file), timeout_scale=TIMEOUT_SCALE)
        judgement = bench.judge(mutant, directory, [mutant.requirement], conditions)
        if mutant.requirement not in judgement.of("failed"):
            missed[mutant.name] = judgement.output
    assert missed == {}, "\n".join(missed.values())


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_each_variant_has_a_sample_of_mutants(variant: Variant) -> None:
    assert len(sample_for(variant)) == SAMPLE


def test_each_variant_has_its_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FULL, raising=False)
    chosen = set()
    for number in range(200):
        monkeypatch.setenv(SEED, str(number))
        chosen.update(selected_today())
    assert chosen == set(VARIANTS)
