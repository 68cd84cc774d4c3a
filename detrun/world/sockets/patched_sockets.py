"""The names of ``socket``, ``trio.socket``, ``os`` and ``platform`` that lead to a world's sockets while it is open.

Libraries reach past ``trio.socket``: hypercorn and anyio make their listeners with ``socket.socket`` and wrap them with
``trio.socket.from_stdlib_socket``; trio itself asks ``socket.getaddrinfo`` whether a host is numeric. So these names
are replaced while a world is open and come back when it closes. The names of the machine (``os.uname``,
``platform.uname``) are those of the node whose code asks.
"""

from __future__ import annotations

import errno
import os
import platform
import socket
from collections.abc import Callable
from operator import index
from typing import Any

import trio

from detrun.world.network.posix import ANY, os_error
from detrun.world.network.resolver import Resolver, check_labels
from detrun.world.sockets import stdlib_sockets
from detrun.world.sockets.kinds_of_sockets import CLOEXEC, NONBLOCK
from detrun.world.sockets.machine_sockets import SocketOwner
from detrun.world.sockets.stdlib_sockets import SimulatedSocket
from detrun.world.sockets.tls_sockets import TlsNames
from detrun.world.sockets.trio_sockets import TrioSocket
from detrun.world.sockets.unix_sockets import AF_UNIX, status, unix_pair, unlink
from detrun_scheduler.environment import machine_names
from detrun_scheduler.environment.file_names import can_as_much
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


def _platform_uname() -> Any:
    return machine_names.uname_of(_gethostname())


def _uname() -> Any:
    real = _OS.originals["uname"]()
    return os.uname_result((real.sysname, _gethostname(), real.release, real.version, real.machine))


def _gethostbyname(name: str | bytes | bytearray) -> str:
    if isinstance(name, str):
        check_labels(name)
    return _resolver().numeric_host(name, socket.AF_INET) if name else ANY


def _gethostbyname_ex(name: str) -> tuple[str, list[str], list[str]]:
    return name, [], [_gethostbyname(name)]


def _gethostbyaddr(address: str) -> tuple[str, list[str], list[str]]:
    number = _resolver().resolve(address, socket.AF_INET6 if ":" in address else socket.AF_INET)
    owner = _owner()
    node = owner.services.machine_at(number, owner.node)
    if node is None:
        raise socket.herror(1, "Unknown host")
    return node.hostname, [], [number]


def _dup(number: int) -> int:
    found = _simulated(number)
    if found is None:
        copy: int = _SOCKET.originals["dup"](number)
        return copy
    found.hold(_owner())  # under the same number
    return int(found.descriptor)


def _close(number: int) -> None:
    found = _simulated(number)
    if found is None:
        _SOCKET.originals["close"](number)
    else:
        SimulatedSocket(simulated=found).close()


def _simulated(number: Any) -> Any:
    owner = _owner()
    # A child has its standard streams under 0, 1 and 2, too.
    return getattr(owner.standard.get(number), "simulated", None) or owner.services.host.sockets.get(number)


# Every machine has the same two interfaces.
_INTERFACES = ((1, "lo"), (2, "eth0"))


def _if_nameindex() -> list[tuple[int, str]]:
    return list(_INTERFACES)


def _if_nametoindex(name: Any, /) -> int:
    found = [number for number, known in _INTERFACES if known == os.fsdecode(name)]
    if not found:
        raise OSError("no interface with this name")
    return found[0]


def _if_indextoname(number: int, /) -> str:
    if not 0 <= index(number) < 2**32:
        raise OverflowError("an interface's index must fit into an unsigned int")
    if number not in dict(_INTERFACES):
        raise os_error(errno.ENXIO)
    return dict(_INTERFACES)[number]


def _socketpair(family: int | None = None, type: int = socket.SOCK_STREAM, proto: int = 0) -> Any:
    kind = type & ~(NONBLOCK | CLOEXEC)
    if family not in (None, AF_UNIX) or kind not in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        raise os_error(errno.EOPNOTSUPP)
    pair = tuple(SimulatedSocket(proto=proto, simulated=one) for one in unix_pair(_owner(), kind))
    if type & NONBLOCK:
        for one in pair:
            one.setblocking(False)
    return pair


# Paths of Unix sockets, of which the functions of ``os`` know.


def _known(name: str, answer: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """``os``'s function ``name``, which asks ``answer`` first, with the machine and the path; None if it knows none."""

    def known(path: Any, *arguments: Any, **options: Any) -> Any:
        machine = _owner().node
        if machine.unix_names and not options.get("dir_fd"):
            found = answer(machine, path)
            if found is not None:
                return found if isinstance(found, os.stat_result) else None
        return _OS.originals[name](path, *arguments, **options)

    known.__name__ = known.__qualname__ = name
    return known


def _unlinked(machine: Any, path: Any) -> bool | None:
    return unlink(machine, path) or None


def _changed(machine: Any, path: Any) -> bool | None:
    return status(machine, path) is not None or None


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
        "dup": _dup,
        "close": _close,
        "socketpair": _socketpair,
        "if_nameindex": _if_nameindex,
        "if_nametoindex": _if_nametoindex,
        "if_indextoname": _if_indextoname,
    },
)
_TRIO = ReplacedNames(
    trio.socket,
    {"from_stdlib_socket": _from_stdlib_socket, "gethostname": _gethostname, "socketpair": _trio_socketpair},
)
_OS = ReplacedNames(
    os,
    {
        "uname": _uname,
        **{name: _known(name, status) for name in ("stat", "lstat")},
        **{name: _known(name, _unlinked) for name in ("unlink", "remove")},
        **{name: _known(name, _changed) for name in ("chmod", "chown")},
    },
)
can_as_much(_OS)
_PLATFORM = ReplacedNames(platform, {"uname": _platform_uname})
_GROUPS: tuple[Any, ...] = (_SOCKET, _TRIO, _OS, _PLATFORM, TlsNames())


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
