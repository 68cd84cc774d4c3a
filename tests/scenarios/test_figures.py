"""Pictures and tables of scenarios in their READMEs: those of the tunings that are kept."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from detrun_scenarios.frame.catalogue import find_scenario

ROOT = Path(__file__).resolve().parents[2]
KEPT = sorted({file.name.split("-")[1] for file in (ROOT / "benchmarks" / "results").glob("tuning-*.json")})


@pytest.fixture(scope="module")
def figures() -> dict[str, object]:
    pytest.importorskip("matplotlib")
    pytest.importorskip("PIL")
    return runpy.run_path(str(ROOT / "docs" / "figures" / "scenarios.py"))


@pytest.mark.parametrize("name", KEPT)
def test_the_readme_shows_the_tunings_that_are_kept(name: str, figures: dict[str, object]) -> None:
    page = (ROOT / "scenarios" / "detrun_scenarios" / name / "README.md").read_text()
    shown = page.split("<!-- tuning -->\n")[1].split("<!-- end of tuning -->")[0]
    assert shown == figures["tables"](find_scenario(name))  # type: ignore[operator]


@pytest.mark.parametrize("name", KEPT)
def test_the_curves_of_kept_tunings_are_drawn(name: str, figures: dict[str, object]) -> None:
    scenario = find_scenario(name)
    found = figures["kept_tunings"](scenario)  # type: ignore[operator]
    figure = figures["curves"](found, scenario)  # type: ignore[operator]
    assert [axes.get_title() for axes in figure.axes] == [one["loss"] for one in found]


def test_a_number_is_written_to_two_digits_of_its_error(figures: dict[str, object]) -> None:
    measured = figures["measured"]
    assert measured(0.123456, 0.0123) == "0.123 ± 0.012"  # type: ignore[operator]
    assert measured(7.5, 0.0) == "7.5000 ± 0.0000"  # type: ignore[operator]
