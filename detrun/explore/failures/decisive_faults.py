"""A planned fault as the explanation of a failure, by the moment at which it came.

In a system of messages it is a fault that decides: the power that is lost between two operations, the partition that
begins between two sends. Every fault of the failing run is left out, everything else as it was. One without which the
run passes is then moved (`fault_moments.py`): it *came after* a first place of the program and *before* a second if the
run passes with the fault ahead of the first, and with it behind the second. Power that is lost takes what was not
synced: where a write and a sync of a disk are at these instants, they are the places, and it is said which lost change
decides (`lost_changes.py`) and who had written what the failing task read (`on_disk.py`). A fault that lasts is moved
by its beginning, and ends as before; where that does not decide on one side, its end is moved, too. A fault on a role
strikes the nodes that it struck, also where they do not have the role yet. Only what was seen to pass is said. A fault
explains a failure if its moment decides on both sides.

Faults are looked at from the last one to the first, for the last is likely to be where the damage was done. Those
that only change when messages come (`DELAYS`) have a turn of their own behind the order of arrivals: the message that
came too late says more than the moment at which its link was slow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from detrun.explore.failures.explanation import Explanation, summary
from detrun.explore.failures.fault_moments import Boundary, boundary_after, boundary_before
from detrun.explore.failures.lost_changes import lost_changes
from detrun.explore.failures.named_steps import Instant, NamedStep, named, sent_by
from detrun.explore.failures.narrated_steps import NarratedFault
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.occurrences import Timeline
from detrun.explore.failures.on_disk import done_to_disk, read_last, written_before
from detrun.explore.failures.retiming import Retimings
from detrun.explore.failures.reversal import Reversals
from detrun.explore.failures.showing_steps import failing_operation, noted_by_check
from detrun.explore.failures.trials import Trial
from detrun.world.disk.heard import SYNCS, WRITES
from detrun_scheduler.run import FaultSpan

NEVER = FaultSpan(math.inf)
AT_AN_INSTANT = ("crash", "power_loss", "restart", "upgrade", "pause", "resume", "clock_step", "clock_skew")
"""Kinds that strike when they begin, and are moved as a whole; the others are in force until they end."""
DELAYS = ("clog", "latency", "reordering", "slow_tail", "bandwidth")
"""Kinds that move messages and take none."""

_WHAT = {
    "crash": "{victim} crashes",
    "power_loss": "{victim} loses power",
    "restart": "{victim} is started again",
    "pause": "{victim} stands still",
    "clock_step": "the clock of {victim} is set",
    "clock_skew": "the clock of {victim} is off",
    "clock_drift": "the clock of {victim} runs at another rate",
}


@dataclass(slots=True)
class MovedFault:
    """A fault without which the run passes, and what is known of its moment.

    Attributes:
        without: the run without it.
        after, before: what its beginning has to come after, and before.
        ends_after: what its end has to come after.
    """

    begun: NarratedFault
    without: Trial
    after: Boundary | None = None
    before: Boundary | None = None
    ends_after: Boundary | None = None

    @property
    def end(self) -> float | None:
        """When it is over, None if it strikes at an instant."""
        fault = self.begun.fault
        return None if fault.lasts is None or fault.kind in AT_AN_INSTANT else self.begun.time + fault.lasts

    def at(self, begin: float, end: float | None) -> FaultSpan:
        """Other times of it, at which it strikes the nodes that it struck."""
        return FaultSpan(begin, end, self.begun.fault.holders)

    def spans(self) -> list[FaultSpan]:
        """Its times with which the run was seen to pass."""
        beginnings = [self.at(one.moment, self.end) for one in (self.after, self.before) if one is not None]
        endings = [] if self.ends_after is None else [self.at(self.begun.time, self.ends_after.moment)]
        return [NEVER, *beginnings, *endings]

    @property
    def rank(self) -> int:
        """How much is known of it."""
        return sum(one is not None for one in (self.after, self.before, self.ends_after))


def only_faults(reversals: Reversals, narration: Narration) -> Explanation | None:
    """The fault that decides, of a schedule that takes no turn."""
    return None if reversals.failing.turns else decisive_faults(reversals, narration)


def decisive_faults(reversals: Reversals, narration: Narration) -> Explanation | None:
    """The fault whose moment decides, with the two places between which it came; none of `DELAYS`."""
    return _decisive(reversals, narration, [one for one in narration.faults if one.fault.kind not in DELAYS])


def decisive_delays(reversals: Reversals, narration: Narration) -> Explanation | None:
    """The same of `DELAYS`."""
    return _decisive(reversals, narration, [one for one in narration.faults if one.fault.kind in DELAYS])


def _decisive(reversals: Reversals, narration: Narration, faults: list[NarratedFault]) -> Explanation | None:
    used = reversals.used
    best: MovedFault | None = None
    for begun in reversed([one for one in faults if one.fault.kind != "buggify"]):
        found = _moved(reversals, narration, begun)
        if found is not None and (best is None or found.rank > best.rank):
            best = found
        if best is not None and best.rank >= 2:
            break
    return None if best is None or best.rank < 2 else _explained(reversals, narration, best, used)


def _moved(reversals: Reversals, narration: Narration, begun: NarratedFault) -> MovedFault | None:
    name, time = begun.fault.name, begun.time
    without = reversals.try_spans({name: NEVER})
    if without is None or without.error is not None:
        return None
    other = reversals.narration_of_moved(without, {name: NEVER}, len(narration.steps) * 5 // 4 + 50, math.inf)
    found = MovedFault(begun, without)
    end, victim = found.end, begun.fault.victim

    def begins(moment: float) -> Trial | None:
        return reversals.try_spans({name: found.at(moment, end)})

    found.before = boundary_after(other, time, begins, victim, end)
    found.after = boundary_before(narration, time, begins, victim)
    if end is not None and found.rank < 2:
        found.ends_after = boundary_before(
            narration, end, lambda moment: reversals.try_spans({name: found.at(time, moment)}), victim, earliest=time
        )
    return found


def _explained(reversals: Reversals, narration: Narration, found: MovedFault, used: int) -> Explanation:
    fault = found.begun.fault
    nodes = [fault.victim] if fault.victim else []
    passing = None
    known: list[tuple[str, str, Instant]] = []
    if found.after is not None:
        known.append(("after", "had it come before the {}", Instant.of(narration, found.after.steps, nodes)))
    if found.before is not None:
        steps = found.before.steps
        passing = reversals.narration_of_moved(found.without, {fault.name: NEVER}, max(steps) + 2, min(steps))
        known.append(("before", "had it come after the {}", Instant.of(passing, steps, nodes)))
    if found.ends_after is not None:
        known.append(
            ("and ends after", "had it ended before the {}", Instant.of(narration, found.ends_after.steps, nodes))
        )
    places = named(narration, [instant for *_, instant in known])
    if fault.kind == "power_loss":
        does = {"after": WRITES, "before": SYNCS}
        on_disk = [done_to_disk(instant, does.get(what, WRITES)) for what, _, instant in known]
        places = [one or place for one, place in zip(on_disk, places, strict=True)]
    shown = [(what, place) for (what, *_), place in zip(known, places, strict=True)]
    lost = lost_changes(reversals, narration, found.begun) if fault.kind == "power_loss" else None
    shown += [] if lost is None else lost.places()
    failed = failing_operation(narration, reversals.failing.error)
    for what, noted in noted_by_check(narration, reversals.failing.error):
        shown.append((what, NamedStep(noted, narration.steps[noted.step])))
        sent = _sent_to(reversals, narration, noted.step)
        if sent is not None:
            shown.append(("by what was sent in", sent))
    if failed is not None:
        read = read_last(narration, failed) if fault.kind == "power_loss" else None
        written = None if read is None else written_before(narration, read[1], found.begun.time)
        if read is not None and written is not None:
            if lost is None or lost.lost.operation.line != written.operation.line:
                shown.append(("what is read was written in", written))
            shown.append(("read in", read[0]))
        sent = _sent_to(reversals, narration, failed.step)
        if sent is not None and all(place is None or place.operation != sent.operation for _, place in shown):
            shown.append(("by what was sent in", sent))
        shown.append(("and shows in", NamedStep(failed, narration.steps[failed.step])))
    width = max(len(what) for what, _ in shown)
    lines = [summary(reversals.failing), f"What matters is the moment of a fault: {_described(found)}"]
    lines += [f"  {what:{width}}  {place}" for what, place in shown]
    seen = [text.format(which) for (_, text, _), which in zip(known, ("first", "second"), strict=True)]
    moves = reversals.used - used
    lines.append(f"Verified in {moves} runs: {', or '.join(['without it', *seen])}, the run passes.")
    lines += [] if lost is None else [lost.sentence()]
    operations = [place.operation for place in places if place is not None]
    pair = (operations[0], operations[1]) if len(operations) == 2 else None
    spans = tuple({fault.name: span} for span in found.spans())
    labelled = [(what, place.operation) for what, place in shown if place is not None]
    return Explanation(
        "\n".join(lines),
        pair,
        fault.name,
        found.begun.step,
        narration,
        passing,
        True,
        spans,
        places=tuple(operation for _, operation in labelled),
        labels=tuple(label for label, _ in labelled),
    )


def _sent_to(reversals: Reversals, narration: Narration, step: int) -> NamedStep | None:
    """Where the message was sent that a step goes on with, or what led to it in its instant; None if not known."""
    retimings = Retimings.of(reversals, narration)
    if retimings is None:
        return None
    timeline = retimings.base.timeline
    handled = next(filter(None, map(timeline.handled_in, _led_to(narration, timeline, step))), None)
    sent = None if handled is None else sent_by(narration, handled)
    return None if sent is None else NamedStep(sent, narration.steps[sent.step])


def _led_to(narration: Narration, timeline: Timeline, step: int) -> Iterator[int]:
    """A step and, back to the first of its instant, the one that woke it, or else the one before it of its task."""
    time, at = timeline.times[step], step
    while at >= 0 and timeline.times[at] == time:
        yield at
        woken = timeline.woken_in[at]
        own = (before for before in range(at - 1, -1, -1) if narration.steps[before].task == narration.steps[at].task)
        at = woken if woken >= 0 else next(own, -1)


def _described(found: MovedFault) -> str:
    fault, time = found.begun.fault, found.begun.time
    what = _WHAT.get(fault.kind, fault.kind).format(victim=fault.victim or "a node")
    more = f" ({fault.name}{', ' + fault.details if fault.details else ''})"
    if found.end is not None:
        return f"{what}{more}, from {time:.6g} s to {found.end:.6g} s"
    return f"{what}{more}, at {time:.6g} s"
