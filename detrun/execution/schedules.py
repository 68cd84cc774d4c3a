"""Schedules as data: the choices of a run, kept from a run and made again.

A schedule is bytes, the column of choices of the run's journal (unsigned LEB128, one for each step that began with more
than one runnable task). With the run's seed it decides the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from detrun_recorder.format import unpack_varints
from detrun_scheduler.journal import Chunk, Journal, append_varint

_NO_CHUNK = Chunk(0, 0.0, b"", b"", b"", None, [], [], [], [], [], b"")  # type: ignore[arg-type]


class ScheduleJournal(Journal):
    """A journal that keeps the choices and hashes of what happened, and nothing else; for runs by the thousand."""

    __slots__ = ("behaviour", "operations", "schedule")

    hashes = False

    def __init__(self) -> None:
        super().__init__()
        self.schedule = b""
        self.operations = 0  # equal for runs whose steps did the same, as far as the journal holds what they did
        self.behaviour = 0  # equal for runs in which the same tasks also took these steps in the same order

    def begin_anew(self) -> None:
        """Serve another run: the last one is over, and has been read.

        Finalizers may have written more down since its last chunk was closed; that belongs to no run.
        """
        self._empty()
        self.schedule = b""
        self.operations = self.behaviour = self.first_step = self.objects_count = 0
        self.runnable = None
        self.kind_numbers.clear()
        self.name_numbers.clear()

    def ended(self, task: int, error: BaseException | None) -> None:
        """See `Journal`: nothing reads it."""

    def close_chunk(self, runnable: tuple[int, ...] | None = None) -> Chunk:
        """Keep the choices, hash the rest, start anew."""
        choices, outcomes = self.choices, self.outcomes
        self.schedule += choices
        # Not Python's own hash, which differs between processes.
        self.operations = operations = _hashed(b" ".join((b"%x" % self.operations, outcomes, self.events)))
        self.behaviour = _hashed(b" ".join((b"%x %x" % (self.behaviour, operations), choices)))
        self.first_step += len(outcomes)
        choices.clear()
        outcomes.clear()
        self._empty()
        return _NO_CHUNK

    def _empty(self) -> None:
        """Drop what the steps of the open chunk did; in place, as the run loop holds bound methods of the columns."""
        for column in (self.events, self.tasks, self.kinds, self.exact, self.objects, self.names, self.payloads):
            if column:
                column.clear()
        self.record_start = self.payload_bytes = 0
        if self.times:
            del self.times[:]


_NOTHING = blake2b(digest_size=8)


def _hashed(content: bytes) -> int:
    hashed = _NOTHING.copy()  # half the price of a new one
    hashed.update(content)
    return int.from_bytes(hashed.digest(), "little")


def unpacked(schedule: bytes) -> list[int]:
    """The choices in a schedule."""
    return unpack_varints(schedule)


def packed(choices: Iterable[int]) -> bytes:
    """The schedule of ``choices``."""
    column = bytearray()
    for choice in choices:
        append_varint(column, choice)
    return bytes(column)
