"""The one place that knows trio's insides: a `trio` runner whose every scheduling decision is ours.

`Host` is trio's own `Runner` with the parts replaced that trio leaves to chance or to the operating system: the run
queue (a sorted set of spawn numbers instead of a batch), the deadlines (`TimerHeap`), the entry queue's socket pair,
the I/O manager (there is no I/O), the order of cancellation and of asynchronous generators' finalization (trio walks
sets ordered by address). Everything else is trio's code, so a program sees trio's semantics, exceptions and
tracebacks. `step` runs one task to its next schedule point through trio's task protocol; it mirrors the body of
trio's loop (`unrolled_run`), of which it keeps the order of effects.

A `Host` costs a few tens of microseconds where `trio.run` costs 0.8 ms: no epoll, no socket pair, no entry-queue task
until someone uses it.

This file relies on private names of trio. `check_trio` runs on import and refuses a trio in which they have changed.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal` wraps; the standard library has no stubs for it
import contextlib
import inspect
import math
import threading
import weakref
from _thread import RLock, get_ident  # not `threading.get_ident`, which tells simulated threads apart inside a run
from bisect import insort
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextvars import copy_context
from types import CodeType, FrameType
from typing import Any, NoReturn

import attrs
import outcome
import sniffio
import trio
from sortedcontainers import SortedDict  # trio's own dependency, as it uses it
from trio import _channel, _threads
from trio._core import _asyncgens, _entry_queue, _instrumentation, _ki, _parking_lot, _run, _traps
from trio._util import name_asyncgen

from detrun_scheduler import current
from detrun_scheduler.clock import LocalTime, TimerHeap, VirtualClock
from detrun_scheduler.environment import virtual_time
from detrun_scheduler.environment.hidden_state import refuse
from detrun_scheduler.errors import HiddenStateError
from detrun_scheduler.journal import CHECKPOINT, DONE, FAILED
from detrun_scheduler.reports.blocking import pending_operation
from detrun_scheduler.trio_host.graveyard import Graveyard

CONTEXT = _run.GLOBAL_RUN_CONTEXT
CHECKPOINT_TRAP = _traps.CancelShieldedCheckpoint
WAIT_TRAP = _traps.WaitTaskRescheduled
DETACH_TRAP = _traps.PermanentlyDetachCoroutineObject
TrioInternalError = trio.TrioInternalError
TRIO_THREADS: Any = _threads  # `worker_threads` gives it simulated threads to work with

# How often a coroutine is closed that awaits in its ``finally`` blocks, each of which takes one attempt.
CLOSING_ATTEMPTS = 1000

OLDEST_TRIO, NEWEST_TRIO = (0, 30), (0, 35)


# Making one takes 3 µs, and hardly a run puts anything in it; the next run takes over an empty one.
_spare_sorted_dicts: list[SortedDict[Any, Any]] = []


def check_trio() -> None:
    """Fail at import, with the way out, if this trio lacks a private name that we use."""
    task_fields = {"_next_send_fn", "_next_send", "_abort_func", "_cancel_points", "_schedule_points", "_counter"}
    runner_fields = {"runq", "tasks", "deadlines", "entry_queue", "asyncgens", "waiting_for_idle", "ki_pending"}
    queue_fields = {"wakeup", "queue", "idempotent_queue", "done"}
    missing = [
        *(f"Task.{name}" for name in task_fields if not hasattr(_run.Task, name)),
        *(f"Runner.{name}" for name in runner_fields if not hasattr(_run.Runner, name)),
        *(f"EntryQueue.{name}" for name in queue_fields if not hasattr(_entry_queue.EntryQueue, name)),
        *(f"CancelStatus.{name}" for name in ("_tasks", "_children") if not hasattr(_run.CancelStatus, name)),
        *(f"Runner.{name}()" for name in ("spawn_impl", "task_exited", "reschedule") if not hasattr(_run.Runner, name)),
        *(f"Task.{n}()" for n in ("_attempt_delivery_of_any_pending_cancel",) if not hasattr(_run.Task, n)),
        *(
            f"_threads.{n}"
            for n in ("start_thread_soon", "PARENT_TASK_DATA", "Run", "RunSync", "_thread_counter")
            if not hasattr(_threads, n)
        ),
        *(f"_channel.{n}" for n in ("MemoryChannelState",) if not hasattr(_channel, n)),
        *(
            f"CancelScope.{n}"
            for n in ("deadline", "relative_deadline")
            if not isinstance(getattr(_run.CancelScope, n, None), property)
        ),
        *(f"_parking_lot.{n}" for n in ("GLOBAL_PARKING_LOT_BREAKER",) if not hasattr(_parking_lot, n)),
    ]
    version = tuple(int(part) for part in trio.__version__.split(".")[:2])
    if missing or version < OLDEST_TRIO:
        lowest, highest = (".".join(map(str, pair)) for pair in (OLDEST_TRIO, NEWEST_TRIO))
        reason = f"these private names changed: {', '.join(sorted(missing))}" if missing else "it is too old"
        raise ImportError(
            f"detrun cannot host trio {trio.__version__}: {reason}. "
            f"Install a trio from {lowest} to {highest} (pip install 'trio>={lowest},<={highest}.*') or a newer detrun."
        )


check_trio()


def _number(deadline: Any) -> Any:
    """What ``float`` means where trio stores a deadline that a program assigns: a number keeps its history."""
    return deadline if hasattr(deadline, "primal") else float(deadline)


# The setters of `CancelScope` would cut the history of a deadline by ``float(new_deadline)``, without a trace.
_run.float = _number  # type: ignore[attr-defined]


def _keeping_history(setting: property) -> property:
    """A setter that minds another history of the same number, which to trio is no change."""
    assert setting.fset is not None
    original = setting.fset

    def assign(scope: _run.CancelScope, deadline: Any) -> None:
        before = scope._registered_deadline
        original(scope, deadline)
        after = scope._deadline
        unchanged = scope._registered_deadline is before is not after and before != math.inf
        if unchanged and (hasattr(before, "primal") or hasattr(after, "primal")):
            scope._registered_deadline = after
            CONTEXT.runner.deadlines.renew(after, scope)  # type: ignore[attr-defined]

    return property(setting.fget, assign, setting.fdel, setting.__doc__)


for _name in ("deadline", "relative_deadline"):
    setattr(_run.CancelScope, _name, _keeping_history(getattr(_run.CancelScope, _name)))


class Resumption:
    """What a task gets sent when nothing is to be said: an `outcome.Value(None)` that can be unwrapped again."""

    __slots__ = ()

    def unwrap(self) -> None:
        """Return None."""


RESUME = Resumption()


def _held(_: object) -> trio.lowlevel.Abort:
    """Aborts the wait of a held task: not now, it is cancelled where it goes on."""
    return trio.lowlevel.Abort.FAILED


_held.__qualname__ = "held"


def _hold(_: object) -> Any:
    """Stands for a held task's coroutine: its step blocks instead of running code."""
    return WAIT_TRAP(_held)


