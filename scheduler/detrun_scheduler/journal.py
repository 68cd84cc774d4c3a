"""The journal of a run: every step, and what each step did, as a few flat byte columns.

This module decides what one run has to agree on with another to count as the same run. The loop appends to a
`Journal`; when a chunk is full it goes, as a `Chunk`, to the journal's sink: the recorder writes chunks to a file, the
replayer compares them, a checker throws them away.

Columns of a chunk (all integers are unsigned LEB128 unless said otherwise):

``outcomes``
    One byte for each step. The low seven bits say how the step ended: ``CHECKPOINT`` (still runnable), ``DONE``,
    ``FAILED``, or ``FIRST_WAIT + k``, blocked in the wait kind ``kinds[k]`` (``OTHER_WAIT``: a kind past the table).
    The high bit, ``HAS_EVENTS``, says that the step has a record in ``events``.
``choices``
    For each step that began with more than one runnable task: the index of the chosen one among the runnable
    task numbers in ascending order.
``events``
    For each step with ``HAS_EVENTS``, a record: event codes with their arguments, ended by ``END``.
    What happens between two steps (time moves because nothing could run, timers wake tasks) belongs to the step
    before. In a record come first the events of the step's own code, in program order; then its ``WAKE`` events in
    ascending task number; then, if the run went idle, ``TIME`` and the ``WAKE`` events of the timers.
``times``
    Virtual seconds, one for each ``TIME`` event.
``exact``
    Bytes that count for the digest but are not stored: times to the last bit, values of operations, draws.

Invariant: the runnable set before a step follows from the columns before it (start with task 0; ``SPAWN`` and
``WAKE`` add, being stepped removes, ``CHECKPOINT`` adds back), so equal columns imply equal runnable sets. A task that
waits from its beginning on has no ``SPAWN``.
A chunk ends after ``CHUNK_STEPS`` steps, or once ``events`` has ``CHUNK_EVENT_BYTES`` bytes or the payloads together
``CHUNK_PAYLOAD_BYTES``: a function of the run alone, so the digest is too.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from struct import Struct
from typing import Any

from detrun_scheduler.endings import KILLED, ending_of

CHUNK_STEPS = 16_384
CHUNK_EVENT_BYTES = 1 << 18
CHUNK_PAYLOAD_BYTES = 1 << 22

# How a step ended.
CHECKPOINT, DONE, FAILED, FIRST_WAIT, OTHER_WAIT = 0, 1, 2, 3, 127
HAS_EVENTS = 0x80
KIND_MASK = 0x7F

# Event codes.
END = 0
TIME = 1  # virtual time moved; the new time is the next of `times`
SPAWN = 2  # task number; its parent and path are in `tasks`
WAKE = 3  # task number
OPERATION = 4  # object number (its label is in `objects`), index into OPERATIONS
DRAW = 5  # one keyed random draw; its value is in `exact`
EFFECT = 6  # name index; its msgpack result is the next of `payloads`
SEND = 7  # object number of the channel
RECEIVE = 8  # object number of the channel
OBSERVE = 9  # name index; the observed value is in `exact`
FAULT = 10  # name index
# 11 is taken: detrun_recorder.task_columns has a use for it in files.

EVENT_ARGUMENTS: dict[int, int] = {
    TIME: 0,
    SPAWN: 1,
    WAKE: 1,
    OPERATION: 2,
    DRAW: 0,
    EFFECT: 1,
    SEND: 1,
    RECEIVE: 1,
    OBSERVE: 1,
    FAULT: 1,
}
EVENT_NAMES: dict[int, str] = {
    TIME: "time",
    SPAWN: "spawn",
    WAKE: "wake",
    OPERATION: "operation",
    DRAW: "draw",
    EFFECT: "effect",
    SEND: "send",
    RECEIVE: "receive",
    OBSERVE: "observe",
    FAULT: "fault",
}

# Operations on detrun's own objects. Append only: the index is in recordings.
OPERATIONS = (
    "load",
    "store",
    "exchange",
    "fetch_add",
    "fetch_sub",
    "fetch_mul",
    "fetch_max",
    "fetch_min",
    "compare_exchange",
    "compare_exchange_failed",
    "read",
    "write",
    "acquire",
    "release",
    "wait",
    "notify",
    "put",
    "get",
    "start",
    "join",
    "withdraw",
)
# An operation of this number + n says that the next receive of its object takes the message that n older ones precede.
FIRST_PLACE = 64


@dataclass(slots=True)
class Chunk:
    """A closed stretch of the journal; the columns are described in the module's opening."""

    first_step: int
    start_time: float  # virtual seconds before the first step
    choices: bytes
    outcomes: bytes
    events: bytes
    times: array[float]
    payloads: list[bytes]
    # Definitions first used in this chunk; indices go on from those of earlier chunks.
    tasks: list[tuple[int, int, str]]  # (number, parent number or -1, path), numbers ascending
    kinds: list[str]
    objects: list[str]
    names: list[str]
    digest: bytes  # 16 bytes, over everything up to and including this chunk
    # Before the first step, ascending; None: not known. It follows from the chunks before, and saves reading them.
    runnable: tuple[int, ...] | None = None
    # Tasks that ended in this chunk and did not return: number and how, see `endings`. No part of the digest.
    endings: list[tuple[int, str]] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """Steps in this chunk."""
        return len(self.outcomes)


