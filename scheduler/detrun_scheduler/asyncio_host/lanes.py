"""`Lane`: what the run loop schedules of an asyncio program, one for each asyncio task and one for all other callbacks.

asyncio queues steps of tasks and callbacks in one line. Here every step of a task goes to the lane of its task, and
every other callback to one lane that they share. A lane is a task of the run, with a number, a path and recorded steps;
it is runnable while something is queued in it, and each step runs one handle. So strategies, recordings, reports and
shrinking treat asyncio's tasks as they treat trio's.

A lane refers to its task weakly, as asyncio's own loop does: what is queued keeps a task alive, and what it waits for
does. A task that nothing of this kind refers to is lost (`lost_tasks.py`), and a collection may take it.

The order that is promised, with ``asyncio_order="any"``: callbacks run first come, first served; a step of a task does
not overtake a callback that was queued before it (asyncio's own ``sock_connect`` needs that); otherwise any task may be
late. With ``"fifo"`` one lane at a time can run, in the order of the stock loop, which runs what is queued in rounds:
timers that are due join the line at the end of a round.

This module does not import asyncio, so that the run loop can know it.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from contextvars import Context
from types import FrameType
from typing import Any, Protocol
from weakref import ref

import outcome
import sniffio
from trio.lowlevel import Abort

from detrun_scheduler.footprints.footprints import EVERYTHING, WRITE
from detrun_scheduler.footprints.marks import touched
from detrun_scheduler.trio_host.graveyard import lay_out
from detrun_scheduler.trio_host.private import CHECKPOINT_TRAP, DETACH_TRAP, WAIT_TRAP, is_blocked

_library = sniffio.thread_local


def _asyncio(raise_cancel: object) -> Abort:
    """A lane is cancelled only with the whole run, and then it ends."""
    return Abort.SUCCEEDED


_asyncio.__qualname__ = "asyncio"  # what listings call the wait
_WAIT = WAIT_TRAP(_asyncio)
_ENDED = DETACH_TRAP(outcome.Value(None))


class LoopOfLanes(Protocol):
    """An event loop, as far as its lanes need it; `SimulatedEventLoop` in life."""

    run: Any
    lanes: dict[Lane, None]
    callbacks: Lane | None
    line: Line | None
    owner: Any  # the process of a world that it belongs to, if there is one
    is_stepping: bool  # `run_forever` has been called
    last_round: dict[Lane, int] | None  # it is to stop once so many handles of these have run

    main: Any  # the task that `run_until_complete` waits for; None while the loop does not run

    @property
    def is_over(self) -> bool:
        """Whether no step of it is taken any more."""

    def enter(self) -> Any:
        """A step of this loop begins; returns what `leave` takes."""

    def stand_aside(self) -> Any:
        """A step of this loop stands still while others go on; returns what `leave` takes."""

    def leave(self, outer: Any) -> None:
        """The step is over, or goes on."""

    def leaves_by(self, error: BaseException) -> None:
        """Let `run_forever` raise ``error``."""

    def push_timer(self, timer: Any) -> None:
        """A timer is due: queue what it calls."""

    def stepped(self, lane: Lane) -> None:
        """A handle of the last round may have run."""

    def halt(self) -> None:
        """Let `run_forever` return."""

    def forget(self, task: Any, lane: Lane) -> None:
        """The lane of ``task`` is over."""

    def died(self) -> None:
        """The process that it belongs to was killed."""

    def report_of(self, lane: Lane) -> tuple[str, tuple[int, ...]]:
        """What the task of ``lane`` waits for, and the tasks that could let it go on."""

    def looks_for_lost_tasks(self) -> bool:
        """Whether tasks beside the main one live, and findings are asked for."""

    def main_ended(self, frames: list[FrameType]) -> None:
        """The main task has ended; ``frames`` are those of its last step, whose variables still live."""


class Line:
    """The order of turns under ``asyncio_order="fifo"``: lanes, once for each handle, as the stock loop has them.

    The stock loop works in rounds: it takes what is queued and the timers that are due, runs that, and looks again.

    Invariant: the first ``left`` of ``lanes`` are this round's, but for lanes that have ended.
    """

    __slots__ = ("due", "is_open", "lanes", "left")

    def __init__(self) -> None:
        self.lanes: deque[Lane] = deque()
        self.due: list[Any] = []  # timers that have fired in this round
        self.left = 0  # handles of this round that have not run
        self.is_open = True  # none has: what is queued now belongs to it

    def put(self, lane: Lane) -> None:
        """A handle has been queued in ``lane``."""
        self.lanes.append(lane)
        if self.is_open:
            self.left += 1
        if self.lanes[0] is lane:
            lane.wake()

    def put_timer(self, timer: Any, push: Callable[[Any], None]) -> None:
        """A timer is due: it joins the line when the round is over."""
        if self.is_open:
            push(timer)
        else:
            self.due.append(timer)

    def is_next(self, lane: Lane) -> bool:
        """Whether it is the turn of ``lane``."""
        return bool(self.lanes) and self.lanes[0] is lane

    def went(self, loop: LoopOfLanes) -> None:
        """The first has had its turn."""
        lanes = self.lanes
        lanes.popleft()
        self.left -= 1
        while lanes and lanes[0].has_ended:
            lanes.popleft()
            self.left -= 1
        if self.left <= 0:
            self.open(loop.push_timer)
            if loop.last_round is not None:
                loop.halt()

    def open(self, push: Callable[[Any], None]) -> None:
        """Begin a round, with what is queued and the timers that are due."""
        self.left, self.is_open = len(self.lanes), True
        due, self.due = self.due, []
        for timer in due:
            push(timer)


class Lane:
    """One asyncio task, or all other callbacks of one loop. Looks like a coroutine to trio.

    Args:
        loop: whose it is.
        asyncio_task: the task; None for callbacks.
        name: the last part of its path.
        creator: number of the task of the run that it counts as a child of.
    """

    __slots__ = (
        *("__name__", "__qualname__", "_reference", "context", "creator", "handles", "has_begun", "has_ended"),
        *("is_of_task", "is_stepping", "loop", "owner", "task"),
    )

    # What trio and reports expect of a coroutine.
    cr_await = None
    says_all = True  # its report says what it waits in, too
    is_stackless = True  # it is never suspended in the midst of something
    ends_alone = True  # it always returns, and no nursery, scope or lock of trio's ends with it

    def __init__(self, loop: LoopOfLanes, asyncio_task: Any, name: str, creator: int) -> None:
        self.loop = loop
        self.is_of_task = asyncio_task is not None
        self._reference: Any = None if asyncio_task is None else ref(asyncio_task, self._collected)
        self.handles: deque[Any] = deque()
        self.is_stepping = self.has_begun = self.has_ended = False
        self.__name__ = self.__qualname__ = name
        self.creator = creator
        self.owner = loop.owner
        self.task: Any = None  # set by the loop when trio has made it; None again when it is over
        loop.run.host.spawn_thread(self, name)
        task: Any = self.task
        # Not the context of threads: where a task blocks the event loop, threads are stepped inside its step.
        task.context = Context()
        if loop.line is not None:
            loop.run.host.park(task, _WAIT)  # until it is its turn
        loop.lanes[self] = None

    @property
    def asyncio_task(self) -> Any:
        """Its task while that lives; None for callbacks, too."""
        return None if self._reference is None else self._reference()

    def _collected(self, _: object) -> None:
        if not self.has_ended:
            self._reference = None
            self.wake()  # it ends when it is stepped

    def push(self, handle: Any) -> None:
        """Queue a handle."""
        self.handles.append(handle)
        loop = self.loop
        line = loop.line
        if line is not None:
            line.put(self)
            return
        if self.is_of_task:
            callbacks = loop.callbacks
            if callbacks is not None and callbacks.handles:
                callbacks.handles.append(self)  # wakes this lane when its turn comes
                return
        if not self.is_stepping:
            self.wake()

    def wake(self) -> None:
        """Make the lane runnable if it is not."""
        if not (self.is_stepping or self.has_ended) and is_blocked(self.task):
            self.loop.run.host.reschedule(self.task)

    def send(self, message: Any) -> Any:
        """Take one step: run one handle."""
        loop = self.loop
        line = loop.line
        touched[EVERYTHING] = WRITE  # plain variables are what asyncio's tasks share, and nothing marks these
        reference = self._reference
        if type(message) is outcome.Error or loop.is_over or (self.is_of_task and reference is None):
            return self.end()
        if not loop.is_stepping or (line is not None and not line.is_next(self)):
            return _WAIT  # what is queued stays so until the loop runs again, or until it is this lane's turn
        handles = self.handles
        if not handles:
            return _WAIT
        self.is_stepping = self.has_begun = True
        task: Any = None if reference is None else reference()
        frames = self.frames() if task is loop.main is not None and loop.looks_for_lost_tasks() else None
        if line is not None:
            line.is_open = False
        handle = handles.popleft()
        outer = loop.enter()
        library, _library.name = _library.name, "asyncio"
        try:
            if not handle._cancelled:
                handle._run()
        except (SystemExit, KeyboardInterrupt) as error:
            loop.leaves_by(error)  # out of `run_forever`, as in life
        finally:
            _library.name = library
            loop.leave(outer)
            handle = None
            if line is not None:
                line.went(loop)
            elif loop.last_round is not None:
                loop.stepped(self)
            self.is_stepping = False
        if frames is not None and task.done():
            loop.main_ended(frames)
        if line is not None:
            if line.is_next(self):
                return CHECKPOINT_TRAP
            if line.lanes:
                line.lanes[0].wake()
        elif not self.is_of_task:
            while handles and type(handles[0]) is Lane:
                handles.popleft().wake()
            return CHECKPOINT_TRAP if handles else _WAIT
        elif handles:
            callbacks = loop.callbacks
            return CHECKPOINT_TRAP if callbacks is None or self not in callbacks.handles else _WAIT
        if task is not None and not handles and task.done():
            ended = self.end()
            task = frames = None  # the traceback of the task's exception may lead here: a cycle of garbage
            return ended
        return _WAIT

    @property
    def own_handles(self) -> int:
        """How many handles are queued, lanes that wait for their turn apart."""
        handles = self.handles
        return len(handles) if self.is_of_task else sum(type(one) is not Lane for one in handles)

    @property
    def is_ending(self) -> bool:
        """Whether it is about to take its last step: its loop is closed, which has woken it."""
        return self.task is not None and self.loop.is_over and not is_blocked(self.task)

    def end(self) -> Any:
        """The lane is over: its task has ended, the loop is closed, or the run ends."""
        if self.has_ended:
            return _ENDED
        task, loop = self._finish(), self.loop
        if task is not None:
            loop.forget(task, self)
        self.task = None  # it refers to this lane: the whole run would be a cycle of garbage
        return _ENDED

    def abandoned(self) -> None:
        """Its process was killed: it is as if it had ended, and none of its task's code runs again."""
        task, loop = self._finish(), self.loop
        loop.died()
        if task is not None:
            task._log_destroy_pending = False
            host = loop.run.host
            lay_out(host.dead, task.get_coro(), host.asyncgens.alive)
        self.task = None

    def _finish(self) -> Any:
        """Take no step any more; the task whose lane it was."""
        task, self._reference, self.is_of_task, self.has_ended = self.asyncio_task, None, False, True
        self.handles.clear()
        self.loop.lanes.pop(self, None)
        if self.loop.callbacks is self:
            self.loop.callbacks = None
        return task

    def close(self) -> None:
        """End the lane now."""
        self.end()

    def throw(self, *error: Any) -> Any:
        """End the lane: only a run that ends throws something in."""
        return self.end()

    @property
    def cr_running(self) -> bool:
        """Whether it is the one that runs now."""
        return self.is_stepping

    @property
    def cr_suspended(self) -> bool:
        """Whether it has begun and not ended."""
        return self.has_begun and not self.has_ended

    @property
    def cr_frame(self) -> FrameType | None:
        """A frame while it lives; the loop takes None for the end."""
        return None if self.has_ended else sys._getframe()

    # What reports ask.

    @property
    def waits_for(self) -> Lane:
        """What has a `blocking_report`."""
        return self

    @property
    def is_idle(self) -> bool:
        """Whether no report needs to list it: a lane of callbacks, none of which is due."""
        return not self.is_of_task

    def frames(self) -> list[FrameType]:
        """The frames of its task's coroutine while it is suspended, outermost first."""
        found: list[FrameType] = []
        task = self.asyncio_task
        awaited = None if task is None else task.get_coro()
        while awaited is not None:
            for frame_of, next_of in (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await")):
                frame = getattr(awaited, frame_of, None)
                if frame is not None:
                    found.append(frame)
                    awaited = getattr(awaited, next_of)
                    break
            else:
                awaited = None
        return found

    def blocking_report(self) -> tuple[str, tuple[int, ...]]:
        """What reports say of what its task waits for, and the tasks that could let it go on."""
        return self.loop.report_of(self)
