"""A process: one life of a node's program, with what its operating system keeps for it.

Code belongs to the process whose code started it: `process_here` is a context variable, which tasks inherit, and
threads too (`node_threads`). A process ends with its last task, or is killed with all of them where they stand.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Protocol, cast

import trio

from detrun.execution.program import function_of
from detrun.world.network.mailbox import Mailbox
from detrun.world.network.network import Network
from detrun.world.network.waiters import Waiters
from detrun.world.nodes.program_threads import for_trio
from detrun.world.services import Services, process_here
from detrun.world.sockets.machine_sockets import Socket, SocketMachine
from detrun_scheduler.errors import UsageError

Program = tuple[Callable[..., object], tuple[Any, ...]]


class ProcessMachine(SocketMachine, Protocol):
    """A machine as its process sees it."""

    process: Process | None
    processes: dict[int, Any]

    def new_pid(self) -> int:
        """The number of a new process."""

    def killed(self) -> None:
        """A signal ends the process, and with it what it has started."""


class Process:
    """One life of a node's program: from a start to its end, whichever way it ends.

    Attributes:
        is_driver: it is the code that opened the world; it cannot be killed or paused.
        has_real_files: its files are those of the real machine: it is the driver, or the driver has started it.
        has_session: it leads a group of processes: it is the first of its machine, or was started in a new session.
        niceness: of `os.nice`.
        context: what its tasks inherit, this process among it; deleted at the end.
        pid: its number on its machine; 0 for the driver, which has that of the real process.
        children: processes that it has started, by number, until their status is collected (`detrun.world.processes`).
        child_ended: woken when one of them has.
        changes: woken when it has ended itself; of children only, since with the first process all others end.
        ends: its ends of pipes, from the first one on.
        standard: what stands for a real number below 3: of children, and of who has closed one.
        signals: its handlers and timers, from the first use on.
        main_thread: the thread in which its signal handlers are called; None while its programs are tasks.
        globals: what it has for itself in the interpreter; None: what all but children share.
        pending: programs that wait for the root task to begin.

    Invariant: while it is running, ``node.process`` is this process; once it has ended it owns no socket.
    """

    def __init__(self, node: ProcessMachine, services: Services, network: Network, *, is_driver: bool = False) -> None:
        self.node = node
        self.services = services
        self.network = network
        self.is_driver = self.has_real_files = is_driver
        self.has_session = True
        self.niceness = 0
        self.context = copy_context()
        self.context.run(process_here.set, self)
        self.sockets: dict[Socket, None] = {}
        self.mailbox = Mailbox()
        self.pending: list[Program] = []
        self.nursery: trio.Nursery | None = None
        self.scope = trio.CancelScope()
        self.is_running = True
        self.is_paused = False
        self.ended = trio.Event()
        self.thread_limiter: trio.CapacityLimiter | None = None
        self.pid = 0 if is_driver else node.new_pid()
        self.children: dict[int, Any] = {}
        self.child_ended = Waiters()
        self.changes = Waiters()
        self.ends: Any = None
        self.standard: dict[int, Any] = {}
        self.signals: Any = None
        self.main_thread: Any = None
        self.globals: Any = None
        self.files: Any = None  # open descriptors and the working directory, from the first call of `open` or `os` on

    async def run(self) -> None:
        """The process's root task."""
        failure: BaseException | None = None
        try:
            with self.scope:
                async with trio.open_nursery() as self.nursery:
                    for function, arguments in self.pending:
                        self._start_soon(function, arguments)
        except BaseException as error:
            failure = self._named(error)
        if not self.is_running:
            return  # killed while this very task was running: there is no code left to raise into
        self.end()
        if failure is not None:
            # Out of the handler, lest the group become the context of what it contains: a cycle of garbage.
            try:
                raise failure
            finally:
                del failure

    def start(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        """Run one more task in this process."""
        if self.nursery is None:
            self.pending.append((function, arguments))
        else:
            self.context.copy().run(self._start_soon, function, arguments)

    def _start_soon(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        assert self.nursery is not None
        started = for_trio(function)
        name = None if started is function else function_of(function)
        self.nursery.start_soon(started, *arguments, name=name)

    def _named(self, error: BaseException) -> BaseException:
        """``error`` with a note that says where it happened, taken out of a group that held it alone."""
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if not isinstance(error, trio.Cancelled):
            time = self.services.run.time
            error.add_note(f"in node {self.node.name!r} ({self.node.address}), virtual time {time:g} s")
        return error

    # Its tasks, threads included.

    def begin(self, nursery: trio.Nursery) -> None:
        """Start the root task in ``nursery``."""
        self.context.copy().run(partial(nursery.start_soon, self.run, name=self.node.name))

    def _tasks(self) -> list[Any]:
        host = self.services.host
        return [task for task in host.numbers if process_of(task) is self]

    def abandon(self) -> None:
        """Drop every task where it stands; none of their code runs again.

        Raises:
            UsageError: it is the driver's.
        """
        if self.is_driver:
            raise UsageError("the driver cannot crash: it is the code that runs the world")
        self.services.host.abandon(self._tasks())

    def die(self, number: int) -> None:
        """A signal ends it, which it does not handle."""
        self.node.killed()

    def pause(self) -> None:
        """Let no task run until `resume`.

        Raises:
            UsageError: it is the driver's.
        """
        if self.is_driver:
            raise UsageError("the driver cannot be paused: no code would be left that could resume it")
        self.is_paused = True
        self.services.host.hold(self._tasks(), _is_paused)

    def resume(self) -> None:
        """Let the tasks run again."""
        self.is_paused = False
        others = any(
            process.is_paused for machine in self.services.machines.values() for process in machine.all_processes()
        )
        self.services.host.release(self._tasks(), others)

    def running_here(self) -> Process:
        """The process of this world whose code is running; this one, the driver's, if there is none."""
        process = process_here.get(None)
        if isinstance(process, Process) and process.services is self.services and process.is_running:
            return process
        return self

    def leave_children(self) -> bool:
        """Nothing can run, the main function has ended, and this is the driver: whether only children of it were left.

        In life the process ends then, and its children go on with what it had closed. Here it is closed when nothing
        else lets them go on, since the run is one until they have ended.
        """
        threads: Any = self.services.run.threads
        others = (one for one in threads.living if not one.daemon and not one.is_worker)
        if any(one.owner in (None, self) for one in others):
            return False
        has_left = bool(self.sockets) or (self.ends is not None and bool(self.ends.numbers()))
        self._close_all()
        return has_left

    def _close_all(self) -> None:
        if self.ends is not None:
            self.ends.close_all()
        for one in list(self.sockets):
            one.vanish(self)

    def end(self) -> None:
        """The process is over: its operating system takes its sockets back."""
        self.is_running = False
        for child in list(self.children.values()):
            child.kill()
        self.children.clear()
        self._close_all()
        if self.signals is not None:
            self.signals.end()
            self.signals = None
        if self.files is not None:
            self.files.end()
        if self.node.process is self:
            self.node.process = None
            self.node.processes.clear()
        self.ended.set()
        # The context holds this process, and the nursery the tasks that hold the context: cycles of garbage, while
        # exploration keeps the garbage collector off.
        self.nursery = self.main_thread = None
        self.pending.clear()
        self.mailbox.waiting.clear()
        self.child_ended.vanish()
        del self.context


def process_of(task: Any) -> Process | None:
    """The process that a task, or a thread's, belongs to; None if it is of no world."""
    owner = getattr(task.coro, "owner", None)
    return cast("Process | None", owner if owner is not None else task.context.get(process_here))


def _is_paused(task: Any) -> bool:
    """Whether a task belongs to a process that stands still."""
    process = process_of(task)
    return process is not None and process.is_paused