def _vanish(_: object) -> Any:
    """Stands for an abandoned task's coroutine: its last step ends it without running code."""
    raise StopIteration(None)


_abandonment = GeneratorExit()  # raised where an abort function asks why; a nursery keeps it for nobody


def _raise_abandonment() -> NoReturn:
    """Given to the abort functions of abandoned tasks in place of what raises ``Cancelled``."""
    raise _abandonment


class OrderedSet(dict[Any, None]):
    """The part of ``set`` that trio uses on its sets of tasks and of cancel statuses, in insertion order."""

    __slots__ = ()

    def add(self, item: Any) -> None:
        """Put ``item`` at the end, unless it is there."""
        self[item] = None

    def discard(self, item: Any) -> None:
        """Take ``item`` out, if it is there."""
        dict.pop(self, item, None)

    remove = dict.__delitem__


class OrderedCancelStatus(_run.CancelStatus):
    """A cancel status that cancels its tasks and its children in the order in which they came."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        # Empty here unless the parent is cancelled, and then a new status still has no task and no child.
        self._tasks = OrderedSet()  # type: ignore[assignment]
        self._children = OrderedSet()  # type: ignore[assignment]

    @property
    def children(self) -> Any:
        """A snapshot; `Nursery.start` walks it."""
        return tuple(self._children)

    @property
    def tasks(self) -> Any:
        """A snapshot; `Nursery.start` walks it."""
        return frozenset(self._tasks)


class NumberedChannelState(_channel.MemoryChannelState[Any]):
    """A memory channel's state that remembers the number which the active run gave it."""

    __slots__ = ("number", "serial")

    def __init__(self, max_buffer_size: float) -> None:
        super().__init__(max_buffer_size)
        self.serial = -1
        self.number = -1


def _journal_channels() -> None:
    """Make memory channels tell the active run what enters and leaves their buffers; once for each process."""
    send_nowait, receive_nowait = trio.MemorySendChannel.send_nowait, trio.MemoryReceiveChannel.receive_nowait

    @trio.lowlevel.enable_ki_protection
    def journaled_send_nowait(self: Any, value: Any) -> None:
        run = current.run
        if run is None:
            return send_nowait(self, value)
        state = self._state
        buffered = not state.receive_tasks
        send_nowait(self, value)
        # A value handed to a waiting receiver shows as that task's wake-up.
        if buffered:
            run.message_entered(state)
        return None

    @trio.lowlevel.enable_ki_protection
    def journaled_receive_nowait(self: Any) -> Any:
        run = current.run
        if run is None:
            return receive_nowait(self)
        state = self._state
        was_buffered, sender_waited = bool(state.data), bool(state.send_tasks)
        value = receive_nowait(self)
        if was_buffered:
            if sender_waited:
                run.message_entered(state)
            run.message_left(state)
        return value

    for journaled, original in ((journaled_send_nowait, send_nowait), (journaled_receive_nowait, receive_nowait)):
        journaled.__name__, journaled.__qualname__ = original.__name__, original.__qualname__
        journaled.__doc__ = original.__doc__
    trio.MemorySendChannel.send_nowait = journaled_send_nowait  # type: ignore[method-assign]
    trio.MemoryReceiveChannel.receive_nowait = journaled_receive_nowait  # type: ignore[method-assign]
    _channel.MemoryChannelState = NumberedChannelState  # type: ignore[assignment, misc]
    _run.CancelStatus = OrderedCancelStatus  # type: ignore[misc]


