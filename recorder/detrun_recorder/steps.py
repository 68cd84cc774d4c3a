"""Decodes the columns of a chunk into steps: the task that ran, the tasks that could have, and what the step did.

A chunk does not say which task ran, only which of the runnable ones; `Decoder` keeps the runnable set that the
journal's rule implies (see `detrun_scheduler.journal`). Computing the set costs about half a microsecond per step,
three times what writing the step costs, so a chunk says it only before its first step and readers pay for the rest.

The rule for columns that go on after the last outcome: a run that failed inside a step (a deadlock, a step limit)
leaves the choice and the events of that step without an outcome. They belong to no step and are passed over;
`begun_after` says whose step it was.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from detrun_recorder.format import Malformed, unpack_varint, unpack_varints
from detrun_scheduler.choices import ACTION_NAMES, FIRST_ACTION, action_of
from detrun_scheduler.endings import ending_in_a_word
from detrun_scheduler.journal import (
    CHECKPOINT,
    EFFECT,
    END,
    EVENT_ARGUMENTS,
    EVENT_NAMES,
    FIRST_PLACE,
    HAS_EVENTS,
    KIND_MASK,
    OPERATION,
    OPERATIONS,
    RECEIVE,
    SEND,
    SPAWN,
    TIME,
    WAKE,
    Chunk,
    outcome_name,
)

# How a task's last step ends; the last two where the recording says them, see `Recording.endings`.
ENDED = ("done", "failed", "cancelled", "killed")
NO_ARGUMENTS = frozenset(code for code, count in EVENT_ARGUMENTS.items() if count == 0)
RUNNABLE_MAX = 1 << 22
OBJECT_CODES = frozenset((OPERATION, SEND, RECEIVE))


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a step did, or that followed it before the next step.

    Attributes:
        kind: a name of `EVENT_NAMES`: ``"wake"``, ``"operation"``, ...
        number: of the task (spawn, wake), object (operation, send, receive) or name (effect, observe, fault).
        label: its path, label or name.
        operation: one of `OPERATIONS`, for operations.
        time: the new virtual time, for time events.
        payload: the recorded result in msgpack, for effects.
        place: for receives, how many older messages of the channel are received later.
    """

    kind: str
    number: int | None = None
    label: str | None = None
    operation: str | None = None
    time: float | None = None
    payload: bytes | None = None
    place: int = 0


