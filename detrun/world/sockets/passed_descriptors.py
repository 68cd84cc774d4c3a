"""Descriptors on their way over Unix sockets, as ``SCM_RIGHTS`` passes them.

What is passed stays open on its way, and is closed if the socket is closed before it has been received, or if it comes
to a call that takes no ancillary data. In a stream it goes with the first byte of its message, and a read that takes
this byte ends with the message at the latest, as Linux has it. What numbers mean to a process is known in a room above,
which says so here.

Source: unix(7).
"""

from __future__ import annotations

import errno
import socket
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from detrun.world.network.posix import os_error


class Passed(Protocol):
    """One descriptor on its way."""

    def take(self, process: Any) -> int:
        """Give it to ``process``; its number there."""

    def drop(self) -> None:
        """Close it."""


# What the number of a process means, held open.
hand_out: Callable[[Any, int], Passed] | None = None


class Carrying(bytes):
    """A datagram that passes descriptors."""

    passed: list[Passed]


class PassedInStream:
    """The descriptors on their way through one direction of a stream.

    Attributes:
        sent, received: bytes so far.
        messages: of each message that passes something the offsets of its first byte and behind its last, and what.
    """

    def __init__(self) -> None:
        self.sent = self.received = 0
        self.messages: deque[tuple[int, int, list[Passed]]] = deque()

    def limit(self, size: int) -> int:
        """How many bytes a read of ``size`` may take."""
        return min(size, self.messages[0][1] - self.received) if self.messages else size

    def read(self, count: int) -> list[Passed]:
        """So many bytes have been read; what came with them."""
        self.received += count
        return self.messages.popleft()[2] if self.messages and self.messages[0][0] < self.received else []

    def close(self) -> None:
        """Nothing is received any more."""
        while self.messages:
            drop(self.messages.popleft()[2])


def drop(passed: Iterable[Passed]) -> None:
    """Close what nothing takes."""
    for one in passed:
        one.drop()


def handed_out(process: Any, ancillary: Iterable[Any]) -> list[Passed]:
    """What the ancillary data of ``sendmsg`` passes.

    Raises:
        OSError: EINVAL, it is something else than descriptors; EBADF.
    """
    found: list[Passed] = []
    try:
        for level, kind, data in ancillary:
            if (level, kind) != (socket.SOL_SOCKET, socket.SCM_RIGHTS) or hand_out is None:
                raise os_error(errno.EINVAL)
            numbers = array("i")
            content = bytes(memoryview(data))
            numbers.frombytes(content[: len(content) // numbers.itemsize * numbers.itemsize])
            for number in numbers:
                found.append(hand_out(process, number))
    except BaseException:
        drop(found)
        raise
    return found


def taken(process: Any, passed: list[Passed], size: int) -> tuple[list[tuple[int, int, bytes]], int]:
    """The ancillary data that ``recvmsg`` gives with room for ``size`` bytes, and its flags."""
    if not passed:
        return [], 0
    room = max(size - socket.CMSG_LEN(0), 0) // array("i").itemsize
    drop(passed[room:])
    flags = int(socket.MSG_CTRUNC) if room < len(passed) else 0
    numbers = array("i", [one.take(process) for one in passed[:room]])
    return ([(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers.tobytes())] if numbers else []), flags
