"""The run as everything but its loop sees it: `ActiveRun`, and `RunHooks`, by which the floors above take part in it.

`RunLoop` satisfies `ActiveRun`. Threads, reports, verifiers, `current` and the floors above name this protocol and not
the loop, so that imports go one way: the loop knows them, and they know this file.

The rule of hooks: what the floors above want to be told, and what they decide, stands in one `RunHooks` before the loop
is built. Nothing is assigned to a loop afterwards. What changes while the run goes on is returned by the hook itself
(the next pause), or is a method of the run (`stop_comparing`, `detach`, `fail`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from trio.lowlevel import Task

from detrun_scheduler.choices import Actor, RunView
from detrun_scheduler.clock import LocalTime, MovedTimer, TimeObserver, TimerHeap, VirtualClock
from detrun_scheduler.journal import Journal
from detrun_scheduler.task_weights import TaskWeights

if TYPE_CHECKING:
    from contextvars import ContextVar


# Recordings say by which rules their threads were scheduled and their tasks named, and are replayed by them; those that
# say nothing, by 1.
#   1: the release of a lock wakes all threads that wait for it, an item in a `SimpleQueue` too.
#   2: it wakes `WOKEN_MAX` of them.
#   3: no task name has the name of a module in it.
#   4: locks of libraries are steps only where threads meet (`library_locks`); before, they were as any other.
#   5: items of queues are messages, and so is what a memory channel hands to a task that waits (`message_order`).
#   6: what `asyncio.gather` does as one of its tasks ends is part of that task's last step; before, it was a callback.
#   7: the first step of a task of asyncio waits for the callbacks that were queued before it, as its other steps do;
#      code of a node looks up folders above the real files that it can read without a step.
#   8: a task of asyncio that waits for its turn when it is made has no spawn in the recording, but a wake when it can
#      run; before, readers of such a recording took it for runnable at once, and lost count. Tasks of trio go on while
#      one of asyncio blocks its loop, and the other way round.
#   9: callbacks of the main task's end run that were queued behind asyncio's own, and what is queued when an event loop
#      of asyncio stops goes on while asynchronous generators and the executor are shut down, as in life. A call of a
#      loop by a thread that does not run it is a finding. Unix sockets of code outside nodes are named without their
#      folder among temporary files.
#   10: nodes have symbolic and hard links; before, `os.symlink` and `os.link` raised EPERM.
THREAD_RULES = 10
# Large enough that the programs of most tests never draw who wakes; a release costs at most so many steps.
WOKEN_MAX = 6


class ThreadFailure(NamedTuple):
    """An exception that has come out of a thread.

    Attributes:
        path: of the thread or task; the name of a callback; empty where it has none.
        is_handled: the program has a hook of its own for it, put in during the run.
        kind: what it came out of, in words: a thread, a task or a callback of asyncio.
    """

    path: str
    error: BaseException
    is_handled: bool
    kind: str = "thread"

    @property
    def origin(self) -> str:
        """What it came out of."""
        return f"{self.kind} {self.path}".rstrip()


class Standing(NamedTuple):
    """A task that blocks the event loop, as by ``threading.Lock.acquire``."""

    number: int
    waits_for: Any  # has `blocking_report`, or None
    innermost: FrameType
    ready: Callable[[], bool]  # whether it can go on
    loop: Any  # of asyncio's that it blocks; None: trio's
    greenlet: Any  # in which it stands

    def frames(self) -> list[FrameType]:
        """Where it stands, from the first frame above the loop to the innermost."""
        found: list[FrameType] = []
        frame: FrameType | None = self.innermost
        while frame is not None and frame.f_code.co_name != "step":
            found.append(frame)
            frame = frame.f_back
        return found[::-1]


class RunnableTasks(Protocol):
    """The run queue."""

    numbers: list[int]  # of the runnable tasks, ascending
    woken: list[int]  # of those that became runnable since the loop last looked


class RunHost(Protocol):
    """The trio runner of a run, as far as others than the loop use it."""

    numbers: dict[Task, int]  # of living tasks, by order of spawning
    by_number: dict[int, Task]
    ki_pending: bool  # Ctrl-C has arrived, and no task has had it yet

    @property
    def queue(self) -> RunnableTasks:
        """The run queue."""

    @property
    def init_task(self) -> Task | None:
        """The root of all tasks."""

    @property
    def main_task(self) -> Task | None:
        """The program's; None before it is spawned."""

    @property
    def entry_task(self) -> Task | None:
        """The task that runs callbacks handed to the run; None until there are any."""

    @property
    def local_time(self) -> LocalTime | None:
        """Whose clock tasks read; None: the run's own."""

    @property
    def sockets(self) -> dict[int, Any]:
        """Simulated sockets by the numbers that they give for their files'."""

    def reschedule(self, task: Task, next_send: Any = ...) -> None:
        """Make a blocked task runnable."""

    def spawn_thread(self, thread: Any, name: str, context: Context | None = None) -> None:
        """Make a simulated thread a task."""

    def park(self, task: Task, trap: Any) -> None:
        """Let a task that has just been spawned wait, by a wait trap, until it is rescheduled."""

    def localize(self, local_time: LocalTime | None) -> None:
        """Let tasks read other clocks than the run's, and set their deadlines by them; None: the run's again."""

    def abandon(self, tasks: Sequence[Task]) -> None:
        """Drop tasks: none of their code runs again."""

    def hold(self, tasks: Sequence[Task], is_held: Callable[[Task], bool]) -> None:
        """Let none of ``tasks`` run, nor any other task for which ``is_held`` says so when it becomes runnable."""

    def release(self, tasks: Sequence[Task], others_are_held: bool) -> None:
        """Let held tasks go on."""