_journal_channels()


class RunQueue:
    """The runnable tasks: their spawn numbers in ascending order.

    Invariants: ``numbers`` is sorted and distinct; ``woken`` holds the numbers appended since the loop last looked,
    first steps of new tasks excepted.
    """

    __slots__ = ("host", "numbers", "woken")

    def __init__(self, host: Host) -> None:
        self.host = host
        self.numbers: list[int] = []
        self.woken: list[int] = []

    def append(self, task: _run.Task) -> None:
        """Called by trio's ``reschedule``."""
        number = self.host.numbers.get(task)
        if number is None:
            if task not in self.host.abandoned:
                self.numbers.append(self.host.adopt(task))
        else:
            insort(self.numbers, number)
            self.woken.append(number)

    def __len__(self) -> int:
        return len(self.numbers)


class HoldingQueue:
    """What trio appends runnable tasks to while some are held: those get parked instead of going on.

    A held task is woken and stepped as the journal wants it, but its step runs none of its code: it blocks at once, in
    a wait called ``held``, and what it was to resume from is kept until it is released.
    """

    __slots__ = ("host", "is_held")

    def __init__(self, host: Host, is_held: Callable[[_run.Task], bool]) -> None:
        self.host = host
        self.is_held = is_held

    def append(self, task: _run.Task) -> None:
        """Called by trio's ``reschedule``."""
        if self.is_held(task) and task not in self.host.abandoned:
            self.host.park(task)
        self.host.queue.append(task)

    def __len__(self) -> int:
        return len(self.host.queue)


class InProcessWakeup:
    """Wakes the entry-queue task without a socket; that task is spawned by the first wake-up.

    Only the run's own thread may use it: a call from another thread would enter the run at a moment that no recording
    could repeat.
    """

    __slots__ = ("host", "parked", "thread", "woken")

    def __init__(self, host: Host) -> None:
        self.host = host
        self.parked = False
        self.woken = False
        self.thread = get_ident()

    def wakeup_thread_and_signal_safe(self) -> None:
        """Called by trio after it has queued a job."""
        if get_ident() != self.thread:
            raise HiddenStateError(
                "TrioToken.run_sync_soon was called from another operating-system thread: real threads are not "
                "deterministic; run that code as a task of the program instead"
            )
        host = self.host
        if host.closing:
            return  # the generators among the queued jobs are closed at the end
        if host.entry_task is None:
            host.start_entry_task()
        elif self.parked:
            self.parked = False
            host.reschedule(host.entry_task)
        else:
            self.woken = True

    async def wait_woken(self) -> None:
        """Called by the entry-queue task when it has nothing to do."""
        if self.woken:
            self.woken = False
            await trio.lowlevel.checkpoint()
            return

        def unpark(_: object) -> trio.lowlevel.Abort:
            self.parked = False
            return trio.lowlevel.Abort.SUCCEEDED

        self.parked = True
        await trio.lowlevel.wait_task_rescheduled(unpark)

    def wakeup_on_signals(self) -> None:
        """Signals set a flag that the loop looks at; see `Host.deliver_ki`."""

    def close(self) -> None:
        """Nothing to close."""


class OrderedAsyncGenerators(_asyncgens.AsyncGenerators):
    """trio's asynchronous generator hooks, finalizing in the order of first iteration instead of by address."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = OrderedWeakSet()
        self.trailing_needs_finalize = OrderedSet()  # type: ignore[assignment]

    async def finalize_remaining(self, runner: _run.Runner) -> None:
        """Close every generator that is left; mirrors trio's method of this name, with ordered sets."""
        self.alive = OrderedSet.fromkeys(self.alive)  # type: ignore[assignment]
        # Let finalizers that were already queued run first.
        assert runner.init_task is not None
        runner.entry_queue.run_sync_soon(runner.reschedule, runner.init_task)
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        for generator in self.trailing_needs_finalize:
            self.alive.add(generator)
        self.trailing_needs_finalize.clear()
        while self.alive:
            batch = self.alive
            self.alive = OrderedSet()  # type: ignore[assignment]
            for generator in batch:
                await self._finalize_one(generator, name_asyncgen(generator))


class OrderedWeakSet(weakref.WeakSet[Any]):
    """Weak references in insertion order; a ``WeakSet`` because trio tells the phases of a run apart by that type."""

    def __init__(self) -> None:
        super().__init__()
        self.data = OrderedSet()


