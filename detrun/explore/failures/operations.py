"""The operations of a failing schedule, and the pairs of them whose order may be what the failure is about.

A *pair* is two operations of two tasks on one object that do not commute, in the order in which they happened. Pairs on
data come before pairs on locks, events and channels, which are named only where no data will do. Among equals those
come first of which one stands in the code that fails and not in a library that it uses; then those in which the
function that raised an exception touched something, the last that it touched before the others: there the failing task
tripped (an `AssertionError` is a check that finds the damage later). Then come those in which a task read something,
another changed it, and the first went on with it; those that touch what the failure touched; and those that are near
each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from detrun.explore.failures.listing import code_of, shown_place
from detrun.explore.failures.narrated_steps import Line, Mark, NarratedStep
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.narrator import VERBS
from detrun_scheduler.choices import FIRE
from detrun_scheduler.footprints.footprints import WRITE, Key, modes_conflict
from detrun_scheduler.user_code import installed_package

DATA, PRIMITIVE, LINES = 0, 1, 2  # what a pair is about
NOT_TRIPPED = 1 << 30
_PRIMITIVE_NAMES = (
    *("Lock", "RLock", "Condition", "Event", "Semaphore", "Barrier", "CapacityLimiter", "StrictFIFOLock", "ParkingLot"),
    *("CancelScope", "thread", "channel", "Queue", "LifoQueue", "PriorityQueue", "SimpleQueue", "BoundedSemaphore"),
)


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that a task did in the failing schedule.

    Attributes:
        verb: ``"reads"``, ``"changes"``, ``"runs"``, or what was done to a primitive of `threading`.
        step: in which it happened.
    """

    task: str
    line: Line | None
    verb: str
    step: int = field(default=-1, compare=False)

    def __str__(self) -> str:
        if self.line is None:
            return self.task
        return f"{self.task} {self.verb} at {shown_place(self.line)}:  {code_of(self.line)}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two operations of two tasks, in the order in which they happened.

    Attributes:
        about: `DATA`, `PRIMITIVE` or `LINES`.
        resource: what reports call the object that both touch; empty for lines.
        nth: how often each task had done the same by then, itself included.
    """

    first: Operation
    second: Operation
    about: int
    resource: str = ""
    nth: tuple[int, int] = (1, 1)
    rank: tuple[int, ...] = field(default=(), compare=False)


@dataclass(slots=True)
class _Done:
    """An operation as it stands in the narration."""

    operation: Operation
    mark: Mark
    nth: int


def operations(narration: Narration) -> Iterator[_Done]:
    """All that have a line and touch an object with a name, in their order."""
    counts: dict[Operation, int] = {}
    for at, step in enumerate(narration.steps):
        for mark in step.marks:
            if mark.line is not None:
                operation = Operation(step.task, mark.line, mark.verb, at)
                counts[operation] = counts.get(operation, 0) + 1
                yield _Done(operation, mark, counts[operation])


def pairs(narration: Narration, failing_line: Line | None, raised_in: Collection[Line] = ()) -> list[Pair]:
    """The pairs to be tried, the likeliest first.

    Args:
        failing_line: of the program, that raised the exception.
        raised_in: the lines of the function that raised it, if it tripped there.
    """
    done = list(operations(narration))
    by_key: dict[Key, list[_Done]] = {}
    for one in done:
        if narration.name_of(one.mark.key):
            by_key.setdefault(one.mark.key, []).append(one)
    ended = {step.task: at for at, step in enumerate(narration.steps)}
    blamed = _touched_by_failure(narration, failing_line)
    fell = next((step for step in narration.steps if step.ended == "failed" and step.task != "<init>"), None)
    is_hasty = any(acted.kind == FIRE for step in narration.steps for acted in step.before)
    found: dict[tuple[Operation, int, Operation, int], Pair] = {}
    for key, touching in by_key.items():
        resource = narration.name_of(key)
        about = PRIMITIVE if _is_primitive(resource) else DATA
        blame = 0 if key in blamed else 1 if any(_same_object(key, other) for other in blamed) else 2
        for first, second, is_split in _conflicts(touching):
            if _made_later(narration, first.operation, second.operation):
                continue
            if not is_hasty and _times_differ(narration, first.operation, second.operation):
                continue
            is_stale = (first.operation.verb, second.operation.verb) == ("reads", "changes")
            distance = second.operation.step - first.operation.step
            bound = _had_ended(narration, ended, first.operation, second.operation)
            tripped = _before_tripping(fell, (first.operation, second.operation), raised_in)
            order = (not (is_stale and is_split), blame, not is_stale, distance, first.operation.step)
            foreign = all(_is_foreign(one.operation, failing_line) for one in (first, second))
            rank = (about, bound, foreign, tripped, *order)
            pair = Pair(first.operation, second.operation, about, resource, (first.nth, second.nth), rank)
            place = (first.operation, first.nth, second.operation, second.nth)
            if place not in found or rank < found[place].rank:
                found[place] = pair
    for pair in _cancellations(narration, done):
        found.setdefault((pair.first, pair.nth[0], pair.second, pair.nth[1]), pair)
    return sorted(found.values(), key=lambda pair: pair.rank)


def _cancellations(narration: Narration, done: list[_Done]) -> Iterator[Pair]:
    """A call of ``cancel`` and what another task did next to it that might have woken the task before.

    The two touch different objects, and whichever comes first decides how the cancelled task goes on.
    """
    for at, one in enumerate(done):
        if narration.name_of(one.mark.key) != "CancelScope" or one.mark.line is None:
            continue
        if "cancel(" not in code_of(one.mark.line):
            continue
        for others in (reversed(done[:at]), done[at + 1 :]):
            seen = {one.operation.task}
            for other in others:
                resource = narration.name_of(other.mark.key)
                if other.operation.task in seen or not _is_primitive(resource) or other.mark.mode != WRITE:
                    continue
                seen.add(other.operation.task)
                first, second = sorted((one, other), key=lambda each: each.operation.step)
                distance = second.operation.step - first.operation.step
                rank = (PRIMITIVE, False, False, NOT_TRIPPED, False, 0, False, distance, first.operation.step)
                named = f"CancelScope and {resource}"
                yield Pair(first.operation, second.operation, PRIMITIVE, named, (first.nth, second.nth), rank)


def _conflicts(touching: list[_Done]) -> Iterator[tuple[_Done, _Done, bool]]:
    """Each operation with the latest that it conflicts with of each other task and verb, and whether it came between.

    It came *between* if the first task touches the object again after it.
    """
    last_step: dict[str, int] = {}
    for one in touching:
        last_step[one.operation.task] = one.operation.step
    latest: dict[tuple[str, str], _Done] = {}
    for one in touching:
        for (task, _), earlier in latest.items():
            if task != one.operation.task and modes_conflict(earlier.mark.mode, one.mark.mode):
                yield earlier, one, last_step[task] > one.operation.step
        latest[one.operation.task, one.operation.verb] = one


def _made_later(narration: Narration, first: Operation, second: Operation) -> bool:
    """Whether the first task made the second afterwards: then their order cannot be another."""
    made = narration.spawned.get(second.task, -1)
    return made >= first.step and narration.steps[made].task == first.task


def _times_differ(narration: Narration, first: Operation, second: Operation) -> bool:
    """Whether time had to pass between the two, which it does when nothing can run: no choice reverses them."""
    return narration.steps[first.step].time != narration.steps[second.step].time


def _had_ended(narration: Narration, ended: dict[str, int], first: Operation, second: Operation) -> bool:
    """Whether the first task was made by the second and had ended, which the second is likely to have waited for."""
    made = narration.spawned.get(first.task, -1)
    return made >= 0 and narration.steps[made].task == second.task and ended[first.task] < second.step


def _touched_by_failure(narration: Narration, failing_line: Line | None) -> set[Key]:
    """What the step that raised touched in the line that raised it; of a line that touches nothing, in all the step."""
    failed = [step for step in narration.steps if step.ended == "failed" and step.task != "<init>"]
    if not failed:
        return set()
    step = failed[0]
    there = {mark.key for mark in step.marks if mark.line == failing_line}
    return there or {mark.key for mark in step.marks[-4:]}


def _before_tripping(fell: NarratedStep | None, pair: Sequence[Operation], raised_in: Collection[Line]) -> int:
    """How many steps before it raised the failing task touched something in the same function."""
    if fell is None:
        return NOT_TRIPPED
    near = [
        fell.index - one.step
        for one in pair
        if one.task == fell.task and one.step <= fell.index and one.line in raised_in
    ]
    return min(near, default=NOT_TRIPPED)


def _is_foreign(operation: Operation, failing_line: Line | None) -> bool:
    """Whether it stands in a library that others have written than the code that fails."""
    package = "" if operation.line is None else installed_package(operation.line.file)
    return bool(package) and (failing_line is None or package != installed_package(failing_line.file))


def _same_object(one: Key, other: Key) -> bool:
    """Whether two places are attributes or elements of one object."""
    if isinstance(one, tuple) and isinstance(other, tuple) and one[0] == other[0] == "place":
        return isinstance(one[1], tuple) and isinstance(other[1], tuple) and one[1][0] == other[1][0]
    return False


def _is_primitive(resource: str) -> bool:
    return resource.partition("[")[0].partition(" ")[0] in _PRIMITIVE_NAMES


def reverses(pair: Pair, narration: Narration, absent: bool = False) -> bool:
    """Whether in another schedule the second operation comes before the first.

    Args:
        absent: also if the first does not come at all.
    """
    wanted = {pair.first: pair.nth[0], pair.second: pair.nth[1]}
    second = pair.second
    # What a task waited for in the failing schedule it may have at once in the other.
    at_once = replace(second, verb=VERBS["acquire"]) if second.verb == VERBS["wait"] else second
    for operation in _all_in_order(narration, pair.about):
        if operation == at_once:
            operation = second
        if operation in wanted:
            wanted[operation] -= 1
            if wanted[pair.first] <= 0:
                return wanted[pair.second] <= 0
    return absent and wanted[pair.second] <= 0


def _all_in_order(narration: Narration, about: int) -> Iterator[Operation]:
    for step in narration.steps:
        if about == LINES:
            yield from (Operation(step.task, line, "runs") for line in step.lines)
        else:
            yield from (Operation(step.task, mark.line, mark.verb) for mark in step.marks if mark.line is not None)


def pairs_of_lines(narration: Narration) -> list[Pair]:
    """For each turn of a task and the next turn of another: a line of each, the nearest turns first."""
    turns: list[list[int]] = []
    for at, step in enumerate(narration.steps):
        if turns and narration.steps[turns[-1][0]].task == step.task:
            turns[-1].append(at)
        else:
            turns.append([at])
    found: list[Pair] = []
    for index, turn in enumerate(turns):
        seen = {narration.steps[turn[0]].task}
        for distance, later in enumerate(turns[index + 1 :]):
            task = narration.steps[later[0]].task
            if task in seen:
                if task == narration.steps[turn[0]].task:
                    break
                continue
            seen.add(task)
            pair = _line_pair(narration, turn, later)
            if pair is not None:
                first, second, nth = pair
                found.append(Pair(first, second, LINES, "", nth, (LINES, distance, -index)))
    return sorted(found, key=lambda pair: pair.rank)


def _line_pair(
    narration: Narration, turn: list[int], later: list[int]
) -> tuple[Operation, Operation, tuple[int, int]] | None:
    """A line of each of two turns.

    One that both run; or where the first waited last and the second first, at a stream for instance, which has no
    footprint; or those that touch something; or the last and the first.
    """
    before, after = ([(at, line) for at in one for line in narration.steps[at].lines] for one in (turn, later))
    if not before or not after or "<init>" in (narration.steps[turn[0]].task, narration.steps[later[0]].task):
        return None
    # Two that do the same are likely to meet in the same line, `log.append(...)` for instance, and not where they wait.
    plain = {line: at for at, line in before if not code_of(line).startswith("await ")}
    shared = next(((at, line) for at, line in after if line in plain), None)
    waited = next((one for one in reversed(before) if _waits(one[1])), None)
    waits = next((one for one in after if _waits(one[1])), None)
    # Tasks that have a library's code in common need not have anything to do with each other in it.
    if shared is not None and waited is not None and waits is not None and installed_package(shared[1].file):
        shared = None
    if shared is not None:
        first, second = (plain[shared[1]], shared[1]), shared
    elif waited is not None and waits is not None:
        first, second = waited, waits
    else:
        first = next((one for one in reversed(before) if _does_something(narration.steps[one[0]], one[1])), before[-1])
        second = next((one for one in after if _does_something(narration.steps[one[0]], one[1])), after[0])
    named = [Operation(narration.steps[at].task, line, "runs", at) for at, line in (first, second)]
    counted = [
        sum(
            line == operation.line
            for step in narration.steps[: operation.step + 1]
            if step.task == operation.task
            for line in step.lines
        )
        for operation in named
    ]
    return named[0], named[1], (counted[0], counted[1])


def _waits(line: Line) -> bool:
    code = code_of(line)
    return code.startswith("async ") or "await " in code


def _does_something(step: NarratedStep, line: Line) -> bool:
    return any(mark.line == line for mark in step.marks)
