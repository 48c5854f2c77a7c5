"""The catalogue is well formed; every requirement has a test, and every test has a requirement."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vault_issuer.errors import ConfigurationError
from pytest_vault_issuer.requirements.catalogue import LEVELS, Catalogue, Requirement
from pytest_vault_issuer.requirements.features import AREAS, FEATURES, PROFILES
from tests.support.reader import WITHOUT_HYPOTHESIS

ENTRY = """
[[requirement]]
id = "VI-SIGN-001"
statement = "The controller MUST sign."
level = "MUST"
profile = "core"
feature = ""
citation = "page"
"""


def parse(*changes: tuple[str, str]) -> Catalogue:
    text = ENTRY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return Catalogue.parse(text)


# -- reading --------------------------------------------------------------------------------------------------


def test_an_entry() -> None:
    text = ENTRY + 'since = "1.15"\nupstream = ["cert-manager#1"]\n'
    assert Catalogue.parse(text).requirements == (
        Requirement(
            "VI-SIGN-001", "The controller MUST sign.", "MUST", "core", "", "page", "1.15", upstream=("cert-manager#1",)
        ),
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("VI-SIGN-001", "VI-SIGN-01", r"'VI-SIGN-01' is not VI-<AREA>-<NNN>"),
        ("VI-SIGN-001", "VI-SING-001", r"'VI-SING-001' is not VI-<AREA>-<NNN> with a known area"),
        ('level = "MUST"', 'level = "SHALL"', "VI-SIGN-001: the statement does not contain its level, SHALL"),
        ('level = "MUST"', 'level = "SHOULD"', "VI-SIGN-001: the statement does not contain its level, SHOULD"),
        ('profile = "core"', 'profile = "cor"', "VI-SIGN-001: there is no profile 'cor'"),
        ('feature = ""', 'feature = "aprole"', "VI-SIGN-001: there is no feature 'aprole'"),
        ('feature = ""', 'feature = ""\nsince = "soon"', "VI-SIGN-001: since 'soon' is not a version"),
    ],
)
def test_an_entry_that_is_wrong(old: str, new: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse((old, new))


@pytest.mark.parametrize(
    ("since", "contract", "later"),
    [
        ("1.20", "1.18", True),
        ("1.20", "1.9", True),
        ("1.20", "1.19.9", True),
        ("1.20", "1.20", False),
        ("1.20", "1.20.0", False),
        ("1.20", "1.100", False),
        ("1.21.2", "1.21", True),
        ("1.21.2", "1.21.2", False),
        ("1.20", "", False),
        ("", "1.0", False),
    ],
)
def test_requirement_is_later_than_an_older_contract(since: str, contract: str, later: bool) -> None:
    (requirement,) = Catalogue.parse(ENTRY + f'since = "{since}"\n').requirements
    assert requirement.later_than(contract) is later


def test_the_same_id_twice() -> None:
    with pytest.raises(ValueError, match="not unique: VI-SIGN-001"):
        Catalogue.parse(ENTRY + ENTRY)


@pytest.mark.parametrize("key", ["id", "statement", "level", "profile", "feature", "citation"])
def test_an_entry_without_a_key(key: str) -> None:
    text = re.sub(rf"(?m)^{key} = .*\n", "", ENTRY)
    with pytest.raises((ValueError, TypeError), match=key):
        Catalogue.parse(text)


def test_an_entry_with_an_unknown_key() -> None:
    with pytest.raises((ValueError, TypeError), match="levle"):
        Catalogue.parse(ENTRY + 'levle = "MAY"\n')


# -- choosing -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """Return the real catalogue."""
    return Catalogue.load()


def test_select_areas_and_ids(catalogue: Catalogue) -> None:
    chosen = [requirement.id for requirement in catalogue.select(("core",), ("KSTATIC", "VI-SIGN-001"))]
    assert "VI-SIGN-001" in chosen
    assert "VI-SIGN-002" not in chosen
    assert [i for i in catalogue.ids if "-KSTATIC-" in i] == [i for i in chosen if i != "VI-SIGN-001"]


@pytest.mark.parametrize("name", ["PKI", "VI-PKI-002"])
def test_selection_from_another_profile_is_an_error(catalogue: Catalogue, name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        catalogue.select(("core",), ("KSTATIC", name))
    assert caught.value.message == f"{name} belongs to the profile extended, which is not selected"
    assert "--vault-issuer-profile=extended" in caught.value.hint


@pytest.mark.parametrize(
    ("selection", "profiles"),
    [
        (["VI-SIGN-001"], ("core",)),
        (["VI-PKI-002"], ("extended",)),
        (["VI-PKI-002", "VI-SIGN-001"], ("core", "extended")),
        (["REQUEST"], ("core",)),
        (["LOAD", "PKI"], ("extended", "resilience")),
    ],
)
def test_selection_has_the_profiles_that_contain_it(
    catalogue: Catalogue, selection: list[str], profiles: tuple[str, ...]
) -> None:
    assert catalogue.profiles_of(selection) == profiles


def test_no_selection_is_everything(catalogue: Catalogue) -> None:
    assert catalogue.select(("core",)) == [r for r in catalogue.requirements if r.profile == "core"]
    assert catalogue.select(()) == []


@pytest.mark.parametrize(
    ("profiles", "selection", "hint"),
    [
        (("cor",), (), "did you mean core?"),
        (("core",), ("SING",), "did you mean SIGN?"),
        (("core",), ("VI-SIGN-999",), "did you mean VI-SIGN-"),
    ],
)
def test_unknown_selection_is_rejected(
    catalogue: Catalogue, profiles: tuple[str, ...], selection: tuple[str, ...], hint: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        catalogue.select(profiles, selection)
    assert hint in caught.value.hint


def test_look_up_by_id(catalogue: Catalogue) -> None:
    assert catalogue["VI-SIGN-001"].area == "SIGN"
    with pytest.raises(KeyError):
        catalogue["VI-SIGN-999"]


# -- the real one ---------------------------------------------------------------------------------------------


def test_every_statement_contains_its_level_only(catalogue: Catalogue) -> None:
    wrong = [
        r.id for r in catalogue.requirements if set(re.findall(r"\b(MUST|SHOULD|MAY)\b", r.statement)) != {r.level}
    ]
    assert wrong == []


def test_every_entry_is_a_sentence_with_a_source(catalogue: Catalogue) -> None:
    bare = [r.id for r in catalogue.requirements if not r.statement.endswith(".") or not r.citation.strip()]
    assert bare == []


def test_every_must_quotes_its_source(catalogue: Catalogue) -> None:
    bare = [r.id for r in catalogue.requirements if r.level == "MUST" and not r.quote.strip()]
    assert bare == []


def test_no_quote_is_longer_than_a_sentence(catalogue: Catalogue) -> None:
    assert [r.id for r in catalogue.requirements if len(r.quote.split()) > 25] == []


def test_statements_are_unique(catalogue: Catalogue) -> None:
    statements = [r.statement for r in catalogue.requirements]
    assert len(set(statements)) == len(statements)


def test_areas_are_in_order_and_their_ids_consecutive(catalogue: Catalogue) -> None:
    groups = [
        (area, [r.id for r in group]) for area, group in itertools.groupby(catalogue.requirements, lambda r: r.area)
    ]
    assert [area for area, _ in groups] == [area for area in AREAS if area in dict(groups)]
    for area, ids in groups:
        assert ids == [f"VI-{area}-{number:03}" for number in range(1, len(ids) + 1)]


def test_every_level_and_feature_occurs(catalogue: Catalogue) -> None:
    assert {r.level for r in catalogue.requirements} <= set(LEVELS)
    assert {r.feature for r in catalogue.requirements} <= {"", *FEATURES}


# -- catalogue and suite --------------------------------------------------------------------------------------

DUMP = """
import json, os
import pytest
from pytest_vault_issuer.judge.items import features_of, requirement_ids

