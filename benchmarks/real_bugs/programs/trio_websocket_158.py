"""trio-websocket tells a sender nothing of a close that its own side has begun: it raises another library's error.

Reported: https://github.com/python-trio/trio-websocket/issues/158; in 0.10.1, fixed in 0.10.2. Check, then act.

One task of the client sends, another closes. Once the closing has begun, sending raises `ConnectionClosed`, as
documented, rather than wsproto's `LocalProtocolError`.
"""

import trio
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, wrap_client_stream, wrap_server_stream


async def main() -> None:
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            request = await wrap_server_stream(nursery, theirs)
            connection = await request.accept()
            try:
                while True:
                    await connection.get_message()
            except ConnectionClosed:
                pass

        nursery.start_soon(serve)
        client = await wrap_client_stream(nursery, ours, "host", "/")

        async def talk() -> None:
            try:
                for word in ("to", "be", "or", "not"):
                    await client.send_message(word)
            except ConnectionClosed:
                pass

        nursery.start_soon(talk)
        nursery.start_soon(client.aclose)
