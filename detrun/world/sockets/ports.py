"""`Ports`: the ports of a machine, with the sockets that own them; conflicts, and ephemeral ports.

The rules are Linux's: two sockets may share a port if their addresses differ and neither is the wildcard, if both have
``SO_REUSEADDR`` and neither listens, or if both have ``SO_REUSEPORT``. Ephemeral ports go round from 32768 to 60999, so
that they are a function of what the machine has done alone.
"""

from __future__ import annotations

import errno
import socket as constants
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from detrun.world.network.posix import ANY, ANY6, Address, os_error

EPHEMERAL_FIRST, EPHEMERAL_LAST = 32_768, 60_999


class Bound(Protocol):
    """A socket as the ports of its machine see it."""

    local: Address
    is_listening: bool

    @property
    def is_ipv6_only(self) -> bool:
        """Whether its IPv6 wildcard leaves IPv4 addresses out."""

    def has_option(self, name: int) -> bool:
        """Whether a flag of the socket level is set."""


S = TypeVar("S", bound=Bound)


class Ports(Generic[S]):
    """The ports of one machine and one protocol.

    Invariant: a port is in ``owners`` if and only if a socket is bound to it; sockets stand in the order of binding.
    """

    __slots__ = ("following", "owners")

    def __init__(self) -> None:
        self.owners: dict[int, list[S]] = {}
        self.following = EPHEMERAL_FIRST

    def free_port(self) -> int:
        """An unused ephemeral port.

        Raises:
            OSError: EADDRINUSE, all are taken.
        """
        for _ in range(EPHEMERAL_LAST - EPHEMERAL_FIRST + 1):
            port = self.following
            self.following = port + 1 if port < EPHEMERAL_LAST else EPHEMERAL_FIRST
            if port not in self.owners:
                return port
        raise os_error(errno.EADDRINUSE)

    def may_take(self, socket: S, host: str, port: int) -> bool:
        """Whether ``socket`` may bind to this address."""
        for other in self.owners.get(port, ()):
            if not _overlap(socket, host, other):
                continue
            both_address = socket.has_option(constants.SO_REUSEADDR) and other.has_option(constants.SO_REUSEADDR)
            both_port = socket.has_option(constants.SO_REUSEPORT) and other.has_option(constants.SO_REUSEPORT)
            if not both_port and not (both_address and not other.is_listening):
                return False
        return True

    def may_listen(self, socket: S) -> bool:
        """Whether no other socket listens at an overlapping address, but for ``SO_REUSEPORT``."""
        host, port = socket.local
        return not any(
            other.is_listening
            and _overlap(socket, host, other)
            and not (socket.has_option(constants.SO_REUSEPORT) and other.has_option(constants.SO_REUSEPORT))
            for other in self.owners.get(port, ())
            if other is not socket
        )

    def take(self, socket: S, port: int) -> None:
        """``socket`` is bound to ``port``."""
        self.owners.setdefault(port, []).append(socket)

    def give_back(self, socket: S, port: int) -> None:
        """``socket`` has been closed."""
        owners = self.owners.get(port)
        if owners is not None and socket in owners:
            owners.remove(socket)
            if not owners:
                del self.owners[port]

    def find(self, address: Address) -> S | None:
        """The socket that ``address`` reaches: an exact match before a wildcard, the oldest first."""
        return next(self.reached(address), None)

    def reached(self, address: Address) -> Iterator[S]:
        """All sockets whose address is ``address`` or includes it, in the order of `find`."""
        host, port = address
        owners = self.owners.get(port, ())
        for socket in owners:
            if socket.local[0] == host:
                yield socket
        for socket in owners:
            if covers(socket, socket.local[0], host):
                yield socket

    def listener(self, address: Address) -> S | None:
        """As `find`, among the sockets that listen."""
        return next((socket for socket in self.reached(address) if socket.is_listening), None)


def covers(socket: Bound, bound: str, host: str) -> bool:
    """Whether ``bound``, an address that ``socket`` has or wants, is a wildcard that includes ``host``."""
    if bound == ANY:
        return ":" not in host
    return bound == ANY6 and (":" in host or not socket.is_ipv6_only)


def _overlap(socket: Bound, host: str, other: Bound) -> bool:
    there = other.local[0]
    return host == there or covers(socket, host, there) or covers(other, there, host)