@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session):
    found = {i.nodeid: [requirement_ids(i), sorted(features_of(i))] for i in session.items}
    with open(os.environ["DUMP_TO"], "w") as file:
        json.dump(found, file)
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[str], list[str]]]:
    """Return, for each test that pytest collects, the requirements that it judges and the features that it needs."""
    directory = tmp_path_factory.mktemp("collect")
    (directory / "dump_for_test.py").write_text(DUMP)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "VAULT_ISSUER"))}
    command = [sys.executable, "-m", "pytest", "--pyargs", "vault_issuer_conformance", "--vault-issuer=cert-manager"]
    command += [f"--vault-issuer-profile={profile}" for profile in PROFILES]
    run = subprocess.run(
        [*command, "--collect-only", "-q", "-p", "dump_for_test", "-p", "no:cacheprovider", *WITHOUT_HYPOTHESIS],
        cwd=directory,
        env=kept | {"PYTHONPATH": str(directory), "DUMP_TO": str(directory / "found.json")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    loaded: dict[str, tuple[list[str], list[str]]] = json.loads((directory / "found.json").read_text())
    return loaded


def test_every_requirement_has_a_test(catalogue: Catalogue, judged: dict[str, tuple[list[str], list[str]]]) -> None:
    tested = {identifier for ids, _ in judged.values() for identifier in ids}
    assert [identifier for identifier in catalogue.ids if identifier not in tested] == []


def test_every_test_has_a_requirement(catalogue: Catalogue, judged: dict[str, tuple[list[str], list[str]]]) -> None:
    assert judged
    assert [nodeid for nodeid, (ids, _) in judged.items() if not ids] == []
    assert {identifier for ids, _ in judged.values() for identifier in ids} <= set(catalogue.ids)


def test_a_test_judges_requirements_of_one_age(
    catalogue: Catalogue, judged: dict[str, tuple[list[str], list[str]]]
) -> None:
    """A test is skipped if one of its requirements is newer than the contract; the others would not be judged."""
    mixed = [nodeid for nodeid, (ids, _) in judged.items() if len({catalogue[i].since for i in ids}) != 1]
    assert mixed == []


def test_parameters_name_known_features(judged: dict[str, tuple[list[str], list[str]]]) -> None:
    assert {feature for _, features in judged.values() for feature in features} <= set(FEATURES)


def test_a_test_judges_requirements_of_its_files_area(judged: dict[str, tuple[list[str], list[str]]]) -> None:
    """A session imports only the files of the selected areas."""
    strange = [
        nodeid
        for nodeid, (ids, _) in judged.items()
        if {Path(nodeid.partition("::")[0]).stem.split("_")[1].upper()} != {i.split("-")[1] for i in ids}
    ]
    assert strange == []


@pytest.mark.parametrize(
    ("contract", "later"),
    [
        ("", set()),
        ("1.21.2", set()),
        ("1.20.0", {"aws"}),
        ("1.16", {"aws", "server-name"}),
        ("1.15.3", {"aws", "server-name", "client-certificate"}),
    ],
)
def test_features_that_came_after_the_contract(contract: str, later: set[str]) -> None:
    assert Catalogue.load().features_after(contract) == later
