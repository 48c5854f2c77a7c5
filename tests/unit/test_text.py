"""Text from other programs: what can be written, and how terminals and Markdown show it without interpreting it."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vault_issuer.text import all_printable, code, coded, depth_exceeds, markdown, one_line, plain, printable

ANYTHING = st.text(st.characters(), max_size=50)
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANYTHING,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANYTHING, inner, max_size=3),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain äöü 🙂\n\ttext", "plain äöü 🙂\n\ttext"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x1b]52;c;ZXZpbA==\x07", "\\x1b]52;c;ZXZpbA==\\x07"),
        ("\x9b31mred", "\\x9b31mred"),
        ("a\rb\r\nc", "a\\x0db\nc"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("a\n  ::error::x", "a\n  \\x3a:error::x"),
        ("see ##[error]x", "see #\\x23[error]x"),
        ("address ::1", "address ::1"),
    ],
)
def test_printable_text_is_shown_and_not_obeyed(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


@settings(derandomize=True, deadline=None)
@given(ANYTHING)
def test_printable_text_has_no_control_characters(text: str) -> None:
    shown = printable(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    shown.encode()
    assert "\n" not in one_line(text)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("![x](https://a.b/c#d)", "!\\[x\\](https://a.b/c#d)"),
        ("@user", "@\u200buser"),
        ("<!-- <b>", "&lt;!-- &lt;b&gt;"),
        ("a | b", "a \\| b"),
        ("```\n# head", "\\`\\`\\` # head"),
        ("# head", "\\# head"),
        ("&#64;user", "&amp;#64;user"),
        ("a\\*b*", "a\\\\\\*b\\*"),
    ],
)
def test_markdown_shows_text_unchanged(text: str, escaped: str) -> None:
    assert markdown(text) == escaped


def test_code_keeps_code_and_nothing_else() -> None:
    assert coded("a `b` <c>") == "a `b` &lt;c&gt;"
    assert coded("a `b|@c` d") == "a `b\\|@c` d"
    assert coded("a `b <c>") == "a \\`b &lt;c&gt;"
    assert code("a``b\n@c") == "``` a``b @c ```"


@settings(derandomize=True, deadline=None)
@given(VALUES)
def test_a_plain_value_is_json_for_every_reader(value: Any) -> None:
    text = json.dumps(plain(value), allow_nan=False, ensure_ascii=False)
    text.encode()
    assert json.loads(text) == plain(value) == plain(plain(value))


def test_a_plain_value_is_not_nested_deeply_and_has_no_huge_number() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    assert depth_exceeds(deep)
    assert not depth_exceeds(plain(deep), 102)
    assert plain(10**5000) == "<a number of 16610 bits>"
    assert all_printable({"\x1b": ["\x1b", 1, None, True]}) == {"\\x1b": ["\\x1b", 1, None, True]}
