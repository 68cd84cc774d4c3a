"""Ancillary data of datagrams over IPv6: the hop limit and the traffic class that each has in its header.

A socket sets them for all that it sends by ``IPV6_UNICAST_HOPS``, ``IPV6_MULTICAST_HOPS`` and ``IPV6_TCLASS``, or for
one datagram by the ancillary data of ``sendmsg``. One that has set ``IPV6_RECVHOPLIMIT`` or ``IPV6_RECVTCLASS`` gets
those of each datagram from ``recvmsg``. The nodes of a world are on one network, so a hop limit arrives as it was sent.
What does not fit into the receiver's room is cut as Linux does: the data of an item may end early, and ``MSG_CTRUNC``
says so.

Source: RFC 3542, sections 6.3 and 6.5; Linux, ``put_cmsg`` and ``ip6_datagram_send_ctl``.
"""

from __future__ import annotations

import errno
import socket as constants
import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

from detrun.world.network.posix import os_error

_LEVEL = int(constants.IPPROTO_IPV6)
# Linux's numbers stand in where the system's own module lacks a name.
HOP_LIMIT = getattr(constants, "IPV6_HOPLIMIT", 52)
TRAFFIC_CLASS = getattr(constants, "IPV6_TCLASS", 67)
_GIVE_HOP_LIMIT = getattr(constants, "IPV6_RECVHOPLIMIT", 51)
_GIVE_TRAFFIC_CLASS = getattr(constants, "IPV6_RECVTCLASS", 66)
_UNICAST_HOPS = constants.IPV6_UNICAST_HOPS
_MULTICAST_HOPS = constants.IPV6_MULTICAST_HOPS

# What these options are where they were not set.
HEADER_DEFAULTS = {(_LEVEL, _UNICAST_HOPS): 64, (_LEVEL, _MULTICAST_HOPS): 1, (_LEVEL, TRAFFIC_CLASS): 0}
_FLAGS = ((_LEVEL, _GIVE_HOP_LIMIT), (_LEVEL, _GIVE_TRAFFIC_CLASS))
_INT = struct.Struct("i")


class Header(NamedTuple):
    """What one datagram's IPv6 header says, each in 0 to 255."""

    hop_limit: int
    traffic_class: int


class HeaderOptions:
    """The options of one IPv6 socket about headers.

    Args:
        options: of the socket, by level and name.
    """

    def __init__(self, options: dict[tuple[int, int], Any]) -> None:
        self._options = options

    def change(self, level: int, name: int, value: Any) -> bool:
        """Set an option, if it is one of these; whether it is. -1 means the default.

        Raises:
            OSError: EINVAL, the value is out of range, or shorter than an ``int``.
        """
        option = (level, name)
        if option not in HEADER_DEFAULTS and option not in _FLAGS:
            return False
        if isinstance(value, int):
            number = int(value)
        elif value is None or len(value) < _INT.size:
            raise os_error(errno.EINVAL)
        else:
            (number,) = _INT.unpack_from(value)
        self._options[option] = int(bool(number)) if option in _FLAGS else _default_or(number, HEADER_DEFAULTS[option])
        return True

    def sent(self, to_group: bool, ancillary: dict[int, int]) -> Header:
        """The header of a datagram that ``ancillary`` (see `sent_along`) goes with."""
        hops = self._value(_MULTICAST_HOPS if to_group else _UNICAST_HOPS)
        traffic_class = self._value(TRAFFIC_CLASS)
        return Header(
            _default_or(ancillary.get(HOP_LIMIT, -1), hops),
            _default_or(ancillary.get(TRAFFIC_CLASS, -1), traffic_class),
        )

    def received(self, header: Header | None, size: int) -> tuple[list[tuple[int, int, bytes]], int]:
        """The ancillary data that ``recvmsg`` gives with room for ``size`` bytes, and its flags.

        Args:
            header: None for a datagram over IPv4, of which these options tell nothing.
            size: bytes, an item's header and padding included.
        """
        found: list[tuple[int, int, bytes]] = []
        if header is None:
            return found, 0
        flags = 0
        for wanted, name, value in (
            (_GIVE_HOP_LIMIT, HOP_LIMIT, header.hop_limit),
            (_GIVE_TRAFFIC_CLASS, TRAFFIC_CLASS, header.traffic_class),
        ):
            if not self._options.get((_LEVEL, wanted)):
                continue
            room = size - constants.CMSG_LEN(0)
            if room < _INT.size:
                flags = int(constants.MSG_CTRUNC)
            if room >= 0:
                found.append((_LEVEL, name, _INT.pack(value)[:room]))
                size -= min(size, constants.CMSG_SPACE(_INT.size))
        return found, flags

    def _value(self, name: int) -> int:
        value: int = self._options.get((_LEVEL, name), HEADER_DEFAULTS[_LEVEL, name])
        return value


def sent_along(items: Iterable[Any]) -> dict[int, int]:
    """What the ancillary data of ``sendmsg`` says of one datagram's header, by its number.

    Raises:
        OSError: EINVAL, it is something else, no ``int``, or out of range.
    """
    found = {}
    for level, name, data in items:
        content = bytes(memoryview(data))
        if level != _LEVEL or name not in (HOP_LIMIT, TRAFFIC_CLASS) or len(content) != _INT.size:
            raise os_error(errno.EINVAL)
        found[name] = _default_or(_INT.unpack(content)[0], -1)
    return found


def _default_or(number: int, default: int) -> int:
    """``number``, which is a byte, or ``default`` for -1.

    Raises:
        OSError: EINVAL, it is something else.
    """
    if not -1 <= number <= 255:
        raise os_error(errno.EINVAL)
    return default if number == -1 else number
