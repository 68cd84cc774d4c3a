"""`Lane`: what the run loop schedules of an asyncio program.

asyncio's loop has one queue, for steps of tasks and for callbacks. A simulated loop has a lane for each task, in which
the task's steps are queued, and one lane for all other callbacks. A lane is a task of the run, with a number, a path
and recorded steps. It is runnable while something is queued in it, and each step of it runs one handle. So strategies,
recordings, reports and shrinking treat tasks of asyncio as they treat tasks of trio.

The order of handles, which `asyncio_order` sets:

- ``"any"``: callbacks run in the order in which they were queued. A step of a task does not overtake a callback that
  was queued before it, since asyncio's own ``sock_connect`` relies on that. Otherwise tasks go on in any order.
- ``"fifo"``: one lane at a time can run, in the order of the stock loop (`line.py`).

A lane refers to its task weakly, as asyncio's loop does. A task lives while something is queued for it, and while what
it waits for refers to it. A task to which nothing refers is lost (`lost_tasks.py`), and a collection may take it.

This module does not import asyncio, so that the run loop can know it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context
from functools import partial
from types import FrameType
from typing import Any, Protocol
from weakref import ref

import outcome
from trio.lowlevel import Abort

from detrun_scheduler.asyncio_host.line import Line
from detrun_scheduler.asyncio_host.stackless import Stackless
from detrun_scheduler.footprints.footprints import EVERYTHING, WRITE
from detrun_scheduler.footprints.marks import touched
from detrun_scheduler.trio_host.graveyard import lay_out
from detrun_scheduler.trio_host.pending import frames_of
from detrun_scheduler.trio_host.private import CHECKPOINT_TRAP, DETACH_TRAP, WAIT_TRAP, is_blocked


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
    set_running: Callable[[Any], None]  # lets a loop, or no loop, be asyncio's running one
    library: dict[str, Any]  # sniffio's, of this thread of the operating system: "name" says what runs

    @property
    def is_over(self) -> bool:
        """Whether no step of it is taken any more."""

    def stand_aside(self) -> Any:
        """A step of this loop stands still while others go on; returns what `leave` takes."""

    def leave(self, outer: Any) -> None:
        """The step goes on."""

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

    def buried(self, task: Any) -> None:
        """No code of ``task`` runs again."""

    def report_of(self, lane: Lane) -> tuple[str, tuple[int, ...]]:
        """What the task of ``lane`` waits for, and the tasks that could let it go on."""

    def pending_of(self, lane: Lane) -> str:
        """What the task of ``lane`` awaits in the program's own code."""

    def looks_for_lost_tasks(self) -> bool:
        """Whether tasks beside the main one live, and findings are asked for."""

    def main_ended(self, frames: list[FrameType]) -> None:
        """The main task has ended; ``frames`` are those of its last step, whose variables still live."""

    def step_failed(self, error: BaseException, step: partial[Any]) -> None:
        """What asyncio queues as a step of a task has raised ``error``."""


