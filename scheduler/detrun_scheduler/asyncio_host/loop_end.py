"""`LoopEnd`: how a simulated event loop ends.

When the main function of a program has ended, its loop is asked what it leaves. Tasks, asynchronous generators, an
executor and queued callbacks take rounds of the loop to be closed (`has_rest`), and asyncio's own runner does that. A
loop that leaves nothing at all (`leaves_nothing`) is closed in no step, since none of the program's code runs then.

The loop of a process that was killed is not closed. Its tasks and transports stand still, and `Remains` takes them
apart when the run is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import ref

from detrun_scheduler import current
from detrun_scheduler.asyncio_host.lanes import Lane
from detrun_scheduler.asyncio_host.private import has_tasks
from detrun_scheduler.asyncio_host.remains import Remains
from detrun_scheduler.asyncio_host.tasks import LANE, PATH, AsyncioOfRun, Timer


class LoopEnd:
    """The methods of an event loop that end it.

    Attributes:
        is_stepping: it is being run.
        simulated_thread: that runs it; None while none does.
        main: the task made last while the loop did not run: what `run_until_complete` waits for.
        ended_in: the lane in whose running step the main task, or the future that is waited for, has ended.
        owner: the process of a world that it belongs to.
        remains: what is left of it once its process has been killed.
    """

    run: Any
    lanes: dict[Lane, None]
    callbacks: Lane | None  # the lane of callbacks, once there is one
    is_stepping: bool
    ended_in: Lane | None
    main: Any
    simulated_thread: Any
    remains: Remains | None
    counts: AsyncioOfRun
    owner: Any
    call_exception_handler: Callable[[dict[str, Any]], None]
    failed_tasks: list[ref[Any]]  # tasks that ended with an exception
    retrieved_task: Any  # the task whose exception `asyncio.gather` has just asked for
    _closed: bool
    _debug: bool
    _thread_id: int | None
    _selector: Any
    _default_executor: Any
    _executor_shutdown_called: bool

    @property
    def is_over(self) -> bool:
        """Whether no step of it is taken any more: it is closed, or its run or its process has ended."""
        return self._closed or current.run is not self.run or (self.owner is not None and not self.owner.is_running)

    @property
    def is_in_its_run(self) -> bool:
        """Whether the run that made it is the active one."""
        return current.run is self.run

    def leave_running(self) -> None:
        """Leave the list of the loops that run."""
        running = self.counts.running
        if self in running:
            running.remove(self)

    def forget(self, task: Any, lane: Lane) -> None:
        """The lane of ``task`` is over: write down how the task ended, or close it where it has not."""
        setattr(task, LANE, None)
        if not task.done():
            setattr(task, PATH, lane.path)
            # In life it would stay suspended until the process ends.
            task._log_destroy_pending = False
            with suppress(BaseException):
                task.get_coro().close()
        elif self.is_in_its_run:
            error = asyncio.CancelledError() if task.cancelled() else task._exception
            if error is not None:
                if task is self.retrieved_task:
                    task._log_traceback, self.retrieved_task = False, None
                setattr(task, PATH, lane.path)
                self.run.journal.ended(self.run.host.numbers[lane.task], error)
                self.failed_tasks.append(ref(task))

    # What it leaves.

    @property
    def leaves_nothing(self) -> bool:
        """Whether it has nothing to be closed and nothing to be told, as of an exception that nothing retrieved."""
        return not (self._has_own or self.has_rest or (self.failed_tasks and self._never_retrieved()))

    @property
    def has_rest(self) -> bool:
        """Whether there is what takes rounds to be closed: tasks, asynchronous generators, an executor, callbacks."""
        return (
            self._default_executor is not None
            or bool(vars(self).get("_asyncgens"))
            or self.has_queued
            or has_tasks(self)
        )

    @property
    def has_queued(self) -> bool:
        """Whether something waits for the rounds in which asyncio closes what is left."""
        return any(lane.handles for lane in self.lanes) and self.run.thread_rules >= 9

    @property
    def _has_own(self) -> bool:
        """Whether it has something that `close` closes: an executor, a selector, handlers of signals."""
        made = vars(self)
        return bool(self._default_executor or self._debug or "_signal_handlers" in made or "_selector" in made)

    def _never_retrieved(self) -> list[Any]:
        """Tasks that have ended with an exception that nothing has asked for."""
        return [task for one in self.failed_tasks if (task := one()) is not None and task._log_traceback]

    def close(self) -> None:
        """As asyncio's; exceptions that nothing has retrieved by now are reported.

        In life a task reports its exception when it is collected, which is at no moment that a run could repeat.
        """
        is_open = not self._closed and self._thread_id is None
        if is_open and not self._has_own:
            # What asyncio's does, in four classes, where there is nothing to close.
            self._closed = self._executor_shutdown_called = True
            self._selector = None
        else:
            super().close()  # type: ignore[misc]  # of asyncio's loop
        is_in_run = self.is_in_its_run and self.run.threads is not None
        if is_in_run and vars(self).get("_transports"):
            Remains(self, [])
        if is_open and is_in_run:
            for task in self._never_retrieved():
                task._log_traceback = False
                self.call_exception_handler(
                    {"message": "Task exception was never retrieved", "exception": task.exception(), "task": task}
                )
            for lane in list(self.lanes):
                lane.wake()  # it ends when it is stepped

    # What is left of it.

    def died(self) -> None:
        """The process that it belongs to was killed: none of its code runs again, and nothing of it is due."""
        if not self._closed:
            self._closed, self.is_stepping = True, False
            self.leave_running()
            live = self.run.timers.live
            timers = [key for key in live if isinstance(key, Timer) and key._loop is self]
            self.run.timers.forget(timers)
            self.remains = Remains(self, timers, is_killed=True)

    def buried(self, task: Any) -> None:
        """No code of ``task`` runs again, since the process was killed."""
        if self.remains is not None:  # it was closed before
            self.remains.add(task)

    def forget_run(self) -> None:
        """The run is over: what this object refers to may refer to it."""
        self.ended_in = self.main = self.simulated_thread = self.callbacks = self.remains = self._selector = (
            self._default_executor
        ) = None
        self.lanes.clear()