pack_double = Struct("<d").pack


def append_varint(column: bytearray, number: int) -> None:
    """Append ``number >= 0`` in unsigned LEB128."""
    while number > 0x7F:
        column.append(number & 0x7F | 0x80)
        number >>= 7
    column.append(number)


def outcome_name(byte: int, kinds: Sequence[str]) -> str:
    """How a step ended, in words: ``checkpoint``, ``done``, ``failed`` or the wait kind, one of ``kinds``."""
    kind = byte & KIND_MASK
    if kind < FIRST_WAIT:
        return ("checkpoint", "done", "failed")[kind]
    index = kind - FIRST_WAIT
    return kinds[index] if index < len(kinds) else "other wait"


class Journal:
    """The open chunk of a run, and the definitions and digest of the whole run so far.

    Invariants between two steps: every byte of ``events`` is in a closed record, before ``record_start``; the columns
    hold what came since ``first_step``, the tables ``…_numbers`` and ``objects_count`` all of the run.
    """

    hashes = True  # whether it gives each chunk a digest

    __slots__ = (
        "choices",
        "endings",
        "exact",
        "events",
        "first_step",
        "hasher",
        "kind_numbers",
        "kinds",
        "name_numbers",
        "names",
        "objects",
        "objects_count",
        "outcomes",
        "payload_bytes",
        "payloads",
        "record_start",
        "runnable",
        "sink",
        "start_time",
        "tasks",
        "times",
    )

    def __init__(self, sink: Callable[[Chunk], None] | None = None) -> None:
        self.sink = sink
        self.first_step = 0
        self.start_time = 0.0
        self.choices = bytearray()
        self.outcomes = bytearray()
        self.events = bytearray()
        self.times: array[float] = array("d")
        self.exact = bytearray()
        self.payloads: list[bytes] = []
        self.payload_bytes = 0
        self.tasks: list[tuple[int, int, str]] = []
        self.endings: list[tuple[int, str]] = []
        self.kinds: list[str] = []
        self.objects: list[str] = []
        self.names: list[str] = []
        self.kind_numbers: dict[str, int] = {}
        self.name_numbers: dict[str, int] = {}
        self.objects_count = 0
        self.record_start = 0  # where the current step's record begins in `events`
        self.runnable: tuple[int, ...] | None = None  # before the open chunk's first step, if known
        self.hasher: Any = blake2b(digest_size=16) if self.hashes else None

    @property
    def steps(self) -> int:
        """Steps closed so far, in the whole run."""
        return self.first_step + len(self.outcomes)

    @property
    def is_full(self) -> bool:
        """Whether the open chunk must be closed before the next step."""
        return (
            len(self.outcomes) >= CHUNK_STEPS
            or len(self.events) >= CHUNK_EVENT_BYTES
            or self.payload_bytes >= CHUNK_PAYLOAD_BYTES
        )

    def add_payload(self, payload: bytes) -> None:
        """Keep the result of an external effect."""
        self.payloads.append(payload)
        self.payload_bytes += len(payload)

    def ended(self, task: int, error: BaseException | None) -> None:
        """Note that a task has ended by ``error``, or was killed. Tasks that return are not noted."""
        self.endings.append((task, KILLED if error is None else ending_of(error)))

    def take_back_spawn(self, task: int) -> None:
        """The task that was spawned last cannot run yet: its first wake will add it to the runnable set."""
        spawn = bytearray((SPAWN,))
        append_varint(spawn, task)
        assert self.events.endswith(spawn)
        del self.events[-len(spawn) :]

    def kind_number(self, kind: str) -> int:
        """The outcome byte for blocking in the wait kind ``kind``."""
        number = self.kind_numbers.get(kind)
        if number is None:
            number = FIRST_WAIT + len(self.kind_numbers)
            if number >= OTHER_WAIT:
                return OTHER_WAIT
            self.kind_numbers[kind] = number
            self.kinds.append(kind)
        return number

    def name_number(self, name: str) -> int:
        """The index of ``name`` in the run's table of names."""
        number = self.name_numbers.get(name)
        if number is None:
            number = self.name_numbers[name] = len(self.name_numbers)
            self.names.append(name)
        return number

    def new_object(self, label: str) -> int:
        """Give an object a number; ``label`` is what reports call it."""
        number = self.objects_count
        self.objects_count = number + 1
        self.objects.append(label)
        return number

    def _check(self) -> None:
        """Assert the invariants that hold between two steps."""
        assert self.record_start == len(self.events), (self.record_start, len(self.events))
        assert not self.events or self.events[-1] == END
        assert self.payload_bytes == sum(map(len, self.payloads))
        assert len(self.objects) <= self.objects_count
        for table, new in ((self.kind_numbers, self.kinds), (self.name_numbers, self.names)):
            assert list(table)[len(table) - len(new) :] == new, (table, new)
        assert list(self.times) == sorted(self.times)
        assert not self.times or self.times[0] >= self.start_time

    def save_open_chunk(self) -> None:
        """Hand the open chunk to the sink as it is between two steps, if that keeps such; it stays open."""
        save = getattr(self.sink, "save_open_chunk", None)
        if save is not None and self.outcomes:
            save(self._chunk(self.hasher.copy()))

    def close_chunk(self, runnable: tuple[int, ...] | None = None) -> Chunk:
        """End the open chunk, hand it to the sink and start the next, before which ``runnable`` can run."""
        chunk = self._chunk(self.hasher)
        if self.sink is not None:
            self.sink(chunk)
        self.first_step += len(self.outcomes)
        if self.times:
            self.start_time = self.times[-1]
        # Columns are emptied in place: the run loop holds their bound methods.
        self.choices.clear()
        self.outcomes.clear()
        self.events.clear()
        self.exact.clear()
        self.record_start = 0
        self.times, self.payloads, self.payload_bytes = array("d"), [], 0
        self.tasks, self.kinds, self.objects, self.names, self.endings = [], [], [], [], []
        self.runnable = runnable
        return chunk

    def _chunk(self, hasher: Any) -> Chunk:
        """What the open chunk holds, which goes into ``hasher``."""
        definitions = repr((self.tasks, self.kinds, self.objects, self.names)).encode()
        columns: tuple[bytes | bytearray, ...] = (
            self.choices,
            self.outcomes,
            self.events,
            self.exact,
            definitions,
            *self.payloads,
        )
        for column in columns:
            hasher.update(len(column).to_bytes(8, "little"))
            hasher.update(column)
        return Chunk(
            first_step=self.first_step,
            start_time=self.start_time,
            choices=bytes(self.choices),
            outcomes=bytes(self.outcomes),
            events=bytes(self.events),
            times=self.times,
            payloads=self.payloads,
            tasks=self.tasks,
            kinds=self.kinds,
            objects=self.objects,
            names=self.names,
            digest=hasher.copy().digest(),
            runnable=self.runnable,
            endings=self.endings,
        )
