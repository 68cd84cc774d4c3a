"""`NarratedStep`: what is known of one step of a schedule, the lines that it ran and the objects that it touched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from detrun.explore.failures.acted import Acted
from detrun.explore.failures.functions import function_at
from detrun_scheduler.footprints.footprints import Key
from detrun_scheduler.run import BegunFault

OFTEN = 2  # times that a line of a long step is kept from the step's beginning, and from its end
LEFT = 0.75  # of the lines of a long step at most


class Line(NamedTuple):
    """A line of the program. A tuple, as marks are, for narrations have them by the hundred thousand in sets."""

    file: str
    number: int

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


def function_of(line: Line) -> tuple[str, str]:
    """The file and the name of the function around a line."""
    return line.file, function_at(line.file, line.number)


def thinned(lines: Sequence[Line]) -> list[Line]:
    """A long step without what its loops repeat: of each line the first and the last `OFTEN` times that it ran.

    So what is called once between two loops stays. Where more than the share `LEFT` remains, the middle is left out:
    the last lines say how the step ended.
    """
    first, last = Counter[Line](), Counter[Line]()
    kept = [False] * len(lines)
    for at in range(len(lines)):
        for counted, index in ((first, at), (last, len(lines) - 1 - at)):
            counted[lines[index]] += 1
            kept[index] |= counted[lines[index]] <= OFTEN
    found = [line for line, is_kept in zip(lines, kept, strict=True) if is_kept]
    half = int(LEFT * len(lines)) // 2
    return found if len(found) <= 2 * half else [*found[:half], *found[-half:]]


class Mark(NamedTuple):
    """A step touched an object.

    Attributes:
        verb: ``"reads"`` or ``"changes"``, or what the step does to a primitive of `threading`.
    """

    key: Key
    mode: int
    line: Line | None
    verb: str

    @property
    def is_data(self) -> bool:
        """Whether it is an attribute, an element, a variable or a container."""
        return isinstance(self.key, tuple) and self.key[0] == "place"


@dataclass(slots=True)
class NarratedStep:
    """One step.

    Attributes:
        faults: those of a plan that began before it ended.
        did: what is known of it in words, where its lines are not.
    """

    index: int
    task: str
    lines: list[Line] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    before: tuple[Acted, ...] = ()  # what the run did by itself before this step
    ended: str = ""  # "", a word of `detrun_recorder.steps.ENDED`, or what the task waits for
    faults: list[str] = field(default_factory=list)
    did: tuple[str, ...] = ()
    time: float = 0.0  # virtual seconds
    node: str = ""  # of a world, whose code it is


@dataclass(frozen=True, slots=True)
class NarratedFault:
    """A planned fault that began in this step, at this virtual time; see `BegunFault`."""

    fault: BegunFault
    step: int
    time: float
