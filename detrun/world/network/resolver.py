"""Names and addresses of the world: a node's name, and its host name, resolve to its address, at once and always.

Every node sees the same names; ``localhost`` is the node that asks. A host that no node has raises ``socket.gaierror``
(EAI_NONAME). Who asks for IPv6 gets it; who asks for no family gets IPv4 alone, unless the world is made with
``ipv6=True``, as on a machine without a route for the other. Looking a name up takes no time and no message: name
servers are not simulated.
"""

from __future__ import annotations

import re
import socket
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any

import trio

from detrun.world.network.posix import ANY, ANY6, BROADCAST, LOOPBACK, LOOPBACK6, check_flow
from detrun.world.services import Services
from detrun_scheduler.threads.service_names import port_of, service_at

_EAI_ADDRFAMILY = getattr(socket, "EAI_ADDRFAMILY", socket.EAI_FAMILY)
_SHORT_FORM = re.compile(r"\d+(\.\d+){1,2}", re.ASCII)  # a number alone is the name of a node
_NO_SCOPE: dict[int, tuple[int, ...]] = {socket.AF_INET: (), socket.AF_INET6: (0, 0)}


class Resolver(trio.abc.HostnameResolver):
    """The names of one world."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.has_ipv6 = False

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

    def resolve(self, host: str, family: int = socket.AF_INET) -> str:
        """The address of ``host``, which may be one already.

        Raises:
            socket.gaierror: there is no such host, or it is an address of the other family.
        """
        numeric = numeric_form(host)
        if numeric is not None:
            if (":" in host) == (family == socket.AF_INET6):
                return numeric
            other = "AF_INET6" if ":" in host else "AF_INET"
            raise socket.gaierror(
                _EAI_ADDRFAMILY,
                f"Address family for hostname not supported: {host!r} needs a socket of family socket.{other}",
            )
        name = host.lower().removesuffix(".")
        if name == "localhost":
            return LOOPBACK6 if family == socket.AF_INET6 else LOOPBACK
        node = self._services.by_hostname.get(name)
        if node is None:
            raise socket.gaierror(socket.EAI_NONAME, f"Name or service not known: no node is called {host!r}")
        return str(node.address6 if family == socket.AF_INET6 else node.address)

    def numeric_host(self, host: Any, family: int) -> str:
        """``host`` as an address; names are resolved, as the standard library does in ``bind`` and ``connect``."""
        if isinstance(host, bytes | bytearray):
            host = host.decode("ascii", "replace")
        if not isinstance(host, str):
            raise TypeError(f"str, bytes or bytearray expected, not {type(host).__name__}")
        if host == "<broadcast>" and family == socket.AF_INET:
            return BROADCAST
        return self.resolve(host, family)

    def lookup(self, host: Any, port: Any, family: int, kind: int, proto: int, flags: int) -> list[Any]:
        """What ``socket.getaddrinfo`` answers."""
        if isinstance(host, bytes):
            host = host.decode("ascii", "replace")
        elif isinstance(host, str):
            check_labels(host)
        elif host is not None:
            raise TypeError("getaddrinfo() argument 1 must be string or None")
        if family not in (0, socket.AF_INET, socket.AF_INET6):
            raise socket.gaierror(socket.EAI_FAMILY, f"ai_family not supported: {family}")
        if host is None and port is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if host and flags & socket.AI_NUMERICHOST and numeric_form(host) is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        number = _port(port)
        canonical = host if flags & socket.AI_CANONNAME and host else ""
        kinds = [
            (socket.SOCK_STREAM, socket.IPPROTO_TCP),
            (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
        ]
        return [
            (one_family, one, protocol, canonical, (address, number, *_NO_SCOPE[one_family]))
            for one_family, address in self._addresses(host, family, flags)
            for one, protocol in kinds
            if kind in (0, one) and proto in (0, protocol)
        ]

    def _addresses(self, host: Any, family: int, flags: int) -> list[tuple[socket.AddressFamily, str]]:
        """By family, the best first (RFC 6724): one's own by IPv6 before IPv4, and others' private ones behind it."""
        if family:
            families = [socket.AddressFamily(family)]
        elif host and numeric_form(host) is not None:
            families = [socket.AF_INET6 if ":" in host else socket.AF_INET]
        elif not self.has_ipv6:
            families = [socket.AF_INET]
        else:
            families = [socket.AF_INET, socket.AF_INET6]
            if host == "localhost" or (not host and not flags & socket.AI_PASSIVE):
                families.reverse()
        if host:
            return [(one, self.resolve(host, one)) for one in families]
        hosts = (ANY, ANY6) if flags & socket.AI_PASSIVE else (LOOPBACK, LOOPBACK6)
        return [(one, hosts[one == socket.AF_INET6]) for one in families]

    def reverse(self, address: Any, flags: int) -> tuple[str, str]:
        """What ``socket.getnameinfo`` answers."""
        if not isinstance(address, tuple):
            raise TypeError("getnameinfo() argument 1 must be a tuple")
        check_flow(address)
        host, port = address[0], _service(address[1], flags)
        if numeric_form(host) is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if len(address) != 2 and ":" not in host:
            raise OSError("IPv4 sockaddr must be 2 tuple")
        node = self._services.by_address.get(host) or self._services.by_address6.get(host)
        if node is None or flags & socket.NI_NUMERICHOST:
            return host, port
        return str(node.hostname), port


def numeric_form(host: str) -> str | None:
    """``host`` as an address in its canonical form, an IPv4 one in an IPv6 one as the former; None if it is a name."""
    try:
        if ":" not in host:
            return _short_form(host) if _SHORT_FORM.fullmatch(host) else str(IPv4Address(host))
        address = IPv6Address(host.partition("%")[0])
    except AddressValueError:
        return None
    return str(address.ipv4_mapped or address)


def _short_form(host: str) -> str | None:
    """An IPv4 address of less than four numbers (``127.1``), as ``inet_aton`` reads it."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def check_labels(host: str) -> None:
    """See that the standard library could ask for a name.

    Raises:
        UnicodeError: a label is empty or too long, or has characters that a name cannot have.
    """
    host.encode("idna")


def _service(port: int, flags: int) -> str:
    if not flags & socket.NI_NUMERICSERV:
        try:
            return service_at(port, "udp" if flags & socket.NI_DGRAM else "tcp")
        except OSError:
            pass
    return str(port)


def _port(port: Any) -> int:
    if port is None:
        return 0
    if isinstance(port, bytes):
        port = port.decode("ascii", "replace")
    if isinstance(port, str) and not port.lstrip("-").isdigit():
        port.encode()  # a lone surrogate is a UnicodeEncodeError, as in life
        try:
            return port_of(port)
        except OSError:
            raise socket.gaierror(socket.EAI_SERVICE, "Servname not supported for ai_socktype") from None
    return int(port)
