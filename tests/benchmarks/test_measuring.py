"""What is measured is kept and pasted between the marks of a document, which stays as it is elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measuring import Pasted, captioned, measure_or_show

pytestmark = pytest.mark.one_python
BEFORE, AFTER = "before\n<!-- speed -->\n", "<!-- end of speed -->\nafter\n"


def shown(kept: dict[str, Any]) -> str:
    return captioned([f"| {kept['seconds']} |"], "Seconds.")


def refuses() -> dict[str, Any]:
    raise AssertionError("it measured")


def test_results_are_kept_and_pasted_and_with_show_only_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, page = tmp_path / "speed.json", tmp_path / "page.md"
    page.write_text(f"{BEFORE}old\n{AFTER}")
    pasted = Pasted(page, "speed")
    monkeypatch.setattr(sys, "argv", ["speed"])
    measure_or_show(kept, pasted, lambda: {"seconds": 3}, shown)
    assert json.loads(kept.read_text()) == {"seconds": 3}
    assert page.read_text() == f"{BEFORE}| 3 |\n\nSeconds.\n{AFTER}"
    assert capsys.readouterr().out == f"{pasted.text()}\n"

    kept.write_text('{"seconds": 4}')
    monkeypatch.setattr(sys, "argv", ["speed", "--show"])
    measure_or_show(kept, pasted, refuses, shown)
    assert capsys.readouterr().out == "| 4 |\n\nSeconds.\n\n"
    assert pasted.text() == "| 3 |\n\nSeconds.\n"


@pytest.mark.parametrize("text", ["no marks\n", "<!-- speed -->\nold\n", f"{BEFORE}old\n{AFTER}{BEFORE}old\n{AFTER}"])
def test_a_document_with_other_marks_stays_as_it_is(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match=r"page\.md: the marks of speed must stand there once"):
        Pasted(page, "speed").paste("new\n")
    assert page.read_text() == text
