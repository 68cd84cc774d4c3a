"""What ``os`` and ``open`` do with descriptors of simulated pipes and sockets; methods have the names of ``os``.

A call that would wait does so by `waiting`, unless the end is set not to block. A process's numbers are its own: what
another process has under a number is EBADF here.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterable
from typing import Any

from detrun.world.network.posix import os_error
from detrun.world.network.waiting import WaitingCall
from detrun.world.processes.held_ends import HeldEnd
from detrun.world.processes.pipe_files import file_of_end
from detrun.world.processes.pipes import PipeEnd
from detrun.world.sockets.machine_sockets import CLOSE_ON_EXEC, DESCRIPTOR_FLAGS, STATUS
from detrun_scheduler.environment.hidden_state import refuse
from detrun_scheduler.threads.calling import schedule_point

try:
    import fcntl
    import termios
except ImportError:  # Windows, where no program calls what needs them
    pass

_PIECE_BYTES = 2**16  # of a file, read at once to be sent
_NO_DUP2 = "only the descriptor of a pipe can become another's; start a child with stdin=, stdout= and stderr="
_FLAGS_ONLY = "of pipes and sockets of a run it knows flags and duplicates"
_TWO_REQUESTS = "of pipes and sockets of a run it knows FIONREAD and FIONBIO"


class EndCalls:
    """Calls about one descriptor of one process.

    Args:
        process: whose it is.
        number: the descriptor.
    """

    mode = 0

    def __init__(self, process: Any, number: int) -> None:
        self._process = process
        self.number = number

    def answer(self, name: str, *arguments: Any, **named: Any) -> Any:
        """What ``os.name(number, ...)`` gives, or a function of `fcntl`.

        Raises:
            OSError: EINVAL, it is about files only.
        """
        method = getattr(self, name, None)
        if method is None:
            raise os_error(errno.EINVAL)
        return method(*arguments, **named)

    def opened(self, file: Any, *arguments: Any, **named: Any) -> Any:
        """As the function ``open``."""
        return file_of_end(self, *arguments, **named)

    # Of every kind.

    def release(self) -> None:
        """The process is over, which has this as a standard stream."""

    @property
    def is_left_over(self) -> bool:
        """Whether the process has ended."""
        return not self._process.is_running

    def is_open(self) -> bool:
        """Whether the process still has the descriptor; each kind says it."""
        raise NotImplementedError

    def stat(self, **_: Any) -> os.stat_result:
        """As `os.fstat`."""
        return os.stat_result((self.mode, self.number, 0, 1, 0, 0, 0, 0, 0, 0))

    fstat = stat

    def isatty(self) -> bool:
        """Never."""
        return False

    def lseek(self, *_: Any) -> int:
        """ESPIPE, as for every stream."""
        raise os_error(errno.ESPIPE)

    pread = pwrite = preadv = pwritev = lseek

    @property
    def flags(self) -> dict[int, int]:
        """Of the descriptor, by the command of ``fcntl`` that asks for them; pipes and sockets have them."""
        raise NotImplementedError

    def waiting_bytes(self) -> int:
        """How many bytes a read would give at once; pipes and sockets say it, of all else it is ENOTTY."""
        raise os_error(errno.ENOTTY)

    def dup(self) -> int:
        """As `os.dup`; pipes and sockets have it."""
        raise NotImplementedError

    def set_blocking(self, blocking: bool, /) -> None:
        """As `os.set_blocking`; pipes and sockets have it."""
        raise NotImplementedError

    def dup2(self, fd2: int, inheritable: bool = True) -> int:
        """As `os.dup2`; pipes have it.

        Raises:
            HiddenStateError: it is a socket, or the other number is neither a pipe's nor a process's.
        """
        refuse(f"os.dup2 of a simulated descriptor onto {fd2}", _NO_DUP2)

    def fcntl(self, command: int, argument: Any = 0, /) -> int:
        """As `fcntl.fcntl`.

        Raises:
            HiddenStateError: it is neither about flags nor for another descriptor.
        """
        if command == fcntl.F_SETFL:  # which way it was opened stays
            access = self.flags.get(STATUS, os.O_RDWR) & os.O_ACCMODE
            self.flags[STATUS] = argument & ~os.O_ACCMODE | access
            return 0
        if command == fcntl.F_SETFD:
            self.flags[DESCRIPTOR_FLAGS] = argument
            return 0
        if command in (DESCRIPTOR_FLAGS, STATUS):
            return self.flags.get(command, CLOSE_ON_EXEC if command == DESCRIPTOR_FLAGS else os.O_RDWR)
        if command in (fcntl.F_DUPFD, getattr(fcntl, "F_DUPFD_CLOEXEC", -1)):
            return self.dup()
        refuse(f"fcntl.fcntl of a simulated descriptor with command {command}", _FLAGS_ONLY)

    def ioctl(self, request: int, argument: Any = 0, mutate_flag: bool = True, /) -> Any:
        """As `fcntl.ioctl`: how many bytes can be read, and whether calls wait.

        Raises:
            HiddenStateError: another request.
            OSError: EFAULT, a number where a buffer is needed; ENOTTY, nothing can be read from it.
        """
        if request not in (termios.FIONREAD, termios.FIONBIO):
            refuse(f"fcntl.ioctl of a simulated descriptor with request {request:#x}", _TWO_REQUESTS)
        if isinstance(argument, int):
            raise os_error(errno.EFAULT)
        given = bytes(argument)
        if request == termios.FIONBIO:
            self.set_blocking(not struct.unpack_from("i", given)[0])
            found = given
        else:
            found = struct.pack("i", self.waiting_bytes()) + given[4:]
        view = memoryview(argument)
        if view.readonly or not mutate_flag:
            return found
        view.cast("B")[:] = found
        return 0

    def get_inheritable(self) -> bool:
        """Not by itself: a child gets its standard streams and what ``pass_fds`` names."""
        return False

    def set_inheritable(self, inheritable: int, /) -> None:
        """Remembered nowhere."""

    def read(self, length: int, /) -> bytes:
        """As `os.read`; pipes and sockets have it."""
        raise NotImplementedError

    def write(self, data: Any, /) -> int:
        """As `os.write`; pipes and sockets have it."""
        raise NotImplementedError

    def readv(self, buffers: Iterable[Any], /) -> int:
        """As `os.readv`."""
        views = [memoryview(one).cast("B") for one in buffers]
        data = self.read(sum(map(len, views)))
        rest = memoryview(data)
        for view in views:
            view[: len(rest)] = rest[: len(view)]
            rest = rest[len(view) :]
        return len(data)

    def writev(self, buffers: Iterable[Any], /) -> int:
        """As `os.writev`."""
        return self.write(b"".join(bytes(one) for one in buffers))

    def sendfile(self, in_fd: int, offset: int | None, count: int) -> int:
        """As `os.sendfile` from a file: an end that does not block takes what there is room for.

        Raises:
            OSError: EINVAL, a negative number, or the other descriptor is no file's; ESPIPE, that with an offset.
        """
        if count < 0 or (offset is not None and offset < 0):
            raise os_error(errno.EINVAL)
        try:
            begin = os.lseek(in_fd, 0, os.SEEK_CUR) if offset is None else offset
        except OSError as error:
            raise (os_error(errno.EINVAL) if error.errno == errno.ESPIPE else error) from None
        sent = 0
        while sent < count:
            data = os.pread(in_fd, min(count - sent, _PIECE_BYTES), begin + sent)
            try:
                taken = self.write(data) if data else 0
            except OSError:
                if not sent:
                    raise
                break
            if not taken:
                break
            sent += taken
        if offset is None:
            os.lseek(in_fd, begin + sent, os.SEEK_SET)
        return sent


class HeldCalls(EndCalls):
    """Calls about what is neither a file nor a socket: a process, or one end of a pipe."""

    mode = 0o600

    def __init__(self, process: Any, number: int, end: HeldEnd) -> None:
        super().__init__(process, number)
        self.end: Any = end

    @property
    def flags(self) -> dict[int, int]:
        """Of the end."""
        found: dict[int, int] = self.end.flags
        return found

    def read(self, length: int, /) -> bytes:
        """EINVAL: of a process nothing can be read."""
        raise os_error(errno.EINVAL)

    def write(self, data: Any, /) -> int:
        """EINVAL: to a process nothing can be written."""
        raise os_error(errno.EINVAL)

    def is_open(self) -> bool:
        """Whether the process still has the descriptor."""
        return self.number in self._process.ends

    def close(self) -> None:
        """As `os.close`."""
        self._process.ends.drop(self.number)

    def dup(self) -> int:
        """As `os.dup`."""
        return int(self._process.ends.add(self.end))

    def dup2(self, fd2: int, inheritable: bool = True) -> int:
        """As `os.dup2`, onto another pipe's descriptor."""
        ends = self._process.ends
        if fd2 not in ends:
            super().dup2(fd2)
        ends.replace(fd2, self.end)
        return fd2

    def get_blocking(self) -> bool:
        """As `os.get_blocking`."""
        return bool(self.end.is_blocking)

    def set_blocking(self, blocking: bool, /) -> None:
        """As `os.set_blocking`."""
        self.end.is_blocking = bool(blocking)


