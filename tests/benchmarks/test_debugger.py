"""The table of the debugger's moves is the one that was measured."""

from __future__ import annotations

import json

import pytest

from benchmarks import debugger

pytestmark = pytest.mark.one_python


def test_the_page_shows_the_results_that_are_kept() -> None:
    kept = json.loads(debugger.KEPT.read_text())
    assert [row[:2] for row in kept["rows"]] == [[command, what] for command, what, _, _ in debugger.MOVES]
    assert debugger.PASTED.text() == debugger.markdown(kept)
