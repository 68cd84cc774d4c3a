"""What a ``socket.socket`` of a program stands for: a kind by family, type and protocol, or a socket by its number."""

from __future__ import annotations

import errno
import os
import socket
from operator import index
from typing import Any

from detrun.world.network.posix import os_error
from detrun.world.sockets.datagram_sockets import UdpSocket
from detrun.world.sockets.machine_sockets import SocketOwner
from detrun.world.sockets.stream_sockets import TcpSocket
from detrun.world.sockets.unix_sockets import AF_UNIX, UnixDatagramSocket, UnixStreamSocket
from detrun_scheduler.errors import HiddenStateError

NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)
CLOEXEC = getattr(socket, "SOCK_CLOEXEC", 0)

# Family -> kind -> what is simulated; -1 for none given.
_INTERNET: dict[int, Any] = {socket.SOCK_STREAM: TcpSocket, socket.SOCK_DGRAM: UdpSocket}
_UNIX: dict[int, Any] = {socket.SOCK_STREAM: UnixStreamSocket, socket.SOCK_DGRAM: UnixDatagramSocket}
_KINDS_OF_LINUX = 11  # SOCK_MAX
_KINDS: dict[int, dict[int, Any]] = {
    -1: _INTERNET,
    socket.AF_INET: _INTERNET,
    socket.AF_INET6: _INTERNET,
    AF_UNIX: _UNIX,
}


def kind_of(family: int, type: int, proto: int) -> Any:
    """The class of the simulated socket; -1 stands for what is not given.

    Raises:
        OSError: EAFNOSUPPORT, EINVAL (no kind has this number), EPROTONOSUPPORT.
    """
    kinds = _KINDS.get(family)
    if kinds is None:
        raise OSError(
            errno.EAFNOSUPPORT,
            f"{os.strerror(errno.EAFNOSUPPORT)}: sockets of a world are AF_INET, AF_INET6 and AF_UNIX, and not "
            f"{_family_name(family)}; use a host name, an address, or a port of 127.0.0.1",
        )
    kind = socket.SOCK_STREAM if type == -1 else type & ~(NONBLOCK | CLOEXEC)
    if not 0 <= kind < _KINDS_OF_LINUX:
        raise os_error(errno.EINVAL)
    found = kinds.get(kind)
    if found is None or proto not in (-1, 0, found.protocol):
        raise OSError(
            errno.EPROTONOSUPPORT,
            f"{os.strerror(errno.EPROTONOSUPPORT)}: sockets of a world are TCP (SOCK_STREAM) and UDP (SOCK_DGRAM), "
            f"and not type {kind!r}, protocol {proto}",
        )
    return found


def _family_name(family: int) -> str:
    try:
        return socket.AddressFamily(family).name
    except ValueError:
        return str(family)


def socket_of(number: int, process: SocketOwner) -> Any:
    """The socket of that number.

    Raises:
        HiddenStateError: no simulated socket has it.
    """
    number = index(number)
    if number < 0:
        raise ValueError("negative file descriptor")
    # A child has its standard streams under 0, 1 and 2, too.
    found = getattr(process.standard.get(number), "simulated", None) or process.services.host.sockets.get(number)
    if found is None:
        raise HiddenStateError(
            f"socket.socket(fileno={number}) inside a world: a file descriptor from outside is a real socket; "
            "make the socket inside the world"
        )
    return found
