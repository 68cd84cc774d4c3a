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
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import outcome
import trio

from detrun_scheduler import current
from detrun_scheduler.acting import act, acting, collecting_step
from detrun_scheduler.asyncio_host.imported import names_of_asyncio, program_of_asyncio
from detrun_scheduler.asyncio_host.main_thread import MakesAsyncioMain
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import DetrunError, StepLimitError, UsageError
from detrun_scheduler.journal import (
    CHECKPOINT,
    CHUNK_EVENT_BYTES,
    CHUNK_PAYLOAD_BYTES,
    CHUNK_STEPS,
    END,
    HAS_EVENTS,
    TIME,
    WAKE,
    append_varint,
    pack_double,
)
from detrun_scheduler.journaled_run import JournaledRun
from detrun_scheduler.reports.blocking import deadlock, most_run_tasks
from detrun_scheduler.standing import go_on_beside, stand_still
from detrun_scheduler.threads import patched_threading
from detrun_scheduler.threads.simulated_thread import MAIN_IDENT
from detrun_scheduler.threads.threads import Threads
from detrun_scheduler.trio_host.idleness import fire, idle_cushion, idle_on_foreign_clock
from detrun_scheduler.trio_host.spare_hosts import put_by
from detrun_scheduler.unwinding import unwind
from detrun_scheduler.user_code import know_own_files
from detrun_scheduler.watchdog import WATCHDOG

# Now, so that locks which modules imported later make at their import work inside runs.
patched_threading.install_dual_classes()


_AS_IT_IS = nullcontext()


