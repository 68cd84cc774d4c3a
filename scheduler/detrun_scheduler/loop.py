"""The run loop: pick a task, step it to its next schedule point, write down what happened; when idle, move time.

One step runs exactly one task. Before each step with a choice the oracle is asked; after it the step's record is
closed, so that recorder, replayer and reader see whole steps only. When nothing can run, first tasks in
``wait_all_tasks_blocked`` wake, then time jumps to the earliest timer, and if there is none the run is deadlocked.

Invariants: the set of runnable numbers before a step is a function of the journal up to there; nothing here depends
on addresses, hashes or real time. A run that fails inside the loop (deadlock, divergence, step limit) is unwound by
cancelling the program and letting it clean up, so that the process is fit for the next run.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from struct import Struct
from typing import Any

import outcome
import trio
from greenlet import GreenletExit

from detrun_scheduler import current
from detrun_scheduler.choices import Oracle
from detrun_scheduler.clock import VirtualClock, primal_of
from detrun_scheduler.errors import DetrunError, StepLimitError, UsageError
from detrun_scheduler.journal import (
    CHECKPOINT,
    CHUNK_EVENT_BYTES,
    CHUNK_PAYLOAD_BYTES,
    CHUNK_STEPS,
    DRAW,
    EFFECT,
    END,
    FAULT,
    HAS_EVENTS,
    OBSERVE,
    OPERATION,
    RECEIVE,
    SEND,
    SPAWN,
    TIME,
    WAKE,
    Journal,
    append_varint,
)
from detrun_scheduler.randomness import stream_key
from detrun_scheduler.reports.blocking import deadlock, most_run_tasks
from detrun_scheduler.run import RunHooks, RunWatcher, Standing, ThreadFailure, Verifier
from detrun_scheduler.threads import patched_threading
from detrun_scheduler.threads.preemption import Preemption
from detrun_scheduler.threads.simulated_thread import SimulatedThread
from detrun_scheduler.threads.threads import Threads
from detrun_scheduler.trio_host.giving_up import cancel_everything, close_remaining
from detrun_scheduler.trio_host.host import Host
from detrun_scheduler.trio_host.idleness import fire, idle_cushion, idle_on_foreign_clock

# Steps that a failed run may take to clean up before its coroutines are closed by force.
UNWINDING_STEPS = 100_000

_run_serials = count(1)
# Now, so that locks which modules imported later make at their import work inside runs.
patched_threading.install_dual_classes()
_pack_double = Struct("<d").pack
_pack_draw = Struct("<Q").pack


class RunLoop:
    """One run of one program.

    Args:
        oracle: decides the run.
        seed: seed of the oracle and of keyed draws.
        journal: where the run is written down.
        max_steps: raise `StepLimitError` after so many steps; None for no limit.
        verifier: looks at every step, or None.
        instruments: trio instruments, as for ``trio.run``.
        clock: a trio clock that keeps its own time (``trio.testing.MockClock``); None for virtual time.
        preemption: where simulated threads are interrupted between their synchronization operations; None: nowhere.
        hooks: what the floors above want to be told and to decide.
    """

    def __init__(
        self,
        oracle: Oracle,
        *,
        seed: int = 0,
        journal: Journal | None = None,
        max_steps: int | None = None,
        verifier: Verifier | None = None,
        instruments: Sequence[trio.abc.Instrument] = (),
        strict_exception_groups: bool = True,
        restrict_keyboard_interrupt_to_checkpoints: bool = False,
        clock: Any = None,
        preemption: Preemption | None = None,
        hooks: RunHooks | None = None,
    ) -> None:
        hooks = hooks if hooks is not None else RunHooks()
        self.oracle = oracle
        self.seed = seed
        self.serial = next(_run_serials)  # tells objects numbered in this run from those of earlier ones
        self.journal = journal if journal is not None else Journal()
        self.max_steps = max_steps
        self.preemption = preemption
        self.verifier = verifier
        self.virtual_clock = VirtualClock()
        self.timers = self.virtual_clock.timers
        self.foreign_clock = clock
        self.timers.due = clock is not None  # a clock that moves by itself is looked at after every step
        self.restrict_ki = restrict_keyboard_interrupt_to_checkpoints
        self.host = Host(
            clock if clock is not None else self.virtual_clock,
            self.timers,
            self._on_spawn,
            self.journal.kind_number,
            instruments,
            strict_exception_groups,
        )
        self.host.failure_seen = hooks.task_failed
        self.timers.observer = hooks.time_observer
        self.current = -1  # number of the task being stepped, or stepped last
        self.paths: dict[int, str] = {}  # by number: living tasks, and those that ended since the last chunk
        self.names_used: dict[int, dict[str, int]] = {}  # living parent's number -> path -> siblings so far
        self.streams: dict[Any, list[Any]] = {}  # task number or explicit key -> [stream key, draws so far]
        self.failure: BaseException | None = None  # set inside a step: ends the run there, whatever the program does
        # See `RunHooks`.
        self.after_step = hooks.after_step
        self.pause_at = hooks.first_pause  # at this many steps `at_pause` is called and gives the next such number
        self.at_pause = hooks.at_pause
        self.replayed_effect = hooks.replayed_effect
        self.fault_shares = hooks.fault_shares
        self.fault_began = hooks.fault_began
        self.reports_thread_errors = hooks.reports_thread_errors
        self.steps_at_end = 0  # steps and virtual seconds of the finished run, unwinding apart
        self.time_at_end = 0.0
        self.threads: Threads | None = None  # while the run lasts
        self.interrupted = False  # Ctrl-C has arrived, whatever the program did about it
        self.stood_still = False  # a task has blocked the event loop in this step
        self.standing: Standing | None = None  # while it does
        self.allowed: list[int] | None = None  # who may run then, at a choice
        self.thread_failures: list[ThreadFailure] = []
        self.object_labels: list[str] = []
        self.objects_of_kind: dict[str, int] = {}
        for watcher in hooks.watchers:
            self._tell(watcher)

    # What oracles, recorders and reports may ask.

    @property
    def step_index(self) -> int:
        """Steps closed so far."""
        return self.journal.steps

    @property
    def time(self) -> float:
        """Virtual seconds since the start of the run."""
        return float(primal_of(self.host.clock.current_time()))

    def path_of(self, task: int) -> str:
        """The stable path of a task, ``main/worker[2]``."""
        return self.paths[task]

    def pending_of(self, task: int) -> str:
        """What a living task will resume from, or is blocked in."""
        return self.host.pending_of(task)

    # What user code reaches through `current.run`.

    def register(self, kind: str, name: str | None = None) -> int:
        """Number one of detrun's objects in this run; reports call it ``name``, or ``kind[i]`` by first use."""
        if name is None:
            index = self.objects_of_kind.get(kind, 0)
            self.objects_of_kind[kind] = index + 1
            name = f"{kind}[{index}]"
        self.object_labels.append(name)
        return self.journal.new_object(name)

    def operation_on(self, number: int, code: int, value: bytes) -> None:
        """Write down an operation on object ``number`` whose value is no float; ``value`` encodes it for the digest."""
        events = self.journal.events
        events.append(OPERATION)
        append_varint(events, number)
        events.append(code)
        self.journal.exact += len(value).to_bytes(8, "little") + value

    def operation(self, number: int, code: int, value: float) -> None:
        """Write down an operation on object ``number``; ``value`` counts for the digest only."""
        events = self.journal.events
        events.append(OPERATION)
        append_varint(events, number)
        events.append(code)
        self.journal.exact += _pack_double(value)

    def draw(self, key: object = None) -> int:
        """64 random bits from the stream of the current task, or of ``key`` if one is given.

        ``key`` may be any value with a stable ``repr``: a string, a number, a tuple of these.
        """
        # By its repr and not by itself: 1, 1.0 and True are one key of a dict, of which the first to draw names the
        # stream, so that the numbers would depend on the schedule.
        name = self.current if key is None else repr(key)
        stream = self.streams.get(name)
        if stream is None:
            label = f"task {self.paths.get(self.current, '')}" if key is None else f"key {key!r}"
            stream = self.streams[name] = [stream_key(self.seed, label), 0]
        bits = self.oracle.draw(stream[0], stream[1])
        stream[1] += 1
        self.journal.events.append(DRAW)
        self.journal.exact += _pack_draw(bits)
        return bits

    def observe(self, name: str, value: bytes) -> None:
        """Make ``value``, a canonical encoding, part of the run's digest under ``name``."""
        journal = self.journal
        journal.events.append(OBSERVE)
        append_varint(journal.events, journal.name_number(name))
        journal.exact += len(value).to_bytes(8, "little") + value

    def fault(self, name: str) -> None:
        """Write down that the injected fault ``name`` took effect."""
        events = self.journal.events
        events.append(FAULT)
        append_varint(events, self.journal.name_number(name))

    def effect(self, name: str, payload: bytes) -> None:
        """Write down the msgpack-encoded result of an external effect."""
        journal = self.journal
        journal.events.append(EFFECT)
        append_varint(journal.events, journal.name_number(name))
        journal.add_payload(payload)

    def message_entered(self, state: Any) -> None:
        """A value entered the buffer of a memory channel."""
        self._message(SEND, state)

    def message_left(self, state: Any) -> None:
        """A value left the buffer of a memory channel."""
        self._message(RECEIVE, state)

    def _message(self, code: int, state: Any) -> None:
        try:
            if state.serial != self.serial:
                state.serial, state.number = self.serial, self.register("channel")
        except AttributeError:
            return  # a channel made before detrun was imported has no place for a number
        events = self.journal.events
        events.append(code)
        append_varint(events, state.number)

    # What may be asked of a run while it lasts.

    def fail(self, error: BaseException) -> None:
        """End the run with ``error`` when this step ends, whatever the program does; the first call counts."""
        if self.failure is None:
            self.failure = error
        self.timers.due = True  # has the loop look at `failure` when the step ends

    def stop_comparing(self) -> None:
        """Show no further step to the verifier."""
        self.verifier = None

    def detach(self) -> None:
        """From here on nothing is compared, observed, paused or written anywhere."""
        self.verifier = self.timers.observer = self.journal.sink = None
        self.after_step = []
        self.pause_at = math.inf

    def _tell(self, watcher: RunWatcher) -> None:
        """Have ``watcher`` told of what happens; runs without one pay nothing for it."""
        host = self.host
        register, operation, operation_on = self.register, self.operation, self.operation_on
        reschedule, wake_idle = host.reschedule, host.wake_idle

        def registering(kind: str, name: str | None = None) -> int:
            number = register(kind, name)
            watcher.registered(number, kind)
            return number

        def operating(number: int, code: int, value: float) -> None:
            operation(number, code, value)
            watcher.operated(number, code, value)

        def operating_on(number: int, code: int, value: bytes) -> None:
            operation_on(number, code, value)
            watcher.operated(number, code, value)

        def rescheduling(task: Any, *next_send: Any) -> None:
            # A new task gets its number here.
            is_new = task not in host.numbers
            reschedule(task, *next_send)
            number = host.numbers.get(task)
            if number is not None:
                watcher.rescheduled(number, is_new, next_send[0] if next_send else None)

        def waking_idle() -> bool:
            watcher.idle_awaited([host.numbers[task] for task in host.waiting_for_idle.values()])
            return wake_idle()

        self.register, self.operation, self.operation_on = registering, operating, operating_on  # type: ignore[method-assign]
        host.reschedule, host.wake_idle = rescheduling, waking_idle  # type: ignore[method-assign, assignment]

    # Running.

    @trio.lowlevel.enable_ki_protection
    def run(self, main: Callable[..., Any], *args: object, as_thread: bool = False) -> outcome.Outcome[Any]:
        """Run ``main(*args)`` until everything has ended; return how it ended.

        Args:
            main: an async function, which is the main task; or any function, with ``as_thread``.
            as_thread: run ``main`` as the main simulated thread.

        Raises:
            UsageError: a run is active already.
            DeadlockError, StepLimitError: see the class; and whatever oracle or verifier raise.
            trio.TrioInternalError: a system task crashed.
        """
        if current.run is not None:
            raise UsageError(
                "a run is active already: record, replay and gradient cannot be called inside a run, nor in two "
                "threads at once"
            )
        host = self.host
        result: outcome.Outcome[Any] | None = None
        threads = self.threads = Threads(self)
        current.run = self
        try:
            self.oracle.new_run(self)
            if as_thread:
                main, args = threads.main(main, args), ()
            host.open(main, args, self.restrict_ki)
            patched_threading.install(threads)
            if self.preemption is not None:
                self.preemption.begin_run(threads)
            try:
                self._loop()
            except (trio.TrioInternalError, DetrunError):
                raise
            except BaseException as error:
                raise trio.TrioInternalError("internal error in Trio - please file a bug!") from error
            finally:
                try:
                    self._finish()
                finally:
                    if self.preemption is not None:
                        self.preemption.end_run()
                    patched_threading.restore()
                    result = host.finish()
            assert result is not None
            return result
        finally:
            threads.close()
            current.run = self.threads = None
            # The traceback of a failed task leads to this frame: an error named here would be a cycle of garbage.
            result = None

    def _finish(self) -> None:
        """Close the journal and unwind what is left, whatever fails."""
        try:
            self.close_journal()
        finally:
            self.steps_at_end, self.time_at_end = self.journal.steps, self.time
            if self.host.tasks:
                self._unwind()

    def _loop(self) -> None:
        host, journal, oracle = self.host, self.journal, self.oracle
        numbers, by_number, woken = host.queue.numbers, host.by_number, host.queue.woken
        step, timers, instruments = host.step, self.timers, host.instruments.data
        outcomes, events = journal.outcomes, journal.events
        choose, add_choice, add_outcome = oracle.next_task, journal.choices.append, outcomes.append
        limit = math.inf if self.max_steps is None else self.max_steps
        while True:
            taken = journal.steps
            room = min(CHUNK_STEPS - len(outcomes), limit - taken, self.pause_at - taken)
            if room <= 0 or journal.is_full:
                self._pause(taken)
                continue
            for _ in range(int(room)):
                runnable = len(numbers)
                if runnable > 1:
                    index = choose(numbers, self.current)
                    number = numbers.pop(index)
                    if index < 0x80:
                        add_choice(index)
                    else:
                        append_varint(journal.choices, index)
                else:
                    number = numbers.pop()
                self.current = number
                kind = step(by_number[number]) if len(instruments) == 1 else self._instrumented_step(number)
                if kind == CHECKPOINT:
                    insort(numbers, number)
                if woken or timers.due or not numbers or host.ki_arrived:
                    try:
                        going_on = self._settle()
                    finally:
                        # A deadlock's last step belongs to the recording, too.
                        self._close_record(kind)
                    if not going_on:
                        return
                    if len(events) >= CHUNK_EVENT_BYTES or journal.payload_bytes >= CHUNK_PAYLOAD_BYTES:
                        break
                    if self.stood_still:
                        self.stood_still = False
                        break
                elif len(events) != journal.record_start or self.verifier is not None or self.after_step:
                    self._close_record(kind)
                    if len(events) >= CHUNK_EVENT_BYTES or journal.payload_bytes >= CHUNK_PAYLOAD_BYTES:
                        break
                else:
                    add_outcome(kind)

    def _pause(self, taken: int) -> None:
        """Between two steps, so many having been taken: whatever is due at such a number of steps."""
        journal = self.journal
        if self.max_steps is not None and taken >= self.max_steps:
            raise StepLimitError(most_run_tasks(self))
        if journal.is_full:
            self._close_chunk()
        if taken >= self.pause_at:
            assert self.at_pause is not None
            self.pause_at = self.at_pause(self)

    def stand_still(self, ready: Callable[[], bool], waits_for: Any) -> None:
        """The running task blocks the event loop, as by ``threading.Lock.acquire``: run threads only until ``ready()``.

        The task's step ends here, as at a schedule point. Other tasks stay runnable in the journal, as before a step of
        theirs, but none is stepped: an oracle that chooses one gets the next that may run, in cyclic order, and it is
        that one that is written down. A failure of the run goes through the task as `GreenletExit` and is raised by
        the loop.
        """
        if self.failure is not None:
            raise GreenletExit
        assert self.standing is None, "a task blocks the event loop while it is blocked"
        self.stood_still, self.standing = True, Standing(self.current, waits_for, sys._getframe(1))
        host, journal, numbers = self.host, self.journal, self.host.queue.numbers
        waiting = number = self.current
        task, kind = host.by_number[waiting], CHECKPOINT
        try:
            while True:
                if kind == CHECKPOINT:
                    insort(numbers, number)
                allowed = self._settle_threads(waiting, ready)
                self._close_record(kind)
                self._pause(journal.steps)
                index = 0
                if len(numbers) > 1:
                    self.allowed = allowed
                    wished = numbers[self.oracle.next_task(numbers, self.current)]
                    number = allowed[bisect_left(allowed, wished) % len(allowed)]
                    index = numbers.index(number)
                    append_varint(journal.choices, index)
                number = self.current = numbers.pop(index)
                if number == waiting:
                    host.enter_task(task)
                    return
                kind = host.step(host.by_number[number])
        except BaseException as error:
            self.failure = error
            raise GreenletExit from None
        finally:
            self.standing = self.allowed = None
            self.timers.due = True  # the loop shall look at `failure` and count its steps anew

    def _settle_threads(self, waiting: int, ready: Callable[[], bool]) -> list[int]:
        """As `_settle` where the event loop stands still; the numbers of those that may run, at least one."""
        host, timers, numbers = self.host, self.timers, self.host.queue.numbers
        self._journal_wakes()
        while True:
            if timers.due:
                host.leave_task()
                fire(host, timers.pop_due(primal_of(host.clock.current_time())))
                self._journal_wakes()
            allowed = [
                number
                for number in numbers
                if (ready() if number == waiting else isinstance(host.by_number[number].coro, SimulatedThread))
            ]
            if allowed:
                return allowed
            host.leave_task()
            before = self.virtual_clock.time
            fired = timers.jump()
            if fired is None:
                raise deadlock(self)
            if self.virtual_clock.time != before:
                self._journal_time(self.virtual_clock.time)
            fire(host, fired)
            self._journal_wakes()

    def _instrumented_step(self, number: int) -> int:
        host, instruments = self.host, self.host.instruments
        task = host.by_number[number]
        host.leave_task()
        # trio polls for I/O before each batch; a batch of ours is one step.
        for hook in ("before_io_wait", "after_io_wait"):
            if hook in instruments.data:
                instruments.call(hook, 0)
        host.enter_task(task)
        if "before_task_step" in instruments.data:
            instruments.call("before_task_step", task)
        kind = host.step(task)
        if kind == CHECKPOINT and "task_scheduled" in instruments.data:
            instruments.call("task_scheduled", task)
        if "after_task_step" in instruments.data:
            instruments.call("after_task_step", task)
        return kind

    def _settle(self) -> bool:
        """Write down who was woken and, if nothing can run, what happens next; False when the run has ended."""
        host, numbers = self.host, self.host.queue.numbers
        if host.ki_arrived:
            # What the interrupt did to the program from here on no replay can repeat: the recording ends before it.
            self._close_chunk()
            self.journal.sink = self.verifier = None
            self.interrupted = True
            host.handle_ki()
        self._journal_wakes()
        if self.timers.due:
            host.leave_task()
            fire(host, self.timers.pop_due(primal_of(host.clock.current_time())))
            self.timers.due = self.foreign_clock is not None
            self._journal_wakes()
        while not numbers:
            if not host.tasks:
                return False
            host.leave_task()
            self._idle()
            self._journal_wakes()
        return True

    def _idle(self) -> None:
        """Nothing can run: let the next thing happen."""
        host, timers, instruments = self.host, self.timers, self.host.instruments
        if "before_io_wait" in instruments.data:
            instruments.call("before_io_wait", 0)
        if self.foreign_clock is not None:
            if not idle_on_foreign_clock(host, timers):
                raise deadlock(self)
        elif host.waiting_for_idle and idle_cushion(host) < timers.next_time() - self.virtual_clock.time:
            cushion = idle_cushion(host)
            if cushion:
                self.virtual_clock.advance(cushion)
                self._journal_time(self.virtual_clock.time)
            host.wake_idle()
        else:
            clock = self.virtual_clock
            before = clock.time
            fired = timers.jump()
            if fired is None:
                if self.threads is not None and self.threads.kill_workers():
                    return
                raise deadlock(self)
            if clock.time != before:
                self._journal_time(clock.time)
            fire(host, fired)
        if "after_io_wait" in instruments.data:
            instruments.call("after_io_wait", 0)

    def _journal_time(self, now: float) -> None:
        journal = self.journal
        journal.events.append(TIME)
        journal.times.append(now)
        journal.exact += _pack_double(now)

    def _journal_wakes(self) -> None:
        woken = self.host.queue.woken
        if woken:
            if len(woken) > 1:
                woken.sort()
            events = self.journal.events
            for number in woken:
                events.append(WAKE)
                if number < 0x80:
                    events.append(number)
                else:
                    append_varint(events, number)
            woken.clear()

    def _close_record(self, kind: int) -> None:
        """End the step's record."""
        if self.failure is not None:
            raise self.failure
        for hook in self.after_step:
            hook(self)
        journal = self.journal
        events, start = journal.events, journal.record_start
        record = b""
        if len(events) != start:
            events.append(END)
            kind |= HAS_EVENTS
            journal.record_start = len(events)
            record = bytes(events[start:]) if self.verifier is not None else b""
        journal.outcomes.append(kind)
        if self.verifier is not None:
            self.verifier.step_closed(self, self.current, kind, record)

    def _close_chunk(self) -> None:
        self.journal.close_chunk()
        # An ended task gets no more children and draws no more, so its path stays unique without our remembering it.
        for number in self.host.ended:
            self.paths.pop(number, None)
            self.names_used.pop(number, None)
            self.streams.pop(number, None)
        self.host.ended.clear()

    def close_journal(self) -> None:
        """Close the last, partial chunk of a finished or failed run."""
        if self.journal.outcomes:
            self._close_chunk()

    def _on_spawn(self, task: Any, number: int, parent: Any) -> None:
        parent_number = -1 if parent is None else self.host.numbers[parent]
        if type(task.coro) is SimulatedThread:
            # trio's parent of a thread is the init task; ours is the task that started it.
            task.coro.task = task
            parent_number = max(task.coro.creator, 0)
        if number == 0:
            path = "<init>"
        elif task.coro is not None and parent_number == 0:
            path = self._sibling(parent_number, "main" if number == 1 else f"<system>/{spawn_name(task)}")
        else:
            path = self._sibling(parent_number, f"{self.paths[parent_number]}/{spawn_name(task)}")
        self.paths[number] = path
        journal = self.journal
        journal.tasks.append((number, parent_number, path))
        if number:
            journal.events.append(SPAWN)
            append_varint(journal.events, number)

    def _sibling(self, parent: int, path: str) -> str:
        used = self.names_used.get(parent)
        if used is None:
            used = self.names_used[parent] = {}
        index = used.get(path, 0)
        used[path] = index + 1
        return f"{path}[{index}]" if index else path

    def _unwind(self) -> None:
        """Cancel what is left of a failed run and let it clean up; close by force what does not end."""
        host, timers, numbers = self.host, self.timers, self.host.queue.numbers
        self.journal = Journal()  # what happens now is not part of the run
        host.kind_number = self.journal.kind_number
        timers.observer = None
        number = -1
        # Whatever fails now must not hide why the run failed.
        with suppress(Exception):
            assert self.threads is not None
            self.threads.kill_all()
            cancel_everything(host)
            for _ in range(UNWINDING_STEPS):
                host.queue.woken.clear()
                if numbers:
                    # In turn, so that a task that polls does not starve the one that it polls for.
                    number = numbers.pop(bisect_right(numbers, number) % len(numbers))
                    if host.step(host.by_number[number]) == CHECKPOINT:
                        insort(numbers, number)
                elif not host.tasks:
                    return
                elif self.foreign_clock is not None:
                    if not idle_on_foreign_clock(host, timers):
                        break
                elif not host.wake_idle():
                    fired = timers.jump()
                    if fired is None:
                        break
                    host.leave_task()
                    fire(host, fired)
        close_remaining(host)


_NAME_IN_PATH = str.maketrans("/[]", ".()")


def spawn_name(task: Any) -> str:
    """The last part of a task's path: the name given at spawn, or the function's own."""
    name: str = task.name
    if name.endswith(f".{getattr(task.coro, '__qualname__', name)}"):
        return str(task.coro.__name__)
    # "a/b" is the child b of a, "a[1]" the second a: a given name must not look like another task's path.
    return name.translate(_NAME_IN_PATH)