class RunThreads(Protocol):
    """The simulated threads of a run, as far as others than threads use them."""

    touched: list[Any]  # objects used in this run that work outside of runs, too; reset when it ends
    at_end: list[Callable[[], object]]  # called when it ends
    at_unwound: list[Callable[[], object]]  # called when all tasks have ended, while names are still replaced

    def start(self, function: Callable[..., Any], arguments: tuple[Any, ...], name: str) -> Any:
        """Begin a simulated thread; it runs when it is chosen."""

    @property
    def os_thread(self) -> int:
        """The ident of the OS thread whose calls belong to the run."""

    def main_ended(self) -> None:
        """The main task or main thread is over."""

    def inherit(self, variable: ContextVar[Any] | None) -> None:
        """Let a new thread take this one variable over from the code that starts it; None: nothing."""


class ActiveRun(RunView, Protocol):
    """One run, while it lasts."""

    serial: int  # tells objects numbered in this run from those of earlier ones
    paths: dict[int, str]  # by number: living tasks, and those that ended since the last chunk
    object_labels: list[str]  # what reports call the run's objects, by number
    thread_failures: list[ThreadFailure]

    # Plain attributes of the loop; nothing outside the scheduler assigns them.

    @property
    def journal(self) -> Journal:
        """Where the run is written down."""

    @property
    def host(self) -> RunHost:
        """The trio runner."""

    @property
    def virtual_clock(self) -> VirtualClock:
        """The time of the run."""

    @property
    def timers(self) -> TimerHeap:
        """Its timers."""

    @property
    def threads(self) -> RunThreads | None:
        """Its simulated threads, while it runs."""

    @property
    def preemption(self) -> Any:
        """Where its threads are interrupted, a `Preemption`; None: nowhere."""

    @property
    def max_steps(self) -> int | None:
        """The step limit, None for none."""

    @property
    def time(self) -> float:
        """Virtual seconds since the start of the run."""

    @property
    def standing(self) -> dict[int, Standing]:
        """The tasks that block their event loops, by number, in the order in which they began to."""

    @property
    def weights(self) -> TaskWeights | None:
        """What the program has said of how often tasks are to step; None: nothing."""

    @property
    def features(self) -> dict[str, float]:
        """What the program says to predict the rest of its loss, by name."""

    @property
    def costs(self) -> list[Any]:
        """What the program has declared of its loss, in order."""

    @property
    def allowed(self) -> list[int] | None:
        """Who may run then, at a choice."""

    @property
    def replayed_effect(self) -> Callable[[str], bytes | None] | None:
        """See `RunHooks.replayed_effect`."""

    @property
    def fault_shares(self) -> Mapping[str, float]:
        """See `RunHooks.fault_shares`."""

    @property
    def fault_spans(self) -> Mapping[str, FaultSpan]:
        """See `RunHooks.fault_spans`."""

    @property
    def disk_changes(self) -> Mapping[tuple[str, int], bool]:
        """See `RunHooks.disk_changes`."""

    @property
    def fault_began(self) -> Callable[[BegunFault], None] | None:
        """See `RunHooks.fault_began`."""

    @property
    def draws(self) -> DrawWatcher | None:
        """See `RunHooks.draws`."""

    @property
    def reports_thread_errors(self) -> bool:
        """See `RunHooks.reports_thread_errors`."""

    @property
    def main(self) -> Callable[..., Any] | None:
        """The program, once it runs."""

    @property
    def thread_rules(self) -> int:
        """See `RunHooks.thread_rules`."""

    @property
    def asyncio(self) -> Any:
        """What its event loops of asyncio have in common; None while there are none."""

    @property
    def asyncio_order(self) -> str:
        """See `RunHooks.asyncio_order`."""

    @property
    def woken_max(self) -> int:
        """How many of the threads that wait for a lock its release wakes."""

    # What user code does, by way of `current.run`.

    def register(self, kind: str, name: str | None = None) -> int:
        """Number one of detrun's objects in this run; reports call it ``name``, or ``kind[i]`` by first use."""

    def operation_on(self, number: int, code: int, value: bytes) -> None:
        """Write down an operation on object ``number`` with any value; ``value`` encodes it for the digest."""

    def operation(self, number: int, code: int, value: float) -> None:
        """Write down an operation on object ``number``; ``value`` counts for the digest only."""

    @property
    def passed(self) -> Callable[[object, int], object]:
        """Told of operations on libraries' locks that are no part of the run, and passes that on to watchers."""

    def operation_noted(self, number: int, code: int) -> None:
        """Write down an operation on object ``number`` that watchers are not told of."""

    def draw(self, key: object = None) -> int:
        """64 random bits from the stream of the current task, or of ``key`` if one is given."""

    def set_weight(self, weight: Any, tasks: str | None = None) -> None:
        """Weigh the current task, or all whose paths match; for strategies that look at weights."""

    def observe(self, name: str, value: bytes) -> None:
        """Make ``value``, a canonical encoding, part of the run's digest under ``name``."""

    def fault(self, name: str) -> None:
        """Write down that the injected fault ``name`` took effect."""

    def effect(self, name: str, payload: bytes) -> None:
        """Write down the msgpack-encoded result of an external effect."""

    def message_entered(self, state: Any) -> None:
        """A message was sent to a channel, a queue or a link."""

    def message_left(self, state: Any) -> None:
        """A message of it was received."""

    # What may be asked of a run while it lasts.

    def stand_still(self, ready: Callable[[], bool], waits_for: Any) -> None:
        """The running task blocks the event loop: run threads only until ``ready()``."""

    def fail(self, error: BaseException) -> None:
        """End the run with ``error`` when this step ends, whatever the program does; the first call counts."""

    def surround_steps(self, within: Callable[[Task, Callable[[Task], int]], int]) -> None:
        """Take each step from the next one on by ``within(task, step)``."""

    def stop_comparing(self) -> None:
        """Show no further step to the verifier."""

    def detach(self) -> None:
        """From here on nothing is compared, observed, paused or written anywhere."""


