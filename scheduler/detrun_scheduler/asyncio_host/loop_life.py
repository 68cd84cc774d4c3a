"""`LoopLife`: how a simulated event loop is run and stopped.

``run_forever`` is called in a simulated thread, which waits while the run steps the loop's lanes. `stop` begins the
last round: what is queued by then runs, as in the stock loop, and then the thread is woken.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType
from typing import Any

from greenlet import getcurrent

from detrun_scheduler.asyncio_host.lanes import Lane
from detrun_scheduler.asyncio_host.line import Line
from detrun_scheduler.asyncio_host.loop_end import LoopEnd
from detrun_scheduler.asyncio_host.private import SHUTDOWN_EXECUTOR, SHUTDOWN_GENERATORS, ends_the_run
from detrun_scheduler.asyncio_host.tasks import new_task
from detrun_scheduler.errors import UsageError
from detrun_scheduler.threads.simulated_thread import MAIN_IDENT, SimulatedThread, WaitKind

RUN_FOREVER = WaitKind("BaseEventLoop.run_forever")


class LoopLife(LoopEnd):
    """The methods of an event loop that run it.

    Attributes:
        last_round: it is to stop, once so many handles of these lanes have run; None: it goes on.
    """

    line: Line | None
    last_round: dict[Lane, int] | None
    push_timer: Callable[[Any], None]
    call_soon_threadsafe: Any
    _left_by: BaseException | None
    looks: bool
    look_for_threads: Callable[[], None]
    is_without_checks: Callable[[str, Any], bool]
    _stopping: bool
    _coroutine_origin_tracking_enabled: bool
    _set_coroutine_origin_tracking: Any
    _check_closed: Any
    _asyncgen_firstiter_hook: Callable[[Any], None]
    _asyncgen_finalizer_hook: Callable[[Any], None]
    _check_running: Any
    check_run: Any

    def run_until_complete(self, future: Any) -> Any:
        """As asyncio's. What closes asynchronous generators and an executor takes no step where nothing is left."""
        if type(future) is CoroutineType and not (self._closed or self.has_queued):
            name = future.__qualname__
            if (name == SHUTDOWN_GENERATORS and not vars(self).get("_asyncgens")) or (
                name == SHUTDOWN_EXECUTOR and self._default_executor is None
            ):
                self._asyncgens_shutdown_called = True
                self._executor_shutdown_called = self._executor_shutdown_called or name == SHUTDOWN_EXECUTOR
                future.close()
                return None
        return super().run_until_complete(future)  # type: ignore[misc]  # of asyncio's loop

    def begin_main(self, coroutine: CoroutineType[Any, Any, Any], thread: Any) -> None:
        """Make the main task of a program, and let the run step the loop until that has ended; `end_main` follows."""
        task: Any = new_task(coroutine, self, self.counts, None, None)
        task.add_done_callback(ends_the_run)
        self.main = task
        self._begin_in(thread)

    def end_main(self, waited: Any) -> Any:
        """What the main task has come to.

        Args:
            waited: an outcome: how the thread that has waited for it goes on.
        """
        task = self.main
        try:
            waited.unwrap()
            self._raise_what_left()
            if not task.done():
                raise RuntimeError("Event loop stopped before Future completed.")
            return task.result()
        except BaseException:
            if task.done() and not task.cancelled():
                task.exception()  # as asyncio does, which then doesn't say that it was never retrieved
            raise
        finally:
            task.remove_done_callback(ends_the_run)
            self._end_in()
            task = waited = None  # their exceptions know this frame: a cycle of garbage

    def generator_begins(self, generator: Any) -> None:
        """An asynchronous generator is begun in a step of this loop."""
        self._asyncgen_firstiter_hook(generator)

    def generator_is_finalized(self, generator: Any) -> None:
        """It is collected before its end."""
        self._asyncgen_finalizer_hook(generator)

    def run_forever(self) -> None:
        """Let the run step this loop's lanes until `stop`.

        Raises:
            UsageError: called by a task of trio's, which no loop of asyncio's can run under.
        """
        self._check_closed()
        self._check_running()
        thread = getcurrent()
        if type(thread) is not SimulatedThread:
            raise UsageError(
                "asyncio.run inside an async function of trio: make the program an ordinary function, or an async "
                "function of asyncio (backend='asyncio')"
            )
        self.check_run()
        self._run_in(thread)

    def _run_in(self, thread: Any) -> None:
        try:
            self._begin_in(thread)
            while self.is_stepping:
                thread.wait(RUN_FOREVER, self)
            self._raise_what_left()
        finally:
            self._end_in()

    def _begin_in(self, thread: Any) -> None:
        """Let the run step this loop, for which ``thread`` waits."""
        self.simulated_thread = thread
        thread.event_loop = self
        self._thread_id = thread.ident
        self.is_stepping = True
        if self._debug:
            self._set_coroutine_origin_tracking(True)
        self.counts.running.append(self)
        if self.run.threads.idents > MAIN_IDENT:
            self.look_for_threads()
        self._go_on()
        if self._stopping:
            self._begin_last_round()

    def _raise_what_left(self) -> None:
        if self._left_by is not None:
            error, self._left_by = self._left_by, None
            raise error

    def _end_in(self) -> None:
        """The run steps it no more."""
        self.leave_running()
        self._stopping = self.is_stepping = False
        self.simulated_thread.event_loop = self.main = self.ended_in = None
        self._thread_id = self.simulated_thread = self.last_round = None
        if self._coroutine_origin_tracking_enabled:
            self._set_coroutine_origin_tracking(False)

    def _go_on(self) -> None:
        """Wake the lanes in which something was queued while the loop did not run."""
        if self.line is not None:
            self.line.open(self.push_timer)
            if self.line.lanes:
                self.line.lanes[0].wake()
            return
        behind = self.callbacks.handles if self.callbacks is not None else ()
        for lane in list(self.lanes):
            if lane.handles and lane not in behind:
                lane.wake()

    def stop(self) -> None:
        """Let `run_forever` return once what is queued now has run; as asyncio's, which ends its round."""
        if self.looks and not self._debug:
            self.is_without_checks("stop", None)
        self._stopping = True
        if self.simulated_thread is None or self.last_round is not None:
            return
        if self.ended_in is None:
            self._begin_last_round()
        else:
            self.last_round = {}  # until the step has ended, see `stepped`

    def stepping_lane(self) -> Lane | None:
        """The lane whose step runs now."""
        return next((lane for lane in self.lanes if lane.is_stepping), None)

    def _begin_last_round(self) -> None:
        if self.line is not None:
            self.last_round = {}
            is_over = not self.line.left
        else:
            left: dict[Lane, int] = {}
            for lane in self.lanes:
                count = lane.is_stepping + (lane.own_handles if lane.handles else 0)
                if count:
                    left[lane] = count
            self.last_round = left
            is_over = not left
        if is_over:
            self.halt()

    def stepped(self, lane: Lane) -> None:
        """A handle of ``lane`` has run; the last of the last round lets `run_forever` return."""
        left = self.last_round
        assert left is not None
        if lane is self.ended_in:
            # `stop` was called at once, in the midst of this step. Other callbacks of that end were queued since, and
            # belong to the last round, which begins now.
            self.ended_in = None
            lane.is_stepping = False
            self._begin_last_round()
        elif lane in left:
            left[lane] -= 1
            if not left[lane]:
                del left[lane]
            if not left:
                self.halt()

    def interrupt(self) -> None:
        """What Ctrl-C does to ``asyncio.run``: cancel the main task; without one, stop."""
        main = self.main
        self.call_soon_threadsafe(self.stop if main is None else main.cancel)

    def halt(self) -> None:
        """Let `run_forever` return, and take no further step before it is called again."""
        self.is_stepping = False
        if self.simulated_thread is not getcurrent():  # which has not begun to wait where there was nothing to wait for
            self.simulated_thread.wake()

    def leaves_by(self, error: BaseException) -> None:
        """Let `run_forever` raise ``error``, which a step has let out."""
        self._left_by = error
        self._stopping = True
        self.halt()
