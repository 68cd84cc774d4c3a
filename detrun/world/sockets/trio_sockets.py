"""``trio.socket`` inside a world: the socket type that trio's streams, and libraries on top of them, work with.

Each method has the contract of the trio method that it overrides, schedule points included: one try, then waiting for
readiness and trying again; a checkpoint also where nothing had to be waited for. Addresses may be host names.
"""

from __future__ import annotations

import os
import socket as constants
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio

from detrun.world.sockets.datagram_sockets import UdpSocket
from detrun.world.sockets.stdlib_sockets import SimulatedSocket
from detrun.world.sockets.stream_sockets import TcpSocket

T = TypeVar("T")


class TrioSocket(trio.socket.SocketType):
    """A trio socket on a simulated one.

    Attributes:
        _sock: the face of the same socket that ``socket.socket`` shows; anyio looks here, as it does in trio's own.
    """

    def __init__(self, sock: SimulatedSocket) -> None:
        super().__init__()
        self._sock = sock
        sock.setblocking(False)
        self._shut_for_writing = False

    @property
    def simulated(self) -> TcpSocket | UdpSocket:
        """The socket of the simulated machine; ``trio.lowlevel.wait_readable`` looks here."""
        return self._sock.simulated

    async def _when(self, wait: Callable[[], Awaitable[None]], operation: Callable[..., T], *arguments: Any) -> T:
        """trio's ``_nonblocking_helper``."""
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            result = operation(*arguments)
        except BlockingIOError:
            pass
        except BaseException:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return result
        while True:
            await wait()
            try:
                return operation(*arguments)
            except BlockingIOError:
                pass

    # Life and identity.

    @property
    def family(self) -> constants.AddressFamily:
        return self._sock.family

    @property
    def type(self) -> constants.SocketKind:
        return self.simulated.kind

    @property
    def proto(self) -> int:
        return self._sock.proto

    @property
    def did_shutdown_SHUT_WR(self) -> bool:
        return self._shut_for_writing

    def fileno(self) -> int:
        return self._sock.fileno()

    def detach(self) -> int:
        return self._sock.detach()

    def dup(self) -> trio.socket.SocketType:
        return TrioSocket(self._sock.dup())

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> TrioSocket:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._sock).replace("socket.socket", "trio.socket.socket")

    # Addresses and options.

    def getsockname(self) -> Any:
        return self._sock.getsockname()

    def getpeername(self) -> Any:
        return self._sock.getpeername()

    def getsockopt(self, level: int, optname: int, buflen: int | None = None) -> Any:
        return self._sock.getsockopt(level, optname, *(() if buflen is None else (buflen,)))

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int | None = None) -> None:
        self._sock.setsockopt(level, optname, value)

    def get_inheritable(self) -> bool:
        return self._sock.get_inheritable()

    def set_inheritable(self, inheritable: bool) -> None:
        self._sock.set_inheritable(inheritable)

    async def _resolved(self, address: Any) -> Any:
        if isinstance(address, tuple) and address and isinstance(address[0], str) and address[0]:
            return self.simulated.resolve(address[0]), *address[1:]
        return address

    async def bind(self, address: Any) -> None:
        address = await self._resolved(address)
        await trio.lowlevel.checkpoint()
        self.simulated.bind(address)

    def listen(self, backlog: int = 128) -> None:
        self._sock.listen(backlog)

    def shutdown(self, flag: int) -> None:
        self.simulated.shutdown(flag)
        if flag in (constants.SHUT_WR, constants.SHUT_RDWR):
            self._shut_for_writing = True

    def is_readable(self) -> bool:
        return self.simulated.is_readable()

    async def wait_writable(self) -> None:
        await self.simulated.wait_writable()

    # Connections and data.

    async def accept(self) -> tuple[trio.socket.SocketType, Any]:
        accepted, address = await self._when(self.simulated.wait_readable, self._sock.accept)
        return TrioSocket(accepted), address

    async def connect(self, address: Any) -> None:
        try:
            address = await self._resolved(address)
            await trio.lowlevel.checkpoint_if_cancelled()
            try:
                self.simulated.connect(address)
            except BlockingIOError:
                pass
            except BaseException:
                await trio.lowlevel.cancel_shielded_checkpoint()
                raise
            else:
                await trio.lowlevel.cancel_shielded_checkpoint()
                return
            await self.simulated.wait_writable()
        except trio.Cancelled:
            self.close()
            raise
        number = self.simulated.take_error()
        if number:
            raise OSError(number, f"Error connecting to {address!r}: {os.strerror(number)}")

    async def recv(self, buflen: int, flags: int = 0, /) -> bytes:
        return await self._when(self.simulated.wait_readable, self._sock.recv, buflen, flags)

    async def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        return await self._when(self.simulated.wait_readable, self._sock.recv_into, buffer, nbytes, flags)

    async def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        return await self._when(self.simulated.wait_readable, self._sock.recvfrom, bufsize, flags)

    async def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        return await self._when(self.simulated.wait_readable, self._sock.recvfrom_into, buffer, nbytes, flags)

    async def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /) -> tuple[bytes, list[Any], int, Any]:
        return await self._when(self.simulated.wait_readable, self._sock.recvmsg, bufsize, ancbufsize, flags)

    async def recvmsg_into(
        self, buffers: Any, ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, list[Any], int, Any]:
        return await self._when(self.simulated.wait_readable, self._sock.recvmsg_into, buffers, ancbufsize, flags)

    async def send(self, data: Any, flags: int = 0, /) -> int:
        return await self._when(self.simulated.wait_writable, self._sock.send, data)

    async def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None, /) -> int:
        target = await self._resolved(address)
        return await self._when(self.simulated.wait_writable, self._sock.sendmsg, buffers, ancdata, flags, target)

    async def sendto(self, *arguments: Any) -> int:
        *rest, address = arguments
        target = await self._resolved(address)
        return await self._when(self.simulated.wait_writable, self._sock.sendto, *rest, target)
