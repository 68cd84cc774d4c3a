"""Texts that would control a terminal are written out, and all others are left alone."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun_scheduler.visible import visible, visible_json, visible_line

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))
JOINERS = "\u200c\u200d"


@given(ANY_TEXT)
def test_nothing_that_is_shown_controls_a_terminal_or_reorders_a_line(text: str) -> None:
    for shown, allowed in ((visible(text), "\n\t"), (visible_line(text), "")):
        for character in shown:
            assert unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") or character in allowed
            assert unicodedata.bidirectional(character) not in (
                "LRE",
                "RLE",
                "LRO",
                "RLO",
                "PDF",
                "LRI",
                "RLI",
                "FSI",
                "PDI",
            )
        shown.encode()


@given(st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp"))))
def test_ordinary_text_in_any_script_is_left_alone(text: str) -> None:
    assert visible(text) == visible_line(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\rb", r"a\rb"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202etxt.exe", r"\u202etxt.exe"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("one\n\ttwo", "one\n\ttwo"),
    ],
)
def test_what_is_written_out_reads_as_python_writes_it(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_name_begins_no_line_of_its_own() -> None:
    assert visible_line("cell\n  outcome  ok\t") == r"cell\n  outcome  ok\t"


@given(st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=3))
def test_json_says_the_same_without_controls(document: dict[str, str]) -> None:
    shown = visible_json(json.dumps(document, ensure_ascii=False))
    assert json.loads(shown) == document
    assert visible(shown) == shown


def test_messages_of_errors_quote_names_without_their_controls() -> None:
    assert str(detrun.UsageError("no task 'a\x1b[2J'")) == r"no task 'a\x1b[2J'"
    assert str(detrun.UsageError()) == ""
    assert issubclass(detrun.DeadlockError, detrun.DetrunError)
    assert str(detrun.DeadlockError("one\ntwo")) == "one\ntwo"
