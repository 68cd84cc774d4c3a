"""`SimulatedSocket`: the standard library's ``socket.socket`` inside a world.

It belongs to the node whose code makes it. Where an operation would block, a non-blocking socket raises
``BlockingIOError``, and a blocking one lets a simulated thread sleep (`blocking_calls`), with or without a time-out.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from operator import index
from types import TracebackType
from typing import Any

from detrun.world.network.posix import os_error
from detrun.world.sockets import socket_options
from detrun.world.sockets.blocking_calls import BlockingCall
from detrun.world.sockets.buffers import readable, writable
from detrun.world.sockets.datagram_sockets import UdpSocket
from detrun.world.sockets.kinds_of_sockets import NONBLOCK, kind_of, socket_of
from detrun.world.sockets.machine_sockets import (
    CLOSE_ON_EXEC,
    DESCRIPTOR_FLAGS,
    NONBLOCKING,
    STATUS,
    SocketOwner,
)
from detrun.world.sockets.message_calls import MessageCalls
from detrun.world.sockets.stream_sockets import TcpSocket
from detrun_scheduler.clock import primal_of
from detrun_scheduler.threads.calling import schedule_point

# Gives the process whose code is running, while a world is open, of which there is at most one.
owner_here: Callable[[], SocketOwner] | None = None

_REAL: Any = socket.socket  # of which type stubs leave private methods out


class SimulatedSocket(MessageCalls, _REAL):  # type: ignore[misc]  # Any: stubs leave private names out
    """``socket.socket`` as far as programs and libraries use it on TCP, UDP and Unix sockets.

    It is a subclass, so that what asks ``isinstance`` by a name of its own agrees, and so that files and TLS are the
    standard library's code over it. The real socket in it is never opened.
    """

    def __init__(
        self,
        family: int = -1,
        type: int = -1,
        proto: int = -1,
        fileno: int | None = None,
        *,
        simulated: TcpSocket | UdpSocket | None = None,
    ) -> None:
        self._timeout = _default_timeout()
        self._io_refs = 0  # files made of it that are open, which keep it open, too
        self._closed = False
        self._process: Any = None if owner_here is None else owner_here()
        self._proto = proto
        if simulated is not None:
            self.simulated = simulated
            if self._timeout is not None:  # another descriptor of a socket that does not block leaves it so
                self._set_timeout(self._timeout)
            return
        assert owner_here is not None
        if fileno is not None:
            self.simulated = socket_of(fileno, owner_here())
            return
        made = kind_of(family, type, proto)
        self._proto = max(proto, 0)
        if type != -1 and type & NONBLOCK:
            self._timeout = 0.0
        self.simulated = made(owner_here(), socket.AF_INET if family == -1 else socket.AddressFamily(family))
        self._set_timeout(self._timeout)

    def _set_timeout(self, timeout: float | None) -> None:
        """A socket with a time-out does not block, as its descriptor has it."""
        self._timeout = timeout
        flags = self.simulated.flags
        if timeout is not None:
            flags[STATUS] = flags.get(STATUS, os.O_RDWR) | NONBLOCKING
        elif STATUS in flags:
            flags[STATUS] &= ~NONBLOCKING

    # Identity.

    @property
    def family(self) -> socket.AddressFamily:
        """IPv4, IPv6, or Unix."""
        return self.simulated.family

    @property
    def type(self) -> socket.SocketKind:
        """Stream or datagram."""
        return self.simulated.kind

    @property
    def proto(self) -> int:
        """As given, 0 if it was left out; that of the socket if this was made of its number."""
        return int(self.simulated.protocol) if self._proto == -1 else self._proto

    def fileno(self) -> int:
        """A number that no real file has; -1 once closed."""
        return -1 if self.simulated.is_closed else self.simulated.descriptor

    def detach(self) -> int:
        """The number, of which ``socket.socket(fileno=...)`` makes another object; this one counts as closed."""
        number = self.fileno()
        self._closed = True
        if number >= 0:
            self._let_go()
        return number

    def dup(self) -> SimulatedSocket:
        """Another object for the same socket, which stays open until the last of them is closed."""
        self.simulated._check_open()
        self.simulated.hold(self._process)
        copy = SimulatedSocket(proto=self._proto, simulated=self.simulated)
        copy._set_timeout(self._timeout)
        return copy

    def get_inheritable(self) -> bool:
        """What was set; a child gets its standard streams and what ``pass_fds`` names."""
        return not self.simulated.flags.get(DESCRIPTOR_FLAGS, CLOSE_ON_EXEC) & CLOSE_ON_EXEC

    def set_inheritable(self, inheritable: bool) -> None:
        """Remembered only."""
        self.simulated.flags[DESCRIPTOR_FLAGS] = 0 if inheritable else CLOSE_ON_EXEC

    def setblocking(self, flag: bool) -> None:
        """See the module's opening; EBADF once closed."""
        self.simulated._check_open()
        self._set_timeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        """What was set."""
        return self._timeout != 0

    def settimeout(self, value: float | None) -> None:
        """Virtual seconds that an operation may take; zero means non-blocking, None for ever; EBADF once closed."""
        if value is not None and primal_of(value) < 0:
            raise ValueError("Timeout value out of range")
        self.simulated._check_open()
        self._set_timeout(float(value) if type(value) is int else value)

    def gettimeout(self) -> float | None:
        """None if blocking, 0.0 if not."""
        return self._timeout

    @property
    def timeout(self) -> float | None:
        """As `gettimeout`."""
        return self.gettimeout()

    def _attempt(self, name: str, readable: bool, flags: int, operation: Any, *arguments: Any) -> Any:
        if self._timeout == 0 or (flags and flags & _DONTWAIT):
            return operation(*arguments)
        schedule_point()
        call: BlockingCall | None = None
        limit = self.simulated.time_limit(readable) if self._timeout is None and self.simulated.options else None
        while True:
            try:
                return operation(*arguments)
            except BlockingIOError:
                call = call or BlockingCall(self.simulated, name, readable, self._timeout if limit is None else limit)
            try:
                call.wait()
            except TimeoutError:
                if limit is None:
                    raise
                raise os_error(errno.EAGAIN) from None

    # The operations.

    def getsockname(self) -> Any:
        """The local address."""
        self.simulated._check_open()
        return self.simulated.shown(self.simulated.local)

    def getpeername(self) -> Any:
        """The remote address."""
        return self.simulated.shown(self.simulated.peer_address())

    def getsockopt(self, level: int, optname: int, buflen: int = 0) -> Any:
        """As set; see `machine_sockets`."""
        if level == socket.SOL_SOCKET and optname == socket.SO_ACCEPTCONN:
            return int(self.simulated.is_listening)
        return socket_options.asked(self.simulated.option(level, optname), buflen)

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int = 0) -> None:
        """Remembered; `machine_sockets` says what is heeded. Errors as those of `socket_options.given`."""
        self.simulated.set_option(level, optname, socket_options.given(value, optlen))

    def bind(self, address: Any) -> None:
        """Take a local address; a host name may be given."""
        self.simulated.bind(address)

    def listen(self, backlog: int = 128) -> None:
        """Accept connections from now on."""
        if not isinstance(self.simulated, TcpSocket):
            raise os_error(errno.EOPNOTSUPP)
        self.simulated.listen(_as_int(backlog))

    def accept(self) -> tuple[SimulatedSocket, Any]:
        """The oldest connection that was not accepted yet."""
        if not isinstance(self.simulated, TcpSocket):
            raise os_error(errno.EOPNOTSUPP)
        simulated, address = self._attempt("accept", True, 0, self.simulated.accept)
        return SimulatedSocket(proto=self._proto, simulated=simulated), simulated.shown(address)

    def connect(self, address: Any) -> None:
        """Begin to connect; on a datagram socket, set the peer."""
        self._connect(address)

    # What one call does by another goes past the methods of subclasses, as `ssl.SSLSocket`: the real calls are C's.

    def _connect(self, address: Any) -> None:
        if self._timeout == 0:
            self.simulated.connect(address)
            return
        schedule_point()
        try:
            self.simulated.connect(address)
        except BlockingIOError:
            BlockingCall(self.simulated, "connect", False, self._timeout).wait()
            number = self.simulated.take_error()
            if number:
                raise os_error(number) from None
            self.simulated.connect_is_told = True

    def connect_ex(self, address: Any) -> int:
        """As `connect`, but the error is returned, unless it is of the host's name."""
        try:
            self._connect(address)
        except socket.gaierror:
            raise
        except TimeoutError as error:
            return error.errno or errno.EAGAIN
        except OSError as error:
            return error.errno or 0
        return 0

    def send(self, data: Any, flags: int = 0) -> int:
        """Send a part, or one datagram."""
        return self._send(data, flags)

    def _send(self, data: Any, flags: int = 0) -> int:
        with readable(data) as view:
            return int(self._attempt("send", False, flags, self.simulated.send, view))

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send everything, in the time that one operation may take."""
        sent = 0

        def send_the_rest() -> None:
            nonlocal sent
            while sent < len(view):
                with view[sent:] as rest:
                    sent += self.simulated.send(rest)

        with readable(data).cast("B") as view:
            self._attempt("sendall", False, flags, send_the_rest)

    def sendto(self, data: Any, *rest: Any) -> int:
        """Send one datagram to the address that comes last."""
        return self._send_to(data, *rest)

    def _send_to(self, data: Any, *rest: Any) -> int:
        if not 1 <= len(rest) <= 2:
            raise TypeError(f"sendto() takes 2 or 3 arguments ({len(rest) + 1} given)")
        readable(data).release()
        if len(rest) == 2:
            index(rest[0])
        if not isinstance(self.simulated, UdpSocket):
            self.simulated.parsed(rest[-1])
            return self._send(data)
        return self.simulated.send_to(data, rest[-1])

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Some bytes, or one datagram."""
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        return self._receive(bufsize, flags) if bufsize else b""  # CPython asks the system for nothing, either

    def _receive(self, bufsize: int, flags: int) -> bytes:
        receive = self.simulated.receive
        data: bytes = self._attempt("recv", True, flags, receive, bufsize, bool(flags & _PEEK))
        if flags & _WAITALL and self._timeout is None and self.type == socket.SOCK_STREAM and not flags & _NOT_ALL:
            more = data
            while more and len(data) < bufsize:
                more = self._attempt("recv", True, flags, receive, bufsize - len(data))
                data += more
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As `recv`, into ``buffer``."""
        with writable(buffer) as view:
            data = SimulatedSocket.recv(self, nbytes or len(view), flags)
            view[: len(data)] = data
        return len(data)

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """As `recv`, with the address that it came from."""
        if isinstance(self.simulated, UdpSocket):
            if bufsize < 0:
                raise ValueError("negative buffersize in recvfrom")
            data, source = self._attempt(
                "recvfrom", True, flags, self.simulated.receive_from, bufsize, bool(flags & _PEEK)
            )
            return data, self.simulated.source_shown(source)
        return self._receive(bufsize, flags), None

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """As `recvfrom`, into ``buffer``."""
        with writable(buffer) as view:
            data, address = SimulatedSocket.recvfrom(self, nbytes or len(view), flags)
            view[: len(data)] = data
        return len(data), address

    def shutdown(self, how: int) -> None:
        """Close one direction or both."""
        self.simulated.shutdown(_as_int(how))

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send what a file holds, from ``offset`` on."""
        return int(self._sendfile_use_send(file, offset, count))

    def close(self) -> None:
        """Give it back, once the files made of it are closed; tasks that wait raise ``trio.ClosedResourceError``."""
        self._closed = True
        if self._io_refs <= 0:
            self._real_close()

    def _real_close(self) -> None:
        simulated = self.simulated
        simulated.let_go(self._process)
        if simulated.is_closed:
            return
        self._let_go()
        simulated.readers.wake()  # the task that waits tries again, and finds out if it was through this one
        simulated.writers.wake()

    def _let_go(self) -> None:
        """Have a descriptor of its own that is closed, while the socket lives on behind other objects."""
        self.simulated = type(self.simulated)(self.simulated.process, self.simulated.family)
        self.simulated.close()

    def __del__(self) -> None:
        """As in life, a socket that nothing refers to any more is closed."""
        if hasattr(self, "simulated") and not self._closed:
            self._real_close()

    def __enter__(self) -> SimulatedSocket:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        simulated = self.simulated
        state, addresses = "[closed] ", ""
        if not simulated.is_closed:
            state, addresses = f"on {simulated.node.name} ", f", laddr={simulated.shown(simulated.local)}"
            if simulated.remote:
                addresses += f", raddr={simulated.shown(simulated.remote)}"
        kind = f"family={simulated.family}, type={simulated.kind}, proto={self.proto}"
        return f"<simulated socket.socket {state}fd={self.fileno()}, {kind}{addresses}>"


def _as_int(number: int) -> int:
    """A number that fits into an ``int`` of C.

    Raises:
        OverflowError: it does not.
    """
    if not -(2**31) <= number < 2**31:
        raise OverflowError("Python int too large to convert to C int")
    return number


_default_timeout = socket.getdefaulttimeout  # of the process, as in life
_DONTWAIT = int(getattr(socket, "MSG_DONTWAIT", 0))
_WAITALL = int(getattr(socket, "MSG_WAITALL", 0))
_PEEK = int(socket.MSG_PEEK)  # an int: `&` of enumerations costs as much as the rest of a read
_NOT_ALL = _DONTWAIT | _PEEK