class Verifier(Protocol):
    """Looks at every closed step; a replayer raises here."""

    def step_closed(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes, /) -> None:
        """Step ``run.step_index - 1`` ran ``task`` and left ``outcome_byte`` and the events ``record``."""


class OperationWatcher(Protocol):
    """Is told of the operations on a run's objects, as they happen."""

    def operated(self, number: int, code: int, value: float | bytes) -> None:
        """An operation has been written down; see `ActiveRun.operation` and `ActiveRun.operation_on`."""


class RunWatcher(OperationWatcher, Protocol):
    """Is told of everything that the running code does to the run's objects and to other tasks, as it happens."""

    def registered(self, number: int, kind: str) -> None:
        """An object of this kind has got its number."""

    def rescheduled(self, number: int, is_new: bool, sent: Any) -> None:
        """A task has become runnable, a new one or one that was blocked; ``sent`` is the outcome it goes on with."""

    def passed(self, lock: object, operation: int) -> None:
        """A library's lock has been taken or given back without a record; see `ActiveRun.passed`."""

    def idle_awaited(self, numbers: Sequence[int]) -> None:
        """These tasks, which have waited until nothing can run, are about to wake."""


class DrawWatcher(Protocol):
    """Is told of every draw of a run, and may decide it.

    Distributions call `about_to_draw` before they draw and `came_out` afterwards; what takes bare bits calls neither.
    """

    def about_to_draw(self, law: Any, derivative: str | None = None) -> None:
        """The next bits of this run become a number of this distribution (`detrun.primitives.laws`)."""

    def drawn(self, run: ActiveRun, stream: str, index: int, bits: int) -> int:
        """The oracle has given ``bits`` for draw ``index`` of ``stream``; returns the bits that count."""

    def came_out(self, outcome: Any) -> Any:
        """What became of the bits; returns what the program gets."""