class PipeCalls(HeldCalls):
    """Calls about one end of a pipe."""

    mode = stat.S_IFIFO | 0o600
    end: PipeEnd

    def waiting_bytes(self) -> int:
        """What is in the pipe."""
        return len(self.end.pipe.content)

    def read(self, length: int, /) -> bytes:
        """As `os.read`."""
        schedule_point()
        while True:
            try:
                return self.end.read(length)
            except BlockingIOError:
                if not self.end.is_blocking:
                    raise
            wait_until_ready(self.end, "os.read", readable=True)

    def write(self, data: Any, /) -> int:
        """As `os.write`: a blocking end takes everything, however long that takes, or all until its reader goes."""
        schedule_point()
        rest = memoryview(data).cast("B")
        size = len(rest)
        while True:
            try:
                taken = self.end.write(rest)
            except (BlockingIOError, BrokenPipeError) as error:
                if isinstance(error, BrokenPipeError) or not self.end.is_blocking:
                    if len(rest) == size:
                        raise
                    return size - len(rest)
            else:
                rest = rest[taken:]
                if not rest:
                    return size
                continue
            wait_until_ready(self.end, "os.write", readable=False)


def wait_until_ready(end: Any, name: str, *, readable: bool) -> None:
    """Return when an end of a pipe or a socket can be read from, or written to, or has been closed."""

    def is_ready() -> bool:
        return end.is_closed or bool(end.is_readable() if readable else end.is_writable())

    waiters = end.readers if readable else end.writers
    WaitingCall(end.services.run, name, waiters, is_ready, lambda: end.awaited(readable)).wait()
