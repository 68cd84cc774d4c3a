"""`ChildProcess`: a process that another process of its machine has started, as ``subprocess`` does.

It runs Python code in a simulated thread of its own, with its own globals of the interpreter (`globals`), descriptors,
sockets, working directory, signal handlers and threads. It ends with its main module and the threads that are not
daemons, by ``os._exit``, or by a signal; what it has open is closed then, and its parent may collect its status by
``waitpid``. A process that ends leaves its living children to the machine's first process; with that, and with a crash
of the machine, all of them are killed.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

from greenlet import GreenletExit, getcurrent

from detrun.world.nodes.process import Process
from detrun.world.nodes.signals import Sender, SignalsOfProcess
from detrun.world.processes.globals import ProcessGlobals
from detrun.world.processes.programs import StartedProgram
from detrun_scheduler.threads.calling import JOIN
from detrun_scheduler.threads.simulated_thread import SimulatedThread
from detrun_scheduler.threads.thread_class import make_main


class ChildProcess(Process):
    """One process beside the first of its machine.

    Args:
        parent: the process that starts it.
        program: what it runs.

    Attributes:
        status: as ``os.waitpid`` gives it, once it has ended; None before.
        at_exit: what its ``atexit`` has registered.
    """

    def __init__(self, parent: Any, program: StartedProgram) -> None:
        super().__init__(parent.node, parent.services, parent.network)
        self.parent = parent
        self.has_real_files = parent.has_real_files
        self.program = program
        self.status: int | None = None
        self.at_exit: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = []
        self.has_session = False
        self.niceness = parent.niceness
        self.signals = SignalsOfProcess(self)
        self._thread: Any = None
        parent.children[self.pid] = self
        parent.node.processes[self.pid] = self

    def launch(self, of_sys: dict[str, Any], environment: dict[bytes, bytes]) -> None:
        """Begin; its first step comes when it is chosen."""
        main = ModuleType("__main__")
        main.__builtins__ = __builtins__  # type: ignore[attr-defined]  # as every module has them
        self.globals = ProcessGlobals(of_sys, environment, main)
        threads = self.services.run.threads
        assert threads is not None
        threads.at_end.append(self._let_go)
        self._thread = self.context.copy().run(threads.start, self._run, (main,), self.program.name)
        self.signals.interrupt_in(self._thread)
        make_main(self._thread)

    # Its life, in its own thread.

    def _run(self, main: ModuleType) -> None:
        try:
            status = self._status_of(self.program.run, main)
            self._wait_for_threads()
            while self.at_exit:
                self._status_of(self._call_at_exit, main)
            self._flush()
        except GreenletExit:
            self.is_running, self.status = False, int(signal.SIGKILL)  # the run is over
            self.end()
            raise
        self.exit(status)

    def _status_of(self, call: Callable[[ModuleType], object], main: ModuleType) -> int:
        """The status with which ``call(main)`` would end the process."""
        try:
            return _encoded(call(main))
        except GreenletExit:
            raise
        except SystemExit as error:
            return _encoded(error.code)
        except KeyboardInterrupt as error:
            self._print_exception(error)
            return int(signal.SIGINT)
        except BaseException as error:
            self._print_exception(error)
            return _encoded(1)

    def _call_at_exit(self, _: ModuleType) -> None:
        function, arguments, named = self.at_exit.pop()
        function(*arguments, **named)

    def _print_exception(self, error: BaseException) -> None:
        trace = error.__traceback__
        for _ in range(2):  # frames of ours
            trace = trace.tb_next if trace is not None and trace.tb_next is not None else trace
        if sys.excepthook is not sys.__excepthook__:
            try:
                sys.excepthook(type(error), error, trace)
                return
            except Exception as broken:
                _say("Error in sys.excepthook:\n" + "".join(traceback.format_exception(broken)))
                _say("\nOriginal exception was:\n")
        _say("".join(traceback.format_exception(type(error), error, trace)))

    def _wait_for_threads(self) -> None:
        caller: Any = getcurrent()
        while (other := next(self._other_threads(), None)) is not None:
            other.joiners.append(caller)
            caller.wait(JOIN, other)

    def _other_threads(self) -> Iterator[SimulatedThread]:
        threads: Any = self.services.run.threads
        for one in threads.living:
            if one.owner is self and one is not self._thread and not one.daemon and not one.is_worker:
                yield one

    def _let_go(self) -> None:
        """The run is over: what the program leaves is freed, whose finalizers are no part of the run."""
        self.globals = None

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()

    # Its end.

    def exit(self, status: int) -> None:
        """End it with a status as ``os.waitpid`` gives it; none of its code runs any more, but for the calling step."""
        if self.status is not None:
            return
        self.status = int(status)
        host = self.services.host
        self.is_running = False
        current: Any = getcurrent()
        host.abandon([task for task in self._tasks() if task.coro is not current or current is not self._thread])
        parent = self.parent
        self._leave_children()
        self.end()
        if parent.is_running:
            self.changes.wake()
            parent.child_ended.wake()
            if parent.signals is not None:
                code, value = how_ended(self.status)
                parent.signals.deliver(signal.SIGCHLD, Sender(code, self.pid, value))

    def _leave_children(self) -> None:
        first: Any = self.node.process
        for pid, child in self.children.items():
            if child.status is not None:
                self.node.processes.pop(pid, None)
            elif first is not None:
                child.parent, first.children[pid] = first, child
        if first is not None:
            self.children.clear()

    def end(self) -> None:
        """The process is over: its operating system takes back what it has."""
        super().end()
        if self.files is not None:
            self.files.descriptors.close_all()
        for calls in self.standard.values():
            calls.release()
        self.standard.clear()
        self._thread = None  # it knows the process: a cycle of garbage

    def kill(self) -> None:
        """As ``kill -9``: none of its code runs again."""
        self.exit(int(signal.SIGKILL))

    def die(self, number: int) -> None:
        """A signal ends it."""
        self.exit(number)

    def reaped(self) -> None:
        """Its status has been collected."""
        self.parent.children.pop(self.pid, None)
        self.node.processes.pop(self.pid, None)


def how_ended(status: int) -> tuple[int, int]:
    """What `os.waitid` and SIGCHLD say of a child that ended with ``status``: how, and its exit code or the signal."""
    return (os.CLD_KILLED, status) if status & 0x7F else (os.CLD_EXITED, status >> 8)


def _encoded(code: object) -> int:
    """The status of a process that ends with ``code``, as `SystemExit` has it."""
    if code is None:
        return 0
    if isinstance(code, int):
        return (code & 0xFF) << 8
    _say(f"{code}\n")
    return 1 << 8


def _say(text: str) -> None:
    """Write to ``sys.stderr``, if there is one that takes it."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)
