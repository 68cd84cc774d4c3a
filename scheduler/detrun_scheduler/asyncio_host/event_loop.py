"""`SimulatedEventLoop`: the event loop that asyncio gets in a run.

It is a subclass of asyncio's own selector loop. Futures, tasks, locks, queues, time-outs, task groups, streams,
transports, servers and runners are asyncio's code, unchanged. What the loop does itself is replaced, a part in each
file:

- What is queued goes to lanes, which the run loop steps (`lanes.py`, in order of ``"fifo"`` also `line.py`).
- The clock and the timers are the run's (`loop_time.py`).
- Sockets of a simulated network say when they are ready (`readiness.py`).
- `loop_life.py` runs and stops it, `loop_end.py` closes it, and `program.py` runs the main function of a program.
- What would leave the process is simulated or refused by name (`outside.py`).
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import events
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType, FrameType, FunctionType
from typing import Any

import sniffio
from greenlet import getcurrent

from detrun_scheduler import current
from detrun_scheduler.asyncio_host.foreign_calls import LooksAtCallers
from detrun_scheduler.asyncio_host.fresh_loops import SELECTOR_LOOP, FreshLoop, beginning
from detrun_scheduler.asyncio_host.lanes import Lane, TaskLane
from detrun_scheduler.asyncio_host.line import Line
from detrun_scheduler.asyncio_host.loop_life import LoopLife
from detrun_scheduler.asyncio_host.loop_time import LoopTime
from detrun_scheduler.asyncio_host.lost_tasks import DESTROYED, LostTasks
from detrun_scheduler.asyncio_host.outside import Outside
from detrun_scheduler.asyncio_host.private import (
    NAMES_LATER,
    STEP,
    WAKE_UP,
    begin_running,
    ends_the_run,
    get_running,
    go_back,
    has_retrieved,
    is_debug_mode,
    is_of_gather,
    name_given_by,
    set_running,
    task_of_step,
)
from detrun_scheduler.asyncio_host.slow_callbacks import timed
from detrun_scheduler.asyncio_host.tasks import (
    LABEL,
    LANE,
    AsyncioOfRun,
    Future,
    Handle,
    Task,
    label_of,
    making,
    new_task,
)
from detrun_scheduler.asyncio_host.trio_calls import NurseryOfTrio, await_trio
from detrun_scheduler.asyncio_host.uncaught import failure_of
from detrun_scheduler.asyncio_host.waits import pending_of, report_of
from detrun_scheduler.running_loop import know_loops
from detrun_scheduler.threads.simulated_thread import SimulatedThread

_EAGER = getattr(asyncio, "eager_task_factory", None)
_WITHOUT = (
    *("run", "lanes", "callbacks", "line", "last_round", "main", "owner", "counts", "_creator", "_lost", "_left_by"),
    *("simulated_thread", "ended_in", "remains", "failed_tasks", "retrieved_task"),
)
_BEGINS_WITH = beginning(
    {
        **dict.fromkeys(_WITHOUT),
        "is_stepping": False,
        "looks": False,
        "library": None,
        "set_running": set_running,  # of each loop, since it is found fast there
    }
)


# Any as a base: stubs leave private names out.
class SimulatedEventLoop(FreshLoop, LoopLife, LoopTime, LooksAtCallers, Outside, SELECTOR_LOOP):  # type: ignore[misc]
    """An event loop of the active run.

    Args:
        selector: left unused; taken because asyncio's own loop takes one.

    Raises:
        UsageError: no run is active.
    """

    says_all = True  # its report says what it waits in, too
    subprocesses: Any  # their transports

    def __init__(self, selector: Any = None) -> None:
        run: Any = current.require("an event loop of asyncio")
        self.__dict__ = _BEGINS_WITH.copy()
        self.run = run
        self.library = vars(sniffio.thread_local)
        self.lanes: dict[Lane, None] = {}
        if run.asyncio_order == "fifo":
            self.line = Line()
        if run.asyncio is None:
            run.asyncio = AsyncioOfRun()
            if get_running() is not None:  # the caller of the run is a task of asyncio's itself
                run.threads.at_end.append(partial(go_back, begin_running(None)))
        self.counts: AsyncioOfRun = run.asyncio
        self._creator = max(run.current, 0)
        self.failed_tasks = []
        self._lost = LostTasks(run)
        inherited = run.threads.inherited
        if inherited is not None:
            self.owner = inherited.get(None)
        self._debug = self.looks = is_debug_mode()

    def next_number(self) -> int:
        """Tasks and futures are numbered in the order in which the run makes them."""
        return next(self.counts.numbers)

    # What is queued.

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        """Queue a callback; as asyncio's. Steps of tasks written in C get no handle, for which they do not ask."""
        if self._closed:
            self._check_closed()
        kind = type(callback)
        if not self.looks or self.is_without_checks("call_soon", callback):
            if kind is STEP or (kind is BuiltinFunctionType and callback.__name__ == WAKE_UP):
                task = callback.__self__
                (getattr(task, LANE, None) or self._new_lane(task)).push(partial(context.run, callback, *args))
                return None
            if kind is FunctionType and context is not None and self._needs_no_step(callback, args):
                context.run(callback, *args)
                if callback is not ends_the_run and args[0]._exception is not None and has_retrieved(callback):
                    self.retrieved_task = args[0]  # asyncio marks it otherwise once all its callbacks are queued
                return None
            handle: Any = Handle(callback, args, self, context)
        else:
            handle = events.Handle(callback, args, self, context)
            timed(handle)
        task = task_of_step(callback)
        if task is not None:
            (getattr(task, LANE, None) or self._new_lane(task)).push(handle)
        else:
            self._lane_of_callbacks().push(handle)
        return handle

    def step_failed(self, error: BaseException, step: partial[Any]) -> None:
        """Tell of what came out of a callback that was queued as a step of a task, as its handle would."""
        callback, *args = step.args
        handle = Handle(callback, tuple(args), self, step.func.__self__)  # type: ignore[attr-defined]  # `run` of a context
        self.call_exception_handler(
            {"message": f"Exception in callback {handle!r}", "exception": error, "handle": handle}
        )

    def _needs_no_step(self, callback: Any, args: tuple[Any, ...]) -> bool:
        """Whether ``callback`` stops the loop, or is by what `gather` counts that the running task ends.

        At most its waiter wakes. A future that ends in the midst of a step is another matter: the code behind it must
        not find that counted.
        """
        callbacks = self.callbacks
        if self.line is not None or (callbacks is not None and callbacks.handles):
            return False
        if callback is ends_the_run:
            if self.run.thread_rules >= 9:
                if self.last_round is not None:  # it stops already; this stops it when it runs next
                    return False
                lane = getattr(args[0], LANE, None)
                self.ended_in = lane if lane is not None and lane.is_stepping else self.stepping_lane()
            return True
        if len(args) != 1 or not is_of_gather(callback):
            return False
        lane, rules = getattr(args[0], LANE, None), self.run.thread_rules
        if lane is None or not lane.is_stepping or rules < 6:
            return False
        # These leave the loop before it calls anything more.
        return not isinstance(args[0]._exception, (KeyboardInterrupt, SystemExit)) or rules < 9

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> events.Handle:
        """Queue a callback, from any thread. A schedule point in a simulated thread: in life it takes a lock."""
        self._check_closed()
        caller = getcurrent()
        if type(caller) is SimulatedThread and caller is not self.simulated_thread:
            caller.schedule_point()
            self._check_closed()
        if self._debug:
            self._check_callback(callback, "call_soon_threadsafe")
        handle = events.Handle(callback, args, self, context)
        if self._debug:
            timed(handle)
        self._lane_of_callbacks().push(handle)
        return handle

    def push_timer(self, timer: Any) -> None:
        """A timer is due: queue what it calls."""
        self._lane_of_callbacks().push(timer)

    def _lane_of_callbacks(self) -> Lane:
        lane = self.callbacks
        if lane is None:
            self.check_run()
            lane = self.callbacks = Lane(self, "event loop", self._creator)
        return lane

    def _new_lane(self, task: Any) -> Lane:
        run = self.run
        if current.run is not run:
            self.check_run()
        name = getattr(task, LABEL, None)
        if name is None:
            name = task.get_name()
            if name.startswith("Task-"):  # which asyncio has counted
                name = label_of(task.get_coro())
        creator = run.current
        lane = TaskLane(self, name, creator if creator > 0 else 0, task)
        setattr(task, LANE, lane)
        return lane

    def check_run(self) -> None:
        """Raise `RuntimeError` where the run that made it is over."""
        if not self.is_in_its_run:
            raise RuntimeError("the detrun run that this event loop belongs to is over")

    def lane_of(self, task: Any) -> Lane | None:
        """The lane that steps ``task``, if it is of this loop and lives."""
        return getattr(task, LANE, None)

    def report_of(self, lane: Lane) -> tuple[str, tuple[int, ...]]:
        """See `waits.report_of`."""
        return report_of(lane.asyncio_task, lane)

    def pending_of(self, lane: Lane) -> str:
        """See `waits.pending_of`."""
        return pending_of(lane.asyncio_task, lane)

    def looks_for_lost_tasks(self) -> bool:
        """Whether tasks beside the main one live, and findings are asked for."""
        return len(self.lanes) > 1 and bool(self.run.reports_thread_errors)

    def main_ended(self, frames: list[FrameType]) -> None:
        """Report lost tasks; ``frames`` are those of the main task's last step."""
        self._lost.look(self.lanes, frames)

    # Tasks, futures, time.

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return Future(loop=self)

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None, **options: Any) -> Any:
        """A task of this loop; as asyncio's."""
        if self._closed:
            self._check_closed()
        maker = sys._getframe(1)
        if name is None and NAMES_LATER:
            name = name_given_by(maker)
        factory = self._task_factory
        if factory is None:
            task: Any = new_task(coro, self, self.counts, making(maker), name, context, **options)
        elif factory is _EAGER:
            options.setdefault("eager_start", True)
            task = new_task(coro, self, self.counts, making(maker), name, context, **options)
        else:
            task = self._made_by(factory, coro, name, context, options)
        if not self.is_stepping:
            self.main = task
        return task

    def _made_by(self, factory: Any, coro: Any, name: Any, context: Any, options: dict[str, Any]) -> Any:
        if context is not None:
            options["context"] = context
        task = factory(self, coro, **options)
        has_name = name is None and isinstance(task, Task)
        if hasattr(task, "set_name") and not has_name:
            task.set_name(f"Task-{next(self.counts.tasks)}" if name is None else name)
        return task

    await_trio = staticmethod(await_trio)
    nursery_of_trio = NurseryOfTrio

    async def checkpoint(self) -> None:
        """Let others go on."""
        await asyncio.sleep(0)

    leave = staticmethod(go_back)  # what stood aside goes on

    def stand_aside(self) -> Any:
        """A step of this loop stands still while others go on, for whom no loop is running; for `leave`."""
        return begin_running(None)

    def blocking_report(self) -> tuple[str, tuple[int, ...]]:
        """What reports say of the thread that runs this loop."""
        host = self.run.host
        numbers = (host.numbers.get(lane.task) for lane in self.lanes if lane.is_of_task)
        return "asyncio.run, until the end of", tuple(sorted(number for number in numbers if number is not None))[:1]

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As asyncio's; an exception that nothing has retrieved counts as one that came out of a thread."""
        run, error = self.run, context.get("exception")
        if not self.is_in_its_run:
            return  # garbage of a run that is over, of which `close` has told
        if context.get("message") == DESTROYED and not self._closed:
            self._lost.report(context["task"])
            if run.reports_thread_errors:
                return
        # A cancellation counts as handled: asyncio's streams of Python 3.11 report it of handlers that were cancelled.
        if isinstance(error, BaseException) and not (
            isinstance(error, asyncio.CancelledError) or self._exception_handler is not None
        ):
            run.thread_failures.append(failure_of(context, error))
            if run.reports_thread_errors:
                return
        super().call_exception_handler(context)


know_loops(get_running, SimulatedEventLoop)