class InterruptHandler:
    """trio's handling of Ctrl-C for the length of a run, which also tells the loop, whoever gets the exception.

    Goes to the C functions below the module `signal`, whose wrappers spend a tenth of a small run on making enums.
    """

    __slots__ = ("handler", "host")

    def __init__(self, host: Host) -> None:
        self.host = host
        self.handler: Callable[[int, FrameType | None], None] | None = None

    def install(self, deliver: Callable[[], object], restrict_to_checkpoints: bool) -> None:
        """Handle SIGINT, unless this is not the main thread or the program handles it."""
        if _signal.getsignal(_signal.SIGINT) is not _signal.default_int_handler or get_ident() != (
            threading.main_thread().ident
        ):
            return
        host = self.host

        def handler(signum: int, frame: FrameType | None) -> None:
            host.ki_arrived = True
            if restrict_to_checkpoints or _ki.ki_protection_enabled(frame):
                deliver()
            else:
                raise KeyboardInterrupt

        _signal.signal(_signal.SIGINT, handler)
        self.handler = handler

    def close(self) -> None:
        """Put back Python's handler, unless the program has set its own meanwhile."""
        if self.handler is not None:
            if _signal.getsignal(_signal.SIGINT) is self.handler:
                _signal.signal(_signal.SIGINT, _signal.default_int_handler)
            self.handler = None


class NoStatistics:
    """The I/O statistics of a run without I/O."""

    backend = "detrun"
    tasks_waiting_read = 0
    tasks_waiting_write = 0


class NoInputOutput:
    """Stands where trio keeps its epoll: every request to wait for the operating system is refused by name.

    A simulated socket may be waited for: an object that has it as its attribute ``simulated``, or its number.
    """

    def __init__(self) -> None:
        self.sockets: dict[int, Any] = {}  # by number, while a simulated network is there

    def statistics(self) -> NoStatistics:
        return NoStatistics()

    def close(self) -> None:
        pass

    def force_wakeup(self) -> None:
        pass

    def _refuse(self, call: str) -> NoReturn:
        refuse(
            f"trio.lowlevel.{call}",
            "when a real file descriptor becomes ready is not deterministic; use memory channels or the simulated "
            "network of a detrun.World, or do the I/O before or after the run",
        )

    def _simulated(self, fd: Any) -> Any:
        return self.sockets.get(fd) if isinstance(fd, int) else getattr(fd, "simulated", None)

    async def wait_readable(self, fd: Any) -> None:
        simulated = self._simulated(fd)
        if simulated is None:
            self._refuse("wait_readable")
        await simulated.wait_readable()

    async def wait_writable(self, fd: Any) -> None:
        simulated = self._simulated(fd)
        if simulated is None:
            self._refuse("wait_writable")
        await simulated.wait_writable()

    def notify_closing(self, fd: Any) -> None:
        """Nobody can be waiting for a real file."""
        simulated = self._simulated(fd)
        if simulated is not None:
            simulated.notify_closing()


_NO_IO = NoInputOutput()


def _cancel(scope: trio.CancelScope, source: Any, reason: str | None) -> None:
    """Cancel ``scope`` giving the cause that trio gives, on the versions of trio that give one."""
    if hasattr(_run, "CancelReason"):
        scope._cancel(_run.CancelReason(source=source, reason=reason))
    else:
        scope.cancel()


def wait_name(abort: Callable[..., object]) -> str:
    """The name of a wait by the function that aborts it: ``Event.wait``, ``Nursery.__aexit__``, ``sleep_forever``."""
    name = getattr(abort, "__qualname__", None) or type(abort).__qualname__
    name = name.removesuffix(".<lambda>").partition(".<locals>")[0]
    return {"Nursery._nested_child_finished": "Nursery.__aexit__"}.get(name, name)


class Burial:
    """Fires after the step in which a running task was abandoned, when it can be dropped like any other."""

    __slots__ = ("host", "task")

    def __init__(self, host: Host, task: _run.Task) -> None:
        self.host = host
        self.task = task

    def fire(self) -> None:
        """Drop the task, if it has not ended in that step."""
        if self.task in self.host.numbers:
            self.host.abandon([self.task])