class RunLoop(JournaledRun):
    """One run of one program; `JournaledRun` says what it is given."""

    @trio.lowlevel.enable_ki_protection
    def run(
        self, main: Callable[..., Any], *args: object, as_thread: bool = False, in_asyncio: bool = False
    ) -> outcome.Outcome[Any]:
        """Run ``main(*args)`` until everything has ended; return how it ended.

        Args:
            main: an async function, which is the main task; or any function, with ``as_thread``.
            as_thread: run ``main`` as the main simulated thread.
            in_asyncio: ``main`` is an async function of asyncio's, which ``asyncio.run`` runs in that thread.

        Raises:
            UsageError: a run is active already.
            DeadlockError, StepLimitError, StalledError: see the class; and whatever oracle or verifier raise.
            trio.TrioInternalError: a system task crashed.
        """
        if current.run is not None:
            raise UsageError(
                "a run is active already: record, replay and gradient cannot be called inside a run, nor in two "
                "threads at once"
            )
        host = self.host
        result: outcome.Outcome[Any] | None = None
        know_own_files()
        asyncio_names = names_of_asyncio()
        threads = self.threads = Threads(self)
        current.run = self
        if self.step_timeout is not None:
            WATCHDOG.begin(self, self.step_timeout)
        try:
            self.oracle.new_run(self)
            strategy: Any = self.oracle
            if self.verifier is strategy and not getattr(strategy, "looks", True):
                self.verifier = None  # it looks at the steps of some of its runs only, and not of this one
            arrivals = getattr(self.oracle, "arrivals", None)
            if arrivals is not None:
                self.arrived = arrivals()
            with _AS_IT_IS if self.actor is None else acting(self, threads):
                program = self.main = main
                if in_asyncio:
                    main, args = MakesAsyncioMain(threads, program_of_asyncio(), main, args), ()
                elif as_thread:
                    main, args = threads.main(main, args), ()
                host.open(main, args, self.restrict_ki)
                patched_threading.install(threads, program)
                if asyncio_names is not None:
                    asyncio_names.install()
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
                        if asyncio_names is not None:
                            asyncio_names.restore()
                        patched_threading.restore(threads)
                        result = host.finish()
                        put_by(host)
                assert result is not None
                return result
        finally:
            WATCHDOG.run = None
            self.threads_started = threads.idents - MAIN_IDENT
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
                unwind(self)
            if self.threads is not None:
                self.threads.unwound()

    def _loop(self) -> None:
        host, journal, oracle = self.host, self.journal, self.oracle
        queue, by_number, woken = host.queue, host.by_number, host.queue.woken
        numbers, put = queue.numbers, queue.put
        step, timers, instruments = host.step, self.timers, host.instruments.data
        outcomes, events = journal.outcomes, journal.events
        choose, add_choice, add_outcome = oracle.next_task, journal.choices.append, outcomes.append
        limit = math.inf if self.max_steps is None else self.max_steps
        is_watched = self.verifier is not None or bool(self.after_step)  # or was, once both are gone
        while True:
            if self.standing and not go_on_beside(self, self._settle):
                return
            if self.saves:
                self.saves = False
                journal.save_open_chunk()
            taken = journal.first_step + len(outcomes)
            room = min(CHUNK_STEPS - len(outcomes), limit - taken, self.pause_at - taken, self.arm_at - taken)
            if room <= 0 or len(events) >= CHUNK_EVENT_BYTES or journal.payload_bytes >= CHUNK_PAYLOAD_BYTES:
                self.pause(taken)
                continue
            if queue.fit():
                numbers, put = queue.numbers, queue.put
                if self.preemption is not None:
                    self.preemption.others = numbers
            if self.collects:
                step, room = partial(collecting_step, self), 1  # this step only
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
                    put(numbers, number)
                if timers.due or not numbers or host.ki_arrived:
                    try:
                        going_on = self._settle()
                    finally:
                        # A deadlock's last step belongs to the recording, too.
                        self.close_record(kind)
                    if not going_on:
                        return
                    if self.counts_anew:
                        self.counts_anew = False
                        break
                else:
                    if woken:
                        self.journal_wakes()
                    if is_watched:
                        self.close_record(kind)
                    elif len(events) == journal.record_start:
                        add_outcome(kind)
                        continue
                    else:  # what `close_record` does then; where the run has failed timers are due
                        events.append(END)
                        add_outcome(kind | HAS_EVENTS)
                        journal.record_start = len(events)
                if len(events) >= CHUNK_EVENT_BYTES or journal.payload_bytes >= CHUNK_PAYLOAD_BYTES:
                    break
            step = host.step

    def stand_still(self, ready: Callable[[], bool], waits_for: Any) -> None:
        """The running task blocks its event loop: threads and other loops go on until ``ready()``."""
        stand_still(self, ready, waits_for)

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
        kind = collecting_step(self, task) if self.collects else host.step(task)
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
            self.close_chunk()
            self.journal.sink = self.verifier = None
            self.interrupted = True
            host.handle_ki()
        self.journal_wakes()
        if self.timers.due:
            host.leave_task()
            fire(host, self.timers.pop_due(primal_of(host.clock.current_time())))
            self.timers.due = self.foreign_clock is not None
            self.journal_wakes()
            if self.acts:
                act(self)
        while not numbers:
            if not host.tasks:
                return False
            host.leave_task()
            self._idle()
            self.journal_wakes()
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
                self.journal_time(self.virtual_clock.time)
            host.wake_idle()
        else:
            clock = self.virtual_clock
            before = clock.time
            fired = timers.jump()
            if fired is None:
                if self.threads is not None and self.threads.leave():
                    return
                raise deadlock(self)
            if clock.time != before:
                self.journal_time(clock.time)
            fire(host, fired)
        if "after_io_wait" in instruments.data:
            instruments.call("after_io_wait", 0)

    # The record of a step.

    def journal_time(self, now: float) -> None:
        """Write down that time has moved to ``now``, in virtual seconds."""
        journal = self.journal
        journal.events.append(TIME)
        journal.times.append(now)
        journal.exact += pack_double(now)

    def journal_wakes(self) -> None:
        """Write down who was woken since this was last called."""
        woken = self.host.queue.woken
        if woken:
            if len(woken) > 1:
                woken.sort()
            if self.arrived is not None:
                self.arrived += woken
            events = self.journal.events
            for number in woken:
                events.append(WAKE)
                if number < 0x80:
                    events.append(number)
                else:
                    append_varint(events, number)
            woken.clear()

    def close_record(self, kind: int) -> None:
        """End the step's record."""
        if self.failure is not None:
            raise self.failure
        if self.after_step:
            for hook in self.after_step:
                hook(self)
        journal, verifier = self.journal, self.verifier
        events, start = journal.events, journal.record_start
        if len(events) != start:
            events.append(END)
            kind |= HAS_EVENTS
            journal.record_start = len(events)
        journal.outcomes.append(kind)
        if verifier is not None:
            verifier.step_closed(self, self.current, kind, bytes(events[start:]))

    def close_chunk(self) -> None:
        """Close the journal's chunk, and forget the tasks that ended in it."""
        self.journal.close_chunk(tuple(self.host.queue.numbers))
        # An ended task gets no more children and draws no more, so its path stays unique without our remembering it.
        if not self.host.by_number:  # all have ended
            self.paths.clear()
            self.names_used.clear()
        for number in self.host.ended if self.streams or self.paths else ():
            self.paths.pop(number, None)
            self.names_used.pop(number, None)
            self.streams.pop(number, None)
        self.host.ended.clear()

    def close_journal(self) -> None:
        """Close the last, partial chunk of a finished or failed run."""
        if self.journal.outcomes:
            self.close_chunk()

    # Between two steps.

    def pause(self, taken: int) -> None:
        """Between two steps, so many having been taken: do whatever is due at such a number of steps."""
        journal = self.journal
        if self.max_steps is not None and taken >= self.max_steps:
            raise StepLimitError(most_run_tasks(self))
        if journal.is_full:
            self.close_chunk()
        if taken >= self.pause_at:
            assert self.at_pause is not None
            self.pause_at = self.at_pause(self)
        if taken >= self.arm_at:
            self.arm_at = math.inf
            self.acts = self.timers.due = True  # `due` has the loop look when the next step ends
