"""What a process can pass to another over a Unix socket: ends of pipes, simulated sockets and files.

These are files of the node, or real ones for code outside nodes, which has no others.
"""

from __future__ import annotations

import errno
from typing import Any

from detrun.world.files.files_of_code import files_here
from detrun.world.network.posix import os_error
from detrun.world.processes.end_calls import HeldCalls
from detrun.world.processes.ends import calls_of, ends_of
from detrun.world.processes.held_ends import HeldEnd
from detrun.world.processes.socket_calls import SocketCalls
from detrun_scheduler.environment.file_names import original
from detrun_scheduler.environment.hidden_state import refuse

_REAL = "it is a real descriptor; pass pipes, sockets and files of the node"


class PassedEnd:
    """An end of a pipe, or a descriptor of a process."""

    def __init__(self, end: HeldEnd) -> None:
        self._end = end
        self._number = end.new_number()

    def take(self, process: Any) -> int:
        """Give it to a process."""
        ends_of(process).receive(self._number, self._end)
        return self._number

    def drop(self) -> None:
        """Close it."""
        self._end.let_go(self._number)


class PassedSocket:
    """A simulated socket, which has one number for all."""

    def __init__(self, simulated: Any) -> None:
        self._simulated = simulated
        simulated.hold(self)

    def take(self, process: Any) -> int:
        """Give it to a process."""
        self._simulated.hold(process)
        process.sockets[self._simulated] = None
        self.drop()
        return int(self._simulated.descriptor)

    def drop(self) -> None:
        """Close it."""
        self._simulated.let_go(self)


class PassedFile:
    """A file of the node."""

    def __init__(self, opened: Any) -> None:
        self._opened = opened
        opened.tables += 1

    def take(self, process: Any) -> int:
        """Give it to the process whose code calls."""
        files = files_here()
        assert files is not None
        number = files.descriptors.add(self._opened)
        self._opened.tables -= 1
        return number

    def drop(self) -> None:
        """Close it."""
        self._opened.tables -= 1
        if not self._opened.tables:
            self._opened.close()


class PassedRealFile:
    """A real file, of code whose files are real."""

    def __init__(self, number: int) -> None:
        self._number: int = original("dup")(number)

    def take(self, process: Any) -> int:
        """Give it to the process whose code calls."""
        return self._number

    def drop(self) -> None:
        """Close it."""
        original("close")(self._number)


def hand_out(process: Any, number: int) -> Any:
    """What a number of a process means, held open on its way.

    Raises:
        HiddenStateError: it is a real descriptor, of a node.
        OSError: EBADF.
    """
    calls = calls_of(process, number)
    if isinstance(calls, HeldCalls):
        return PassedEnd(calls.end)
    if isinstance(calls, SocketCalls):
        return PassedSocket(calls.simulated)
    files = process.files
    if files is not None and files.descriptors.has_given(number):
        return PassedFile(files.descriptors.opened(number))
    if number < 0 or number in process.services.host.sockets:
        raise os_error(errno.EBADF)
    if process.has_real_files:
        return PassedRealFile(number)
    refuse(f"passing descriptor {number} over a Unix socket", _REAL)
