"""The host of a run: trio's own `Runner`, stepped one task at a time by the run loop.

`Host` replaces the parts of the runner that trio leaves to chance or to the operating system: the run queue (a sorted
set of spawn numbers instead of a batch), the deadlines (`TimerHeap`), the entry queue's socket pair, the I/O manager
(there is no I/O), the order of cancellation and of asynchronous generators' finalization (trio walks sets ordered by
address). Everything else is trio's code, so a program sees trio's semantics, exceptions and tracebacks. `step` runs one
task to its next schedule point through trio's task protocol; it mirrors the body of trio's loop (`unrolled_run`), of
which it keeps the order of effects.

A run costs its host a few tens of microseconds where `trio.run` costs 0.8 ms: no epoll, no socket pair, no entry-queue
task until one is used. A host serves one run after another where it can (`spare_hosts`).
"""

from __future__ import annotations

import math
from _thread import RLock
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, copy_context
from functools import partial
from types import CodeType, FunctionType
from typing import Any

import outcome
import sniffio
import trio
from outcome import Value
from sortedcontainers import SortedDict  # trio's own dependency, as it uses it
from trio.lowlevel import RunStatistics, Task

from detrun_scheduler import current
from detrun_scheduler.clock import LocalTime, TimerHeap, VirtualClock
from detrun_scheduler.environment import virtual_time
from detrun_scheduler.environment.addresses import address_of
from detrun_scheduler.journal import CHECKPOINT, DONE, FAILED
from detrun_scheduler.trio_host import abandoning, channels, deadlines, holding, ordered
from detrun_scheduler.trio_host.graveyard import bury
from detrun_scheduler.trio_host.interrupts import InProcessWakeup, InterruptHandler
from detrun_scheduler.trio_host.no_io import NO_STATISTICS, NoInputOutput
from detrun_scheduler.trio_host.ordered import OrderedAsyncGenerators
from detrun_scheduler.trio_host.pending import wait_name
from detrun_scheduler.trio_host.private import (
    CHECKPOINT_TRAP,
    CONTEXT,
    DETACH_TRAP,
    NO_SEND,
    WAIT_TRAP,
    EntryQueue,
    Instruments,
    Runner,
    cancel,
)
from detrun_scheduler.trio_host.queues import RunQueue
from detrun_scheduler.trio_host.root_task import Root

channels.install()
deadlines.install()
ordered.install()

_NO_IO = NoInputOutput()
# What stands in a host for the things of a run while it serves none.
_NOTHING: Any = None


# Abort functions that are there for good, and the names of their waits.
_lasting_waits: dict[Callable[..., object], str] = {}
LASTING_WAITS_MAX = 1000


class _Resumption:
    """What a task is sent that goes on with nothing: an `outcome.Value(None)` that can be unwrapped over and over."""

    __slots__ = ()

    def unwrap(self) -> None:
        """Return None."""


_RESUME = _Resumption()


