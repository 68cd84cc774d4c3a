"""`MessageCalls`: ``sendmsg``, ``recvmsg`` and ``recvmsg_into`` of the standard library's socket inside a world.

They carry ancillary data beside the bytes: over Unix sockets descriptors (`passed_descriptors`), with datagrams over
IPv6 the hop limit and the traffic class (`ancillary_data`).
"""

from __future__ import annotations

import errno
import socket as constants
from collections.abc import Callable
from contextlib import ExitStack
from operator import index
from typing import Any

from detrun.world.network.posix import os_error
from detrun.world.sockets.buffers import writable
from detrun.world.sockets.datagram_sockets import DATAGRAM_BYTES_MAX, UdpSocket
from detrun.world.sockets.passed_descriptors import drop, handed_out, taken
from detrun.world.sockets.stream_sockets import TcpSocket
from detrun.world.sockets.unix_sockets import AF_UNIX


class MessageCalls:
    """The part of `SimulatedSocket` that sends and receives messages."""

    simulated: TcpSocket | UdpSocket
    _process: Any
    _attempt: Any
    _send: Callable[[Any, int], int]
    _send_to: Callable[..., int]
    _receive: Callable[[int, int], bytes]

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Any]:
        """As `recvfrom`, with ancillary data and flags: what was cut.

        Ancillary data are the descriptors that a Unix socket passes, and what `ancillary_data` says of IPv6.
        """
        if bufsize < 0:
            raise ValueError("negative buffer size in recvmsg()")
        if ancbufsize < 0:
            raise ValueError("invalid ancillary data buffer length")
        simulated: Any = self.simulated
        if simulated.family == AF_UNIX and not flags & constants.MSG_PEEK:
            length = DATAGRAM_BYTES_MAX if isinstance(simulated, UdpSocket) else bufsize
            whole, source, passed = self._attempt("recvmsg", True, flags, simulated.receive_passed, length)
            ancillary, found = taken(self._process, passed, ancbufsize)
        elif isinstance(simulated, UdpSocket):
            whole, source, header = self._attempt(
                "recvmsg", True, flags, simulated.receive_message, DATAGRAM_BYTES_MAX, bool(flags & constants.MSG_PEEK)
            )
            ancillary, found = ([], 0) if simulated.headers is None else simulated.headers.received(header, ancbufsize)
            source = simulated.source_shown(source)
        else:
            return self._receive(bufsize, flags), [], 0, None
        cut = int(constants.MSG_TRUNC) if len(whole) > bufsize else 0
        return whole[:bufsize], ancillary, found | cut, source

    def recvmsg_into(self, buffers: Any, ancbufsize: int = 0, flags: int = 0) -> tuple[int, list[Any], int, Any]:
        """As `recvmsg`, into several buffers, one filled after the other."""
        with ExitStack() as held:
            views = [held.enter_context(writable(buffer)) for buffer in buffers]
            data, ancillary, found, address = MessageCalls.recvmsg(self, sum(map(len, views)), ancbufsize, flags)
            rest = memoryview(data)
            for view in views:
                view[: len(rest)] = rest[: len(view)]
                rest = rest[len(view) :]
        return len(data), ancillary, found, address

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        """Send several buffers as one.

        Raises:
            OSError: EINVAL for other ancillary data than the descriptors that a Unix socket passes, and the hop limit
                and traffic class of a datagram over IPv6; EBADF.
        """
        data = b"".join(memoryview(buffer) for buffer in buffers)
        items = list(ancdata)
        for item in items:
            if not isinstance(item, tuple) or len(item) != 3:
                raise TypeError("[sendmsg() argument 2] items must be 3-tuples")
            index(item[0]), index(item[1]), memoryview(item[2])
        if items and isinstance(self.simulated, UdpSocket) and self.simulated.family != AF_UNIX:
            return int(self._attempt("sendmsg", False, flags, self.simulated.send_message, data, items, address))
        if items:
            return self._send_passing(data, items, flags, address)
        return self._send(data, flags) if address is None else self._send_to(data, flags, address)

    def _send_passing(self, data: bytes, items: list[Any], flags: int, address: Any) -> int:
        simulated: Any = self.simulated
        if simulated.family != AF_UNIX:
            raise os_error(errno.EINVAL)
        passed = handed_out(self._process, items)
        try:
            return int(self._attempt("sendmsg", False, flags, simulated.send_passing, data, passed, address))
        except BaseException:
            drop(passed)
            raise
