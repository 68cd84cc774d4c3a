"""The validity of a parameter from margins and slopes by hand, and which sweeps find the slopes."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from detrun.ad import state
from detrun.ad import validity as module
from detrun.ad.sites import Margin, Site
from detrun.ad.tape import Tape
from detrun.ad.validity import Validity, nearest_flip, validity
from detrun.ad.value import Value


def passes_of(*margins: float) -> list[tuple[Site, Margin]]:
    """One pass at a site of its own for each margin."""
    with state.taped() as tape:
        bound = Value(0.0)
        for margin in margins:
            exec(compile(f"bound > {-margin!r}", f"site_{margin}.py", "eval"), {"bound": bound})
    found = [(one, margin) for one in tape.sites for margin in one.nearest]
    assert [margin.value for _, margin in found] == list(margins)
    return found


def test_what_a_parameter_does_not_move_has_no_nearest_flip() -> None:
    assert nearest_flip(passes_of(1.0, 0.0), [0.0, 0.0]) == Validity(inf, inf, inf, None, None, None, complete=True)
    assert not nearest_flip([], [], complete=False).complete
    assert Validity(inf, inf, inf, None, None, None).complete


def test_each_direction_has_its_nearest_flip_and_the_radius_is_that_of_both() -> None:
    passes = passes_of(6.0, 2.0, -8.0, 5.0)
    found = nearest_flip(passes, [-2.0, 0.5, 2.0, 2.5], complete=False)  # at 3, -4, 4 and -2
    assert (found.up, found.down, found.radius) == (3.0, 2.0, 2.0)
    assert (found.site, found.margin, found.slope) == (passes[3][0], 5.0, 2.5)
    assert not found.complete
    assert nearest_flip(passes, [-2.0, 0.5, 2.0, 2.5]).complete


def test_of_two_at_one_distance_the_earlier_site_is_named() -> None:
    passes = passes_of(1.0, 3.0)
    assert nearest_flip(passes, [1.0, 3.0]).site is passes[0][0]
    assert nearest_flip(passes, [1.0, -3.0]).site is passes[0][0]


@pytest.mark.parametrize("slope", [1.0, -1.0])
def test_a_tie_leaves_no_room_in_either_direction(slope: float) -> None:
    found = nearest_flip(passes_of(0.0, 2.0), [slope, 1.0])
    assert (found.radius, found.down, found.up, found.margin) == (0.0, 0.0, 0.0, 0.0)


class Sweeps:
    """Counts sweeps of either kind."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        for name in ("backward", "tangent_sweep"):
            monkeypatch.setattr(module, name, self.counting(name, getattr(module, name)))

    def counting(self, name: str, sweep: Any) -> Any:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.made.append(name)
            return sweep(*arguments, **options)

        return counted


def taped(parameters: int, margins: int) -> tuple[Tape, dict[str, int]]:
    """Parameter k has slope k + 1 in every margin; margin j is 1, 2, … from the last site to the first."""
    with state.taped() as tape:
        values = [Value(0.0) for _ in range(parameters)]
        total = sum((value * (k + 1.0) for k, value in enumerate(values)), Value(0.0))
        for j in range(margins):
            eval(compile(f"total > {j - margins}", f"site_{j}.py", "eval"), {"total": total})
    return tape, {f"p{k}": value.id for k, value in enumerate(values)}


@pytest.mark.parametrize(
    ("parameters", "margins", "made"),
    [(3, 2, ["backward"] * 2), (3, 3, ["tangent_sweep"] * 3), (2, 3, ["tangent_sweep"] * 2)],
)
def test_whichever_sweeps_are_fewer_are_made(
    parameters: int, margins: int, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tape, ids = taped(parameters, margins)
    sweeps = Sweeps(monkeypatch)
    found = validity(tape, ids)
    assert sweeps.made == made
    for k in range(parameters):
        one = found[f"p{k}"]
        assert (one.radius, one.down, one.up) == (1.0 / (k + 1), 1.0 / (k + 1), inf)
        assert (one.margin, one.slope, one.complete) == (1.0, k + 1.0, True)


@pytest.mark.parametrize(("margins", "complete"), [(3, True), (4, False)])
def test_of_very_many_margins_the_closest_are_swept_and_the_result_says_so(
    margins: int, complete: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape, ids = taped(5, margins)
    sweeps = Sweeps(monkeypatch)
    monkeypatch.setattr(module, "SWEEPS_MIN", 1)
    monkeypatch.setattr(module, "ENTRIES_SWEPT_MAX", 4 * len(tape) - 1)  # three sweeps and a part
    found = validity(tape, ids)["p1"]
    assert sweeps.made == ["backward"] * 3
    assert (found.radius, found.margin, found.complete) == (0.5, 1.0, complete)
    sweeps.made.clear()
    monkeypatch.setattr(module, "SWEEPS_MIN", 4)
    assert validity(tape, ids)["p1"].complete
    assert sweeps.made == ["backward"] * 4 if margins == 4 else ["backward"] * 3


def test_of_margins_that_are_equally_close_the_earlier_site_is_named_though_some_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with state.taped() as tape:
        values = [Value(0.0) for _ in range(4)]
        for value, margin in zip(values, (2.0, 9.0, -1.0), strict=False):
            eval(compile(f"value > {-margin}", f"site_{margin}.py", "eval"), {"value": value + values[3] * margin})
    monkeypatch.setattr(module, "SWEEPS_MIN", 2)
    monkeypatch.setattr(module, "ENTRIES_SWEPT_MAX", 1)
    found = validity(tape, {str(k): value.id for k, value in enumerate(values)})
    assert not found["1"].complete
    assert found["1"].radius == inf  # its margin is the one that is left out
    assert [found[k].radius for k in ("0", "2", "3")] == [2.0, 1.0, 1.0]
    assert found["3"].margin == 2.0


def test_a_pullback_that_runs_backward_alone_makes_all_sweeps_do_so(monkeypatch: pytest.MonkeyPatch) -> None:
    tape, ids = taped(1, 3)
    tape.add_wide((ids["p0"],), lambda adjoint: [adjoint])
    sweeps = Sweeps(monkeypatch)
    assert validity(tape, ids)["p0"].radius == 1.0
    assert sweeps.made == ["backward"] * 3


def test_a_tape_without_entries_has_nothing_to_sweep() -> None:
    assert validity(Tape(first_id=0), {}) == {}
