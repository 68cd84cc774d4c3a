"""A run and its journal: records the operations of user code.

`JournaledRun` holds all that belongs to one run. `RunLoop`, which inherits it, makes the run go on and closes the
record of each step.
"""

from __future__ import annotations

import math
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import count
from struct import Struct
from typing import Any

import trio

from detrun_scheduler.asyncio_host.lanes import Lane, TaskLane
from detrun_scheduler.asyncio_host.main_thread import AsyncioMain
from detrun_scheduler.choices import Actor, Oracle
from detrun_scheduler.clock import VirtualClock
from detrun_scheduler.journal import (
    DRAW,
    EFFECT,
    FAULT,
    OBSERVE,
    OPERATION,
    RECEIVE,
    SEND,
    SPAWN,
    Journal,
    append_varint,
    pack_double,
)
from detrun_scheduler.randomness import stream_key
from detrun_scheduler.run import WOKEN_MAX, RunHooks, Standing, ThreadFailure, Verifier
from detrun_scheduler.task_weights import TaskWeights
from detrun_scheduler.threads.preemption import Preemption
from detrun_scheduler.threads.simulated_thread import SimulatedThread
from detrun_scheduler.threads.threads import Threads
from detrun_scheduler.trio_host.pending import pending_operation
from detrun_scheduler.trio_host.spare_hosts import spare_host
from detrun_scheduler.watching import tell, tell_operations

_run_serials = count(1)
_NO_HOOKS = RunHooks()


def _nothing(lock: object, operation: int) -> None:
    """Runs without a watcher."""


_pack_draw = Struct("<Q").pack
_HOSTED = frozenset((SimulatedThread, AsyncioMain, Lane, TaskLane))