Holders: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]
"""Roles of nodes, each with the names of nodes."""


class BegunFault(NamedTuple):
    """A planned fault, or a `buggify` site, that has begun.

    Attributes:
        kind: of fault.
        lasts: seconds until it ends; None: it is over at once, or ends with its plan.
        victim: the node that it strikes, an empty string where it is not of one node.
        details: what else the plan says of it, in words.
        holders: each role that the plan strikes, with the names of the nodes that were struck for it.
    """

    name: str
    kind: str
    lasts: float | None = None
    victim: str = ""
    details: str = ""
    holders: Holders = ()


class FaultSpan(NamedTuple):
    """Other times of a planned fault, and the nodes that it strikes then.

    Attributes:
        begin: the virtual time of the run; infinity for never.
        end: likewise; None: as long after as it would have ended.
        holders: the nodes that count as those of a role, whether or not they have it then; others are asked.
    """

    begin: float
    end: float | None = None
    holders: Holders = ()


@dataclass(slots=True)
class RunHooks:
    """What the floors above want from a run; filled before its loop is built.

    Attributes:
        after_step: called after every step, before its record is closed, in this order.
        first_pause: the number of steps after which `at_pause` is called first.
        at_pause: called between two steps; returns the number of steps at which to call it next, infinity for never.
        replayed_effect: takes the name of an external effect and gives its recorded result, None where a recording is
            silent. Set in replays only.
        fault_shares: planned faults that are left out (0) or last a share of their time, by name.
        fault_spans: planned faults that happen at another time, by name.
        disk_changes: whether a change to a disk survives a power loss, by the disk's name and the change's number; of
            others that is drawn.
        fault_began: told of each planned fault that begins.
        task_failed: told what a task raised that has failed, or why the main task could not be started. It must not
            keep it: when an exception dies, its frames do, and what they hold is finalized.
        time_observer: told where another timing of the program would have meant another order of events.
        timer_moved: told of each timer that is set, and says when it fires (see `MovedTimers`).
        draws: told of the run's random draws, and may decide them.
        costs: the list that parts of the loss go to, for those who want to look at each; None: a plain one.
        operation_watchers: told of operations on objects.
        watchers: told of objects, operations and wake-ups.
        step_timeout: real seconds that a step may wait, see `watchdog`; None: any time.
        thread_rules: by which of the rules threads are scheduled; older ones (see `THREAD_RULES`) in replays only.
        reports_thread_errors: exceptions that come out of threads are reported by the caller of the run, so that the
            hooks which would print them are not called.
        actor: decides when the run acts by itself, unless its oracle knows that from a schedule.
        asyncio_order: ``"any"``: which task of asyncio goes on is a choice; ``"fifo"``: as in asyncio's own loop.
    """

    after_step: list[Callable[[ActiveRun], None]] = field(default_factory=list)
    first_pause: float = math.inf
    at_pause: Callable[[ActiveRun], float] | None = None
    replayed_effect: Callable[[str], bytes | None] | None = None
    fault_shares: Mapping[str, float] = field(default_factory=dict)
    fault_spans: Mapping[str, FaultSpan] = field(default_factory=dict)
    disk_changes: Mapping[tuple[str, int], bool] = field(default_factory=dict)
    fault_began: Callable[[BegunFault], None] | None = None
    task_failed: Callable[[BaseException], object] | None = None
    time_observer: TimeObserver | None = None
    timer_moved: MovedTimer | None = None
    draws: DrawWatcher | None = None
    costs: list[Any] | None = None
    operation_watchers: list[OperationWatcher] = field(default_factory=list)
    watchers: list[RunWatcher] = field(default_factory=list)
    reports_thread_errors: bool = False
    step_timeout: float | None = None
    thread_rules: int = THREAD_RULES
    actor: Actor | None = None
    asyncio_order: str = "any"