class Host(Runner):
    """A trio runner that is stepped one task at a time.

    A new one serves no run: `begin` says which. After `finish` it is as it was, but for what `rest` or `cut` does.
    """

    # Not a dictionary: Python 3.13 finds nothing fast in one of so many attributes. There is one beside them for
    # functions that stand in the place of methods (`put_in_place`), and hardly a run makes it.
    __slots__ = (
        *("__dict__", "abandoned", "awaits_abandoned", "by_number", "closing", "dead", "ended", "entry_nursery"),
        *("entry_task", "failure_seen", "held", "hooks", "is_altered", "kept_codes", "ki_arrived", "kind_number"),
        *("kinds", "local_time", "not_returned", "numbers", "previous_library", "queue", "run_time", "tasks_time"),
        *("timers", "trio_now"),
    )

    def __init__(self) -> None:
        super().__init__(
            clock=_NOTHING,
            instruments=Instruments(()),
            io_manager=_NO_IO,  # type: ignore[arg-type]
            ki_manager=InterruptHandler(self),  # type: ignore[arg-type]
            strict_exception_groups=True,
            system_context=_NOTHING,
            entry_queue=_NOTHING,
            asyncgens=OrderedAsyncGenerators(),
            deadlines=_NOTHING,
            waiting_for_idle=SortedDict(),
        )
        self._new_entry_queue()
        self.hooks = self.instruments.data  # instruments by the names of their methods, and "_all"
        # Abort function that is there for good, or else address of its code -> outcome byte. Asking a function for its
        # code is an audit event, which costs 1 µs.
        self.kinds: dict[Any, int] = {}
        self.kept_codes: list[CodeType] = []  # so that the addresses stay theirs in the run
        self.abandoned: dict[Task, None] = {}  # tasks that are gone without having ended; trio knows none of them
        self.queue = RunQueue(_NOTHING, self.abandoned)
        # Living tasks and their numbers, each the inverse of the other, as the queue gives them. An abandoned task that
        # was runnable stays in both until its last step.
        self.numbers = self.queue.number_of
        self.by_number = self.queue.by_number
        self.ended: list[int] = []  # numbers of tasks that ended since the loop last looked
        self.dead: list[Any] = []  # suspended coroutines of this run that will not be resumed
        self.held: dict[Task, tuple[Any, Any]] = {}  # held task that has been woken -> what it goes on with
        self.timers: TimerHeap = _NOTHING
        self.is_altered = False  # something stands in the place of its methods

    def _new_entry_queue(self) -> None:
        # The real lock, whatever `threading.RLock` stands for: trio insists on one that signal handlers may take.
        self.entry_queue = EntryQueue(wakeup=InProcessWakeup(self), lock=RLock())  # type: ignore[arg-type]

    def begin(
        self,
        clock: trio.abc.Clock | VirtualClock,
        timers: TimerHeap,
        on_spawn: Callable[[Task, int, Task | None], None],
        kind_number: Callable[[str], int],
        instruments: Sequence[trio.abc.Instrument] = (),
        strict_exception_groups: bool = True,
    ) -> None:
        """Serve a run from here on.

        Args:
            clock: the run's clock; trio's deadlines go into its timer heap. Another clock (trio's ``MockClock``) keeps
                its own time and shares only the heap, given as ``timers``.
            on_spawn: called with (task, number, parent task or None) for each new task.
            kind_number: gives a wait kind's name its outcome byte.
        """
        self.clock = clock  # type: ignore[assignment]
        self.timers = self.deadlines = timers  # type: ignore[assignment]
        for instrument in instruments:
            self.instruments.add_instrument(instrument)
        self.strict_exception_groups = strict_exception_groups
        self.system_context = copy_context()
        self.kind_number = kind_number
        self.entry_queue.done = False
        self.entry_queue.wakeup.begin()  # type: ignore[attr-defined]
        self.queue.begin(on_spawn)
        self.runq = self.queue  # type: ignore[assignment]
        self.init_task = self.main_task = None
        self.main_task_outcome: outcome.Outcome[object] | None = None
        self.entry_task: Task | None = None
        self.system_nursery = None
        self.entry_nursery: trio.Nursery | None = None
        # Told what a task raised that has failed, or why the main task could not be started. It must not keep it: when
        # an exception dies, its frames do, and what they hold is finalized.
        self.failure_seen: Callable[[BaseException], object] | None = None
        # Told the number of a task that did not return, and what it raised; None: it was killed. It must not keep that.
        self.not_returned: Callable[[int, BaseException | None], object] | None = None
        self.ki_arrived = self.ki_pending = False
        self.closing = False  # a failed run is past running tasks
        self.clock_autojump_threshold = math.inf
        self.local_time: LocalTime | None = None  # whose clock a task reads, in a world of machines
        self.run_time = clock if isinstance(clock, VirtualClock) else None
        # What tasks read the time off: `local_time`, or else `run_time`; None for a clock that keeps its own time.
        self.tasks_time: VirtualClock | LocalTime | None = self.run_time
        self.awaits_abandoned = False  # the init task waits for the tasks of abandoned nurseries

    @property
    def sockets(self) -> dict[int, Any]:
        """Simulated sockets by the numbers that they give for their files'; the simulated network keeps it."""
        return _NO_IO.sockets

    def localize(self, local_time: LocalTime | None) -> None:
        """Let tasks read other clocks than the run's, and set their deadlines by them; None: the run's again."""
        self.local_time = local_time
        self.tasks_time = self.run_time if local_time is None else local_time
        self.deadlines = self.timers if local_time is None else local_time  # type: ignore[assignment]
        virtual_time.localize(self.timers.clock if local_time is None else local_time)

    def current_time(self) -> float:
        """What ``trio.current_time()`` answers; the loop itself asks the clock."""
        time = self.tasks_time
        return self.clock.current_time() if time is None else time.now

    # Life of a run.

    def open(self, async_fn: Callable[..., Awaitable[object]], args: Sequence[object], restrict_ki: bool) -> None:
        """Become the thread's trio runner and spawn the init task, which will spawn the main task."""
        self.trio_now: dict[str, Any] = CONTEXT.__dict__  # this thread's; each look at `CONTEXT` would ask for it
        if "runner" in self.trio_now:
            raise RuntimeError("Attempted to call run() from inside a run()")
        self.asyncgens.install_hooks(self)
        self.ki_manager.install(self.deliver_ki, restrict_ki)
        self.trio_now["runner"] = self
        self.previous_library, sniffio.thread_local.name = sniffio.thread_local.name, "trio"
        if "before_run" in self.hooks:
            self.instruments.call("before_run")
        if self.run_time is None:
            self.clock.start_clock()
        self.init_task = self._spawn(Root(self, async_fn, args), None, "<init>", self.system_context.copy())

    def finish(self) -> outcome.Outcome[Any] | None:
        """Stop being the runner and return how the main task ended, None if it was given up."""
        self.leave_task()
        try:
            # As trio's `close`, but for what there is nothing to be done with: I/O and the waking of the entry queue.
            self.asyncgens.close()
            if "after_run" in self.hooks:
                self.instruments.call("after_run")
            self.ki_manager.close()
        finally:
            self.trio_now.clear()
            sniffio.thread_local.name = self.previous_library
        result = self.main_task_outcome
        if self.ki_pending:
            interrupt = KeyboardInterrupt()
            if isinstance(result, outcome.Error):
                interrupt.__context__ = result.error
            result = outcome.Error(interrupt)
        self._let_go()
        return result

    def _let_go(self) -> None:
        """Let go of what belongs to the run: exploration keeps the garbage collector off over thousands of runs."""
        if self.entry_task is not None or self.trio_token is not None:  # others may know the queue
            self.entry_queue.wakeup.host = _NOTHING  # type: ignore[attr-defined]
            self._new_entry_queue()
        self.main_task_outcome = self.main_task = self.init_task = self.entry_task = None
        self.system_nursery = self.entry_nursery = self.trio_token = None
        self.queue.on_spawn = _NOTHING
        del self.timers.clock
        self.timers.heap.clear()  # timers that were taken back may know the run
        self.failure_seen = self.not_returned = None
        self.runq = self.queue  # type: ignore[assignment]
        for task in self.abandoned:
            # A task holds its coroutine, whose frame holds nurseries, which hold the task.
            task.coro = task._parent_nursery = None  # type: ignore[assignment]
            task._child_nurseries.clear()
        self.abandoned.clear()
        self.held.clear()
        if self.dead:
            bury(self.dead)

    # Between two runs.

    @property
    def is_whole(self) -> bool:
        """Whether a later run can have this: the last one has ended and left none of its own in it."""
        is_busy = self.closing or self.tasks or self.numbers or self.queue.numbers or self.dead
        return not (is_busy or len(self.hooks) > 1 or self.hooks["_all"])

    def rest(self) -> None:
        """Wait for a later run, and hold nothing of the last."""
        generators: Any = self.asyncgens
        if generators.is_spare:
            generators.rest()
        else:
            generators.end()
            self.asyncgens = OrderedAsyncGenerators()
        if self.waiting_for_idle:
            self.waiting_for_idle = SortedDict()
        if self.is_altered:
            self.is_altered = False
            vars(self).clear()
        self._locals.clear()
        self.kinds.clear()
        self.kept_codes.clear()
        self.ended.clear()
        self.queue.woken.clear()
        self.clock = self.timers = self.deadlines = self.run_time = self.tasks_time = self.local_time = _NOTHING
        self.kind_number = self.system_context = _NOTHING

    def cut(self) -> None:
        """Serve no run any more: nothing in here leads back here."""
        self.asyncgens.end()  # type: ignore[attr-defined]
        self.entry_queue.wakeup.host = self.ki_manager.host = _NOTHING  # type: ignore[attr-defined]
        vars(self).clear()

    def spawn_main(self, async_fn: Callable[..., Awaitable[object]], args: Sequence[object]) -> Task:
        """Spawn the main task, or the main thread, which ``async_fn`` makes then."""
        if not getattr(async_fn, "makes_thread", False):
            return self.spawn_impl(async_fn, tuple(args), self.system_nursery, None)
        return self._spawn(async_fn(), self.system_nursery, "main", copy_context(), ki_protected=False)

    def start_entry_task(self) -> None:
        """Spawn the task that runs `TrioToken.run_sync_soon` callbacks."""
        self.entry_task = self.spawn_impl(
            *(self.entry_queue.task, (), self.entry_nursery, "<TrioToken.run_sync_soon task>"),
            system_task=True,
        )

    def spawn_thread(self, thread: Any, name: str, context: Context | None = None) -> None:
        """Spawn a simulated thread as a system task: `spawn_impl` without what only coroutines need.

        Args:
            context: in which it is stepped; None: one for all, in which nothing runs, since greenlets bring their own.
        """
        nursery = self.system_nursery
        assert nursery is not None
        if nursery._closed:
            # The main task is over, but an asynchronous generator's ``finally`` may still want a thread.
            assert self.entry_nursery is not None
            nursery = self.entry_nursery
        self._spawn(thread, nursery, name, self.system_context if context is None else context)

    def _spawn(
        self, coro: Any, nursery: trio.Nursery | None, name: str, context: Context, ki_protected: bool = True
    ) -> Task:
        task = Task.__new__(Task)  # its metaclass has no public constructor, and its private one costs more
        # Not by `_activate_cancel_status`: where the status is cancelled, a new task has nothing yet to be aborted in.
        status: Any = None if nursery is None else nursery._cancel_status
        task.__init__(nursery, coro, self, name, context, ki_protected, cancel_status=status)
        self.tasks.add(task)
        if nursery is not None:
            nursery._children.add(task)
            status._tasks[task] = None  # an ordered set
        if len(self.hooks) > 1 or self.is_altered or self.runq is not self.queue:  # type: ignore[comparison-overlap]
            if "task_spawned" in self.hooks:
                self.instruments.call("task_spawned", task)
            self.reschedule(task, None)
        else:  # what that comes to where nothing looks on, and nothing is held
            task._next_send_fn = coro.send
            self.queue.append_new(task)
        return task

    def reschedule(self, task: Task, next_send: Any = NO_SEND) -> None:
        """As trio's, at half the cost."""
        assert task._runner is self
        assert task._next_send_fn is None
        task._next_send_fn = task.coro.send
        task._next_send = _RESUME if next_send is NO_SEND else next_send  # type: ignore[assignment]  # as an Outcome
        task._abort_func = task.custom_sleep_data = None
        self.runq.append(task)
        if "task_scheduled" in self.hooks:
            self.instruments.call("task_scheduled", task)

    def park(self, task: Task, trap: Any) -> None:
        """Let a task that has just been spawned wait, by a wait trap, until it is rescheduled."""
        self.queue.numbers.remove(self.numbers[task])
        task._next_send_fn = task._next_send = None
        task._abort_func = trap.abort_func

    def forget_number(self, task: Task) -> None:
        """Note that a task has ended, or is gone."""
        number = self.numbers.pop(task)
        del self.by_number[number]
        self.ended.append(number)

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

    def step(self, task: Task) -> int:
        """Run ``task`` to its next schedule point; return how the step ended, as an outcome byte of the journal.

        Args:
            task: a runnable task, already taken off the queue. After a `CHECKPOINT` the caller puts it back.
        """
        self.trio_now["task"] = task
        send, message = task._next_send_fn, task._next_send
        task._next_send_fn = task._next_send = None
        final: outcome.Outcome[object]
        try:
            trap = task.context.run(send, message)  # type: ignore[arg-type]
        except StopIteration as stop:
            final = Value(stop.value)
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
                task._next_send = _RESUME  # type: ignore[assignment]
                task.custom_sleep_data = None
                return CHECKPOINT
            if type(trap) is WAIT_TRAP:
                task._cancel_points += 1
                abort = task._abort_func = trap.abort_func
                if self.ki_pending and task is self.main_task:
                    task._attempt_delivery_of_pending_ki()
                if task._cancel_status.effectively_cancelled:
                    task._attempt_delivery_of_any_pending_cancel()
                known = self.kinds.get(abort) if type(abort) is FunctionType else None
                return self.wait_kind(abort) if known is None else known
            if type(trap) is DETACH_TRAP:
                final = trap.final_outcome
                kind = DONE if type(final) is Value else FAILED
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

    def current_statistics(self) -> RunStatistics:
        """trio's statistics, as if trio kept the entry-queue task: it lives from the start (ours is spawned on demand)
        and is never seen runnable before it has run (trio's is woken through a socket).
        """
        numbers = self.queue.numbers
        is_entry_runnable = self.entry_task is not None and self.numbers.get(self.entry_task) in numbers
        return RunStatistics(
            tasks_living=len(self.tasks) + (self.entry_task is None),
            tasks_runnable=len(numbers) - is_entry_runnable,
            seconds_to_next_deadline=self.deadlines.next_deadline() - self.current_time(),
            io_statistics=NO_STATISTICS,  # type: ignore[arg-type]
            run_sync_soon_queue_size=self.entry_queue.size(),
        )

    def exited(self, task: Task, final: outcome.Outcome[object]) -> None:
        """Tell trio that a task has ended, and begin the shutdown when it is the main task."""
        number = self.numbers.pop(task)
        del self.by_number[number]
        self.ended.append(number)
        if task in self.abandoned:
            return  # trio has forgotten it already
        is_main = task is self.main_task
        returned = type(final) is Value
        if not returned:
            error: BaseException = final.error  # type: ignore[attr-defined]
            if self.not_returned is not None:
                self.not_returned(number, error)
            if self.failure_seen is not None:
                self.failure_seen(error)
            del error
        if (returned or is_main) and getattr(task.coro, "ends_alone", False):
            if is_main:
                self.main_task_outcome = final
            self._leaves(task)
        else:
            self.task_exited(task, final)
        if is_main:
            system = self.system_nursery
            assert system is not None
            if current.run is not None and current.run.threads is not None:
                current.run.threads.main_ended()
            if system._children and not all(getattr(one.coro, "is_ending", False) for one in system._children):
                cancel(system.cancel_scope, "shutdown", "main task done, shutting down system tasks")
        elif self.awaits_abandoned and len(self.tasks) == 1 + (self.entry_task is not None):
            assert self.init_task is not None
            self.awaits_abandoned = False
            self.reschedule(self.init_task)

    def _leaves(self, task: Task) -> None:
        """What trio's `task_exited` does for a task without nurseries, scopes and locks, and with no error for one."""
        nursery = task._parent_nursery
        status: Any = task._cancel_status
        self.tasks.remove(task)
        if status is not None:
            del status._tasks[task]
            task._cancel_status = None  # type: ignore[assignment]  # as trio's own does
        if nursery is None:
            assert not self.tasks, "the root task is the last to end"
        else:
            children = nursery._children
            children.remove(task)
            if not children:
                nursery._check_nursery_closed()
        if "task_exited" in self.hooks:
            self.instruments.call("task_exited", task)

    def surround_steps(self, within: Callable[..., int]) -> None:
        """From the loop's next look at `step` on, take each step by ``within(task, step)``."""
        self.put_in_place(step=partial(within, step=partial(Host.step, self)))

    def put_in_place(self, **functions: Callable[..., Any]) -> None:
        """Let ``functions`` stand in the place of the methods of these names, in this run."""
        self.is_altered = True
        vars(self).update(functions)

    def wait_kind(self, abort: Callable[..., object]) -> int:
        """The outcome byte of a wait whose abort function is made for it, or that this run has not met before."""
        if type(abort) is FunctionType:
            name = _lasting_waits.get(abort)
            if name is None and "<" not in abort.__qualname__:
                name = wait_name(abort)
                if len(_lasting_waits) < LASTING_WAITS_MAX:
                    _lasting_waits[abort] = name
            if name is not None:
                number = self.kinds[abort] = self.kind_number(name)
                return number
        code = getattr(abort, "__code__", None)
        if code is None:
            return self.kind_number(wait_name(abort))
        known = self.kinds.get(address_of(code))
        if known is None:
            known = self.kinds[address_of(code)] = self.kind_number(wait_name(abort))
            self.kept_codes.append(code)
        return known

    def enter_task(self, task: Task) -> None:
        """Make ``task`` the current one ahead of `step`, for an instrument that looks."""
        self.trio_now["task"] = task

    def leave_task(self) -> None:
        """Between steps no task is current, and code that asks trio then must be told so."""
        self.trio_now.pop("task", None)

    # Tasks that stand still, and tasks that are gone.

    def hold(self, tasks: Sequence[Task], is_held: Callable[[Task], bool]) -> None:
        """Let none of ``tasks`` run; see `holding.hold`."""
        holding.hold(self, tasks, is_held)

    def release(self, tasks: Sequence[Task], others_are_held: bool) -> None:
        """Let held tasks go on with what they were woken for."""
        holding.release(self, tasks, others_are_held)

    def abandon(self, tasks: Sequence[Task]) -> None:
        """Drop ``tasks`` where they stand; see `abandoning.abandon`."""
        abandoning.abandon(self, tasks)

    # Idleness.

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

    def _check(self) -> None:
        """Assert the invariants that hold between two steps."""
        self.queue._check()
        assert self.by_number == {number: task for task, number in self.numbers.items()}
        assert all(number < self.queue.spawned for number in self.by_number)
        runnable = {number for number, task in self.by_number.items() if task._next_send_fn is not None}
        assert runnable == set(self.queue.numbers), (runnable, self.queue.numbers)
        assert not self.abandoned.keys() & (self.tasks | self.held.keys())
        assert self.held.keys() <= self.numbers.keys()
