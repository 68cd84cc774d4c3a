"""The standard library's ``socket`` inside a world: what ``socket.socket`` and its neighbours are while it is open.

Libraries reach past ``trio.socket``: hypercorn and anyio make their listeners with ``socket.socket`` and wrap them with
``trio.socket.from_stdlib_socket``; trio itself asks ``socket.getaddrinfo`` whether a host is numeric. So these names
are replaced while a world is open and come back when it closes, and a simulated socket is what they make. It belongs to
the node whose code makes it. The names of the machine (``os.uname``, ``platform.node``) are those of the node, too.

A simulated socket never blocks the thread, since then nobody could send what it waits for: an operation that would
block raises ``BlockingIOError`` on a non-blocking socket and `HiddenStateError` on a blocking one.
"""

from __future__ import annotations

import errno
import os
import platform
import socket
from types import TracebackType
from typing import TYPE_CHECKING, Any

import trio

from detrun.world.network.tcp import os_error
from detrun.world.sockets.datagram_sockets import DATAGRAM_BYTES_MAX, UdpSocket
from detrun.world.sockets.stream_sockets import TcpSocket, connected_pair
from detrun.world.sockets.trio_sockets import TrioSocket
from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.errors import HiddenStateError

if TYPE_CHECKING:
    from detrun.world.world import World

_world: World | None = None  # the open world, of which there is at most one in a process


