"""The committed results are complete, keep the promise that the README makes, and are what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.bugs.__main__ import NAMES, main
from benchmarks.bugs.campaigns import STRATEGIES, Cell, applies, measured
from benchmarks.bugs.catalogue import bug
from benchmarks.bugs.tables import Results, markdown, text_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def results() -> Results:
    return Results.load(ROOT / "benchmarks" / "bugs" / "results.json")


def test_every_bug_was_measured_under_every_strategy_that_applies(results: Results) -> None:
    wanted = {(name, strategy) for name in NAMES for strategy in STRATEGIES if applies(bug(name), strategy)}
    assert set(results.cells) == wanted


def test_the_portfolio_missed_no_bug(results: Results) -> None:
    for name in NAMES:
        cell = results.cells[name, "portfolio"]
        assert cell.found, name
        assert cell.missed == 0, name


def test_no_search_came_to_its_end_without_finding_the_bug(results: Results) -> None:
    """It would mean that partial-order reduction had left an order out."""
    assert all(cell.verdict != "holds" for cell in results.cells.values())


def test_the_page_shows_them(results: Results) -> None:
    page = (ROOT / "docs" / "bug-benchmark.md").read_text()
    shown = page.partition("<!-- results -->\n")[2].partition("<!-- end of results -->")[0]
    assert shown == markdown(results, NAMES, STRATEGIES)


def test_the_code_on_the_page_runs() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "bug-benchmark.md").read_text(), re.M | re.S)
    exec(block, {})


def test_a_cell_counts_schedules_from_one_and_says_what_was_missed() -> None:
    cell = measured("lazy_init", "portfolio", range(3), 500, 60)
    assert len(cell.found) == 3
    assert all(count is not None and 1 <= count <= 500 for count in cell.found)
    assert cell.schedules == sum(count or 0 for count in cell.found)
    missing = measured("reorder_100", "fifo", range(2), 3, 60)
    assert (missing.found, missing.schedules, missing.mean) == ((None, None), 6, None)
    assert text_of(missing) == "not in 3 (2 times)"
    assert text_of(Cell("b", "s", (2, None, 4), "failed", 11, 1.0, 5)) == "3, not in 1 of 3"
    assert text_of(Cell("b", "s", (2, 4), "inconclusive", 11, 1.0, 5, is_cut=True)) == "3 (2 seeds)"
    assert text_of(Cell("b", "s", (2,), "inconclusive", 11, 1.0, 5, is_cut=True)) == "2 (1 seed)"
    assert text_of(Cell("b", "s", (), "inconclusive", 1100, 1.0, 5, is_cut=True)) == "not in 1,100, cut"


def test_the_command_measures_and_keeps_what_it_measured(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    arguments = ["--bug", "check_then_await", "--strategy", "portfolio", "--strategy", "dpor", "--seeds", "2"]
    done = CliRunner().invoke(main, [*arguments, "--processes", "1", "--json", str(file)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    kept = Results.load(file)
    assert list(kept.cells) == [("check_then_await", "portfolio")]  # dpor does not apply
    shown = CliRunner().invoke(main, ["--show", str(file), "--markdown", *arguments[:6]], catch_exceptions=False)
    assert any(line.startswith("| check_then_await | ") for line in shown.output.splitlines())
    assert " – |" in shown.output
