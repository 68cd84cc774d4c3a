"""`Connection`: messages in both directions over one TCP stream, each as its length and msgpack."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from typing import Any

import msgpack
import trio

_LENGTH = struct.Struct(">I")
_CHUNK_BYTES = 4096


class ConnectionLostError(Exception):
    """The other side is gone, or cannot be reached; what it did with the last message is not known."""


class Connection:
    """See the module."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._received = bytearray()

    async def send(self, message: Any) -> None:
        """Send a message of numbers, texts, lists and mappings.

        Raises:
            ConnectionLostError: see there.
        """
        data: bytes = msgpack.packb(message)
        try:
            await self.stream.send_all(_LENGTH.pack(len(data)) + data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionLostError from error

    async def receive(self) -> Any:
        """The next message.

        Raises:
            ConnectionLostError: see there.
        """
        length = _LENGTH.unpack(await self._take(_LENGTH.size))[0]
        return msgpack.unpackb(await self._take(length))

    async def _take(self, size: int) -> bytes:
        received = self._received
        while len(received) < size:
            try:
                data = await self.stream.receive_some(_CHUNK_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ConnectionLostError from error
            if not data:
                raise ConnectionLostError
            received += data
        found = bytes(received[:size])
        del received[:size]
        return found


async def answer_requests(stream: trio.abc.Stream, carry_out: Callable[[str, list[Any]], Awaitable[Any]]) -> None:
    """A session: answer one request after the other, until the other side is gone."""
    connection = Connection(stream)
    try:
        while True:
            name, arguments = await connection.receive()
            await connection.send(await carry_out(name, arguments))
    except ConnectionLostError:
        return