class Lane(Stackless):
    """All callbacks of one loop, steps of tasks apart; `TaskLane` has those of one task.

    Args:
        loop: whose it is.
        name: the last part of its path.
        creator: number of the task of the run that it counts as a child of.
        asyncio_task: the task, if it is the lane of one.
    """

    __slots__ = ("__name__", "_reference", "creator", "handles", "is_stepping", "loop", "task")

    says_all = True  # its report says what it waits in, too
    is_of_task = False

    def __init__(self, loop: LoopOfLanes, name: str, creator: int, asyncio_task: Any = None) -> None:
        self.loop = loop
        # `Handle` objects. In the lane of a task: its steps, each a call of ``run`` of a context. In that of callbacks
        # also lanes of tasks, which may not go on before what stands before them here has run.
        self.handles: deque[Any] = deque()
        self.is_stepping = self.has_begun = self.has_ended = False
        self.__name__ = name
        self.creator = creator
        self._reference: Any = None if asyncio_task is None else ref(asyncio_task, self._collected)
        # Set by the run when trio has made it; None again when it is over.
        self.task: Any = None
        # Not in the context of threads: where a task blocks the event loop, threads are stepped inside its step.
        loop.run.host.spawn_thread(self, name, Context())
        loop.lanes[self] = None
        callbacks = loop.callbacks
        if loop.line is not None or (callbacks is not None and callbacks.handles and loop.run.thread_rules >= 7):
            # Until it is its turn; what is in it is about to be queued behind others.
            loop.run.host.park(self.task, _WAIT)
            if loop.run.thread_rules >= 8:
                loop.run.journal.take_back_spawn(loop.run.host.numbers[self.task])

    def _collected(self, _: object) -> None:
        if not self.has_ended:
            self._reference = None
            self.wake()  # it ends when it is stepped

    def push(self, handle: Any) -> None:
        """Queue a handle."""
        self.handles.append(handle)
        line = self.loop.line
        if line is not None:
            line.put(self)
        elif not self.is_stepping:
            self.wake()

    def wake(self) -> None:
        """Make the lane runnable if it is not."""
        if not (self.is_stepping or self.has_ended) and is_blocked(self.task):
            self.loop.run.host.reschedule(self.task)

    def send(self, message: Any) -> Any:
        """Take one step: run one handle."""
        loop, line, task = self.loop, self.loop.line, self.asyncio_task
        touched[EVERYTHING] = WRITE  # plain variables are what asyncio's tasks share, and nothing marks these
        if type(message) is outcome.Error or loop.is_over or (self.is_of_task and self._reference is None):
            return self.end()
        handles = self.handles
        if not (handles and loop.is_stepping) or (line is not None and not line.is_next(self)):
            return _WAIT  # what is queued stays so until the loop runs again, or until it is this lane's turn
        self.is_stepping = self.has_begun = True
        frames = self.frames() if task is loop.main is not None and loop.looks_for_lost_tasks() else None
        if line is not None:
            line.is_open = False
        loop.set_running(loop)
        names = loop.library
        library, names["name"] = names["name"], "asyncio"
        try:
            _run(handles.popleft(), loop)
        finally:
            names["name"] = library
            loop.set_running(None)
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
        else:
            while handles and type(handles[0]) is TaskLane:
                handles.popleft().wake()
            if handles:
                return CHECKPOINT_TRAP
        if task is not None and not handles and task.done():
            self.end()
            task = frames = None  # the traceback of the task's exception may lead here: a cycle of garbage
            return _ENDED
        return _WAIT

    @property
    def asyncio_task(self) -> Any:
        """Its task while that lives; None for callbacks, too."""
        return None if self._reference is None else self._reference()

    @property
    def owner(self) -> Any:
        """The process of a world that its loop belongs to, if there is one."""
        return self.loop.owner

    @property
    def path(self) -> str:
        """Of its task in the run, until it is over."""
        run = self.loop.run
        path: str = run.paths[run.host.numbers[self.task]]
        return path

    @property
    def own_handles(self) -> int:
        """How many handles are queued, lanes that wait for their turn apart."""
        return sum(type(one) is not TaskLane for one in self.handles)

    @property
    def is_ending(self) -> bool:
        """Whether it is about to take its last step: its loop is closed, which has woken it."""
        return self.task is not None and self.loop.is_over and not is_blocked(self.task)

    def end(self) -> Any:
        """The lane is over: its task has ended, the loop is closed, or the run ends."""
        if not self.has_ended:
            task = self._finish()
            if task is not None:
                self.loop.forget(task, self)
            self.task = None  # it refers to this lane: the whole run would be a cycle of garbage
        return _ENDED

    def abandoned(self) -> None:
        """Its process was killed: it is as if it had ended, and none of its task's code runs again."""
        task, loop = self._finish(), self.loop
        loop.died()
        if task is not None:
            loop.buried(task)
            host = loop.run.host
            lay_out(host.dead, task.get_coro(), host.asyncgens.alive)
        self.task = None

    def _finish(self) -> Any:
        """Take no step any more; the task whose lane it was."""
        reference, loop = self._reference, self.loop
        self._reference, self.has_ended = None, True
        if self.handles:
            self.handles.clear()
        loop.lanes.pop(self, None)
        if reference is None:
            if loop.callbacks is self:
                loop.callbacks = None
            return None
        return reference()

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
        task = self.asyncio_task
        return [] if task is None else frames_of(task.get_coro())

    @property
    def pending(self) -> str:
        """What it is suspended in, where that is in no function of a library."""
        return "the event loop" if self.asyncio_task is None else self.loop.pending_of(self)

    def blocking_report(self) -> tuple[str, tuple[int, ...]]:
        """What reports say of what its task waits for, and the tasks that could let it go on."""
        return self.loop.report_of(self)


class TaskLane(Lane):
    """One asyncio task."""

    __slots__ = ()

    is_of_task = True

    def push(self, step: Any) -> None:
        """Queue a step."""
        loop = self.loop
        self.handles.append(step)
        callbacks = loop.callbacks
        if loop.line is not None:
            loop.line.put(self)
        elif callbacks is not None and callbacks.handles:
            callbacks.handles.append(self)  # wakes this lane when its turn comes
        elif not (self.is_stepping or self.has_ended) and is_blocked(self.task):
            loop.run.host.reschedule(self.task)

    def send(self, message: Any) -> Any:
        """As for callbacks. This is the shortest way of a step that has nothing special about it."""
        loop, handles = self.loop, self.handles
        if loop.line is not None or not (handles and loop.is_stepping) or type(message) is outcome.Error:
            return super().send(message)
        reference = self._reference
        if reference is None:
            return self.end()
        task = reference()
        touched[EVERYTHING] = WRITE
        self.is_stepping = self.has_begun = True
        frames = self.frames() if task is loop.main and loop.looks_for_lost_tasks() else None
        step, set_running, names = handles.popleft(), loop.set_running, loop.library
        set_running(loop)
        library, names["name"] = names["name"], "asyncio"
        try:
            if type(step) is partial:
                step()
            else:
                _run(step, loop)
        except BaseException as error:
            _let_out(error, step, loop)
        finally:
            names["name"] = library
            set_running(None)
            step = None  # it knows the task
            if loop.last_round is not None:
                loop.stepped(self)
            self.is_stepping = False
        if frames is not None and task.done():
            loop.main_ended(frames)
        if handles:
            callbacks = loop.callbacks
            return CHECKPOINT_TRAP if callbacks is None or self not in callbacks.handles else _WAIT
        if task.done():
            self.end()
            task = frames = None
            return _ENDED
        return _WAIT


def _run(handle: Any, loop: LoopOfLanes) -> None:
    """Run what was queued: a handle, or a step of a task."""
    try:
        if type(handle) is partial:
            handle()
        elif not handle._cancelled:
            handle._run()
    except BaseException as error:
        _let_out(error, handle, loop)
    finally:
        handle = None  # it knows the task, whose exception knows this frame


def _let_out(error: BaseException, handle: Any, loop: LoopOfLanes) -> None:
    """Do what asyncio does with what comes out of a callback."""
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        loop.leaves_by(error)  # out of `run_forever`, as in life
    else:
        loop.step_failed(error, handle)
