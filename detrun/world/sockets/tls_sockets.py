"""`TlsSocket`: what ``ssl.SSLContext.wrap_socket`` makes of a simulated socket.

It is the standard library's ``ssl.SSLSocket`` over `SimulatedSocket`. What OpenSSL does to a file descriptor,
`TlsEngine` does to a socket of the simulated machine: it encrypts into memory and moves the bytes, one record at a time
as OpenSSL does, so that what is unread stays in the socket, where ``select`` sees it.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import ref

from detrun.world.services import FIRST_DESCRIPTOR
from detrun.world.sockets.blocking_calls import BlockingCall
from detrun.world.sockets.stdlib_sockets import SimulatedSocket
from detrun_scheduler.threads.calling import schedule_point

_HEADER_BYTES = 5  # kind, version, and two of length
# Before gh-115627, reading and writing took every error of the socket for the end of the stream.
_ERRORS_ARE_ENDS = sys.version_info < (3, 12, 4)
_SET_BY_SSL = ("context", "session")  # what ``ssl.SSLSocket`` sets of OpenSSL's object

_REAL_SOCKET: Any = ssl.SSLSocket  # of both, type stubs leave private methods out
_CONTEXT: Any = ssl.SSLContext
_wrap_real = _CONTEXT._wrap_socket


class TlsEngine:
    """The TLS of one socket: the methods of OpenSSL's object that ``ssl.SSLSocket`` calls.

    Args:
        socket: whose bytes are encrypted; held weakly, since it holds the engine.
        context, server_side, server_hostname, owner, session: as ``SSLContext._wrap_bio`` takes them.
    """

    def __init__(
        self, socket: Any, context: Any, server_side: bool, server_hostname: Any, owner: Any, session: Any
    ) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._incoming, self._outgoing = incoming, outgoing
        self._object = context._wrap_bio(incoming, outgoing, server_side, server_hostname, owner=owner, session=session)
        self._socket: Callable[[], Any] = ref(socket)
        self._unsent = memoryview(b"")
        self._header = bytearray()  # of the record that is coming
        self._body_bytes = 0  # of it that are still to come
        self._taken: int | None = None  # how many bytes are encrypted of which the writer does not know yet

    def do_handshake(self) -> None:
        """Shake hands; further calls do nothing."""
        self._drive("handshake", self._object.do_handshake)

    def read(self, *arguments: Any) -> Any:
        """A part of what has come, at the end of the stream nothing."""
        return self._transfer("read", lambda: self._object.read(*arguments))

    def write(self, data: Any) -> int:
        """Send ``data``, all of it; how much that was.

        On a non-blocking socket what did not fit is kept, and the call is to be made again until it is gone, as with
        OpenSSL, which demands the same data then.
        """

        def encrypt() -> int:
            if self._taken is None:
                self._taken = int(self._object.write(data))
            return self._taken

        taken: int = self._transfer("write", encrypt)
        self._taken = None
        return taken

    def shutdown(self) -> Any:
        """Say goodbye, wait for the answer, and return the socket."""
        self._drive("shutdown", self._object.shutdown)
        return self._socket()

    def _transfer(self, name: str, operation: Callable[[], Any]) -> Any:
        """As `_drive`, with the errors of reading and writing in this Python."""
        try:
            return self._drive(name, operation)
        except OSError as error:
            is_of_the_socket = error.errno is not None and not isinstance(error, ssl.SSLError)
            if not is_of_the_socket or not _ERRORS_ARE_ENDS:
                raise
        raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol")

    def _drive(self, name: str, operation: Callable[[], Any]) -> Any:
        """What ``operation`` gives once the bytes that it needs have come, and those that it made are gone."""
        socket = self._socket()
        timeout = socket.gettimeout()
        call: BlockingCall | None = None
        if timeout != 0:
            schedule_point()
        while True:
            wants: ssl.SSLError | None = None
            result = None
            try:
                result = operation()
            except ssl.SSLWantReadError as error:
                wants = error
            except ssl.SSLError:
                with suppress(OSError):
                    self._flush(socket.simulated)  # the alert, for the peer
                raise
            if not self._flush(socket.simulated) and (wants is not None or name != "read"):
                wants, readable = ssl.SSLWantWriteError("The operation did not complete (write)"), False
            elif wants is None:
                return result
            elif self._feed(socket.simulated):
                continue
            else:
                readable = True
            if timeout == 0:
                raise wants
            call = call or BlockingCall(socket.simulated, name, readable, timeout)
            call.readable = readable
            try:
                call.wait()
            except TimeoutError:
                raise TimeoutError(f"The {name} operation timed out") from None

    def _flush(self, simulated: Any) -> bool:
        """Send what is encrypted; whether all of it is gone."""
        while True:
            unsent = self._unsent = self._unsent or memoryview(self._outgoing.read())
            if not unsent:
                return True
            try:
                self._unsent = unsent[simulated.send(unsent) :]
            except BlockingIOError:
                return False

    def _feed(self, simulated: Any) -> bool:
        """Take what has come of one record; False if nothing has."""
        header = self._header
        is_header = len(header) < _HEADER_BYTES
        try:
            data = simulated.receive(_HEADER_BYTES - len(header) if is_header else self._body_bytes)
        except BlockingIOError:
            return False
        if not data:
            self._incoming.write_eof()
            return True
        self._incoming.write(data)
        if is_header:
            header += data
            self._body_bytes = int.from_bytes(header[3:], "big")
        else:
            self._body_bytes -= len(data)
        if len(header) == _HEADER_BYTES and not self._body_bytes:
            header.clear()
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._object, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _SET_BY_SSL:
            setattr(self._object, name, value)
        else:
            super().__setattr__(name, value)


class TlsSocket(_REAL_SOCKET, SimulatedSocket):  # type: ignore[misc]  # Any, as in `stdlib_sockets`
    """``ssl.SSLSocket`` over a simulated socket."""

    @classmethod
    def _create(cls, sock: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(sock, SimulatedSocket) or sock.fileno() >= FIRST_DESCRIPTOR:  # what wraps one, too
            return super()._create(sock, *arguments, **options)
        return _REAL_SOCKET._create(sock, *arguments, **options)

    def __repr__(self) -> str:
        return SimulatedSocket.__repr__(self).replace("socket.socket", "ssl.SSLSocket")


def _wrap_socket(
    self: Any, sock: Any, server_side: bool, server_hostname: Any = None, *, owner: Any = None, session: Any = None
) -> Any:
    if isinstance(sock, TlsSocket):
        return TlsEngine(sock, self, server_side, server_hostname, owner, session)
    return _wrap_real(self, sock, server_side, server_hostname, owner=owner, session=session)


class TlsNames:
    """Names of ``ssl.SSLContext`` that lead to `TlsSocket` while a world is open."""

    def install(self) -> None:
        """Replace them."""
        _CONTEXT.sslsocket_class = TlsSocket
        _CONTEXT._wrap_socket = _wrap_socket  # which it inherits otherwise

    def restore(self) -> None:
        """Put them back."""
        _CONTEXT.sslsocket_class = _REAL_SOCKET
        del _CONTEXT._wrap_socket
