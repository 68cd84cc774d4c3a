"""Names and addresses of the world: a node's name, and its host name, resolve to its address, at once and always.

Every node sees the same names; ``localhost`` is the node that asks. A host that no node has raises ``socket.gaierror``
(EAI_NONAME), and so does anything that is not IPv4. Looking a name up takes no time and no message: name servers are
not simulated.
"""

from __future__ import annotations

import socket
from ipaddress import AddressValueError, IPv4Address
from typing import Any

import trio

from detrun.world.network.posix import ANY, LOOPBACK
from detrun.world.services import Services

PORTS_BY_SERVICE = {"http": 80, "https": 443, "domain": 53, "ssh": 22, "smtp": 25}


class Resolver(trio.abc.HostnameResolver):
    """The names of one world."""

    def __init__(self, services: Services) -> None:
        self._services = services

    # What trio asks.

    async def getaddrinfo(
        self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        """As ``socket.getaddrinfo``."""
        await trio.lowlevel.checkpoint()
        return self.lookup(host, port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        """As ``socket.getnameinfo``."""
        await trio.lowlevel.checkpoint()
        return self.reverse(sockaddr, flags)

    # Looking up.

    def resolve(self, host: str) -> str:
        """The address of ``host``, which may be one already.

        Raises:
            socket.gaierror: there is no such host.
        """
        if is_numeric(host):
            return host
        name = host.lower().removesuffix(".")
        if name == "localhost":
            return LOOPBACK
        node = self._services.by_hostname.get(name)
        if node is None and ":" in name:
            raise socket.gaierror(socket.EAI_NONAME, f"Name or service not known: {host!r}, and the world is IPv4 only")
        if node is None:
            raise socket.gaierror(socket.EAI_NONAME, f"Name or service not known: no node is called {host!r}")
        return str(node.address)

    def numeric_host(self, host: Any) -> str:
        """``host`` as an address; names are resolved, as the standard library does in ``bind`` and ``connect``."""
        if not isinstance(host, str):
            raise TypeError(f"str expected, not {type(host).__name__}")
        return self.resolve(host)

    def lookup(self, host: Any, port: Any, family: int, kind: int, proto: int, flags: int) -> list[Any]:
        """What ``socket.getaddrinfo`` answers."""
        if isinstance(host, bytes):
            host = host.decode("ascii", "replace")
        if family not in (0, socket.AF_INET):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known: the world is IPv4 only")
        if not host:
            address = ANY if flags & socket.AI_PASSIVE else LOOPBACK
        elif flags & socket.AI_NUMERICHOST and not is_numeric(host):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        else:
            address = self.resolve(host)
        number = _port(port)
        canonical = host if flags & socket.AI_CANONNAME and host else ""
        kinds = [
            (socket.SOCK_STREAM, socket.IPPROTO_TCP),
            (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
        ]
        return [
            (socket.AF_INET, one, protocol, canonical, (address, number))
            for one, protocol in kinds
            if kind in (0, one) and proto in (0, protocol)
        ]

    def reverse(self, address: Any, flags: int) -> tuple[str, str]:
        """What ``socket.getnameinfo`` answers."""
        host, port = address[0], str(address[1])
        node = self._services.by_address.get(host)
        if node is None or flags & socket.NI_NUMERICHOST:
            return host, port
        return str(node.hostname), port


def is_numeric(host: str) -> bool:
    """Whether ``host`` is an IPv4 address."""
    try:
        IPv4Address(host)
    except AddressValueError:
        return False
    return True


def _port(port: Any) -> int:
    if port is None:
        return 0
    if isinstance(port, bytes):
        port = port.decode("ascii", "replace")
    if isinstance(port, str):
        if port in PORTS_BY_SERVICE:
            return PORTS_BY_SERVICE[port]
        if not port.isdigit():
            raise socket.gaierror(socket.EAI_SERVICE, "Servname not supported for ai_socktype")
    return int(port)
