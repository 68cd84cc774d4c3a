"""The figures of docs/gradients.md and docs/reports.md: kept small, all of them shown, the former drawn again alike."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
FIGURES = DOCS / "figures"
BYTES_MAX = 60_000


@pytest.mark.parametrize(("page", "names"), [("gradients.md", "gradient-*.png"), ("reports.md", "report-*.png")])
def test_a_page_shows_every_figure_that_is_kept_for_it(page: str, names: str) -> None:
    shown = re.findall(r"\]\((figures/[^)]+)\)", (DOCS / page).read_text())
    kept = sorted(FIGURES.glob(names))
    assert sorted(DOCS / one for one in shown) == kept
    assert kept
    assert all(one.stat().st_size < BYTES_MAX for one in kept)


@pytest.mark.slow
def test_the_script_draws_them_all_and_alike_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    spec = spec_from_file_location("figures_of_gradients", FIGURES / "gradients.py")
    assert spec is not None
    assert spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    drawn = script.draw(tmp_path, quick=True)
    assert sorted(one.name for one in drawn) == sorted(one.name for one in FIGURES.glob("gradient-*.png"))
    before = [one.read_bytes() for one in drawn]
    assert [one.read_bytes() for one in script.draw(tmp_path, quick=True)] == before
