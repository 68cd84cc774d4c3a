"""Runs of a failing schedule with some of its occurrences at other moments, and the moment that decides.

Everything else is the same by common draws: a draw has its place in the stream of its task or key, so one message that
comes later moves what follows from it and nothing else. `Retimings.threshold` narrows the moment of one occurrence
until a run that fails and a run that passes have it on either side of a single step. What the two do first in another
order is what decides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from detrun.checkers.assertions import AssertionViolatedError, violated_always
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.occurrences import Label, Move, Occurrence, Timeline, unmoved
from detrun.explore.failures.reversal import Reversals
from detrun.explore.failures.trials import Trial
from detrun_scheduler.endings import exception_leaves

FINER_MAX = 12  # halvings of the time between two steps
INSTANT = 1e-9  # seconds, between an occurrence and the step that it is moved past


@dataclass(frozen=True, slots=True)
class Retimed:
    """A run, and when things happened in it."""

    trial: Trial
    timeline: Timeline

    @property
    def passes(self) -> bool:
        """The program did not fail."""
        return self.trial.error is None

    @property
    def ends_at(self) -> float:
        """When its last step began, in virtual seconds."""
        return self.timeline.times[-1]

    def fails_as(self, other: Retimed) -> bool:
        """Both fail by an error of one type: a run that fails otherwise says nothing of the other's reason."""
        errors = self.trial.error, other.trial.error
        return len({None if error is None else type(exception_leaves(error)[0]) for error in errors}) == 1

    def goes_past(self, other: Retimed) -> bool:
        """Whether this fails by the same `always` later than the other run, and says something else.

        It has to have held more often by then. What says the same is taken to be the same failure, at another moment.
        """
        here, there = (violated_always(run.trial.error) for run in (self, other))
        if here is None or there is None or here.name != there.name:
            return False
        is_later = self.ends_at > other.ends_at and self.trial.held > other.trial.held
        return is_later and _said(here) != _said(there)


@dataclass(frozen=True, slots=True)
class Swap:
    """Two occurrences whose order decides.

    Attributes:
        first, then: as they come in the failing run.
        moved: one of the two, or what led to it.
        moment: the latest at which ``moved`` has been seen to come and the run passes; the earliest, if it has to come
            later.
        passing: the run that passes.
    """

    first: Label
    then: Label
    moved: Occurrence
    moment: float
    passing: Retimed


@dataclass(frozen=True, slots=True)
class Retimings:
    """Runs of one failing schedule with occurrences moved.

    Attributes:
        base: the failing run itself.
        comes_again: be content with a run that goes past the failure.
    """

    reversals: Reversals
    base: Retimed
    comes_again: bool = False

    @classmethod
    def of(cls, reversals: Reversals, narration: Narration, comes_again: bool = False) -> Retimings | None:
        """None where no time passes or no trial is left, or the failing run cannot be had with its occurrences."""
        if not narration.steps or narration.steps[-1].time == narration.steps[0].time or not reversals.has_left():
            return None
        base = _run(reversals, unmoved, "unmoved")
        if base is None or base.passes or base.trial.order != reversals.failing.order:
            return None
        return cls(reversals, base, comes_again)

    def averts(self, found: Retimed) -> bool:
        """Whether a run does not have the failure."""
        return found.passes or (self.comes_again and found.goes_past(self.base))

    def run(self, move: Move, key: object) -> Retimed | None:
        """The schedule with occurrences moved; None if there is no trial left.

        Args:
            key: of the move, which is run once.
        """
        return _run(self.reversals, move, key)

    def at(self, moments: Mapping[int, float]) -> Retimed | None:
        """The schedule with occurrences, by number, at these moments, after the first of which numbers may differ."""
        return self.run(lambda one: moments.get(one.number), tuple(sorted(moments.items())))

    def threshold(self, moved: Occurrence, passes_at: float, passing: Retimed) -> Swap | None:
        """What happens in another order if an occurrence is moved as far as it takes, and no farther.

        Args:
            passes_at: a moment at which the run is known not to have the failure, see `averts`.
            passing: that run.
        """
        failing, fails_at = self.base, moved.due
        low, high = sorted((passes_at, fails_at))
        moments = sorted({time for time in self.base.timeline.times if low < time < high})
        gaps = [(one + other) / 2 for one, other in zip([low, *moments], [*moments, high], strict=True)]
        if passes_at > fails_at:
            gaps.reverse()
        # gaps[0] passes and gaps[-1] fails, as far as is known.
        first, last = -1, len(gaps)
        finer = 0
        while True:
            middle = (first + last) // 2
            is_between = last - first > 1
            if is_between:
                at = gaps[middle]
            elif finer < FINER_MAX and not _swapped(failing, passing):
                finer += 1
                at = (passes_at + fails_at) / 2
            else:
                break
            found = self.at({moved.number: at})
            if found is None:
                break
            if self.averts(found):
                first, passes_at, passing = middle if is_between else first, at, found
            else:
                last, fails_at, failing = middle if is_between else last, at, found
        swapped = _swapped(failing, passing)
        if swapped is None or not math.isfinite(passes_at) or not failing.fails_as(self.base):
            return None
        # What is said of a run holds for the number as it is said.
        told = moved.set_at + float(f"{passes_at - moved.set_at:.6g}")
        found = self.at({moved.number: told})
        if found is not None and self.averts(found) and _swapped(failing, found) == swapped:
            passes_at, passing = told, found
        return Swap(*swapped, moved, passes_at, passing)


def _said(violated: AssertionViolatedError) -> tuple[str, ...]:
    return str(violated), *getattr(violated, "__notes__", ())


def _run(reversals: Reversals, move: Move, key: object) -> Retimed | None:
    found = reversals.try_moved(move, key)
    return None if found is None else Retimed(*found)


def shown_seconds(seconds: float) -> str:
    """Seconds in six digits where the moment was tried so (see `Retimings.threshold`), else in all of them."""
    short = f"{seconds:.6g}"
    return short if math.isclose(float(short), seconds, rel_tol=1e-12, abs_tol=1e-15) else repr(seconds)


def _swapped(failing: Retimed, passing: Retimed) -> tuple[Label, Label] | None:
    """The first two occurrences that come in one order in the one run and in the other order in the other.

    Of a time-out that is met, and does not strike, what it had come before is the second.
    """
    there, here = ([one.label for one in run.timeline.fired if one.handled_in >= 0] for run in (failing, passing))
    for first, then in zip(there, here, strict=False):
        if first != then:
            return (first, then) if then in there else None
    return None
