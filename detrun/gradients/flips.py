"""What lies beside a local gradient: decisions that would flip, the jumps of the loss there, and both sides of a tie.

The run is made again with its parameters moved a little, following the recorded choices until they no longer fit
(`detrun_recorder.what_if`), so that what the parameter does not reach keeps its order. All of it is first order: a flip
is where a margin, extended as a straight line, meets zero. Such runs are in forward mode, which does not pass through
torch, and in a forked process where there is one, so that they print nothing and leave nothing behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isclose, isfinite
from typing import Any

from detrun.ad.moving_notes import Crossings, Flip
from detrun.ad.validity import Validity
from detrun.ad.value import primal_of
from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.gradients.forward_runs import PARAMETERS_MAX, run_forward
from detrun.gradients.loss import loss_of
from detrun.gradients.sides import OneSided
from detrun.gradients.tangents import Tangents
from detrun.races.watch import what_if_run
from detrun_recorder.recording import Recording
from detrun_recorder.snapshots import SnapshotError, can_fork, in_fork, silence
from detrun_scheduler.errors import DetrunError, UsageError

# Shares of its distance: how far before and behind a flip the loss is looked at; farther where none shows, since a
# curved margin meets zero a little elsewhere.
SHARES = (1e-3, 1e-2, 1e-1)
NEARBY = 1e-9  # of a number, or of 1: how far from a tie
TIES_MAX = 8  # parameters at a tie whose sides are looked at
SAME = 1e-6  # relative: derivatives and losses that are equal

Point = tuple[float, float]  # loss and slope


@dataclass(frozen=True, slots=True)
class Flips:
    """What would flip if a parameter, or all of them along a direction, moved by up to ``within``.

    Attributes:
        down, up: passes of discontinuity sites that would flip, for a move down and up. A tie counts in both.
        nearest: the nearest flips, one for each site and side, nearest first, also beyond ``within``.
    """

    within: float
    down: int
    up: int
    nearest: list[Flip] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"within {self.within:g}: {self.down:,} flips below, {self.up:,} above"]
        return "\n".join([*lines, *(f"  {one}" for one in self.nearest)])


@dataclass(frozen=True, slots=True)
class FlipFinder:
    """Finds the flips of one differentiated run: ``found.flips(0.1)``, ``found.flips.along({"x": 1.0, "y": -2.0})``."""

    main: Main = field(repr=False)
    numbers: Mapping[str, float]
    recording: Recording
    options: Options = field(repr=False)

    def __call__(
        self, within: float | Mapping[str, float], *, nearest: int = 3, jumps: bool = True
    ) -> dict[str, Flips]:
        """By parameter, what would flip if it alone moved.

        Args:
            within: how far, in units of the parameters; or a dict of the parameters to move, with a distance for each.
            nearest: flips to name for each.
            jumps: measure by how much the loss jumps at each of these, by two more runs for each, or a few.

        Cost: one run in forward mode, which takes time for each parameter that moves.

        Raises:
            UsageError: a distance that is none, an unknown parameter, or too many at once.
            NotDifferentiableError: forward mode does not pass through what the program does.
        """
        moving = dict(within) if isinstance(within, Mapping) else dict.fromkeys(self.numbers, within)
        if len(moving) > PARAMETERS_MAX:
            raise UsageError(
                f"flips: {len(moving)} parameters; name at most {PARAMETERS_MAX} with a distance for each: "
                f"flips({{{next(iter(moving))!r}: 0.1}})"
            )
        self._check(moving)
        found = self._found([{name: 1.0} for name in moving], list(moving.values()), nearest, jumps)
        return dict(zip(moving, found, strict=True))

    def along(
        self, direction: Mapping[str, float], within: float = 1.0, *, nearest: int = 3, jumps: bool = True
    ) -> Flips:
        """What would flip if all parameters moved by ``t * direction``, for ``t`` from ``-within`` to ``within``."""
        self._check(direction)
        _check_number("within", within)
        return self._found([dict(direction)], [within], nearest, jumps)[0]

    def _check(self, moving: Mapping[str, Any]) -> None:
        for name, number in moving.items():
            if name not in self.numbers:
                raise UsageError(f"flips: {name!r} is none of the parameters {', '.join(self.numbers)}")
            _check_number(name, number)

    def _found(
        self, directions: Sequence[dict[str, float]], within: Sequence[float], nearest: int, jumps: bool
    ) -> list[Flips]:
        crossings = [Crossings(abs(one), max(1, nearest)) for one in within]
        run_forward(self.main, self.numbers, directions, crossings, self.recording, self.options)
        found = []
        for direction, one in zip(directions, crossings, strict=True):
            flips = one.nearest[:nearest]
            if jumps:
                measured = _quietly(lambda flips=flips, direction=direction: self._jumps(flips, direction))
                flips = [replace(flip, jump=jump) for flip, jump in zip(flips, measured, strict=True)]
            found.append(Flips(one.within, one.passes_down, one.passes_up, flips))
        return found

    def _jumps(self, flips: Sequence[Flip], direction: Mapping[str, float]) -> list[float | None]:
        return [self._jump(flip.move, direction) for flip in flips]

    def _jump(self, move: float, direction: Mapping[str, float]) -> float | None:
        """The loss behind the flip less that before it, both extended to the flip itself."""
        jump = 0.0
        for share in SHARES:
            step = share * move if move else NEARBY
            before, behind = (self.beside(move + side, direction) for side in (-step, step))
            if before is None or behind is None:
                return None
            jump = _no_rounding((behind[0] - step * behind[1]) - (before[0] + step * before[1]), before[0])
            if jump or not move:
                break
        return jump

    def beside(self, move: float, direction: Mapping[str, float]) -> Point | None:
        """Loss and slope of the run after a move; None if the program fails there."""
        moved = {name: number + move * direction.get(name, 0.0) for name, number in self.numbers.items()}
        scope = Tangents(moved, [dict(direction)], measures_validity=False)
        try:
            finished = what_if_run(self.recording).execute(self.main, (), self.options, scope)
            return primal_of(loss_of(self.main, finished.outcome)), scope.slopes[0]
        except Exception:  # of the program, which is beyond what it can do
            return None

    def sides_at_ties(self, validity: Mapping[str, Validity], loss: float) -> dict[str, OneSided]:
        """Both one-sided derivatives by each parameter that is exactly where the run is decided."""
        tied = [name for name, near in validity.items() if near.radius == 0.0][:TIES_MAX]
        if not tied:
            return {}
        try:
            found = _quietly(lambda: [self._sides(name, loss) for name in tied])
        except DetrunError:
            return {}
        return {name: OneSided(*one) for name, one in zip(tied, found, strict=True)}

    def _sides(self, name: str, loss: float) -> tuple[float | None, float | None, float, float]:
        step = NEARBY * max(1.0, abs(self.numbers[name]))
        left, right = (self.beside(side, {name: 1.0}) for side in (-step, step))
        jump_left = 0.0 if left is None else _no_rounding(left[0] + step * left[1] - loss, loss)
        jump_right = 0.0 if right is None else _no_rounding(right[0] - step * right[1] - loss, loss)
        return None if left is None else left[1], None if right is None else right[1], jump_left, jump_right


def _check_number(name: str, number: Any) -> None:
    if not isinstance(number, int | float) or not isfinite(number):
        raise UsageError(f"flips: {name}={number!r} is not a finite number")


def _no_rounding(jump: float, loss: float) -> float:
    return 0.0 if isclose(loss + jump, loss, rel_tol=SAME, abs_tol=NEARBY * 10) else jump


def _quietly(body: Any) -> Any:
    def quiet() -> Any:
        silence()
        return body()

    if not can_fork():
        return body()
    try:
        return in_fork(quiet)
    except SnapshotError as error:
        raise UsageError(f"the run could not be made again: {error}") from None
