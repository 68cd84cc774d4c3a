"""trio-websocket waits for ever for a message when the other side says goodbye and hangs up at once.

Reported: https://github.com/python-trio/trio-websocket/pull/182; in 0.10.3, fixed in 0.10.4. A hang, by order.

The server sends its close frame and drops the connection without waiting for the client's. The client's answer to the
frame fails, its reader ends, and `get_message` must raise `ConnectionClosed`.
"""

import trio
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, wrap_client_stream, wrap_server_stream
from wsproto.events import CloseConnection


async def main() -> None:
    ours, theirs = memory_stream_pair()
    closed = False
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            request = await wrap_server_stream(nursery, theirs)
            connection = await request.accept()
            await connection.get_message()
            await connection._send(CloseConnection(code=1000))
            await theirs.aclose()

        nursery.start_soon(serve)
        client = await wrap_client_stream(nursery, ours, "host", "/")
        await client.send_message("hello")
        try:
            await client.get_message()
        except ConnectionClosed:
            closed = True
    assert closed
