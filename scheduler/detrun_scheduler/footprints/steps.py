"""Reads the footprint of a closed step off the marks that its operations made and its record in the journal."""

from __future__ import annotations

from types import AsyncGeneratorType, CoroutineType, FrameType, FunctionType, GeneratorType
from typing import Any

from detrun_scheduler.environment.addresses import address_of
from detrun_scheduler.footprints.footprints import EVERYTHING, READ, READING, WRITE, Footprint, Key
from detrun_scheduler.footprints.marks import covered, forget_run, name_of, touched
from detrun_scheduler.journal import EFFECT, END, EVENT_ARGUMENTS, FIRST_WAIT, KIND_MASK, OPERATION, SPAWN, TIME, WAKE
from detrun_scheduler.trio_host.private import cancel_status_of
from detrun_scheduler.user_code import is_user_file

_IDLE_WAIT = "wait_all_tasks_blocked"


class StepReader:
    """Reads the footprint of each closed step, and whom it woke, off the marks and the step's record.

    Attributes:
        woken: tasks that the last step made or woke itself; not those that time woke after it.
        barrier: nothing could run after the last step, and then time or idleness woke a task.
    """

    __slots__ = ("barrier", "idle", "kinds", "registered", "statuses", "unknown", "woken")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """A run begins, or the watch ends."""
        forget_run()
        self.statuses: dict[int, Key] = {}  # by task: the cancel status that it had after its last step
        self.registered = 0  # objects in the journal so far
        self.kinds: dict[int, str] = {}  # by wait kind: `_KNOWN`, `_IDLE` or `_UNKNOWN`
        self.unknown: set[int] = set()  # tasks that wait in something of the user's own
        self.idle: set[int] = set()  # tasks that wait until nothing can run
        self.woken: list[int] = []
        self.barrier = False

    def read(self, loop: Any, task: int, outcome_byte: int, record: bytes) -> Footprint:
        """The footprint of the step just closed; sets `woken` and `barrier`."""
        footprint = dict(touched)
        touched.clear()
        self._statuses(loop, task, footprint)
        self._events(loop, record, footprint)
        self._registrations(loop, footprint)
        self.unknown.discard(task)
        self.idle.discard(task)
        kind = outcome_byte & KIND_MASK
        if kind >= FIRST_WAIT:
            what = self.kinds.get(kind) or self._kind(loop, kind)
            if what == _UNKNOWN:
                self.unknown.add(task)
                footprint[EVERYTHING] = WRITE
            elif what == _IDLE:
                self.idle.add(task)
        if loop.paths.get(task, "").startswith("<system>"):
            footprint[EVERYTHING] = WRITE  # callbacks of run_sync_soon and the like
        return footprint

    def _statuses(self, loop: Any, task: int, footprint: Footprint) -> None:
        """Every schedule point looks at whether the task is cancelled: where the step began, and where it ended."""
        before = self.statuses.get(task)
        if before is not None:
            footprint.setdefault(before, READ)
        living = loop.host.by_number.get(task)
        cancel_status = None if living is None else cancel_status_of(living)
        if cancel_status is not None:
            status = self.statuses[task] = name_of(cancel_status)
            footprint.setdefault(status, READ)

    def _registrations(self, loop: Any, footprint: Footprint) -> None:
        """Labels that count are given in the order of first use, which so becomes part of what the order of steps
        decides; objects that mark themselves have better names.
        """
        labels = loop.object_labels
        for number in range(self.registered, len(labels)):
            kind = labels[number].partition("[")[0]
            if number not in covered and kind != "channel":
                footprint[("registered", kind)] = WRITE
        self.registered = len(labels)

    def _events(self, loop: Any, record: bytes, footprint: Footprint) -> None:
        self.woken, self.barrier = [], False
        position = 0
        while position < len(record):
            code = record[position]
            position += 1
            if code == END:
                break
            arguments = []
            for _ in range(EVENT_ARGUMENTS[code]):
                number = shift = 0
                while True:
                    byte = record[position]
                    position += 1
                    number |= (byte & 0x7F) << shift
                    if byte < 0x80:
                        break
                    shift += 7
                arguments.append(number)
            if code == TIME:
                self.barrier = True
            elif code == SPAWN:
                self.woken.append(arguments[0])
            elif code == WAKE:
                woken = arguments[0]
                self.barrier = self.barrier or woken in self.idle
                if not self.barrier:
                    self.woken.append(woken)
                    if woken in self.unknown:
                        footprint[EVERYTHING] = WRITE
            elif code == OPERATION and arguments[0] not in covered:
                mode = READ if arguments[1] in READING else WRITE
                key = ("operation", loop.object_labels[arguments[0]])
                footprint[key] = max(mode, footprint.get(key, READ))
            elif code == EFFECT:
                footprint["effect"] = WRITE

    def _kind(self, loop: Any, kind: int) -> str:
        host = loop.host
        names = [name for name, number in loop.journal.kind_numbers.items() if number == kind]
        codes = [one.__code__ for one, number in host.kinds.items() if number == kind and type(one) is FunctionType]
        codes += [one for one in host.kept_codes if host.kinds[address_of(one)] == kind]
        if any(_IDLE_WAIT in name for name in names):
            what = _IDLE
        elif any(is_user_file(code.co_filename) for code in codes) or not names:
            what = _UNKNOWN
        else:
            what = _KNOWN
        self.kinds[kind] = what
        return what


_KNOWN, _IDLE, _UNKNOWN = "known", "idle", "unknown"


def place_of(loop: Any, task: int) -> str:
    """Where a living task goes on: file and instruction of its innermost user frame; the same in every process."""
    awaited: Any = loop.host.by_number[task].coro
    found: FrameType | None = None
    while awaited is not None:
        kind = type(awaited)
        if kind is CoroutineType:
            frame, awaited = awaited.cr_frame, awaited.cr_await
        elif kind is GeneratorType:
            frame, awaited = awaited.gi_frame, awaited.gi_yieldfrom
        elif kind is AsyncGeneratorType:
            frame, awaited = awaited.ag_frame, awaited.ag_await
        else:  # a simulated thread, a coroutine of compiled code, or what tells nothing
            frame, awaited = getattr(awaited, "cr_frame", None), getattr(awaited, "cr_await", None)
        # A simulated thread shows its innermost frame only, whose callers may be the user's.
        while frame is not None and not is_user_file(frame.f_code.co_filename):
            frame = frame.f_back
        found = frame or found
    return "" if found is None else f"{found.f_code.co_filename}:{found.f_code.co_qualname}:{found.f_lasti}"
