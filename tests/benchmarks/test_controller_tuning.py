"""The benchmark that tunes a controller: a tiny tuning keeps to its runs, and proposals are looked at alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import controller_tuning
from benchmarks.controller_tuning import BOUNDS, CONTENDERS, PROBLEM, START, Tuned
from detrun_scenarios.frame.tuning import Proposal, verdicts

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "benchmarks" / "results" / "controller-tuning.json"


def test_a_tuning_of_few_runs_proposes_parameters_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller_tuning, "JOBS", 2)
    tune = controller_tuning.following("finite", difference="simultaneous")
    found = tune(PROBLEM, 250, 0)
    assert [one.spent for one in found.way] == sorted(one.spent for one in found.way)
    assert 0 < found.way[-1].spent == found.spent <= 250
    assert list(found.params) == list(START)
    assert found.way[0].params == START != found.params == found.way[-1].params
    assert all(low <= found.params[name] <= high for name, (low, high) in BOUNDS.items())
    assert tune(PROBLEM, 1, 0) == Proposal(START, 0)  # too few for any iteration
    tuned = {"finite": [Tuned(found, 0.5)]}
    rows = controller_tuning.table_rows(tuned, looked_at=3)
    ((first, loss), *_) = controller_tuning.ways(tuned, looked_at=3)["finite"]
    (start,) = verdicts(PROBLEM, [START], runs=3)
    assert (first, loss) == (0, pytest.approx(sum(start) / 3))
    assert [len(row) for row in rows] == [len(controller_tuning.COLUMNS)] * 2


def test_the_page_shows_the_results_that_are_kept() -> None:
    rows, about = controller_tuning.loaded(KEPT)
    assert [row[0] for row in rows] == ["the start", *CONTENDERS]
    page = (ROOT / "docs" / "gradients.md").read_text()
    between = page.split("<!-- tuning -->\n")[1].split("<!-- end of tuning -->")[0]
    assert between == controller_tuning.markdown(rows, about)
