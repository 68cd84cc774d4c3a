"""What the finder of flips makes of runs beside the recorded one, given made-up runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from detrun.ad.moving_notes import Crossings, Flip
from detrun.errors import UsageError
from detrun.gradients import flips
from detrun.gradients.flips import NEARBY, TIES_MAX, FlipFinder, Flips
from detrun.gradients.sides import OneSided
from detrun_recorder.snapshots import SnapshotError
from detrun_scheduler.errors import DetrunError

Point = tuple[float, float] | None


class Beside(FlipFinder):
    """Whose runs beside the recorded one are a function of the move, asked at the places in ``asked``."""

    __slots__ = ("asked", "run")

    def beside(self, move: float, direction: Mapping[str, float]) -> Point:
        self.asked.append(move)
        found: Point = self.run(move)
        return found


def finder(run: Callable[[float], Point], **numbers: float) -> Beside:
    anything: Any = None
    found = Beside(anything, numbers or {"x": 1.0}, anything, anything)
    object.__setattr__(found, "run", run)
    object.__setattr__(found, "asked", [])
    return found


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No forks, whose results are those of the same call here."""
    monkeypatch.setattr(flips, "can_fork", lambda: False)


def jump_at(place: float, height: float, slope: float = 3.0) -> Callable[[float], Point]:
    return lambda move: (slope * move + (height if move > place else 0.0), slope)


def test_the_jump_is_what_is_left_when_both_sides_are_extended_to_the_flip() -> None:
    for move in (0.5, -0.5):
        one = finder(jump_at(move, 7.0))
        found = one._jump(move, {"x": 1.0})
        assert found == pytest.approx(7.0 if move > 0 else -7.0)  # behind is farther away
        assert one.asked == [move - 5e-4, move + 5e-4] if move > 0 else [move + 5e-4, move - 5e-4]


def test_where_no_jump_shows_it_is_looked_for_farther_away() -> None:
    """The straight margin says 0.5, and the curved one meets zero a little later."""
    one = finder(jump_at(0.502, 7.0))
    assert one._jump(0.5, {"x": 1.0}) == pytest.approx(7.0)
    assert one.asked == pytest.approx([0.4995, 0.5005, 0.495, 0.505])
    one = finder(jump_at(9.0, 7.0))
    assert one._jump(0.5, {"x": 1.0}) == 0.0
    assert one.asked == pytest.approx([0.4995, 0.5005, 0.495, 0.505, 0.45, 0.55])


def test_a_tie_is_looked_at_once_and_close_by() -> None:
    one = finder(jump_at(9.0, 7.0))
    assert one._jump(0.0, {"x": 1.0}) == 0.0
    assert one.asked == [-NEARBY, NEARBY]
    assert finder(jump_at(0.0, 7.0))._jump(0.0, {"x": 1.0}) == pytest.approx(7.0)


def test_there_is_no_jump_where_the_program_fails_on_a_side() -> None:
    assert finder(lambda move: None if move < 0.5 else (1.0, 0.0))._jump(0.5, {}) is None
    assert finder(lambda move: None if move > 0.5 else (1.0, 0.0))._jump(0.5, {}) is None


def test_both_sides_of_a_tie_are_close_by_in_units_of_large_numbers() -> None:
    one = finder(lambda move: (5.0 + move * (2.0 if move < 0 else 3.0) + (0.5 if move > 0 else 0.0), 2.0), x=1000.0)
    left, right, jump_left, jump_right = one._sides("x", 5.0)
    assert one.asked == [-1000.0 * NEARBY, 1000.0 * NEARBY]
    assert (left, right, jump_left) == (2.0, 2.0, 0.0)
    assert jump_right == pytest.approx(0.5, abs=1e-5)
    one = finder(lambda move: (4.0 if move < 0 else 5.0, 0.0), x=-0.5)
    assert one._sides("x", 5.0) == (0.0, 0.0, pytest.approx(-1.0), 0.0)
    assert one.asked == [-NEARBY, NEARBY]
    assert finder(lambda move: None)._sides("x", 5.0) == (None, None, 0.0, 0.0)


def test_steep_sides_are_extended_to_the_tie() -> None:
    one = finder(lambda move: (5.0 + move * 1e8, 1e8))
    assert one._sides("x", 5.0) == (1e8, 1e8, 0.0, 0.0)
    assert finder(lambda move: (move * 1e8, 1e8))._jump(0.5, {}) == 0.0


def test_what_is_lost_in_rounding_is_no_jump() -> None:
    assert flips._no_rounding(1e-8, 0.0) == 0.0
    assert flips._no_rounding(1.05e-8, 0.0) == 1.05e-8
    assert flips._no_rounding(0.9, 1e6) == 0.0
    assert flips._no_rounding(1.1, 1e6) == 1.1


def test_sides_are_looked_at_where_there_is_a_tie_and_of_eight_parameters_at_most() -> None:
    near: Any = {"x": SimpleNamespace(radius=0.0), "y": SimpleNamespace(radius=0.5)}
    one = finder(lambda move: (5.0, 1.0 if move < 0 else 2.0), x=1.0, y=1.0)
    assert one.sides_at_ties(near, 5.0) == {"x": OneSided(1.0, 2.0)}
    assert one.sides_at_ties({"y": near["y"]}, 5.0) == {}
    many = {f"p{number}": 1.0 for number in range(TIES_MAX + 2)}
    all_tied = finder(lambda move: (5.0, 1.0), **many)
    assert list(all_tied.sides_at_ties(dict.fromkeys(many, near["x"]), 5.0)) == [f"p{number}" for number in range(8)]

    def fails(move: float) -> Point:
        raise DetrunError("no run")

    assert finder(fails).sides_at_ties({"x": near["x"]}, 5.0) == {}


