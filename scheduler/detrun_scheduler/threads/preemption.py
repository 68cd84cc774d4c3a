"""Schedule points at lines or opcodes of the code under test, in simulated threads.

Which ones: frames of watched files (`watched_code`) in simulated threads; at opcodes only where it can matter
(`instructions`); and only while another task can run, since a thread that is alone leaves nothing to choose. (Every
``ALONE_MAX``-th such point counts all the same, so that an endless loop meets the step limit.) With ``only_at`` they
are restricted to the lines that touch what several threads touch, which `footprints.shared_places` learns from a few
runs. At other lines giving way commutes with the other threads. So a wide ``include`` costs few steps more than a
narrow one, and its bugs take few schedules more. Functions of the standard library that detrun or trio calls for its
own ends are left alone (`serves_scheduler`): a thread must not be interrupted halfway through these.

How: the interpreter calls back at a line or an instruction, and there the thread switches to the loop's greenlet. **The
switch goes through ``sys.call_tracing``**, because a callback runs with tracing off, and a plain switch would leave
every other greenlet untraced. On Python 3.11 the callback is a trace function (``sys.settrace``), from 3.12 on it is
one of `sys.monitoring`, where code that is not watched costs nothing once it has been seen.

The rules: outside a run nothing is installed. A trace function that was there before (a debugger, coverage on 3.11) is
put back, and has seen nothing of the run. Tools of `sys.monitoring` are not disturbed.

After an installation on 3.12 the interpreter looks at each function once more. So a campaign enters one `Preemption`
around all its runs; a run enters one that has not been entered.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sized
from types import CodeType, FrameType, TracebackType
from typing import Any

from detrun_scheduler.environment.addresses import address_of
from detrun_scheduler.errors import UsageError
from detrun_scheduler.footprints.places import Places
from detrun_scheduler.threads.instructions import schedule_points
from detrun_scheduler.threads.interrupted_code import ONLY_OBSERVED, POINT, InstructionObserver
from detrun_scheduler.threads.monitored_threads import Monitoring
from detrun_scheduler.threads.simulated_thread import ThreadsOfRun
from detrun_scheduler.threads.traced_threads import Tracing
from detrun_scheduler.threads.watched_code import WatchedCode
from detrun_scheduler.user_code import standard_module

GRANULARITIES = ("sync", "line", "opcode")
ALONE_MAX = 64


class Preemption:
    """Where simulated threads can be interrupted. May serve many runs, one after the other.

    Args:
        granularity: ``"line"`` or ``"opcode"``. (Where ``"sync"`` is asked for there is None instead of a `Preemption`:
            schedule points are operations on detrun's own objects and on what `threading` and `queue` offer.)
        include, exclude: see `watched_code`.
        observer: is told of the reads and writes of watched code; needs ``"opcode"``. May be assigned between runs.
        only_at: places (``"bank/account.py:deposit+3"``, see `footprints.places`) among what is watched that schedule
            points are restricted to; None: all of it. Locks and the like stay schedule points everywhere. An observer
            that is given here is told of all that is watched, one that is assigned later of what is at these places.
        interrupts_max: in one run; beyond it threads give way every ``ALONE_MAX``-th time, as where one is alone. None:
            as often as they can. So a long computation ends within the step limit, and an endless loop meets it.

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
        self.mechanism: Monitoring | Tracing = Monitoring(self) if sys.version_info >= (3, 12) else Tracing(self)

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
        lines = only_at.lines_of(code)
        if self.observer is None and lines.isdisjoint(line for *_, line in code.co_lines() if line is not None):
            return None
        found = bytearray(len(points))
        elsewhere = 0 if self.observer is None else ONLY_OBSERVED
        for begin, end, line in code.co_lines():
            here = line in lines
            for offset in range(begin, end):
                if points[offset]:
                    found[offset] = POINT if here else elsewhere
        return bytes(found)

    @property
    def interrupts_nowhere(self) -> bool:
        """Whether it is restricted to places of which there are none."""
        return self.only_at is not None and not self.only_at.names

    def is_point(self, code: CodeType, line: int) -> bool:
        """Whether a line of a watched function is a schedule point, where lines are."""
        return self.only_at is None or self.only_at.has(code, line)

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
