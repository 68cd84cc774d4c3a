"""What a power loss took that decides, and what it left: verified by letting the one survive, or the other be lost.

A sync that a program leaves out is nowhere in its run. What shows it is the change of the disk that was not durable
when the power went. So the changes that a power loss took are let survive, the first of them and then more, until the
run passes: the last that this takes is what was *lost*. Of what was done later and did survive, one may be lost as well
so that the run passes: it was *kept* without what it relied on, as a log that is emptied once a snapshot is written.

Changes of one line in one step are one: a write of many sectors, of which part may be lost.

Source: the states that a power loss may leave are those of Pillai et al., "All file systems are not created equal",
OSDI 2014. Departure: the one that was drawn is compared with others, until a single change makes the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from detrun.explore.failures.named_steps import NamedStep
from detrun.explore.failures.narrated_steps import NarratedFault
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.operations import Operation
from detrun.explore.failures.reversal import Reversals
from detrun.world.disk.heard import KEEPS, LOSES, MAKES
from detrun_scheduler.footprints.footprints import Key

CHANGES_MAX = 200  # lost or kept, by step and line: with more a power loss is told by its moment alone


@dataclass(frozen=True, slots=True)
class LostChanges:
    """What a power loss took, and what it left.

    Attributes:
        lost: with it on the disk the run passes.
        is_alone: it and what it needs are enough; otherwise with what was lost of earlier changes, too.
        kept: done later; None if no single such change, lost as well, makes the run pass.
    """

    lost: NamedStep
    is_alone: bool
    kept: NamedStep | None

    def places(self) -> list[tuple[str, NamedStep]]:
        """What each is called in an explanation."""
        return [("lost is what was done in", self.lost)] + (
            [] if self.kept is None else [("and what came later in", self.kept)]
        )

    def sentence(self) -> str:
        """What was seen."""
        more = "" if self.is_alone else ", with what was lost of earlier changes"
        said = f"Had what was lost there been on the disk{more}, the run passes"
        return said + ("." if self.kept is None else "; and so it does had what came later been lost as well.")


def lost_changes(reversals: Reversals, narration: Narration, begun: NarratedFault) -> LostChanges | None:
    """Of this power loss; None if no change that it took decides."""
    lost, kept = (_made(narration, begun.step, verb) for verb in (LOSES, KEEPS))
    if not 0 < len(lost) <= CHANGES_MAX:
        return None

    def passes(changes: Iterable[_Change], survives: bool) -> bool:
        trial = reversals.try_disk({key: survives for one in changes for key in one.keys})
        return trial is not None and trial.error is None

    until = _least(len(lost), lambda count: passes(lost[:count], True))
    if until is None:
        return None
    found = lost[until - 1]
    later = [one for one in kept if one.first > found.first][:CHANGES_MAX]
    since = _least(len(later), lambda count: passes(later[-count:], False))
    relied = None if since is None else later[-since]
    return LostChanges(
        found.named, passes([found], True), relied.named if relied is not None and passes([relied], False) else None
    )


@dataclass(slots=True)
class _Change:
    """Changes of a line in a step."""

    named: NamedStep
    keys: list[tuple[str, int]]

    @property
    def first(self) -> tuple[int, int]:
        return self.named.step.index, self.keys[0][1]


def _made(narration: Narration, at: int, verb: str) -> list[_Change]:
    """Where what a step loses or keeps was made, in the order of time."""
    ended = {mark.key for mark in narration.steps[at].marks if mark.verb == verb}
    found: dict[tuple[int, object], _Change] = {}
    for step in narration.steps[: at + 1]:
        for mark in step.marks:
            if mark.verb == MAKES and mark.key in ended and mark.line is not None:
                named = NamedStep(Operation(step.task, mark.line, MAKES, step.index), step)
                found.setdefault((step.index, mark.line), _Change(named, [])).keys.append(_number(mark.key))
    return list(found.values())


def _number(key: Key) -> tuple[str, int]:
    assert isinstance(key, tuple)  # see `detrun.world.disk.heard.CHANGE`
    _, disk, number = key
    return disk, number


def _least(most: int, passes: Callable[[int], bool]) -> int | None:
    """The least count with which it passes, by halving; None if it does not with the most."""
    if not most or not passes(most):
        return None
    fails = 0
    while most - fails > 1:
        middle = (most + fails) // 2
        if passes(middle):
            most = middle
        else:
            fails = middle
    return most