# A step may have a million draws: they are one object.
BARE_EVENTS = {code: Event(EVENT_NAMES[code]) for code in sorted(NO_ARGUMENTS - {TIME, END}) if code in EVENT_NAMES}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run."""

    index: int
    time: float  # virtual seconds when it ran
    task: int
    path: str  # of the task
    runnable: tuple[int, ...]  # numbers of the tasks that could have run, ascending
    choice: int | None  # index into `runnable`; None if there was nothing to choose
    outcome: str  # "checkpoint", a word of `ENDED`, or the wait kind
    events: tuple[Event, ...]
    actions: tuple[str, ...] = ()  # what the run did just before it; names of `ACTION_NAMES`


@dataclass(slots=True)
class Tables:
    """What numbers stand for, as far as the chunks were read."""

    tasks: dict[int, tuple[int, str]] = field(default_factory=dict)  # number -> (parent or -1, path)
    kinds: list[str] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    endings: dict[int, str] = field(default_factory=dict)  # of tasks that did not return

    def outcome(self, byte: int) -> str:
        """How a step with this outcome byte ended, in words."""
        return outcome_name(byte, self.kinds)

    def path(self, task: int) -> str:
        """The path of a task; raises `Malformed` if the recording does not define it."""
        entry = self.tasks.get(task)
        if entry is None:
            raise Malformed(f"task {task} is used but not defined")
        return entry[1]


def entry_of(table: list[str], number: int, what: str) -> str:
    """``table[number]``; raises `Malformed` if the recording does not define it."""
    if number >= len(table):
        raise Malformed(f"{what} {number} is used but not defined")
    return table[number]


def add_runnable(runnable: list[int], number: int) -> None:
    """Put ``number`` into the ascending list, once."""
    position = bisect_left(runnable, number)
    if position == len(runnable) or runnable[position] != number:
        if len(runnable) >= RUNNABLE_MAX:
            raise Malformed(f"more than {RUNNABLE_MAX} tasks are runnable at once")
        runnable.insert(position, number)


@dataclass(slots=True)
class Skipped:
    """How far into a chunk a reader has come without looking at its steps.

    Attributes:
        steps: of the chunk.
        events: bytes of its events.
        times, payloads: how many of each its events have used.
    """

    steps: int = 0
    events: int = 0
    times: int = 0
    payloads: int = 0


def skip_record(events: bytes, position: int, runnable: list[int], skipped: Skipped) -> int:
    """Apply the record at ``position`` to the runnable set; the position after it."""
    while True:
        if position >= len(events):
            raise Malformed("the events end inside a step's record")
        code = events[position]
        position += 1
        if code == END:
            return position
        if code in NO_ARGUMENTS:
            skipped.times += code == TIME
            continue
        number, position = unpack_varint(events, position)
        if code in (WAKE, SPAWN):
            add_runnable(runnable, number)
        elif code == OPERATION:
            _, position = unpack_varint(events, position)
        elif code == EFFECT:
            skipped.payloads += 1
        elif code not in EVENT_ARGUMENTS:
            raise Malformed(f"event code {code} is unknown; a newer detrun may know it")


def advance(chunk: Chunk, runnable: list[int]) -> None:
    """Take the runnable set from before ``chunk`` to after it, without looking at anything else."""
    outcomes, events = chunk.outcomes, chunk.events
    if not events and not outcomes.strip(bytes((CHECKPOINT,))):
        return  # nothing but schedule points: the set stays as it is
    skip(chunk, runnable, _indices(chunk))


def _indices(chunk: Chunk) -> Iterator[int]:
    """The choices of a chunk without its actions."""
    return (number for number in unpack_varints(chunk.choices) if number < FIRST_ACTION)


def actions_in(chunk: Chunk) -> dict[int, tuple[str, ...]]:
    """What the run did by itself, by the step before which it did it."""
    found: dict[int, tuple[str, ...]] = {}
    for number in () if chunk.choices.isascii() else unpack_varints(chunk.choices):
        if number >= FIRST_ACTION:
            step, kind = action_of(number)
            name = ACTION_NAMES[kind] if kind < len(ACTION_NAMES) else f"action {kind}"
            found[step] = (*found.get(step, ()), name)
    return found


def actions_after(chunk: Chunk) -> dict[int, tuple[str, ...]]:
    """What the run did before the first step after ``chunk``, as that chunk says it."""
    return {step: names for step, names in actions_in(chunk).items() if step >= chunk.first_step + chunk.steps}


def step_at_time(chunk: Chunk, runnable: list[int], time: float) -> int | None:
    """Which step of ``chunk`` is the first that ran at ``time`` or later; None if none did.

    Args:
        runnable: before the chunk; changed in place.
    """
    if chunk.start_time >= time:
        return 0 if chunk.steps else None
    moved = next((at for at, moment in enumerate(chunk.times, 1) if moment >= time), None)
    if moved is None:
        return None
    offset = skip(chunk, runnable, _indices(chunk), times=moved).steps
    return offset if offset < chunk.steps else None


def begun_after(chunk: Chunk, runnable: list[int]) -> int | None:
    """The number of the task whose step began after the last one of ``chunk`` and did not end, if there is one.

    If only one task can run, it is taken to be that one.

    Args:
        runnable: before the chunk; changed in place.
    """
    choices = _indices(chunk)
    skip(chunk, runnable, choices)
    if len(runnable) == 1:
        return runnable[0]
    choice = next(choices, None)
    return runnable[choice] if choice is not None and choice < len(runnable) else None


def skip(
    chunk: Chunk, runnable: list[int], choices: Iterator[int], steps: int | None = None, times: int | None = None
) -> Skipped:
    """Take the runnable set from before ``chunk`` to after so many of its steps, or of its times; default: to its end.

    It costs a quarter of decoding the steps.
    """
    events, skipped = chunk.events, Skipped()
    position = 0
    for at, outcome in enumerate(chunk.outcomes):
        if at == steps or skipped.times == times:
            break
        number = take_next(runnable, choices)[0]
        if outcome & KIND_MASK == CHECKPOINT:
            insort(runnable, number)
        if outcome & HAS_EVENTS:
            position = skip_record(events, position, runnable, skipped)
        skipped.steps += 1
    skipped.events = position
    return skipped


def take_next(runnable: list[int], choices: Iterator[int]) -> tuple[int, int | None]:
    """Remove the task that steps next; its number, and the choice if there was one."""
    if len(runnable) == 1:
        return runnable.pop(), None
    if not runnable:
        raise Malformed("a step begins, but no task is runnable")
    choice = next(choices, None)
    if choice is None:
        raise Malformed("the choices end before the steps")
    if choice >= len(runnable):
        raise Malformed(f"choice {choice} among {len(runnable)} runnable tasks")
    return runnable.pop(choice), choice


class Decoder:
    """Turns chunks, in order, into steps.

    Args:
        tables: definitions of all chunks up to and including those decoded; more is fine.
        runnable: numbers of the runnable tasks before the first chunk, ascending; changed in place.
    """

    def __init__(self, tables: Tables, runnable: list[int]) -> None:
        self.tables = tables
        self.runnable = runnable
        self.actions: dict[int, tuple[str, ...]] = {}  # before the first step of the next chunk
        self.unchanged: tuple[int, ...] | None = None  # the set as a tuple, while it stays the same

    def steps(self, chunk: Chunk, begin: int = 0) -> Iterator[Step]:
        """The steps of ``chunk`` after its first ``begin``; raises `Malformed` where it breaks the journal's rules."""
        tables, runnable, outcomes = self.tables, self.runnable, chunk.outcomes
        choices, actions = _indices(chunk), {**self.actions, **actions_in(chunk)}
        # An action after a chunk's last step stands in that chunk and belongs to the next one's first.
        self.actions = {step: names for step, names in actions.items() if step >= chunk.first_step + chunk.steps}
        skipped = skip(chunk, runnable, choices, begin) if begin else Skipped()
        times, payloads = islice(chunk.times, skipped.times, None), islice(chunk.payloads, skipped.payloads, None)
        endings = tables.endings
        words = {byte: tables.outcome(byte) for byte in sorted(set(outcomes))}
        time = chunk.times[skipped.times - 1] if 0 < skipped.times <= len(chunk.times) else chunk.start_time
        position = skipped.events
        for offset, outcome in enumerate(islice(outcomes, begin, None), begin):
            before = self.unchanged or tuple(runnable)
            number, choice = take_next(runnable, choices)
            path = tables.path(number)
            began = time
            if outcome & KIND_MASK == CHECKPOINT:
                insort(runnable, number)
                self.unchanged = before
            else:
                self.unchanged = None
            events: tuple[Event, ...] = ()
            if outcome & HAS_EVENTS:
                self.unchanged = None
                events, position = self.record(chunk.events, position, times, payloads)
                for event in events:
                    if event.time is not None:
                        time = event.time
            index = chunk.first_step + offset
            acted = actions.get(index, ()) if actions else ()
            word = words[outcome]
            if word in ENDED and number in endings:
                word = ending_in_a_word(endings[number])
            yield Step(index, began, number, path, before, choice, word, events, acted)

    def record(
        self, column: bytes, position: int, times: Iterator[float], payloads: Iterator[bytes]
    ) -> tuple[tuple[Event, ...], int]:
        """The events of the record at ``position``, and the position after it."""
        events: list[Event] = []
        place = 0
        while True:
            if position >= len(column):
                raise Malformed("the events end inside a step's record")
            code = column[position]
            position += 1
            if code == END:
                return tuple(events), position
            if code not in EVENT_ARGUMENTS:
                raise Malformed(f"event code {code} is unknown; a newer detrun may know it")
            if code in NO_ARGUMENTS:
                events.append(self.bare_event(code, times))
                continue
            number, position = unpack_varint(column, position)
            operation = None
            if code == OPERATION:
                index, position = unpack_varint(column, position)
                if index > FIRST_PLACE:
                    place = index - FIRST_PLACE  # of the next event, a receive
                    continue
                operation = OPERATIONS[index] if index < len(OPERATIONS) else f"operation {index}"
            event = self.event(code, number, operation, payloads)
            if place:
                event, place = replace(event, place=place), 0
            events.append(event)

    def bare_event(self, code: int, times: Iterator[float]) -> Event:
        """A draw, or the clock moving."""
        if code != TIME:
            return BARE_EVENTS[code]
        time = next(times, None)
        if time is None:
            raise Malformed("the times end before the events")
        return Event(EVENT_NAMES[code], time=time)

    def event(self, code: int, number: int, operation: str | None, payloads: Iterator[bytes]) -> Event:
        """An event with a number, and what follows from it for the runnable set."""
        tables, kind = self.tables, EVENT_NAMES[code]
        if code in (WAKE, SPAWN):
            add_runnable(self.runnable, number)
            return Event(kind, number, tables.path(number))
        if code in OBJECT_CODES:
            return Event(kind, number, entry_of(tables.objects, number, "object"), operation)
        name = entry_of(tables.names, number, "name")
        if code != EFFECT:
            return Event(kind, number, name)
        payload = next(payloads, None)
        if payload is None:
            raise Malformed("the payloads end before the events")
        return Event(kind, number, name, payload=payload)
