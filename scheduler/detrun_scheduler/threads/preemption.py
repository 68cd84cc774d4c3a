"""Schedule points at lines or opcodes of the code under test, in simulated threads.

With ``only_at`` they are restricted to certain lines: those that touch what several threads touch, as
`footprints.shared_places` learns them from a few runs. Preempting anywhere else commutes with the other threads, so a
wide ``include`` costs few steps more than a narrow one, and its bugs few schedules more.

Inside the callback that the interpreter makes at a line or an instruction, the thread switches to the loop's greenlet.
**The switch goes through ``sys.call_tracing``**: a callback runs with tracing off, and a plain switch would leave every
other greenlet untraced. On Python 3.11 the callback is a trace function (``sys.settrace``), from 3.12 on
`sys.monitoring`, where code that is not watched costs nothing once it has been seen.

A function of the standard library that detrun or trio calls for its own ends is left alone, however wide the patterns:
what they are about in a thread may not be interrupted halfway (`serves_scheduler`).

Only frames of watched files (`watched_code`), in simulated threads, are preempted, at opcodes only where it can matter
(`instructions`), and only while another task can run: where a thread is alone there is nothing to choose. (Every
``ALONE_MAX``-th such point counts all the same, so that a loop without an end meets the step limit.)

The rules: outside a run nothing is installed; a trace function that was there before (a debugger, coverage on 3.11) is
put back, having seen nothing of the run; tools of `sys.monitoring` are not disturbed.

Installing on 3.12 makes the interpreter look at each function once more, so a campaign of many runs enters the
`Preemption` once, around them all; a run enters one that has not been entered.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sized
from types import CodeType, FrameType, TracebackType
from typing import Any, Protocol

from greenlet import getcurrent

from detrun_scheduler.environment.addresses import address_of
from detrun_scheduler.errors import UsageError
from detrun_scheduler.footprints.places import Places
from detrun_scheduler.threads.instructions import schedule_points
from detrun_scheduler.threads.simulated_thread import SimulatedThread, ThreadsOfRun
from detrun_scheduler.threads.watched_code import WatchedCode
from detrun_scheduler.trio_host.private import CHECKPOINT_TRAP, CONTEXT
from detrun_scheduler.user_code import is_own_file, standard_module

GRANULARITIES = ("sync", "line", "opcode")
ALONE_MAX = 64
_TRAP = (CHECKPOINT_TRAP,)
_POINT, _ONLY_OBSERVED = 1, 2  # what an instruction is, 0 for nothing
_call_tracing: Callable[..., Any] = sys.call_tracing


class InstructionObserver(Protocol):
    """Is told of watched instructions; `footprints.accesses.AccessObserver` in life."""

    def about_to_run(self, frame: FrameType, offset: int) -> None:
        """The instruction at ``offset`` of the function in ``frame`` comes next, in a simulated thread."""


class Preemption:
    """Where simulated threads can be interrupted. May serve many runs, one after the other.

    Args:
        granularity: ``"line"`` or ``"opcode"``. (Where ``"sync"`` is asked for there is None instead of a `Preemption`:
            schedule points are operations on detrun's own objects and on what `threading` and `queue` offer.)
        include, exclude: see `watched_code`.
        observer: is told of the reads and writes of watched code; needs ``"opcode"``. May be assigned between runs.
        only_at: places (``"bank/account.py:12"``, see `footprints.places`) among what is watched that schedule points
            are restricted to; None: all of it. Locks and the like stay schedule points everywhere. An observer that is
            given here is told of all that is watched, one that is assigned later of what is at these places.
        interrupts_max: in one run; beyond it threads give way every ``ALONE_MAX``-th time, as where one is alone. None:
            no limit. So a long computation is no livelock, and a loop without an end is one all the same.

    Attributes:
        heard_by: a trace function that hears what watched threads do, after each has given way. Only Python 3.11 needs
            it, where a thread has one trace function; may be assigned between runs.
        met: schedule points of watched code that threads have come to, also where they were alone.
    """

    looks_once = True  # on 3.12 and later, at each function: what it is does not change

    def __init__(
        self,
        granularity: str,
        include: Iterable[str],
        exclude: Iterable[str] = (),
        observer: InstructionObserver | None = None,
        only_at: Iterable[str] | None = None,
        interrupts_max: int | None = None,
    ) -> None:
        if granularity not in GRANULARITIES[1:]:
            raise UsageError(f"unknown preemption {granularity!r}; choose one of {', '.join(GRANULARITIES)}")
        if observer is not None and granularity != "opcode":
            raise UsageError(f"accesses are observed at opcodes; preemption is {granularity!r}, choose 'opcode'")
        self.granularity = granularity
        self.by_opcode = granularity == "opcode"
        self.include, self.exclude = tuple(include), tuple(exclude)
        self.watched = WatchedCode(self.include, self.exclude)
        self.only_at = None if only_at is None else Places(only_at)
        self.observer = observer
        self.heard_by: Callable[[FrameType, str, Any], Any] | None = None
        # By the id of a code object, since hashing one costs microseconds: its schedule points, None if not watched.
        self.points: dict[int, bytes | None] = {}
        self.standard: set[int] = set()  # ids of the watched ones of the standard library
        self.kept_codes: list[CodeType] = []  # so that those ids stay theirs
        self.depth = 0  # how often entered
        self.interrupts_max = interrupts_max
        self.interrupts_left: float = math.inf  # in this run
        self.others: list[int] = []  # tasks of the run that could run in place of the running one
        self.attended: Sized = ()  # where a thread is alone, it gives way as long as there is something in this
        self.alone = 0  # schedule points left out since the last one
        self.met = 0
        self.codes_told = 0  # so many of `kept_codes` were reported
        self.mechanism: _Monitoring | _Tracing = _Monitoring(self) if sys.version_info >= (3, 12) else _Tracing(self)

    def points_of(self, frame: FrameType) -> bytes | None:
        """The schedule points of the function that runs in ``frame``, None if it is not watched."""
        code = frame.f_code
        try:
            return self.points[address_of(code)]
        except KeyError:
            points = None
            if code.co_filename in self.watched:
                points = schedule_points(code, frame.f_globals)
                if self.only_at is not None:
                    points = self._restricted(points, code, self.only_at)
                if standard_module(code.co_filename):
                    self.standard.add(address_of(code))
            self.points[address_of(code)] = points
            self.kept_codes.append(code)
            return points

    def _restricted(self, points: bytes, code: CodeType, only_at: Places) -> bytes | None:
        """The schedule points that are among the places, the others as what is only observed, None if there are none.

        A function without any is not looked at again, so that what is watched in vain costs nothing.
        """
        lines = only_at.lines_of(code.co_filename)
        if self.observer is None and lines.isdisjoint(line for *_, line in code.co_lines() if line is not None):
            return None
        found = bytearray(len(points))
        elsewhere = 0 if self.observer is None else _ONLY_OBSERVED
        for begin, end, line in code.co_lines():
            here = line in lines
            for offset in range(begin, end):
                if points[offset]:
                    found[offset] = _POINT if here else elsewhere
        return bytes(found)

    @property
    def interrupts_nowhere(self) -> bool:
        """Whether there is no place at which it could."""
        return self.only_at is not None and not self.only_at.names

    def is_point(self, code: CodeType, line: int) -> bool:
        """Whether a line of a watched function is a schedule point, where lines are."""
        return self.only_at is None or line in self.only_at.lines_of(code.co_filename)

    def files(self) -> tuple[set[str], set[str]]:
        """Files whose code has run where this could interrupt it: those that are watched, and the others."""
        watched, others = set[str](), set[str]()
        for code in self.kept_codes:
            (others if self.points[address_of(code)] is None else watched).add(code.co_filename)
        return watched, others

    def __enter__(self) -> Preemption:
        self.depth += 1
        if self.depth == 1:
            self.mechanism.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.depth -= 1
        if self.depth == 0:
            self.mechanism.remove()

    def interrupts(self) -> bool:
        """Whether a thread that has come to a schedule point gives way there."""
        self.met += 1
        if (self.interrupts_left > 0 and (self.others or self.attended)) or self.alone == ALONE_MAX:
            self.alone = 0
            self.interrupts_left -= 1
            return True
        self.alone += 1
        return False

    def install_again(self) -> None:
        """If it is entered: on 3.12 and later ``sys.settrace`` undoes what was switched on in functions before it."""
        if self.depth:
            self.mechanism.remove()
            self.mechanism.install()

    def begin_run(self, threads: ThreadsOfRun) -> None:
        """Preempt the threads of this run."""
        self.others, self.attended, self.alone = threads.run.host.queue.numbers, threads.attended, 0
        self.interrupts_left = math.inf if self.interrupts_max is None else self.interrupts_max
        self.__enter__()
        self.mechanism.begin_run(threads)

    def end_run(self) -> None:
        """The run is over."""
        self.others, self.attended = [], ()
        self.mechanism.end_run()
        self.__exit__(None, None, None)


def serves_scheduler(frame: FrameType) -> bool:
    """Whether detrun or trio has called the function of the standard library in ``frame``, itself or by way of others.

    The outermost frames of a thread are detrun's, too: what they call is the thread's own business.
    """
    caller = frame.f_back
    while caller is not None and standard_module(caller.f_code.co_filename):
        caller = caller.f_back
    if caller is None or not is_own_file(caller.f_code.co_filename):
        return False
    while caller is not None and is_own_file(caller.f_code.co_filename):
        caller = caller.f_back
    return caller is not None


class _Tracing:
    """Preemption by ``sys.settrace``, for Python 3.11.

    The trace function is on only while the function of a simulated thread runs: it is switched off before each switch
    to the loop and on again after it, a tenth of a microsecond. Were it on in the loop's greenlet, any exception
    there would have its code traced from then on, 0.7 µs for each call.
    """

    def __init__(self, preemption: Preemption) -> None:
        self.preemption = preemption
        self.before: Any = None  # the trace function that was there, of coverage for instance; tasks keep it
        # Made once for all runs: each is a cycle of garbage.
        self.give_way: Callable[[Any], Any] | None = None
        self.on_call_alone: Any = None
        self.on_call: Any = None  # with `heard_by`

    def install(self) -> None:
        """Nothing outside of runs."""

    def remove(self) -> None:
        """Nothing outside of runs."""

    def begin_run(self, threads: ThreadsOfRun) -> None:
        """Trace every thread from its beginning."""
        self.before = sys.gettrace()
        if self.give_way != threads.give_way:
            self.give_way = threads.give_way
            self.on_call_alone = self._by_opcode() if self.preemption.by_opcode else self._by_line()
        heard_by = self.preemption.heard_by
        self.on_call = self.on_call_alone if heard_by is None else _both(self.on_call_alone, heard_by)
        threads.call_body, threads.untraced = self.call_body, self.untraced

    def end_run(self) -> None:
        """Put back what was there."""
        if sys.gettrace() is not self.before:
            sys.settrace(self.before)
        self.before = None

    def call_body(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Call the function of a thread with tracing on."""
        sys.settrace(self.on_call)
        try:
            return function(*arguments)
        finally:
            sys.settrace(self.before)

    def untraced(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Call something in a thread with tracing off."""
        active = sys.gettrace()  # off already where one such call makes another
        sys.settrace(self.before)
        try:
            return function(*arguments, **keywords)
        finally:
            sys.settrace(active)

    def _by_opcode(self) -> Callable[[FrameType, str, Any], Any]:
        preemption, points_of, give_way = self.preemption, self.preemption.points_of, self.give_way
        assert give_way is not None
        standard = preemption.standard
        tracers: dict[int, Callable[[FrameType, str, Any], Any] | None] = {}  # by the id of a code object
        set_trace = sys.settrace

        def tracer_of(frame: FrameType) -> Callable[[FrameType, str, Any], Any] | None:
            points = points_of(frame)

            def on_opcode(frame: FrameType, event: str, _: Any) -> Any:
                here = points[frame.f_lasti]  # type: ignore[index]
                if here and event == "opcode":
                    if here == _POINT and preemption.interrupts():
                        set_trace(self.before)
                        _call_tracing(give_way, _TRAP)
                        set_trace(self.on_call)
                        del CONTEXT.task
                    if preemption.observer is not None:
                        preemption.observer.about_to_run(frame, frame.f_lasti)
                return on_opcode

            tracer = tracers[address_of(frame.f_code)] = None if points is None else on_opcode
            return tracer

        def on_call(frame: FrameType, _: str, __: Any) -> Any:
            try:
                tracer = tracers[address_of(frame.f_code)]
            except KeyError:
                tracer = tracer_of(frame)
            if standard and tracer is not None and address_of(frame.f_code) in standard and serves_scheduler(frame):
                return None
            if tracer is not None:
                frame.f_trace_opcodes, frame.f_trace_lines = True, False
            return tracer

        return on_call

    def _by_line(self) -> Callable[[FrameType, str, Any], Any]:
        preemption, points_of, give_way = self.preemption, self.preemption.points_of, self.give_way
        assert give_way is not None
        standard = preemption.standard

        def on_line(_: FrameType, event: str, __: Any) -> Any:
            if event == "line" and preemption.interrupts():
                sys.settrace(self.before)
                _call_tracing(give_way, _TRAP)
                sys.settrace(self.on_call)
                del CONTEXT.task
            return on_line

        def on_some_line(frame: FrameType, event: str, argument: Any) -> Any:
            if event == "line" and preemption.is_point(frame.f_code, frame.f_lineno):
                on_line(frame, event, argument)
            return on_some_line

        tracer = on_line if preemption.only_at is None else on_some_line

        def on_call(frame: FrameType, _: str, __: Any) -> Any:
            if points_of(frame) is None:
                return None
            if standard and address_of(frame.f_code) in standard and serves_scheduler(frame):
                return None
            return tracer

        return on_call


def _both(first: Callable[..., Any], second: Callable[..., Any]) -> Callable[[FrameType, str, Any], Any]:
    """One trace function for two. The first may switch, so the second, which reads variables, comes after it."""

    def on_call(frame: FrameType, event: str, argument: Any) -> Any:
        local = [first(frame, event, argument), second(frame, event, argument)]
        if local == [None, None]:
            return None
        frame.f_trace_opcodes = frame.f_trace_lines = True

        def on_event(frame: FrameType, event: str, argument: Any) -> Any:
            for at, one in enumerate(local):
                if one is not None:
                    local[at] = one(frame, event, argument)
            return on_event

        return on_event

    return on_call


class _Monitoring:
    """Preemption by `sys.monitoring`, for Python 3.12 and later.

    A function's start is looked at once: if it is watched, its lines or instructions are switched on, for it alone.
    Instructions that are not schedule points are switched off again, each at its first execution.
    """

    def __init__(self, preemption: Preemption) -> None:
        self.preemption = preemption
        self.tool = -1
        self.switched_on: list[CodeType] = []

    def install(self) -> None:
        """Take a tool number of the interpreter.

        Raises:
            UsageError: all are taken.
        """
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
        events = monitoring.events
        free = [tool for tool in (4, 3, 2, 1, 0) if monitoring.get_tool(tool) is None]
        if not free:
            raise UsageError("sys.monitoring has no free tool number for preemption; switch a debugger or profiler off")
        self.tool = free[0]
        monitoring.use_tool_id(self.tool, "detrun")
        # What was switched off at places may be left from an earlier installation under this number.
        monitoring.restart_events()
        event = events.INSTRUCTION if self.preemption.by_opcode else events.LINE
        monitoring.register_callback(self.tool, event, self._callback())
        monitoring.register_callback(self.tool, events.PY_START, self._on_start(event))
        monitoring.set_events(self.tool, events.PY_START)

    def remove(self) -> None:
        """Give the tool number back."""
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
        events = monitoring.events
        monitoring.set_events(self.tool, 0)
        for code in self.switched_on:
            monitoring.set_local_events(self.tool, code, 0)
        self.switched_on.clear()
        for event in (events.INSTRUCTION, events.LINE, events.PY_START):
            monitoring.register_callback(self.tool, event, None)
        monitoring.free_tool_id(self.tool)
        self.tool = -1

    def begin_run(self, threads: ThreadsOfRun) -> None:
        """Nothing: the callbacks ask who is running."""

    def end_run(self) -> None:
        """Nothing."""

    def _on_start(self, event: int) -> Callable[[CodeType, int], Any]:
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
        points_of = self.preemption.points_of
        disable = monitoring.DISABLE if self.preemption.looks_once else None

        def on_start(code: CodeType, _: int) -> Any:
            frame = sys._getframe(1)
            if points_of(frame) is not None:
                self.switched_on.append(code)
                monitoring.set_local_events(self.tool, code, event)
            return disable

        return on_start

    def _callback(self) -> Callable[[CodeType, int], Any]:
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
        preemption, known, disable = self.preemption, self.preemption.points, monitoring.DISABLE
        by_opcode, standard = self.preemption.by_opcode, self.preemption.standard

        def on_event(code: CodeType, place: int) -> Any:
            # For a line, ``place`` is its number; for an instruction, its offset.
            if by_opcode:
                here: int = known[address_of(code)][place]  # type: ignore[index]
            else:
                here = preemption.is_point(code, place)
            if not here:
                return disable
            thread = getcurrent()
            if type(thread) is SimulatedThread and not thread.dying:
                if standard and address_of(code) in standard and serves_scheduler(sys._getframe(1)):
                    return None
                if here == _POINT and preemption.interrupts():
                    _call_tracing(thread.give_way, _TRAP)
                    del CONTEXT.task
                if preemption.observer is not None:
                    preemption.observer.about_to_run(sys._getframe(1), place)
            return None

        return on_event
