"""Values of socket options: numbers, or structures as bytes, and what they are where nothing has set them.

Four bytes are the same as the number, as the system has it. `machine_sockets` says which options are heeded.

Source: socket(7), ip(7), tcp(7), with Linux's defaults.
"""

from __future__ import annotations

import errno
import socket
import sys
from operator import index
from typing import Any

from detrun.world.network.posix import os_error
from detrun.world.sockets.buffers import readable

_INT_BYTES = 4

# Linux numbers them from 1 to less than 100; other systems have further ones, under the names of ``socket``.
_OF_SOCKETS = frozenset(range(1, 100)) | {
    number for name, number in vars(socket).items() if name.startswith("SO_") and isinstance(number, int)
}


def _named(level: int, **values: int | bytes) -> dict[tuple[int, int], int | bytes]:
    """By level and number, as far as the system has the names."""
    return {(level, getattr(socket, name)): value for name, value in values.items() if hasattr(socket, name)}


SOCKET_DEFAULTS = {
    **_named(socket.SOL_SOCKET, SO_LINGER=bytes(8), SO_RCVTIMEO=bytes(16), SO_SNDTIMEO=bytes(16), SO_RCVLOWAT=1),
    **_named(socket.IPPROTO_IP, IP_TTL=64),
}
TCP_DEFAULTS = {
    **SOCKET_DEFAULTS,
    **_named(socket.IPPROTO_TCP, TCP_MAXSEG=536, TCP_KEEPIDLE=7200, TCP_KEEPINTVL=75, TCP_KEEPCNT=9, TCP_SYNCNT=6),
}


def check(level: int, name: int) -> None:
    """See that there may be such an option.

    Raises:
        OSError: ENOPROTOOPT, the level of sockets has none of this number.
    """
    if level == socket.SOL_SOCKET and name not in _OF_SOCKETS:
        raise os_error(errno.ENOPROTOOPT)


def given(value: Any, length: int) -> Any:
    """What ``setsockopt`` is given: a number, bytes, or None with a length.

    Raises:
        TypeError: it is something else, or a number that does not fit into 32 bits.
    """
    if value is None:
        index(length)
        return None
    if hasattr(value, "__index__") and -(2**31) <= index(value) < 2**31:
        return index(value)
    with readable(value) as view:
        content = bytes(view)
    return int.from_bytes(content, sys.byteorder, signed=True) if len(content) == _INT_BYTES else content


def asked(value: Any, length: int) -> int | bytes:
    """What ``getsockopt`` gives: bytes of this length at most, or the number if it is 0."""
    if isinstance(value, bytes):
        return value[:length] if length else int.from_bytes(value[:_INT_BYTES], sys.byteorder, signed=True)
    return int(value).to_bytes(_INT_BYTES, sys.byteorder, signed=True)[:length] if length else int(value)