class JournaledRun(ABC):
    """One run, as it is written down.

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

    # Made for every run: a dictionary of so many attributes grows three times on the way. `RunLoop` has a dictionary
    # beside them, for watchers, which put functions of their own in the place of methods (`watching`).
    __slots__ = (
        *("actor", "acts", "after_step", "allowed", "arm_at", "arrived", "asyncio", "asyncio_order"),
        *("at_pause", "bare_names", "collects", "costs", "counts_anew", "current", "disk_changes", "draws"),
        *("failure", "fault_began", "fault_shares", "fault_spans", "features", "foreign_clock", "host"),
        *("interrupted", "journal", "main", "max_steps", "names_used", "object_labels", "objects_of_kind"),
        *("oracle", "passed", "paths", "pause_at", "preemption", "replayed_effect", "reports_thread_errors"),
        *("restrict_ki", "saves", "seed", "serial", "standing", "step_timeout", "steps_at_end", "streams"),
        *("thread_failures", "thread_rules", "threads", "threads_started", "time_at_end", "timers", "verifier"),
        *("virtual_clock", "weights", "woken_max"),
    )

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
        hooks = hooks if hooks is not None else _NO_HOOKS
        self.oracle = oracle
        self.seed = seed
        self.serial = next(_run_serials)  # tells objects numbered in this run from those of earlier ones
        self.journal = journal if journal is not None else Journal()
        self.max_steps = max_steps
        self.preemption = preemption
        self.verifier = verifier
        self.virtual_clock = VirtualClock(hooks.timer_moved)
        self.timers = self.virtual_clock.timers
        self.foreign_clock = clock
        self.timers.due = clock is not None  # a clock that moves by itself is looked at after every step
        self.restrict_ki = restrict_keyboard_interrupt_to_checkpoints
        self.host = spare_host()
        self.host.begin(
            clock if clock is not None else self.virtual_clock,
            self.timers,
            self._on_spawn,
            self.journal.kind_number,
            instruments,
            strict_exception_groups,
        )
        self.host.failure_seen = hooks.task_failed
        self.host.not_returned = self._not_returned
        self.timers.observer = hooks.time_observer
        self.threads_started = 0  # beside the main one; known when the run is over
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
        self.fault_spans = hooks.fault_spans
        self.disk_changes = hooks.disk_changes
        self.fault_began = hooks.fault_began
        self.draws = hooks.draws
        decides = getattr(oracle, "decides_actions", None)  # None: it knows of no actions
        own: Any = oracle
        self.actor: Actor | None = own if decides or (decides is not None and hooks.actor is None) else hooks.actor
        if clock is not None:
            self.actor = None  # time is not ours
        self.arm_at = math.inf  # at this many steps the run gets ready to act after the next one
        self.acts = False  # the actor is asked when the running step ends
        self.collects = False  # the next step begins with a collection
        self.reports_thread_errors = hooks.reports_thread_errors
        self.step_timeout = hooks.step_timeout
        self.bare_names = hooks.thread_rules >= 3
        self.main: Callable[..., Any] | None = None
        self.passed: Callable[[object, int], object] = _nothing  # told of operations that are no part of the run
        self.thread_rules = hooks.thread_rules
        self.asyncio_order = hooks.asyncio_order
        self.asyncio: Any = None  # what its event loops of asyncio have in common, once there is one
        self.woken_max = WOKEN_MAX if hooks.thread_rules >= 2 else sys.maxsize
        self.steps_at_end = 0  # steps and virtual seconds of the finished run, unwinding apart
        self.time_at_end = 0.0
        self.threads: Threads | None = None  # while the run lasts
        self.arrived: list[int] | None = None  # where an oracle is told of tasks that become runnable
        self.interrupted = False  # Ctrl-C has arrived, whatever the program did about it
        self.saves = False  # the open chunk is to be written as it is, before the next step
        self.counts_anew = False  # the loop is to look anew how many steps it may take before the next pause
        self.standing: dict[int, Standing] = {}  # tasks that block their event loops
        self.weights: TaskWeights | None = None  # once the program sets some
        self.features: dict[str, float] = {}  # what predicts the rest of its loss, as the program says
        self.costs: list[Any] = hooks.costs if hooks.costs is not None else []  # parts of its loss, as declared
        self.allowed: list[int] | None = None  # who may run then, at a choice
        self.thread_failures: list[ThreadFailure] = []
        self.object_labels: list[str] = []
        self.objects_of_kind: dict[str, int] = {}
        for one in hooks.operation_watchers:
            tell_operations(one, self)
        for watcher in hooks.watchers:
            tell(watcher, self)

    # What oracles, recorders and reports may ask.

    @property
    def step_index(self) -> int:
        """Steps closed so far."""
        return self.journal.steps

    @property
    def time(self) -> float:
        """Virtual seconds since the start of the run."""
        return self.virtual_clock.time if self.foreign_clock is None else float(self.foreign_clock.current_time())

    def path_of(self, task: int) -> str:
        """The stable path of a task, ``main/worker[2]``."""
        return self.paths[task]

    def pending_of(self, task: int) -> str:
        """What a living task will resume from, or is blocked in."""
        return pending_operation(self.host.by_number[task])

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
        """Write down an operation on object ``number`` with any value; ``value`` encodes it for the digest."""
        events = self.journal.events
        events.append(OPERATION)
        if number < 0x80:
            events.append(number)
        else:
            append_varint(events, number)
        events.append(code)
        self.journal.exact += len(value).to_bytes(8, "little") + value

    def operation(self, number: int, code: int, value: float) -> None:
        """Write down an operation on object ``number``; ``value`` counts for the digest only."""
        events = self.journal.events
        events.append(OPERATION)
        if number < 0x80:
            events.append(number)
        else:
            append_varint(events, number)
        events.append(code)
        self.journal.exact += pack_double(value)

    def operation_noted(self, number: int, code: int) -> None:
        """Write down an operation on object ``number`` that watchers are not told of."""
        events = self.journal.events
        events.append(OPERATION)
        append_varint(events, number)
        append_varint(events, code)

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
        if self.draws is not None:
            called = self.paths.get(self.current, "") if key is None else f"key {key!r}"
            bits = self.draws.drawn(self, called, stream[1], bits)
        stream[1] += 1
        self.journal.events.append(DRAW)
        self.journal.exact += _pack_draw(bits)
        return bits

    def set_weight(self, weight: Any, tasks: str | None = None) -> None:
        """Weigh the current task, or all whose paths match; for strategies that look at weights."""
        if self.weights is None:
            self.weights = TaskWeights()
        self.weights.set(self.paths[self.current] if tasks is None else tasks, weight, is_path=tasks is None)

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
        """A message was sent to a channel, a queue or a link."""
        self._message(SEND, state)

    def message_left(self, state: Any) -> None:
        """A message of it was received."""
        self._message(RECEIVE, state)

    def _message(self, code: int, state: Any) -> None:
        if state.serial != self.serial:
            state.serial, state.number = self.serial, self.register("channel")
        events = self.journal.events
        events.append(code)
        append_varint(events, state.number)

    # What may be asked of a run while it lasts.

    @abstractmethod
    def stand_still(self, ready: Callable[[], bool], waits_for: Any) -> None:
        """The running task blocks the event loop: run threads only until ``ready()``."""

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

    def _check(self) -> None:
        """Assert the invariants that hold between two steps, on a virtual clock."""
        self.host._check()
        self.journal._check()
        self.timers._check()
        assert len(self.object_labels) == self.journal.objects_count
        assert self.host.by_number.keys() <= self.paths.keys()
        living = [self.paths[number] for number in self.host.by_number]
        assert len(set(living)) == len(living), living

    # What the loop adds, and code that steps in its place calls.

    @abstractmethod
    def journal_time(self, now: float) -> None:
        """Write down that time has moved to ``now``, in virtual seconds."""

    @abstractmethod
    def journal_wakes(self) -> None:
        """Write down who was woken since this was last called."""

    @abstractmethod
    def close_record(self, kind: int) -> None:
        """End the step's record."""

    @abstractmethod
    def pause(self, taken: int) -> None:
        """Between two steps, so many having been taken: do whatever is due at such a number of steps."""

    def save_soon(self) -> None:
        """Have the open chunk written, between two steps; may be called from another thread.

        Timers are looked at then for no other reason than that the loop looks up after a step in which they are due.
        """
        self.saves = self.counts_anew = self.timers.due = True

    def surround_steps(self, within: Callable[[trio.lowlevel.Task, Callable[[trio.lowlevel.Task], int]], int]) -> None:
        """Take each step from the next one on by ``within(task, step)``."""
        self.host.surround_steps(within)
        self.counts_anew = self.timers.due = True

    def _not_returned(self, task: int, error: BaseException | None) -> None:
        self.journal.ended(task, error)

    # Tasks and their paths.

    def _on_spawn(self, task: Any, number: int, parent: Any) -> None:
        journal, paths = self.journal, self.paths
        if number == 0:
            parent_number, path = -1, "<init>"
        else:
            coro = task.coro
            if type(coro) in _HOSTED:
                # trio's parent of a thread is the init task; ours is the task that started it. So for tasks of asyncio.
                coro.task = task
                parent_number = coro.creator
                if parent_number < 0:
                    parent_number = 0
            else:
                parent_number = self.host.numbers[parent]
            if parent_number == 0 and coro is not None:
                path = "main" if number == 1 else f"<system>/{spawn_name(task, self.bare_names)}"
            else:
                path = f"{paths[parent_number]}/{spawn_name(task, self.bare_names)}"
            used = self.names_used.get(parent_number)
            if used is None:
                self.names_used[parent_number] = {path: 1}
            else:
                index = used.get(path, 0)
                used[path] = index + 1
                if index:
                    path = f"{path}[{index}]"
            events = journal.events
            events.append(SPAWN)
            if number < 0x80:
                events.append(number)
            else:
                append_varint(events, number)
        paths[number] = path
        journal.tasks.append((number, parent_number, path))
        if self.arrived is not None:
            self.arrived.append(number)


