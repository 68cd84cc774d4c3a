"""What goes over the connection: requests to the server, and chunks of several answers interleaved, as in HTTP/2."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import trio

import detrun

_HEADER = struct.Struct(">IIB")  # of a chunk: stream, bytes, whether it is the last
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Request:
    """For a resource, over a stream of its own.

    Attributes:
        weight: share of the bandwidth among the answers that are on their way.
    """

    stream: int
    address: str
    weight: Any


def request_bytes(request: Request) -> bytes:
    """On the wire."""
    body = detrun.pack([request.stream, request.address, request.weight])
    return _LENGTH.pack(len(body)) + body


def chunk_bytes(stream: int, data: bytes, is_last: bool) -> bytes:
    """On the wire."""
    return _HEADER.pack(stream, len(data), is_last) + data


class Reader:
    """Takes what was sent out of a stream of bytes."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._bytes = bytearray()

    async def request(self) -> Request | None:
        """The next one; None at the end."""
        header = await self._exactly(_LENGTH.size)
        body = header and await self._exactly(_LENGTH.unpack(header)[0])
        return Request(*detrun.unpack(body)) if body else None

    async def chunk(self) -> tuple[int, bytes, bool] | None:
        """Stream, data, whether it is the last; None at the end."""
        header = await self._exactly(_HEADER.size)
        if not header:
            return None
        stream, length, is_last = _HEADER.unpack(header)
        return stream, await self._exactly(length), bool(is_last)

    async def _exactly(self, count: int) -> bytes:
        while len(self._bytes) < count:
            more = await self._stream.receive_some()
            if not more:
                return b""
            self._bytes += more
        found = bytes(self._bytes[:count])
        del self._bytes[:count]
        return found
