"""Addresses that reach several machines at once: the broadcast addresses of a world, and multicast groups.

All nodes of a world are on one network, 10.0.0.0/16 and fd00::/64. As Linux has it, a datagram to a broadcast address
needs ``SO_BROADCAST``, and one to a group reaches the machines on which a socket has joined it. Source: Linux's manual,
ip(7) and ipv6(7).
"""

from __future__ import annotations

import errno
import ipaddress
import socket as constants
from typing import Any

from detrun.world.network.posix import BROADCAST, os_error

_BROADCAST = frozenset((BROADCAST, "10.0.255.255"))
_EVERY_MACHINE = frozenset(("224.0.0.1", "ff01::1", "ff02::1"))  # groups that every machine is in
_JOIN: dict[tuple[int, int], bool] = {
    (constants.IPPROTO_IP, constants.IP_ADD_MEMBERSHIP): True,
    (constants.IPPROTO_IP, constants.IP_DROP_MEMBERSHIP): False,
    (constants.IPPROTO_IPV6, constants.IPV6_JOIN_GROUP): True,
    (constants.IPPROTO_IPV6, constants.IPV6_LEAVE_GROUP): False,
}
_LOOP = {
    constants.AF_INET: (constants.IPPROTO_IP, constants.IP_MULTICAST_LOOP),
    constants.AF_INET6: (constants.IPPROTO_IPV6, constants.IPV6_MULTICAST_LOOP),
}
# What these options are where they were not set.
GROUP_DEFAULTS: dict[tuple[int, int], int] = {
    **dict.fromkeys(_LOOP.values(), 1),
    (constants.IPPROTO_IP, constants.IP_MULTICAST_TTL): 1,
}


def is_broadcast(host: str) -> bool:
    """Whether a numeric host means every machine of the network."""
    return host in _BROADCAST


def is_multicast(host: str) -> bool:
    """Whether a numeric host is a group."""
    return host[:2] == "ff" if ":" in host else 224 <= int(host.partition(".")[0]) < 240


def is_group(host: str) -> bool:
    """Whether a numeric host may mean several machines."""
    return is_broadcast(host) or is_multicast(host)


def is_of_every_machine(host: str) -> bool:
    """Whether a group has all machines, whatever their sockets have joined."""
    return is_broadcast(host) or host in _EVERY_MACHINE


class Groups:
    """The multicast groups that one socket has joined.

    Args:
        options: of the socket, by level and name.
    """

    def __init__(self, options: dict[tuple[int, int], Any]) -> None:
        self._options = options
        self.joined: dict[str, None] = {}

    def change(self, level: int, name: int, value: Any) -> bool:
        """Join or leave a group, if that is what a socket option says; whether it is.

        Raises:
            OSError: EINVAL, the value names no group; EADDRINUSE, joined already; EADDRNOTAVAIL, not joined.
        """
        joins = _JOIN.get((level, name))
        if joins is None:
            return False
        size = 16 if level == constants.IPPROTO_IPV6 else 4
        if not isinstance(value, (bytes, bytearray, memoryview)) or len(value) < size + 4:
            raise os_error(errno.EINVAL)
        host = str(ipaddress.ip_address(bytes(value[:size])))
        if not is_multicast(host):
            raise os_error(errno.EINVAL)
        if joins == (host in self.joined):
            raise os_error(errno.EADDRINUSE if joins else errno.EADDRNOTAVAIL)
        if joins:
            self.joined[host] = None
        else:
            del self.joined[host]
        return True

    def hears_itself(self, family: int) -> bool:
        """Whether the socket's own machine gets what it sends to a group."""
        option = _LOOP[constants.AddressFamily(family)]
        value = self._options.get(option, GROUP_DEFAULTS[option])
        return any(value) if isinstance(value, bytes) else bool(value)
