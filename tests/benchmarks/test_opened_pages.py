"""The table of opened pages is the one that was measured."""

from __future__ import annotations

import json

import pytest

from benchmarks import opened_pages

pytestmark = pytest.mark.one_python


def test_the_page_shows_the_results_that_are_kept() -> None:
    kept = json.loads(opened_pages.KEPT.read_text())
    assert [row[0] for row in kept["rows"]] == list(opened_pages.PROGRAMS)
    assert opened_pages.PASTED.text() == opened_pages.markdown(kept)
