"""What orders the steps of a run, told to a `RaceDetector` as it happens.

These release in one task and acquire in another: a spawn and the child's first step; the end of a child and the exit of
its nursery; whatever makes a blocked task go on, and that task; `trio.Event` set and seen set; locks, semaphores and
limiters, given back and taken; a message sent and received, a channel closed and found closed; a cancellation and the
`Cancelled` that it raises; a callback handed to the run and called; locks and queues of threads, the end of a thread
and a join of it; and every operation of an `Atomic`, of which loads acquire, stores release and the others do both.
Everything that happened before the run went idle comes before whoever waited for that (`wait_all_tasks_blocked`).

Time orders nothing: that one task sleeps longer than another is no synchronization. Nor does being stepped later.

Accesses are reads and writes of `Shared`, of elements of a `Buffer`, and of whatever calls `HappensBefore.access`, as
`detrun_scheduler.accesses` does for the attributes and elements that watched code touches.

The loop's own methods are wrapped, on the object, and trio's, on their classes, for the length of one run.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from array import array
from collections import deque
from collections.abc import Callable, Hashable
from types import FrameType, TracebackType
from typing import Any

import outcome
import trio
from greenlet import getcurrent

from detrun.execution.execute import Again, Anew, Main, Options
from detrun.races.detector import Clock, DataRaceError, Race, RaceDetector, Races
from detrun.races.synchronization import TrioPrimitives
from detrun_recorder.recording import Recording, open_recording
from detrun_scheduler.choices import Oracle
from detrun_scheduler.footprints.accesses import AccessObserver
from detrun_scheduler.journal import OPERATIONS
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.threads.threads import SimulatedThread
from detrun_scheduler.trio_host.host import CONTEXT
from detrun_scheduler.user_code import innermost_user_line_of_call

_ACQUIRING = {"load", "compare_exchange_failed", "read", "acquire", "join"}
_RELEASING = {"store", "release", "notify"}
_BOTH = {"exchange", "fetch_add", "fetch_sub", "fetch_mul", "fetch_max", "fetch_min", "compare_exchange"}
_PLAIN = {"Shared", "Buffer"}  # kinds of objects whose reads and writes order nothing
_LOCKS = {"Lock", "RLock"}
_DONE = {
    "store": "stored in",
    "release": "released",
    "notify": "notified",
    "exchange": "exchanged the content of",
    "put": "put something in",
}


class HappensBefore:
    """Watches one run; enter it around the run.

    Args:
        loop: of the run, before it runs.
    """

    def __init__(self, loop: RunLoop) -> None:
        self.loop = loop
        self.detector = RaceDetector(loop.path_of, lambda: loop.step_index)
        self.kinds: dict[int, str] = {}  # of the objects in the journal, by number
        self.clocks: dict[Hashable, Clock] = {}  # what was published in each object
        self.messages: dict[Hashable, deque[Clock]] = {}  # with each message that is under way, by channel or queue
        # trio's objects and their labels, by address: kept, so that addresses stay theirs.
        self.kept: dict[int, tuple[Any, str]] = {}
        self.counts: dict[str, int] = {}
        self.restored: list[tuple[type, str, Any, bool]] = []

    # What happened, from below.

    def access(self, key: Hashable, label: str, is_write: bool, line: str) -> None:
        """The running task reads or writes a variable; see `detrun_scheduler.accesses.AccessListener`."""
        if self.in_step():
            self.detector.access(self.loop.current, key, label, is_write, line)

    def in_step(self) -> bool:
        """Whether a task is running, and not a timer or the loop itself."""
        return hasattr(CONTEXT, "task") or type(getcurrent()) is SimulatedThread

    def release(self, key: Hashable, what: str) -> None:
        """The running task publishes its past in an object."""
        self.clocks[key] = self.detector.release(self.loop.current, self.clocks.get(key), what)

    def acquire(self, key: Hashable) -> None:
        """The running task sees what was published in an object."""
        self.detector.acquire(self.loop.current, self.clocks.get(key))

    def label(self, thing: Any) -> str:
        """``Event[0]``: by class and order of first use."""
        found = self.kept.get(id(thing))
        if found is None:
            kind = type(thing).__name__
            index = self.counts.get(kind, 0)
            self.counts[kind] = index + 1
            found = self.kept[id(thing)] = (thing, f"{kind}[{index}]")
        return found[1]

    # detrun's own objects, and locks and queues of threads.

    def _operation(self, number: int, code: int, value: Any) -> None:
        kind, name = self.kinds.get(number, ""), OPERATIONS[code]
        label = self.loop.object_labels[number]
        if kind in _PLAIN:
            line = innermost_user_line_of_call(sys._getframe(2))
            if kind == "Shared":
                self.access(number, label, name == "write", line)
                return
            for offset in array("q", value[: len(value) // 16 * 8]):  # offsets, then as many numbers of eight bytes
                key = (number, offset)
                if name == "fetch_add":
                    self.acquire(key)
                self.access(key, f"{label}[{offset}]", name != "read", line)
                if name == "fetch_add":
                    self.release(key, f"added to {label}[{offset}]")
        elif name == "put":
            waiting = self.messages.setdefault(number, deque())
            waiting.append(self.detector.release(self.loop.current, None, f"put something in {label}"))
        elif name == "get":
            if self.messages.get(number):
                self.detector.acquire(self.loop.current, self.messages[number].popleft())
        else:
            if name in _ACQUIRING or name in _BOTH:
                self.acquire(number)
            if name in _RELEASING or name in _BOTH:
                self.release(number, "ended" if kind == "Thread" else f"{_DONE.get(name, 'changed')} {label}")
            if kind in _LOCKS and name == "acquire":
                self.detector.took(self.loop.current, label)
            elif kind in _LOCKS and name == "release":
                self.detector.gave_back(label)

    # Entering and leaving.

    def __enter__(self) -> HappensBefore:
        self._wrap_loop()
        for kind, methods in TrioPrimitives(self).wrappers().items():
            for name, wrap in methods.items():
                original = inspect.getattr_static(kind, name)
                wrapped: Any = functools.wraps(original)(wrap(original))
                self.restored.append((kind, name, vars(kind).get(name), name in vars(kind)))
                setattr(kind, name, trio.lowlevel.enable_ki_protection(wrapped))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for owner, name, original, own in reversed(self.restored):
            if own:
                setattr(owner, name, original)
            else:
                delattr(owner, name)
        self.restored.clear()

    def _wrap_loop(self) -> None:
        loop, host, detector = self.loop, self.loop.host, self.detector
        register, operation, operation_on = loop.register, loop.operation, loop.operation_on
        reschedule, wake_idle = host.reschedule, host.wake_idle

        def registering(kind: str, name: str | None = None) -> int:
            number = register(kind, name)
            self.kinds[number] = kind
            return number

        def operating(number: int, code: int, value: float) -> None:
            operation(number, code, value)
            self._operation(number, code, value)

        def operating_on(number: int, code: int, value: bytes) -> None:
            operation_on(number, code, value)
            self._operation(number, code, value)

        def rescheduling(task: Any, *next_send: Any) -> None:
            # A new task gets its number here.
            is_new = task not in host.numbers
            reschedule(task, *next_send)
            number = host.numbers.get(task)
            if number is None or not self.in_step():
                return  # a timer, or nobody in particular
            if number != loop.current:
                what = f"{'started' if is_new else 'woke'} {loop.path_of(number)}"
                detector.acquire(number, detector.release(loop.current, None, what))
            elif next_send and _is_cancelled(next_send[0]):
                self.acquire("cancellation")

        def waking_idle() -> bool:
            waiting = [host.numbers[task] for task in host.waiting_for_idle.values()]
            for number in waiting:
                for clock in list(detector.clocks.values()):
                    detector.acquire(number, clock)
            # Their own epochs are taken in whole, so everybody begins a new one.
            for task in list(detector.clocks) if waiting else ():
                detector.release(task, None, "left the run idle")
            return wake_idle()

        loop.register, loop.operation, loop.operation_on = registering, operating, operating_on  # type: ignore[method-assign]
        host.reschedule, host.wake_idle = rescheduling, waking_idle  # type: ignore[method-assign, assignment]


class CurrentObserver:
    """The observer of a `Preemption` that serves many runs: passes accesses on to whoever watches the present one.

    Args:
        always: another observer, which is told first, whether or not anybody watches.
    """

    def __init__(self, always: Any = None) -> None:
        self.always = always
        self.observer: AccessObserver | None = None

    def about_to_run(self, frame: FrameType, offset: int) -> None:
        """See `AccessObserver`."""
        if self.always is not None:
            self.always.about_to_run(frame, offset)
        if self.observer is not None:
            self.observer.about_to_run(frame, offset)


def _is_cancelled(sent: Any) -> bool:
    return isinstance(sent, outcome.Error) and isinstance(sent.error, trio.Cancelled)


def run_watched(loop: RunLoop, races: Races, run: Callable[[], outcome.Outcome[Any]]) -> outcome.Outcome[Any]:
    """``run()``, which runs ``loop``, under race detection."""
    watch = HappensBefore(loop)
    races.found = watch.detector.races
    preemption = loop.preemption
    if preemption is not None and preemption.by_opcode and preemption.observer is None:
        preemption.observer = CurrentObserver()  # type: ignore[assignment]
    observer = None if preemption is None else preemption.observer
    if isinstance(observer, CurrentObserver):
        observer.observer = AccessObserver(watch)
    try:
        with watch:
            ended = run()
    finally:
        if isinstance(observer, CurrentObserver):
            observer.observer = None
    if races.found and races.fails:
        if isinstance(ended, outcome.Error):
            ended.error.add_note("\n".join(map(str, races.found)))
        else:
            return outcome.Error(DataRaceError(races.found))
    return ended


def find_races(
    main: Main,
    *args: object,
    seed: int = 0,
    strategy: str | Oracle = "random",
    recording: Recording | str | os.PathLike[str] | bytes | None = None,
    max_steps: int | None = None,
    preemption: str | None = None,
) -> list[Race]:
    """The data races that one run of ``main(*args)`` shows.

    Args:
        recording: of the program, to be run again: a recording alone does not say what ordered its steps, nor which
            lines they were. None: a new run with ``seed`` and ``strategy``.
        preemption: ``"opcode"`` looks at attributes and elements that the code under test touches, too.

    Raises:
        DivergenceError: the program is not the recorded one; and what it raises itself is not raised here.
    """
    races = Races(fails=False)
    options = Options(max_steps=max_steps, preemption=preemption, races=races)
    if recording is None:
        Anew(seed, strategy).execute(main, args, options)
    else:
        opened = recording if isinstance(recording, Recording) else open_recording(recording)
        Again(opened).execute(main, args, options)
    return races.found
