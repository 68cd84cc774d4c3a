"""The names of ``socket``, ``trio.socket``, ``os`` and ``platform`` that lead to a world's sockets while it is open.

Libraries reach past ``trio.socket``: hypercorn and anyio make their listeners with ``socket.socket`` and wrap them with
``trio.socket.from_stdlib_socket``; trio itself asks ``socket.getaddrinfo`` whether a host is numeric. So these names
are replaced while a world is open and come back when it closes. The names of the machine (``os.uname``,
``platform.node``) are those of the node whose code asks.
"""

from __future__ import annotations

import errno
import os
import platform
import socket
from collections.abc import Callable
from typing import Any

import trio

from detrun.world.network.posix import ANY, os_error
from detrun.world.network.resolver import Resolver
from detrun.world.sockets import stdlib_sockets
from detrun.world.sockets.machine_sockets import SocketOwner
from detrun.world.sockets.stdlib_sockets import CLOEXEC, NONBLOCK, SimulatedSocket
from detrun.world.sockets.stream_sockets import connected_pair
from detrun.world.sockets.tls_sockets import TlsNames
from detrun.world.sockets.trio_sockets import TrioSocket
from detrun_scheduler.environment.replaced_names import ReplacedNames


class SocketFactory(trio.abc.SocketFactory):
    """What trio asks for sockets while a world is open."""

    def socket(
        self, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM, proto: int = 0
    ) -> trio.socket.SocketType:
        """What ``trio.socket.socket`` makes."""
        return TrioSocket(SimulatedSocket(family, type, proto))


def _owner() -> SocketOwner:
    """The process whose code calls."""
    assert stdlib_sockets.owner_here is not None
    return stdlib_sockets.owner_here()


def _resolver() -> Resolver:
    return _owner().network.resolver


def _getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
    return _resolver().lookup(host, port, family, type, proto, flags)


def _getnameinfo(address: Any, flags: int) -> tuple[str, str]:
    return _resolver().reverse(address, flags)


def _gethostname() -> str:
    return _owner().node.hostname


def _uname() -> Any:
    real = _OS.originals["uname"]()
    return os.uname_result((real.sysname, _gethostname(), real.release, real.version, real.machine))


def _gethostbyname(name: str) -> str:
    return _resolver().resolve(name)


def _gethostbyname_ex(name: str) -> tuple[str, list[str], list[str]]:
    return name, [], [_gethostbyname(name)]


def _gethostbyaddr(address: str) -> tuple[str, list[str], list[str]]:
    number = _gethostbyname(address)
    owner = _owner()
    node = owner.services.machine_at(number, owner.node)
    if node is None:
        raise socket.herror(1, "Unknown host")
    return node.hostname, [], [number]


def _getfqdn(name: str = "") -> str:
    return name if name and name != ANY else _gethostname()


def _has_dualstack_ipv6() -> bool:
    return False


def _socketpair(family: int | None = None, type: int = socket.SOCK_STREAM, proto: int = 0) -> Any:
    if family not in (None, socket.AF_UNIX, socket.AF_INET) or type & ~(NONBLOCK | CLOEXEC) != socket.SOCK_STREAM:
        raise os_error(errno.EOPNOTSUPP)
    pair = connected_pair(_owner())
    return tuple(SimulatedSocket(simulated=one) for one in pair)


def _trio_socketpair(family: int | None = None, type: int = socket.SOCK_STREAM, proto: int = 0) -> Any:
    return tuple(TrioSocket(one) for one in _socketpair(family, type, proto))


def _from_stdlib_socket(sock: Any) -> trio.socket.SocketType:
    if isinstance(sock, SimulatedSocket):
        return TrioSocket(sock)
    found: trio.socket.SocketType = _TRIO.originals["from_stdlib_socket"](sock)
    return found


_SOCKET = ReplacedNames(
    socket,
    {
        "socket": SimulatedSocket,
        "getaddrinfo": _getaddrinfo,
        "getnameinfo": _getnameinfo,
        "gethostname": _gethostname,
        "gethostbyname": _gethostbyname,
        "gethostbyname_ex": _gethostbyname_ex,
        "gethostbyaddr": _gethostbyaddr,
        "getfqdn": _getfqdn,
        "has_dualstack_ipv6": _has_dualstack_ipv6,
        "has_ipv6": False,
        "socketpair": _socketpair,
    },
)
_TRIO = ReplacedNames(
    trio.socket,
    {"from_stdlib_socket": _from_stdlib_socket, "gethostname": _gethostname, "socketpair": _trio_socketpair},
)
_OS = ReplacedNames(os, {"uname": _uname})
_PLATFORM = ReplacedNames(platform, {"node": _gethostname})
_GROUPS = (_SOCKET, _TRIO, _OS, _PLATFORM, TlsNames())


def is_installed() -> bool:
    """Whether a world is open."""
    return stdlib_sockets.owner_here is not None


def install(owner_here: Callable[[], SocketOwner]) -> None:
    """Replace the names until `restore`; ``owner_here`` gives the process whose code is running."""
    stdlib_sockets.owner_here = owner_here
    for group in _GROUPS:
        group.install()


def restore(owner_here: Callable[[], SocketOwner]) -> None:
    """Put the names back, if they were replaced for ``owner_here``."""
    if stdlib_sockets.owner_here == owner_here:
        stdlib_sockets.owner_here = None
        for group in reversed(_GROUPS):
            group.restore()
