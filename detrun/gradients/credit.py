"""Credit report: the recorded steps that carried most of a gradient.

``dL/dp`` is a sum over the places where the parameter is used: each use of ``p`` in an operation with result ``u``
adds ``dL/du * du/dp``. Grouped by the step in which the use happened, these terms are the *credit* of the steps; they
add up to the gradient exactly (uses inside a block with its own pullback, such as torch's, are counted as
unattributed). A parameter that the program combines into something else once, at its start, gets all its credit
there: use the parameter where the decision is made, and the report tells which decision mattered.

Memory is bounded by the number of steps that use a parameter; of these only the largest are kept.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from detrun.ad import state
from detrun.ad.tape import CELLS, WIDE, Tape
from detrun_recorder.described import wait_shown
from detrun_recorder.recording import Recording
from detrun_recorder.steps import Event
from detrun_scheduler.run import ActiveRun

OPERATIONS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Credit:
    """One step's part in a gradient."""

    step: int
    task: str  # the path of the task that ran
    outcome: str  # how its step ended: "checkpoint", a wait kind, …
    operations: tuple[str, ...]  # what it did, as the recording has it: "fetch_add on Atomic[0]", "sent to …"
    time: float  # virtual seconds
    contribution: float  # of this step to dL/dp
    share: float  # |contribution| over the sum of all absolute contributions

    def __str__(self) -> str:
        return (
            f"{self.share:6.1%}  {self.contribution:+.4g}  step {self.step:,} at {self.time:.6g} s  {self.task}: "
            f"{self.did}"
        )

    @property
    def did(self) -> str:
        """The first operations, and how the step ended, in a line."""
        more = len(self.operations) - OPERATIONS_SHOWN
        return ", ".join(
            [*self.operations[:OPERATIONS_SHOWN], *([f"{more} more"] if more > 0 else []), wait_shown(self.outcome)]
        )


@dataclass(slots=True)
class CreditTotals:
    """Contributions to one parameter's gradient, of which the largest are kept."""

    largest: dict[int, float] = field(default_factory=dict)  # step -> contribution
    absolute: float = 0.0  # sum of all absolute contributions

    def add(self, contributions: Mapping[int, float], keep: int) -> None:
        """Add contributions of steps not seen before."""
        for contribution in contributions.values():
            self.absolute += abs(contribution)
        self.add_kept(contributions, keep)

    def add_kept(self, contributions: Mapping[int, float], keep: int) -> None:
        """Add contributions that the sums count already."""
        self.largest.update(contributions)
        if len(self.largest) > keep:
            kept = heapq.nlargest(keep, self.largest.items(), key=lambda item: (abs(item[1]), -item[0]))
            self.largest = dict(kept)


def mark_step(run: ActiveRun) -> None:
    """Have the tape note that its next entries belong to the next step; called after every step."""
    if state.tape is not None:
        state.tape.mark(run.step_index + 1)


@dataclass(slots=True)
class ParameterUses:
    """The uses of parameters on a tape; made before the sweep, asked after it."""

    tape: Tape
    uses: dict[str, list[tuple[int, float]]]  # parameter name -> (entry id, partial)

    @classmethod
    def of(cls, tape: Tape, ids: Mapping[str, int]) -> ParameterUses:
        """All uses on ``tape`` of the parameters with the given ids."""
        lefts, rights = tape.entries[0::CELLS], tape.entries[1::CELLS]
        uses: dict[str, list[tuple[int, float]]] = {}
        for name, parameter in ids.items():
            found = [(tape.first_id + place, tape.entries[place * CELLS + 2]) for place in _places(lefts, parameter)]
            found += [
                (tape.first_id + place, tape.entries[place * CELLS + 3])
                for place in _places(rights, parameter)
                if lefts[place] != WIDE
            ]
            uses[name] = found
        wide_places = _places(lefts, WIDE)
        names = {parameter: name for name, parameter in ids.items()}
        for place, (parents, partials) in zip(wide_places, tape.wide, strict=True):
            if not callable(partials):
                for parent, partial in zip(parents, partials, strict=True):
                    if parent in names:
                        uses[names[parent]].append((tape.first_id + place, partial))
        return cls(tape, uses)

    @property
    def wanted(self) -> list[int]:
        """The ids whose adjoints `contributions` needs."""
        return sorted({entry for found in self.uses.values() for entry, _ in found})

    def contributions(self, adjoints: Mapping[int, Any]) -> dict[str, dict[int, float]]:
        """Parameter name -> step -> contribution, in ascending order of steps."""
        result: dict[str, dict[int, float]] = {}
        for name, found in self.uses.items():
            by_step: dict[int, float] = {}
            for entry, partial in sorted(found):
                adjoint = adjoints.get(entry, 0.0)
                if adjoint:
                    step = self.tape.step_of(entry) or 0  # the first step has no mark
                    by_step[step] = by_step.get(step, 0.0) + adjoint * partial
            result[name] = by_step
        return result


def _places(column: list[Any], wanted: int) -> list[int]:
    places, place = [], -1
    try:
        while True:
            place = column.index(wanted, place + 1)
            places.append(place)
    except ValueError:
        return places


def credit_report(totals: CreditTotals, recording: Recording) -> list[Credit]:
    """The kept steps, largest contribution first, with what the recording knows of them."""
    rows: Iterable[tuple[int, float]] = sorted(totals.largest.items(), key=lambda item: (-abs(item[1]), item[0]))
    report = []
    for index, contribution in rows:
        step = recording.step(index)
        share = abs(contribution) / totals.absolute if totals.absolute else 0.0
        operations = tuple(dict.fromkeys(words for event in step.events if (words := _words(event))))
        report.append(Credit(index, step.path, step.outcome, operations, step.time, contribution, share))
    return report


def _words(event: Event) -> str | None:
    """An operation of the program in words; waking and spawning are not its arithmetic."""
    match event.kind:
        case "operation":
            return f"{event.operation} on {event.label}"
        case "send":
            return f"sent to {event.label}"
        case "receive":
            return f"received from {event.label}"
        case "effect":
            return f"effect {event.label}"
    return None