def _is_of_function(name: str) -> bool:
    """Whether a name is ``module.qualname`` as Python spells it, of a module that is loaded."""
    if ".<locals>." in name or name.endswith(".<lambda>"):
        return True
    end = name.rfind(".")
    while end > 0:
        if name[:end] in sys.modules:
            return True
        end = name.rfind(".", 0, end)
    return False


# An address in a name that a library has made of an object (rpyc's threads): no other process has it. Times have other
# numbers of digits: 13 in milliseconds, 16 in micro- and 19 in nanoseconds.
_ADDRESS_LENGTH_MIN = 12
_ADDRESS = re.compile(r"0x[0-9a-f]{10,16}|(?<!\d)\d{14,15}(?!\d)")
_NAME_IN_PATH = str.maketrans("/[]", ".()")


def spawn_name(task: Any, is_bare: bool = True) -> str:
    """The last part of a task's path: the name given at spawn, or the function's own.

    A function's own has no module in it: the same file has another name when it is run as a script. anyio names a task
    after the callable that it was given, which may be a lambda or a decorated function, and is no coroutine then.

    Args:
        is_bare: also in that case, as it was not before `THREAD_RULES` 3.
    """
    name: str = task.name
    if "." not in name:
        return _part_of_path(name)
    if name.endswith(f".{getattr(task.coro, '__qualname__', name)}"):
        return str(task.coro.__name__)
    if is_bare and "." in name and _is_of_function(name):
        name = name.rpartition(".")[2]
    return _part_of_path(name)


@lru_cache(maxsize=10_000)
def _part_of_path(name: str) -> str:
    if len(name) >= _ADDRESS_LENGTH_MIN:
        name = _ADDRESS.sub("...", name)
    # "a/b" is the child b of a, "a[1]" the second a: a given name must not look like another task's path.
    return name.translate(_NAME_IN_PATH)
