"""`Lines`: the lines that come in on a stream, one after the other."""

from __future__ import annotations

import trio


class Lines:
    """See the module."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._rest = b""

    async def next(self) -> str | None:
        """The next line without its newline; None when the peer has ended the stream.

        A line that is cut off by a cancellation is read on by the next call.

        Raises:
            trio.BrokenResourceError: the connection broke.
        """
        while b"\n" not in self._rest:
            received = await self._stream.receive_some()
            if not received:
                return None
            self._rest += received
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()
