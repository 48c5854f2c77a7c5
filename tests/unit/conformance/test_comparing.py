"""Messages of failed comparisons in the suite: the observed value and the expected value."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from vault_issuer_conformance.comparing import explanation

from pytest_vault_issuer.certificates import Authority
from pytest_vault_issuer.redaction.redactor import Redactor
from pytest_vault_issuer.report.outcomes import headline

pytest_plugins = ("pytester",)
CLIENT = Authority("clients").issue_client("client-of-b").der


def serial(der: bytes) -> str:
    return f"{x509.load_der_x509_certificate(der).serial_number:x}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/v1/auth/x/login", "'/v1/auth/x/login'"),
        (600, "600"),
        ({600, 60}, "60, 600"),
        (set(), "none"),
        (["a", 1], "['a', 1]"),
        (None, "None"),
        (b"\x30\x82\x01", "3 bytes 308201…"),
        # The id is fixed, because the serial number differs in each process and workers must collect the same tests.
        pytest.param(CLIENT, f"certificate CN=client-of-b serial {serial(CLIENT)[:8]}…", id="certificate"),
        (x509.load_der_x509_certificate(CLIENT).subject, "CN=client-of-b"),
        ("x" * 1000, f"'{'x' * 119}…{'x' * 119}'"),
    ],
)
def test_values_in_words(value: Any, shown: str) -> None:
    assert explanation(value, "another", Redactor().redact) == [
        "seen == expected",
        "expected: 'another'",
        f"seen: {shown}",
    ]


@pytest.mark.parametrize(
    ("seen", "expected"), [(object(), 1), ("same", "same"), (["x" * 500 + "a"], ["x" * 500 + "a"])]
)
def test_unhelpful_explanation_is_left_to_pytest(seen: Any, expected: Any) -> None:
    assert explanation(seen, expected, Redactor().redact) is None


def test_pytest_shows_the_explanation_in_the_suite(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("from vault_issuer_conformance.conftest import pytest_assertrepr_compare")
    pytester.makepyfile(
        """
        def test_equal():
            assert {3600} == {600}, "every JWT was to expire after 600 s"

        def test_other():
            assert 1 in [2], "expected one"
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:vault-issuer")
    result.stdout.re_match_lines_random(
        [
            "E +AssertionError: every JWT was to expire after 600 s",
            "E +assert seen == expected",
            "E +expected: 600",
            "E +seen: 3600",
            "E +assert 1 in \\[2\\]",
        ]
    )


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("", ""),
        ("waited 5 s for it; its conditions: none", "waited 5 s for it; its conditions: none"),
        ("expected one\nassert seen == expected\n  expected: 1\n  seen: 2", "expected one (seen: 2)"),
        ("expected one\nassert 1 in [2]", "expected one"),
    ],
)
def test_headline_is_the_most_important_line(message: str, line: str) -> None:
    assert headline(message) == line


@pytest.mark.parametrize("around", ["", "x" * 150], ids=["all", "middle"])
def test_two_secrets_are_compared_by_their_marks(around: str) -> None:
    """Both secrets are longer than the shown text: if they were shortened first, two that differ in the middle would
    look equal."""
    one, other = (f"{HEAD}.{HEAD}.{around}{letter * 342}{around}" for letter in "Aq")
    lines = explanation(one, other, Redactor().redact)
    assert lines is not None
    assert "A" * 8 not in lines[2]
    assert "q" * 8 not in lines[1]
    assert lines[1].removeprefix("expected: ") != lines[2].removeprefix("seen: ")


def test_value_behind_its_name_is_redacted_before_it_is_cut() -> None:
    """If the text were shortened first, the second half would start in the middle of the password."""
    password = "".join(f"{n:x}" for n in range(60))
    lines = explanation({"path": "p" * 200, "password": password, "role": "r" * 60}, None, Redactor().redact)
    assert lines is not None
    assert password[-8:] not in lines[2]
    assert "'password': '<secret " in lines[2]


HEAD = "eyJhbGciOiJSUzI1NiJ9"
