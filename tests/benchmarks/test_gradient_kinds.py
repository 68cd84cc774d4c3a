"""The benchmark of kinds of gradients: what it measures on a tiny program, and that the page shows what was kept."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import detrun
from benchmarks import gradient_kinds
from benchmarks.gradient_programs import PROGRAMS, KnownProgram, of_mean

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "benchmarks" / "results" / "gradient-kinds.json"


def coin(params: Any) -> Any:
    return 2.0 * float(detrun.bernoulli(params["p"])) + params["p"]


COIN = KnownProgram("coin", coin, {"p": 0.5}, of_mean(lambda params: 3 * params["p"]), "closed form")


def test_a_coin_by_every_kind_beside_what_is_right(tmp_path: Path) -> None:
    """d/dp (2 p + p) = 3. Pairs know it exactly; the local derivative of 1 has no noise, and is wrong.

    The seeds are fixed; how many samples fill the time depends on the machine, so no noisy kind is held to a number.
    """
    line = gradient_kinds.line_of(COIN, seconds=0.001)
    assert line.truth["p"][0] == pytest.approx(3.0)
    assert list(line.kinds) == ["independent", "local", "expected", "policy", "finite", "frozen"]
    assert line.kinds["expected"].grads["p"] == pytest.approx(3.0)
    assert line.kinds["expected"].off == 0.0
    assert line.kinds["local"].off is None
    assert not line.kinds["local"].is_right
    assert line.kinds["independent"].work > 0.0
    cells = dict(zip(gradient_kinds.header(), gradient_kinds.cells(line), strict=True))
    assert cells["local"] == "wrong"
    assert cells["expected"] == "no noise, +0.0"
    assert cells["relaxed"] == cells["simultaneous"] == "–"
    file = tmp_path / "kept.json"
    file.write_text(json.dumps({"about": "a machine", "lines": [asdict(line)]}))
    lines, about = gradient_kinds.loaded(file)
    assert gradient_kinds.markdown(lines, about) == gradient_kinds.markdown([line], "a machine")


def test_a_number_that_is_off_has_no_efficiency() -> None:
    known = gradient_kinds.measured({"p": 3.5}, {"p": 0.1}, 2.0, 10, COIN, {"p": (3.0, 0.0)})
    assert known.off == pytest.approx(5.0)
    assert not known.is_right
    assert known.work == pytest.approx((0.1 * 0.5) ** 2 * 2.0)
    base = gradient_kinds.measured({"p": 3.1}, {"p": 0.4}, 2.0, 10, COIN, {"p": (3.0, 0.3)})
    assert base.off == pytest.approx(0.2)
    line = gradient_kinds.Line("coin", "closed form", {"p": (3.0, 0.0)}, {"independent": base, "policy": known})
    assert gradient_kinds.cells(line)[4] == "–"
    assert gradient_kinds.cells(line)[5] == "off +5"


def test_an_unknown_program_is_refused() -> None:
    said = CliRunner().invoke(gradient_kinds.main, ["--only", "nothing like it"])
    assert said.exit_code == 2
    assert "no program has 'nothing like it'" in said.output


def test_the_page_shows_the_results_that_are_kept() -> None:
    lines, about = gradient_kinds.loaded(KEPT)
    assert [line.program for line in lines] == [program.name for program in PROGRAMS]
    page = (ROOT / "docs" / "gradients.md").read_text()
    between = page.split("<!-- efficiency -->\n")[1].split("<!-- end of efficiency -->")[0]
    assert between == gradient_kinds.markdown(lines, about)
