"""What steps do to a simulated disk: of a power loss they are the places that matter, for it takes what was not synced.

A narration hears of reads, writes and syncs of files, with the line of the program that asks for them. Of the last
bytes that the failing task has read it is known where, and who had written them when the power went.
"""

from __future__ import annotations

from detrun.explore.failures.named_steps import Instant, NamedStep, asked_for_by
from detrun.explore.failures.narrated_steps import Mark
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.operations import Operation
from detrun.world.disk.heard import READS, WRITES


def done_to_disk(instant: Instant, verb: str) -> NamedStep | None:
    """The last step that does this to a disk, where it does it first; None if no step does."""
    for step in reversed(instant.steps):
        for mark in step.marks:
            if mark.verb == verb and mark.line is not None:
                return NamedStep(Operation(step.task, mark.line, verb, step.index), step)
    return None


def read_last(narration: Narration, failed: Operation) -> tuple[NamedStep, Mark] | None:
    """Where the failing task has read from a disk last, with what it read; None if it has read nothing.

    The read that finds the end of a file has no bytes, and does not count. A function that several call to read is
    named by its caller.
    """
    for step in reversed(narration.steps[: failed.step + 1]):
        for mark in reversed(step.marks) if step.task == failed.task else ():
            if mark.verb == READS and mark.line is not None and _overlap(mark, mark):
                line = asked_for_by(narration, step, mark.line)
                return NamedStep(Operation(step.task, line, READS, step.index), step), mark
    return None


def written_before(narration: Narration, read: Mark, time: float) -> NamedStep | None:
    """The last write before a time of what was read; None if there is none."""
    for step in reversed(narration.steps):
        for mark in reversed(step.marks) if step.time <= time else ():
            if mark.verb == WRITES and mark.line is not None and _overlap(mark, read):
                return NamedStep(Operation(step.task, mark.line, WRITES, step.index), step)
    return None


def _overlap(one: Mark, other: Mark) -> bool:
    assert isinstance(one.key, tuple)  # see `hear_bytes`
    assert isinstance(other.key, tuple)
    *file, begin, end = one.key
    *other_file, other_begin, other_end = other.key
    return file == other_file and bool(begin < other_end and other_begin < end)