class SimulatedSocket:
    """``socket.socket`` as far as programs and libraries use it on TCP and UDP over IPv4."""

    def __init__(
        self,
        family: int = -1,
        type: int = -1,
        proto: int = -1,
        fileno: int | None = None,
        *,
        simulated: TcpSocket | UdpSocket | None = None,
    ) -> None:
        if fileno is not None:
            raise HiddenStateError(
                f"socket.socket(fileno={fileno}) inside a world: a file descriptor from outside is a real socket; "
                "make the socket inside the world"
            )
        self._blocking = True
        self._inheritable = False
        self._detached = False
        if simulated is not None:
            self.simulated = simulated
            return
        assert _world is not None
        if family not in (-1, socket.AF_INET):
            raise OSError(
                errno.EAFNOSUPPORT,
                f"{os.strerror(errno.EAFNOSUPPORT)}: sockets of a world are AF_INET, TCP and UDP, and not "
                f"{_family_name(family)}; use a host name, an IPv4 address, or a port of 127.0.0.1",
            )
        kind = socket.SOCK_STREAM if type == -1 else type & ~(_NONBLOCK | _CLOEXEC)
        if type != -1 and type & _NONBLOCK:
            self._blocking = False
        process = _world.current_process()
        if kind == socket.SOCK_STREAM and proto in (-1, 0, socket.IPPROTO_TCP):
            self.simulated = TcpSocket(process)
        elif kind == socket.SOCK_DGRAM and proto in (-1, 0, socket.IPPROTO_UDP):
            self.simulated = UdpSocket(process)
        else:
            raise OSError(
                errno.EPROTONOSUPPORT,
                f"{os.strerror(errno.EPROTONOSUPPORT)}: sockets of a world are TCP (SOCK_STREAM) and UDP (SOCK_DGRAM), "
                f"and not type {kind!r}, protocol {proto}",
            )

    # Identity.

    @property
    def family(self) -> socket.AddressFamily:
        """Always IPv4."""
        return socket.AF_INET

    @property
    def type(self) -> socket.SocketKind:
        """Stream or datagram."""
        return self.simulated.kind

    @property
    def proto(self) -> int:
        """TCP or UDP."""
        return int(self.simulated.protocol)

    def fileno(self) -> int:
        """A number that no real file has; -1 once closed."""
        return -1 if self.simulated.is_closed or self._detached else self.simulated.descriptor

    def detach(self) -> int:
        """Refused: a bare number cannot stand for a simulated socket."""
        raise HiddenStateError("socket.detach() inside a world: pass the socket object on instead of its number")

    def dup(self) -> SimulatedSocket:
        """Another object for the same socket, which stays open until the last of them is closed."""
        self.simulated._check_open()
        self.simulated.faces += 1
        return SimulatedSocket(simulated=self.simulated)

    def get_inheritable(self) -> bool:
        """What was set; there are no child processes."""
        return self._inheritable

    def set_inheritable(self, inheritable: bool) -> None:
        """Remembered only."""
        self._inheritable = inheritable

    def setblocking(self, flag: bool) -> None:
        """See the module's opening."""
        self._blocking = bool(flag)

    def getblocking(self) -> bool:
        """What was set."""
        return self._blocking

    def settimeout(self, value: float | None) -> None:
        """Zero means non-blocking; any other time-out would block."""
        self._blocking = value != 0

    def gettimeout(self) -> float | None:
        """None if blocking, 0.0 if not."""
        return None if self._blocking else 0.0

    @property
    def timeout(self) -> float | None:
        """As `gettimeout`."""
        return self.gettimeout()

    def _attempt(self, operation: Any, *arguments: Any) -> Any:
        try:
            return operation(*arguments)
        except BlockingIOError:
            if not self._blocking:
                raise
            raise HiddenStateError(
                f"socket.{operation.__name__} would block inside a run, and nothing else could happen meanwhile; use "
                "trio.socket, or setblocking(False) and wait"
            ) from None

    # The operations.

    def getsockname(self) -> Any:
        """The local address."""
        self.simulated._check_open()
        return self.simulated.local

    def getpeername(self) -> Any:
        """The remote address."""
        return self.simulated.peer_address()

    def getsockopt(self, level: int, optname: int, buflen: int = 0) -> Any:
        """As set; see `detrun.world.sockets`."""
        if level == socket.SOL_SOCKET and optname == socket.SO_ACCEPTCONN:
            return int(getattr(self.simulated, "is_listening", False))
        value = self.simulated.option(level, optname)
        if buflen:
            return value if isinstance(value, bytes) else int(value).to_bytes(buflen, "little")
        return value

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int = 0) -> None:
        """Remembered; ``SO_REUSEADDR`` and ``SO_REUSEPORT`` are heeded."""
        self.simulated.set_option(level, optname, value)

    def bind(self, address: Any) -> None:
        """Take a local address; a host name may be given."""
        assert _world is not None
        if isinstance(address, tuple) and len(address) == 2 and isinstance(address[0], str) and address[0]:
            address = (_world.network.resolver.resolve(address[0], self.simulated.node), address[1])
        self.simulated.bind(address)

    def listen(self, backlog: int = 128) -> None:
        """Accept connections from now on."""
        if not isinstance(self.simulated, TcpSocket):
            raise os_error(errno.EOPNOTSUPP)
        self.simulated.listen(backlog)

    def accept(self) -> tuple[SimulatedSocket, Any]:
        """The oldest connection that nobody has accepted."""
        if not isinstance(self.simulated, TcpSocket):
            raise os_error(errno.EOPNOTSUPP)
        simulated, address = self._attempt(self.simulated.accept)
        return SimulatedSocket(simulated=simulated), address

    def connect(self, address: Any) -> None:
        """Begin to connect; on a datagram socket, set the peer."""
        assert _world is not None
        if isinstance(address, tuple) and len(address) == 2 and isinstance(address[0], str):
            address = (_world.network.resolver.resolve(address[0], self.simulated.node), address[1])
        self._attempt(self.simulated.connect, address)

    def connect_ex(self, address: Any) -> int:
        """As `connect`, but the error is returned."""
        try:
            self.connect(address)
        except OSError as error:
            return error.errno or 0
        return 0

    def send(self, data: Any, flags: int = 0) -> int:
        """Send a part, or one datagram."""
        return int(self._attempt(self.simulated.send, data))

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send everything, if it fits into the buffer."""
        view = memoryview(data).cast("B")
        while view:
            view = view[self.send(view) :]

    def sendto(self, data: Any, *rest: Any) -> int:
        """Send one datagram to the address that comes last."""
        if not isinstance(self.simulated, UdpSocket):
            return self.send(data)
        return self.simulated.send_to(data, rest[-1])

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Some bytes, or one datagram."""
        data: bytes = self._attempt(self.simulated.receive, bufsize, bool(flags & _PEEK))
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As `recv`, into ``buffer``."""
        view = memoryview(buffer).cast("B")
        data = self.recv(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """As `recv`, with the address that it came from."""
        if isinstance(self.simulated, UdpSocket):
            found: tuple[bytes, Any] = self._attempt(self.simulated.receive_from, bufsize, bool(flags & _PEEK))
            return found
        return self.recv(bufsize, flags), None

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """As `recvfrom`, into ``buffer``."""
        view = memoryview(buffer).cast("B")
        data, address = self.recvfrom(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data), address

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Any]:
        """As `recvfrom`, with ancillary data, of which there is none, and flags: whether a datagram was cut."""
        if isinstance(self.simulated, UdpSocket):
            whole, address = self.recvfrom(DATAGRAM_BYTES_MAX, flags)
            return whole[:bufsize], [], socket.MSG_TRUNC if len(whole) > bufsize else 0, address
        return self.recv(bufsize, flags), [], 0, None

    def recvmsg_into(self, buffers: Any, ancbufsize: int = 0, flags: int = 0) -> tuple[int, list[Any], int, Any]:
        """As `recvmsg`, into several buffers, one filled after the other."""
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        data, ancillary, found, address = self.recvmsg(sum(map(len, views)), ancbufsize, flags)
        rest = memoryview(data)
        for view in views:
            view[: len(rest)] = rest[: len(view)]
            rest = rest[len(view) :]
        return len(data), ancillary, found, address

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        """Send several buffers as one.

        Raises:
            OSError: EINVAL for ancillary data, which a Unix socket would take: file descriptors, credentials.
        """
        if list(ancdata):
            raise os_error(errno.EINVAL)
        data = b"".join(bytes(buffer) for buffer in buffers)
        return self.send(data, flags) if address is None else self.sendto(data, flags, address)

    def shutdown(self, how: int) -> None:
        """Close one direction or both."""
        self.simulated.shutdown(how)

    def close(self) -> None:
        """Give it back; tasks that wait for it raise ``trio.ClosedResourceError``."""
        simulated = self.simulated
        if simulated.is_closed or simulated.faces == 1:
            simulated.close()
            return
        simulated.faces -= 1
        # A descriptor of its own that is closed, while the socket lives on behind the others.
        self.simulated = type(simulated)(simulated.process)
        self.simulated.close()
        simulated.readers.wake()  # whoever waits tries again, and finds out if it was through this one
        simulated.writers.wake()

    def __enter__(self) -> SimulatedSocket:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.simulated.is_closed else f"on {self.simulated.node.name}, laddr={self.simulated.local}"
        remote = f", raddr={self.simulated.remote}" if self.simulated.remote else ""
        return f"<simulated socket.socket {self.simulated.kind.name} {state}{remote}>"


def _family_name(family: int) -> str:
    try:
        return socket.AddressFamily(family).name
    except ValueError:
        return str(family)


_PEEK = int(socket.MSG_PEEK)  # an int: `&` of enumerations costs as much as the rest of a read
_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)
_CLOEXEC = getattr(socket, "SOCK_CLOEXEC", 0)


def _getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
    assert _world is not None
    return _world.network.resolver.lookup(host, port, family, type, proto, flags)


def _getnameinfo(address: Any, flags: int) -> tuple[str, str]:
    assert _world is not None
    return _world.network.resolver.reverse(address, flags)


def _gethostname() -> str:
    assert _world is not None
    return _world.current_process().node.hostname


def _uname() -> Any:
    real = _OS.originals["uname"]()
    return os.uname_result((real.sysname, _gethostname(), real.release, real.version, real.machine))


def _gethostbyname(name: str) -> str:
    assert _world is not None
    return _world.network.resolver.resolve(name, _world.current_process().node)


def _gethostbyname_ex(name: str) -> tuple[str, list[str], list[str]]:
    return name, [], [_gethostbyname(name)]


def _gethostbyaddr(address: str) -> tuple[str, list[str], list[str]]:
    assert _world is not None
    number = _gethostbyname(address)
    node = _world.network.node_at(number, _world.current_process().node)
    if node is None:
        raise socket.herror(1, "Unknown host")
    return node.hostname, [], [number]


def _getfqdn(name: str = "") -> str:
    return name if name and name != "0.0.0.0" else _gethostname()


def _has_dualstack_ipv6() -> bool:
    return False


def _socketpair(family: int | None = None, type: int = socket.SOCK_STREAM, proto: int = 0) -> Any:
    assert _world is not None
    if family not in (None, socket.AF_UNIX, socket.AF_INET) or type & ~(_NONBLOCK | _CLOEXEC) != socket.SOCK_STREAM:
        raise os_error(errno.EOPNOTSUPP)
    pair = connected_pair(_world.current_process())
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
_GROUPS = (_SOCKET, _TRIO, _OS, _PLATFORM)


def is_installed() -> bool:
    """Whether a world is open."""
    return _world is not None


def install(world: World) -> None:
    """Replace the names until `restore`."""
    global _world
    _world = world
    for group in _GROUPS:
        group.install()


def restore(world: World) -> None:
    """Put the names back, if ``world`` has replaced them."""
    global _world
    if _world is world:
        _world = None
        for group in reversed(_GROUPS):
            group.restore()
