"""What adds up while a task sleeps as the explanation of a failure, verified by a sleep that is shorter.

A failure may need many operations before another one: what others add up while one sleeps, in small amounts. Then no
two of them decide by their order alone. So a sleep or time-out is made shorter and shorter until the run passes, and
the last moment at which it does is narrowed down (`retiming.py`).

What is named is something that others add to from then on (a line reads it and changes it) and the sleeper reads when
it goes on. Lines that many steps run are passed over there, as what everything goes through; of the others the first
counts, since what is read later may follow from it. What the failing check looks at is left out: the failure is known
by it.
"""

from __future__ import annotations

from detrun.explore.failures.decisive_order import OrderSearch, explained_by_moving
from detrun.explore.failures.explanation import Explanation
from detrun.explore.failures.meeting_steps import Meeting, group_of
from detrun.explore.failures.narrated_steps import Line
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.occurrences import SLEEP, TIMEOUT, Occurrence
from detrun.explore.failures.operations import Operation
from detrun.explore.failures.retiming import Swap
from detrun.explore.failures.reversal import Reversals
from detrun_scheduler.footprints.footprints import COMMUTE, READ, Key

SLEEPS_MAX = 6  # that are tried
MANY = 0.1  # of the steps of a run
SHARES = (0.5, 0.25, 0.125, 0.0)  # of the time that a sleep takes


def decisive_moment(reversals: Reversals, narration: Narration) -> Explanation | None:
    """Two operations, the later one after a sleep during which the first has been done too often."""
    search = OrderSearch.of(reversals, narration)
    if search is None:
        return None
    for moved in _sleeps(search):
        swap = _shorter(search, moved)
        meeting = None if swap is None else _added_to(search, moved, swap.moment)
        if swap is not None and meeting is not None:
            matters = f"how often {meeting.resource} is changed between two operations"
            return explained_by_moving(search, swap, meeting, matters)
    return None


def _sleeps(search: OrderSearch) -> list[Occurrence]:
    """Those that have most to do with the failure."""
    found = {pair.then.number: pair.then for pair in search.pairs if not pair.observed}
    return [one for one in found.values() if one.label.kind in (SLEEP, TIMEOUT)][:SLEEPS_MAX]


def _shorter(search: OrderSearch, moved: Occurrence) -> Swap | None:
    """The longest time with which the run is seen to pass."""
    for share in SHARES:
        at = moved.set_at + share * moved.seconds
        found = search.retimings.at({moved.number: at})
        if found is None:
            return None
        if found.passes:
            return search.retimings.threshold(moved, at, found)
    return None


def _added_to(search: OrderSearch, moved: Occurrence, moment: float) -> Meeting | None:
    """What others add to after a moment and the sleeper reads first, with the first such addition."""
    narration, knowledge = search.narration, search.knowledge
    observers = {narration.steps[step].task for step in search.seen}
    checked = {key for step in search.seen for key in knowledge.looked_at(step)}
    task = narration.steps[moved.handled_in].task
    added: dict[Key, Operation] = {}
    for step in narration.steps[: moved.handled_in]:
        if step.time > moment and step.task not in {*observers, task}:
            read: set[tuple[Key, Line | None]] = set()
            for mark in step.marks:
                if mark.mode == READ:
                    read.add((mark.key, mark.line))
                elif (
                    (mark.mode == COMMUTE or (mark.key, mark.line) in read) and mark.key not in checked and mark.is_data
                ):
                    added.setdefault(mark.key, Operation(step.task, mark.line, mark.verb, step.index))
    ran, many = narration.line_counts(), MANY * len(narration.steps)
    for at in group_of(knowledge.timeline, moved.handled_in):
        step = narration.steps[at]
        changed = {(mark.key, mark.line) for mark in step.marks if mark.mode != READ}
        for mark in step.marks:
            resource = narration.name_of(mark.key)
            if mark.line is None or ran[mark.line] > many or (mark.key, mark.line) in changed:
                continue
            if resource and mark.key in added:
                return Meeting(added[mark.key], Operation(step.task, mark.line, mark.verb, at), resource)
    return None
