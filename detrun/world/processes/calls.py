"""What ``os``, ``signal`` and ``atexit`` say of processes, in the code of one process; methods have the names there.

`DriverCalls` are those of the code around the nodes, and of a run without a world: pipes, and processes that it has
started; its own number and signals are real. `NodeCalls` are those of a node's first process, `ChildCalls` those of a
process that another has started. What they have of groups and signals is in `process_groups`, `signal_handlers` and
`signal_waits`.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from greenlet import getcurrent

from detrun.world.network.posix import os_error
from detrun.world.network.waiting import WaitingCall
from detrun.world.nodes.signals import Sender, signals_of
from detrun.world.processes.child import ChildProcess, how_ended
from detrun.world.processes.ends import ends_of
from detrun.world.processes.left_over import spare_connections
from detrun.world.processes.process_ends import ProcessEnd
from detrun.world.processes.process_groups import OwnGroup, ProcessGroups
from detrun.world.processes.shared_streams import SharedStream
from detrun.world.processes.signal_handlers import SignalHandlers, check_signal
from detrun.world.processes.signal_waits import SignalWaits
from detrun.world.processes.starting import start_child
from detrun_scheduler.environment.process_names import original
from detrun_scheduler.threads.calling import schedule_point
from detrun_scheduler.threads.simulated_thread import SimulatedThread

_BY_THREAD = -6  # SI_TKILL
_P_PIDFD = getattr(os, "P_PIDFD", -1)


class DriverCalls(ProcessGroups):
    """Calls of one process.

    Args:
        process: the one that calls.
    """

    def __init__(self, process: Any) -> None:
        self.process = process

    # Pipes.

    def pipe(self) -> tuple[int, int]:
        """As `os.pipe`."""
        spare_connections()
        return ends_of(self.process).new_pipe()

    def pipe2(self, flags: int, /) -> tuple[int, int]:
        """As `os.pipe2`."""
        ends = ends_of(self.process)
        numbers = ends.new_pipe()
        for number in numbers if flags & os.O_NONBLOCK else ():
            self._end(number).is_blocking = False
        return numbers

    # Children.

    def fork_exec(self, *arguments: Any) -> int:
        """As ``_posixsubprocess.fork_exec``."""
        schedule_point()
        return start_child(self.process, *arguments)

    def waitpid(self, pid: int, options: int, /) -> tuple[int, int]:
        """As `os.waitpid`."""
        child = self._awaited(pid, options, "os.waitpid")
        if child is None:
            return 0, 0
        child.reaped()
        return child.pid, child.status or 0

    def wait(self) -> tuple[int, int]:
        """As `os.wait`."""
        return self.waitpid(-1, 0)

    def wait3(self, options: int) -> tuple[int, int, Any]:
        """As `os.wait3`; a child has used no time of a processor and no memory that is counted."""
        return self.wait4(-1, options)

    def wait4(self, pid: int, options: int) -> tuple[int, int, Any]:
        """As `os.wait4`, likewise."""
        return *self.waitpid(pid, options), resource.struct_rusage((0.0, 0.0, *[0] * 14))

    def waitid(self, idtype: int, ident: int, options: int, /) -> Any:
        """As `os.waitid`, of one process or of any."""
        if idtype == _P_PIDFD:
            end = self._end(ident)
            if not isinstance(end, ProcessEnd):
                raise os_error(errno.EBADF)
            idtype, ident = os.P_PID, end.target.pid
        if idtype not in (os.P_PID, os.P_ALL):
            raise os_error(errno.EINVAL)
        child = self._awaited(ident if idtype == os.P_PID else -1, options, "os.waitid")
        if child is None:
            return None
        if not options & os.WNOWAIT:
            child.reaped()
        code, value = how_ended(child.status or 0)
        return os.waitid_result((child.pid, os.getuid(), signal.SIGCHLD, value, code))

    def _awaited(self, pid: int, options: int, name: str) -> Any:
        """The child that has ended; None where the call is not to wait and none has.

        Raises:
            ChildProcessError: there is none to wait for.
        """
        process = self.process
        schedule_point()

        def ended() -> Any:
            found = [child for child in process.children.values() if pid in (-1, 0, child.pid)]
            if not found:
                raise os_error(errno.ECHILD)
            return next((child for child in found if child.status is not None), None)

        child = ended()
        if child is None and not options & os.WNOHANG:
            what = "a child" if pid in (-1, 0) else f"process {pid}"
            call = WaitingCall(
                process.services.run, name, process.child_ended, lambda: bool(ended()), lambda: f"{what} goes on"
            )
            call.wait()
            child = ended()
        return child

    async def wait_for_end(self, pid: int) -> None:
        """Return when a child has ended; at once if there is none of that number."""
        child = self.process.children.get(pid)
        if child is not None:
            await child.ended.wait()

    def pidfd_open(self, pid: int, flags: int = 0) -> int:
        """As `os.pidfd_open`: selectors find the descriptor readable once the process has ended.

        Raises:
            OSError: EINVAL, the flags are unknown or the number is none; ESRCH, there is no such process; ENOSYS, it is
                one outside the run, as where the kernel has no such descriptors.
        """
        if pid <= 0 or flags & ~os.O_NONBLOCK:
            raise os_error(errno.EINVAL)
        target = self._process(pid)
        if target is None:
            raise os_error(self._no_process)
        ends = ends_of(self.process)
        number = ends.add(ProcessEnd(target))
        if flags:
            self._end(number).is_blocking = False
        return number

    _no_process = errno.ENOSYS

    def _end(self, number: int) -> Any:
        end = ends_of(self.process).get(number)
        if end is None:
            raise os_error(errno.EBADF)
        return end

    def pidfd_send_signal(self, pidfd: int, signalnum: int, siginfo: None = None, flags: int = 0, /) -> None:
        """As `signal.pidfd_send_signal`."""
        end = self._end(pidfd)
        if not isinstance(end, ProcessEnd):
            raise os_error(errno.EBADF)
        schedule_point()
        check_signal(signalnum)
        if self._process(end.target.pid) is not end.target:
            raise os_error(errno.ESRCH)
        self._send(signalnum, [end.target])

    # Signals.

    def kill(self, pid: int, number: int, /) -> None:
        """As `os.kill`."""
        schedule_point()
        target = self._process(pid)
        check_signal(number)
        if target is None:
            self._kill_other(pid, number)
            return
        self._send(number, [target])

    def _send(self, number: int, targets: Iterable[Any], code: int = 0) -> None:
        for target in targets:
            if number and target.is_running:
                signals_of(target).deliver(number, Sender(code, self.process.pid))
        self._vanish_if_dead()

    def _process(self, pid: int) -> Any:
        return self.process.node.processes.get(pid)

    def _kill_other(self, pid: int, number: int) -> None:
        original(os, "kill")(pid, number)  # refused, unless it is the process of the run itself

    def _vanish_if_dead(self) -> None:
        """None of the code that calls goes on, if its process has just ended."""
        thread: Any = getcurrent()
        if self.process.is_running or type(thread) is not SimulatedThread:
            return  # a task goes on to where it awaits something
        if thread.task is not None:
            self.process.services.host.abandon([thread.task])
        while True:
            thread.schedule_point()

    def _group_of_other(self, pid: int) -> int:
        return int(original(os, "getpgid")(pid))


class NodeCalls(SignalWaits, SignalHandlers, OwnGroup, DriverCalls):
    """Calls of the first process of a node."""

    def getpid(self) -> int:
        """As `os.getpid`."""
        return int(self.process.pid)

    def getppid(self) -> int:
        """As `os.getppid`: nothing is above the first process."""
        return 0

    def kill(self, pid: int, number: int, /) -> None:
        """As `os.kill`; 0 is the group of the process, -1 all others, and what is below it another group."""
        if pid > 0:
            super().kill(pid, number)
        elif pid == -1:
            schedule_point()
            check_signal(number)
            self._send(number, [one for one in self.process.node.processes.values() if one is not self.process])
        else:
            self.killpg(-pid or self.getpgrp(), number)

    def _exit(self, status: int) -> NoReturn:
        """As `os._exit`: the process ends, and what it had not flushed is lost."""
        self._end_process(status)
        self._vanish_if_dead()
        raise SystemExit(status)

    def _end_process(self, status: int) -> None:
        self.process.die(0)

    def abort(self) -> NoReturn:
        """As `os.abort`: SIGABRT ends the process, whatever handles it."""
        self.process.die(int(signal.SIGABRT))
        self._vanish_if_dead()
        raise SystemExit(-signal.SIGABRT)

    def nice(self, increment: int, /) -> int:
        """As `os.nice`: kept, and without effect, since computing takes no time."""
        self.process.niceness = max(-20, min(19, self.process.niceness + increment))
        return int(self.process.niceness)

    def _process(self, pid: int) -> Any:
        first = self.process.node.process
        if first is not None and not first.is_driver and pid == first.pid:
            return first
        return super()._process(pid)

    _no_process = errno.ESRCH

    def _kill_other(self, pid: int, number: int) -> None:
        raise os_error(errno.ESRCH)

    def _group_of_other(self, pid: int) -> int:
        if pid:
            raise os_error(errno.ESRCH)
        return self.getpgid(self.process.pid)

    def raise_signal(self, signalnum: int, /) -> None:
        """As `signal.raise_signal`."""
        schedule_point()
        check_signal(signalnum)
        self._send(signalnum, [self.process], _BY_THREAD)
        schedule_point()  # at which a handler is called


class ChildCalls(NodeCalls):
    """Calls of a process that another has started."""

    process: ChildProcess

    def getppid(self) -> int:
        """As `os.getppid`."""
        return self.process.parent.pid or int(original(os, "getpid")())

    @property
    def input(self) -> object:
        """Not None where ``input`` reads a simulated standard input."""
        found = self.process.standard.get(0)
        return None if isinstance(found, SharedStream) else found

    def putenv(self, name: Any, value: Any, /) -> None:
        """Nothing: variables are kept in ``os.environ``."""

    def unsetenv(self, name: Any, /) -> None:
        """Nothing: variables are kept in ``os.environ``."""

    def _end_process(self, status: int) -> None:
        self.process.exit((status & 0xFF) << 8)

    def register(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """As `atexit.register`."""
        self.process.at_exit.append((func, args, kwargs))
        return func

    def unregister(self, func: Callable[..., Any]) -> None:
        """As `atexit.unregister`."""
        self.process.at_exit[:] = [one for one in self.process.at_exit if one[0] != func]


def calls_here(process: Any) -> DriverCalls:
    """What answers calls of the code of ``process``."""
    if process.is_driver:
        return DriverCalls(process)
    return ChildCalls(process) if isinstance(process, ChildProcess) else NodeCalls(process)