def test_a_run_beside_the_recorded_one_has_the_loss_and_the_slope_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    anything: Any = None
    scopes = []

    def tangents(moved: Mapping[str, float], directions: Any, *, measures_validity: bool) -> Any:
        scopes.append((moved, directions, measures_validity))
        return SimpleNamespace(slopes=[4.0])

    def execute(main: Any, args: Any, options: Any, scope: Any) -> Any:
        return SimpleNamespace(outcome="ended")

    monkeypatch.setattr(flips, "Tangents", tangents)
    monkeypatch.setattr(flips, "what_if_run", lambda recording: SimpleNamespace(execute=execute))
    monkeypatch.setattr(flips, "loss_of", lambda main, ended: 2.5)
    one = FlipFinder(anything, {"x": 1.0, "y": 2.0}, anything, anything)
    assert one.beside(0.5, {"x": -3.0}) == (2.5, 4.0)
    assert scopes == [({"x": -0.5, "y": 2.0}, [{"x": -3.0}], False)]

    def fails(main: Any, ended: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(flips, "loss_of", fails)
    assert one.beside(0.5, {"x": -3.0}) is None


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What forward runs were asked for. Each finds 2 flips below, 1 above, and three near, of which it keeps some."""
    calls: list[Any] = []

    def run_forward(main: Any, numbers: Any, directions: Any, crossings: Sequence[Crossings], *given: Any) -> None:
        calls.append((directions, [(one.within, one.nearest_max) for one in crossings]))
        site: Any = "site"
        for one in crossings:
            one.passes_down, one.passes_up = 2, 1
            one.nearest = [Flip(move, site, 0.0, 1.0) for move in (0.5, -0.75, 9.0)][: one.nearest_max]

    monkeypatch.setattr(flips, "run_forward", run_forward)
    return calls


def test_each_parameter_is_moved_alone(asked: list[Any]) -> None:
    one = finder(jump_at(0.5, 7.0), x=1.0, y=2.0)
    found = one(-0.25)
    assert asked == [([{"x": 1.0}, {"y": 1.0}], [(0.25, 3), (0.25, 3)])]
    assert list(found) == ["x", "y"]
    assert (found["y"].within, found["y"].down, found["y"].up) == (0.25, 2, 1)
    assert [(flip.move, flip.jump) for flip in found["x"].nearest] == [
        (0.5, pytest.approx(7.0)),
        (-0.75, 0.0),
        (9.0, 0.0),
    ]
    assert str(found["x"]).startswith(
        "within 0.25: 2 flips below, 1 above\n  at +0.5: site; the loss jumps by +7\n  at"
    )
    found = one({"y": 3.0}, nearest=1)
    assert asked[1] == ([{"y": 1.0}], [(3.0, 1)])
    assert [flip.move for flip in found["y"].nearest] == [0.5]


def test_jumps_and_names_of_flips_may_be_left_out(asked: list[Any]) -> None:
    one = finder(jump_at(0.5, 7.0))
    assert [flip.jump for flip in one(1.0, jumps=False)["x"].nearest] == [None] * 3
    assert one.asked == []
    assert one(1.0, nearest=0)["x"] == Flips(1.0, 2, 1)
    assert asked[1] == ([{"x": 1.0}], [(1.0, 1)])
    assert one.asked == []
    assert [flip.jump for flip in one.along({"x": 1.0}, jumps=False, nearest=2).nearest] == [None] * 2


def test_along_a_direction_all_move_together(asked: list[Any]) -> None:
    found = finder(jump_at(0.5, 7.0), x=1.0, y=2.0).along({"x": 1.0, "y": -4.0})
    assert asked == [([{"x": 1.0, "y": -4.0}], [(1.0, 3)])]
    assert (found.within, found.nearest[0].jump) == (1.0, pytest.approx(7.0))


def test_distances_and_names_that_make_no_sense_are_refused(asked: list[Any]) -> None:
    one = finder(jump_at(0.5, 7.0), x=1.0, y=2.0)
    for wrong, said in (
        (lambda: one({"z": 1.0}), "'z' is none of the parameters x, y"),
        (lambda: one(float("inf")), "x=inf is not a finite number"),
        (lambda: one({"y": "far"}), "y='far' is not a finite number"),
        (lambda: one.along({"y": float("nan")}), "y=nan is not"),
        (lambda: one.along({"y": 1.0}, within=float("nan")), "within=nan is not"),
        (lambda: finder(jump_at(0.5, 7.0), **{f"p{i}": 0.0 for i in range(33)})(1.0), "33 parameters; name at most 32"),
    ):
        with pytest.raises(UsageError, match=said):
            wrong()
    assert asked == []
    assert len(finder(jump_at(0.5, 7.0), **{f"p{i}": 0.0 for i in range(32)})(1.0, jumps=False)) == 32


def test_where_there_are_forks_the_runs_are_made_in_one_and_print_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    monkeypatch.setattr(flips, "can_fork", lambda: True)
    monkeypatch.setattr(flips, "silence", lambda: done.append("silent"))

    def in_fork(body: Any) -> Any:
        done.append("forked")
        return body()

    monkeypatch.setattr(flips, "in_fork", in_fork)
    assert flips._quietly(lambda: 5) == 5
    assert done == ["forked", "silent"]

    def fails(body: Any) -> Any:
        raise SnapshotError("gone")

    monkeypatch.setattr(flips, "in_fork", fails)
    with pytest.raises(UsageError, match="the run could not be made again: gone"):
        flips._quietly(lambda: 5)