class Host(_run.Runner):
    """A trio runner that is stepped one task at a time.

    Args:
        clock: the run's clock; trio's deadlines go into its timer heap. Another clock (trio's ``MockClock``) keeps
            its own time and shares only the heap, given as ``timers``.
        on_spawn: called with (task, number, parent task or None) for each new task.
        kind_number: gives a wait kind's name its outcome byte.
    """

    def __init__(
        self,
        clock: trio.abc.Clock | VirtualClock,
        timers: TimerHeap,
        on_spawn: Callable[[_run.Task, int, _run.Task | None], None],
        kind_number: Callable[[str], int],
        instruments: Sequence[trio.abc.Instrument] = (),
        strict_exception_groups: bool = True,
    ) -> None:
        super().__init__(
            clock=clock,  # type: ignore[arg-type]
            instruments=_instrumentation.Instruments(instruments),
            io_manager=_NO_IO,  # type: ignore[arg-type]
            ki_manager=InterruptHandler(self),  # type: ignore[arg-type]
            strict_exception_groups=strict_exception_groups,
            system_context=copy_context(),
            # The real lock, whatever `threading.RLock` stands for: trio insists on one that signal handlers may take.
            entry_queue=_entry_queue.EntryQueue(wakeup=InProcessWakeup(self), lock=RLock()),  # type: ignore[arg-type]
            asyncgens=OrderedAsyncGenerators(),
            deadlines=timers,  # type: ignore[arg-type]
            waiting_for_idle=_spare_sorted_dicts.pop() if _spare_sorted_dicts else SortedDict(),
        )
        self.timers = timers
        self.on_spawn = on_spawn
        self.kind_number = kind_number
        self.kinds: dict[int, int] = {}  # id of an abort function's code -> outcome byte
        self.kept_codes: list[CodeType] = []  # so that those ids stay theirs while the run lasts
        self.queue = RunQueue(self)
        self.runq = self.queue  # type: ignore[assignment]
        self.numbers: dict[_run.Task, int] = {}
        self.by_number: dict[int, _run.Task] = {}
        self.ended: list[int] = []  # numbers of tasks that ended since the loop last looked
        self.spawned = 0
        self.entry_task: _run.Task | None = None
        # Told what a task raised that has failed, or why the main task could not be started. It must not keep it: when
        # an exception dies, its frames do, and what they hold is finalized.
        self.failure_seen: Callable[[BaseException], object] | None = None
        self.ki_arrived = False
        self.closing = False  # a failed run is past running tasks
        self.entry_nursery: _run.Nursery | None = None
        self.abandoned: dict[_run.Task, None] = {}  # tasks that are gone without having ended
        self.graveyard = Graveyard()
        self.held: dict[_run.Task, tuple[Any, Any]] = {}  # held task -> what it goes on with
        self.local_time: LocalTime | None = None  # whose clock a task reads, in a world of machines
        self.awaits_abandoned = False  # the init task waits for the tasks of abandoned nurseries

    @property
    def sockets(self) -> dict[int, Any]:
        """Simulated sockets by the numbers that they give for their files'; whoever simulates them keeps it."""
        return _NO_IO.sockets

    def localize(self, local_time: LocalTime | None) -> None:
        """Let tasks read other clocks than the run's, and set their deadlines by them; None: the run's again."""
        self.local_time = local_time
        self.deadlines = self.timers if local_time is None else local_time  # type: ignore[assignment]
        virtual_time.localize(self.timers.clock if local_time is None else local_time)

    def current_time(self) -> float:
        """What ``trio.current_time()`` answers; the loop itself asks the clock."""
        local_time = self.local_time
        return self.clock.current_time() if local_time is None else local_time.now

    # Life of a run.

    def open(self, async_fn: Callable[..., Awaitable[object]], args: Sequence[object], restrict_ki: bool) -> None:
        """Become the thread's trio runner and spawn the init task, which will spawn the main task."""
        if hasattr(CONTEXT, "runner"):
            raise RuntimeError("Attempted to call run() from inside a run()")
        self.asyncgens.install_hooks(self)
        self.ki_manager.install(self.deliver_ki, restrict_ki)
        CONTEXT.runner = self
        self.previous_library, sniffio.thread_local.name = sniffio.thread_local.name, "trio"
        if "before_run" in self.instruments.data:
            self.instruments.call("before_run")
        self.clock.start_clock()
        self.init_task = self.spawn_impl(self.init, (async_fn, args), None, "<init>", system_task=True)

    def finish(self) -> outcome.Outcome[Any] | None:
        """Stop being the runner and return how the main task ended, None if it was given up."""
        self.leave_task()
        try:
            self.close()
        finally:
            CONTEXT.__dict__.clear()
            sniffio.thread_local.name = self.previous_library
        result = self.main_task_outcome
        if self.ki_pending:
            interrupt = KeyboardInterrupt()
            if isinstance(result, outcome.Error):
                interrupt.__context__ = result.error
            result = outcome.Error(interrupt)
        self.break_cycles()
        return result

    def break_cycles(self) -> None:
        """Let go of what points back here: exploration keeps the garbage collector off over thousands of runs."""
        if not (self.waiting_for_idle or _spare_sorted_dicts):
            _spare_sorted_dicts.append(self.waiting_for_idle)
        self.main_task_outcome = self.main_task = self.init_task = self.entry_task = None
        self.system_nursery = self.entry_nursery = self.trio_token = None
        self.queue.host = self.entry_queue.wakeup.host = self.ki_manager.host = None  # type: ignore[assignment, attr-defined]
        self.timers.forget_clock()
        del self.on_spawn
        self.failure_seen = None
        self.runq = self.queue  # type: ignore[assignment]
        for task in self.abandoned:
            # A task holds its coroutine, whose frame holds nurseries, which hold the task.
            task.coro = task._parent_nursery = None  # type: ignore[assignment]
            task._child_nurseries.clear()
        self.abandoned.clear()
        self.held.clear()
        self.graveyard.bury()

    async def init(self, async_fn: Callable[..., Awaitable[object]], args: Any) -> None:
        """The root task: trio's, with the main task in the system nursery (`step` cancels that when main is done)
        and the entry-queue task only on demand; each nursery saved is a tenth of a small run.
        """
        async with _run.open_nursery() as self.entry_nursery:
            async with _run.open_nursery() as self.system_nursery:
                try:
                    self.main_task = self.spawn_impl(async_fn, args, self.system_nursery, None)
                except BaseException as error:
                    self.main_task_outcome = outcome.Error(error)
                    if self.failure_seen is not None:
                        self.failure_seen(error)
                    return
            if len(self.tasks) > 1 + (self.entry_task is not None):
                # Tasks of a nursery that was abandoned by misnesting. trio's batches happen to end them before this
                # task gets here; ours may step this one first, and it has to be the last.
                self.awaits_abandoned = True
                await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
            if self.entry_task is not None or self.asyncgens.alive or self.asyncgens.trailing_needs_finalize:
                if self.entry_task is None:
                    self.start_entry_task()
                await self.asyncgens.finalize_remaining(self)
                _cancel(self.entry_nursery.cancel_scope, "shutdown", "main task done, no more callbacks")
            self.entry_queue.done = True

    def start_entry_task(self) -> None:
        """Spawn the task that runs `TrioToken.run_sync_soon` callbacks."""
        self.entry_task = self.spawn_impl(
            self.entry_queue.task, (), self.entry_nursery, "<TrioToken.run_sync_soon task>", system_task=True
        )

    def spawn_thread(self, thread: Any, name: str) -> None:
        """Spawn a simulated thread as a system task: `spawn_impl` without what only coroutines need.

        Greenlets bring their own contexts, so all of them are stepped in one, in which nothing runs.
        """
        nursery = self.system_nursery
        assert nursery is not None
        if nursery._closed:
            # The main task is over, but an asynchronous generator's ``finally`` may still want a thread.
            assert self.entry_nursery is not None
            nursery = self.entry_nursery
        task = _run.Task._create(
            coro=thread, parent_nursery=nursery, runner=self, name=name, context=self.system_context, ki_protected=True
        )
        self.tasks.add(task)
        nursery._children.add(task)
        task._activate_cancel_status(nursery._cancel_status)
        if "task_spawned" in self.instruments.data:
            self.instruments.call("task_spawned", task)
        self.reschedule(task, None)  # type: ignore[arg-type]

    def adopt(self, task: _run.Task) -> int:
        """Number a new task by order of spawning."""
        number = self.spawned
        self.spawned = number + 1
        self.numbers[task] = number
        self.by_number[number] = task
        task._counter = number
        nursery = task._parent_nursery
        self.on_spawn(task, number, nursery._parent_task if nursery is not None else None)
        return number

    # Keyboard interrupts.

    def deliver_ki(self) -> None:
        """Called in signal context: only set a flag; the loop looks after this step."""
        self.ki_pending = True

    def handle_ki(self) -> None:
        """Hand a pending Ctrl-C to the main task."""
        self.ki_arrived = False
        if self.ki_pending and self.main_task is not None:
            self._deliver_ki_cb()

    # One step.

    def step(self, task: _run.Task) -> int:
        """Run ``task`` to its next schedule point; return how the step ended, as an outcome byte of the journal.

        Args:
            task: a runnable task, already taken off the queue. After a `CHECKPOINT` the caller puts it back.
        """
        CONTEXT.task = task
        send, message = task._next_send_fn, task._next_send
        task._next_send_fn = task._next_send = None
        final: outcome.Outcome[object]
        try:
            trap = task.context.run(send, message)  # type: ignore[arg-type]
        except StopIteration as stop:
            final = outcome.Value(stop.value)
            kind = DONE
        except BaseException as error:
            # Hide this frame, as trio hides its own. (Context.run is C and leaves none.)
            traceback = error.__traceback__
            final = outcome.Error(error.with_traceback(traceback.tb_next if traceback is not None else None))
            kind = FAILED
            del traceback
        else:
            task._schedule_points += 1
            if trap is CHECKPOINT_TRAP:
                task._next_send_fn = task.coro.send
                task._next_send = RESUME  # type: ignore[assignment]
                task.custom_sleep_data = None
                return CHECKPOINT
            if type(trap) is WAIT_TRAP:
                task._cancel_points += 1
                abort = task._abort_func = trap.abort_func
                if self.ki_pending and task is self.main_task:
                    task._attempt_delivery_of_pending_ki()
                if task._cancel_status.effectively_cancelled:
                    task._attempt_delivery_of_any_pending_cancel()
                try:
                    return self.kinds[id(abort.__code__)]
                except (KeyError, AttributeError):
                    return self.wait_kind(abort)
            if type(trap) is DETACH_TRAP:
                final = trap.final_outcome
                kind = DONE if isinstance(final, outcome.Value) else FAILED
            else:
                foreign = TypeError(
                    f"trio.run received unrecognized yield message {trap!r}. "
                    "Are you trying to use a library written for some other framework like asyncio? "
                    "That won't work without some kind of compatibility shim."
                )
                task._next_send_fn = task.coro.throw
                task._next_send = foreign
                return CHECKPOINT
        self.exited(task, final)
        # The frames of a failed task point back to this one: what it still names would close a cycle of garbage.
        del task, final, send, message
        return kind

    def current_statistics(self) -> _run.RunStatistics:
        """trio's statistics, as if trio kept the entry-queue task: it lives from the start (ours is spawned on demand)
        and is never seen runnable before it has run (trio's is woken through a socket).
        """
        statistics = super().current_statistics()
        if self.entry_task is None:
            return attrs.evolve(statistics, tasks_living=statistics.tasks_living + 1)
        if self.numbers.get(self.entry_task) in self.queue.numbers:
            return attrs.evolve(statistics, tasks_runnable=statistics.tasks_runnable - 1)
        return statistics

    def exited(self, task: _run.Task, final: outcome.Outcome[object]) -> None:
        """Tell trio that a task has ended, and begin the shutdown when it is the main task."""
        number = self.numbers.pop(task)
        del self.by_number[number]
        self.ended.append(number)
        if task in self.abandoned:
            return  # trio has forgotten it already
        if self.failure_seen is not None and isinstance(final, outcome.Error):
            self.failure_seen(final.error)
        self.task_exited(task, final)
        if task is self.main_task:
            assert self.system_nursery is not None
            if current.run is not None and current.run.threads is not None:
                current.run.threads.main_ended()
            if self.system_nursery._children:
                _cancel(self.system_nursery.cancel_scope, "shutdown", "main task done, shutting down system tasks")
        elif self.awaits_abandoned and len(self.tasks) == 1 + (self.entry_task is not None):
            assert self.init_task is not None
            self.awaits_abandoned = False
            self.reschedule(self.init_task)

    def wait_kind(self, abort: Callable[..., object]) -> int:
        """Number a wait that this run has not met before."""
        code = getattr(abort, "__code__", None)
        number = self.kind_number(wait_name(abort))
        if code is not None:
            self.kinds[id(code)] = number
            self.kept_codes.append(code)
        return number

    def enter_task(self, task: _run.Task) -> None:
        """Make ``task`` the current one ahead of `step`, for an instrument that looks."""
        CONTEXT.task = task

    def leave_task(self) -> None:
        """Between steps no task is current; whoever calls trio now must see that."""
        CONTEXT.__dict__.pop("task", None)

    def pending_of(self, number: int) -> str:
        """What a living task will resume from."""
        return pending_operation(self.by_number[number])

    # Giving up.

    def cancel_everything(self) -> None:
        """Cancel the whole program, once the loop has failed."""
        self.leave_task()
        for nursery in (self.entry_nursery, self.system_nursery):
            if nursery is not None:
                _cancel(nursery.cancel_scope, "shutdown", "detrun gave the run up")

    def close_remaining(self) -> None:
        """Close the coroutines of tasks that did not end when cancelled, youngest first, then their generators."""
        self.closing = True
        for number in sorted(self.by_number, reverse=True):
            task = CONTEXT.task = self.by_number[number]
            for nursery in task._child_nurseries:
                nursery._children.clear()
            for _ in range(CLOSING_ATTEMPTS):
                # A coroutine that awaits while it is being closed makes close() raise, and is open still.
                with contextlib.suppress(BaseException):
                    task.context.run(task.coro.close)
                if task.coro.cr_frame is None:
                    break
        collected = [argument for _, arguments in self.entry_queue.queue for argument in arguments]
        for generator in filter(inspect.isasyncgen, [*self.asyncgens.alive, *collected]):
            CONTEXT.task = self.init_task  # type: ignore[assignment]
            self.close_generator(generator)
        self.leave_task()
        self.by_number.clear()
        self.numbers.clear()
        self.tasks.clear()

    @staticmethod
    def close_generator(generator: AsyncGenerator[Any, Any]) -> None:
        """Run what is left of ``generator`` without an event loop: whatever it awaits raises ``GeneratorExit``."""
        closing = generator.aclose()
        with contextlib.suppress(BaseException):  # StopAsyncIteration and the like: it has ended
            closing.send(None)
            for _ in range(CLOSING_ATTEMPTS):
                closing.throw(GeneratorExit())

    # Tasks that stand still, and tasks that are gone.

    def hold(self, tasks: Sequence[_run.Task], is_held: Callable[[_run.Task], bool]) -> None:
        """Let none of ``tasks`` run, nor any other task for which ``is_held`` says so when it becomes runnable.

        There is one ``is_held`` at a time: it has to know of everything that is held, also by earlier calls.
        """
        self.runq = HoldingQueue(self, is_held)  # type: ignore[assignment]
        for task in tasks:
            if task._next_send_fn is not None and task not in self.held:
                self.park(task)

    def park(self, task: _run.Task) -> None:
        """Make the next step of a runnable task block."""
        self.held[task] = (task._next_send_fn, task._next_send)
        task._next_send_fn, task._next_send = _hold, None

    def release(self, tasks: Sequence[_run.Task], others_are_held: bool) -> None:
        """Let held tasks go on with what they were woken for."""
        for task in tasks:
            going_on = self.held.pop(task, None)
            if going_on is not None:
                blocked = task._next_send_fn is None
                task._next_send_fn, task._next_send = going_on
                if blocked:
                    task._abort_func = None
                    self.queue.append(task)
        if not others_are_held:
            self.runq = self.queue  # type: ignore[assignment]

    def abandon(self, tasks: Sequence[_run.Task]) -> None:
        """Drop ``tasks`` where they stand: none of their code runs again, not even when the run is over.

        Tasks in nurseries of theirs go with them. For everybody else it is as if they had ended: they leave the wait
        queues that they stand in, their deadlines and cancel scopes are void, and a lock that one of them holds is
        broken, as trio breaks it when a task ends that holds it. Coroutines stay referenced until the run is over, so
        that nothing finalizes them. A task that is running now runs on to its next schedule point.
        """
        doomed: dict[_run.Task, None] = {}
        waiting = list(reversed(tasks))
        while waiting:
            task = waiting.pop()
            if task in doomed or task not in self.numbers or task in self.abandoned:
                continue
            doomed[task] = None
            for nursery in task._child_nurseries:
                waiting.extend(sorted(nursery._children, key=self.numbers.__getitem__, reverse=True))
        running = [task for task in doomed if getattr(task.coro, "cr_running", False)]
        for task in running:
            del doomed[task]
            burial = Burial(self, task)
            self.timers.add(self.timers.clock.now, burial)
        for task in doomed:
            # Out of the wait queues first, all of them: what is done below may wake tasks, and none of these.
            if task._next_send_fn is None and task._abort_func is not None:
                abort, task._abort_func = task._abort_func, None
                with contextlib.suppress(Exception):
                    abort(_raise_abandonment)
                _abandonment.__traceback__ = None  # which leads here: a cycle of garbage
            self.abandoned[task] = None
        for task in doomed:
            self._void_scopes(task)
            self.held.pop(task, None)
            self.tasks.remove(task)
            self.graveyard.add(task.coro, self.asyncgens.alive)
            if hasattr(task.coro, "abandoned"):
                task.coro.abandoned()  # a thread
            if task._next_send_fn is None:
                number = self.numbers.pop(task)
                del self.by_number[number]
                self.ended.append(number)
            else:
                # Runnable: the journal's readers expect it to be stepped once more. The step ends it.
                task._next_send_fn, task._next_send = _vanish, None
        for task in doomed:
            for lot in _parking_lot.GLOBAL_PARKING_LOT_BREAKER.pop(task, ()):
                lot.break_lot(task)
            parent = task._parent_nursery
            if parent is not None:
                if parent._parent_task in self.abandoned:
                    parent._children.discard(task)
                else:
                    parent._child_finished(task, outcome.Value(None))
            if "task_exited" in self.instruments:
                self.instruments.call("task_exited", task)

    def _void_scopes(self, task: _run.Task) -> None:
        """Take the cancel scopes that ``task`` is in out of trio's tree, with their deadlines."""
        nursery = task._parent_nursery
        outside = nursery._cancel_status if nursery is not None else None
        status: _run.CancelStatus | None = task._cancel_status
        task._activate_cancel_status(None)
        while status is not None and status is not outside:
            scope = status._scope
            if scope in self.timers.live:
                self.timers.remove(scope._registered_deadline, scope)
            scope._registered_deadline = math.inf
            scope._cancel_status = None
            above = status.parent
            status.parent = None
            status = above

    # Idleness.

    def idle_on_foreign_clock(self, timers: TimerHeap) -> bool:
        """Nothing can run and trio's ``MockClock`` keeps the time: do what trio would; whether that was anything."""
        if self.wake_idle():
            return True
        before = timers.next_time()
        if before < math.inf and self.clock_autojump_threshold < math.inf:
            self.clock._autojump()  # type: ignore[attr-defined]
        fired = timers.pop_due(self.clock.current_time())
        self.fire(fired)
        return bool(fired)

    def wake_idle(self) -> bool:
        """Wake the tasks in ``wait_all_tasks_blocked`` with the smallest cushion; whether there were any."""
        waiting = self.waiting_for_idle
        if not waiting:
            return False
        cushion = waiting.keys()[0][0]
        while waiting:
            key, task = waiting.peekitem(0)
            if key[0] != cushion:
                break
            del waiting[key]
            self.reschedule(task)
        return True

    def idle_cushion(self) -> float:
        """Seconds that the most impatient ``wait_all_tasks_blocked`` wants to see idle, or infinity."""
        return self.waiting_for_idle.keys()[0][0] if self.waiting_for_idle else math.inf

    def fire(self, keys: Sequence[Any]) -> None:
        """Fire timers: cancel the scopes, resume the sleepers, let what is neither (a message that arrives) happen."""
        firing = None
        if len(keys) > 1:
            firing = self.timers.firing = dict.fromkeys(keys, True)
        for key in keys:
            if firing is not None and not firing.pop(key, False):
                continue  # one that fired before has taken it back
            if type(key) is _run.CancelScope:
                _cancel(key, "deadline", None)
            elif type(key) is _run.Task:
                self.reschedule(key)
            else:
                key.fire()
