"""The benchmark that tunes a controller: a tiny tuning keeps to its runs, and proposals are looked at alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import controller_tuning
from benchmarks.controller_tuning import BOUNDS, CONTENDERS, START, Tuned

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "benchmarks" / "results" / "controller-tuning.json"


def test_a_tuning_of_few_runs_proposes_parameters_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller_tuning, "JOBS", 2)
    tune = controller_tuning.by_minimize("finite", difference="simultaneous")
    way = tune(250, 0)
    assert [runs for runs, _ in way] == sorted(runs for runs, _ in way)
    assert 0 < way[-1][0] <= 250
    found = way[-1][1]
    assert list(found) == list(START)
    assert found != START
    assert all(low <= found[name] <= high for name, (low, high) in BOUNDS.items())
    assert tune(1, 0) == [(0, START)]  # too few for any iteration
    start, again = controller_tuning.verdicts([START, dict(START)], runs=3)
    assert start == again
    tuned = {"finite": [Tuned(way, 0.5)]}
    rows = controller_tuning.table_rows(tuned, looked_at=3)
    ((first, loss), *_) = controller_tuning.ways(tuned, looked_at=3)["finite"]
    assert (first, loss) == (0, pytest.approx(sum(start) / 3))
    assert [len(row) for row in rows] == [len(controller_tuning.COLUMNS)] * 2


def test_evaluations_use_every_seed_once() -> None:
    seeds: list[int] = []
    loss = controller_tuning.fresh_mean(0, lambda params, seed: float(seeds.append(seed) or 2.0))
    assert loss(START) == loss(START) == 2.0
    assert len(set(seeds)) == len(seeds) == 2 * controller_tuning.AVERAGED


def test_the_page_shows_the_results_that_are_kept() -> None:
    rows, about = controller_tuning.loaded(KEPT)
    assert [row[0] for row in rows] == ["the start", *CONTENDERS]
    page = (ROOT / "docs" / "gradients.md").read_text()
    between = page.split("<!-- tuning -->\n")[1].split("<!-- end of tuning -->")[0]
    assert between == controller_tuning.markdown(rows, about)
