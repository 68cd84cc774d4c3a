"""httpcore's pool keeps a connection busy for ever after a request was cancelled at the wrong moment.

Reported: https://github.com/encode/httpcore/issues/785; in 0.17.3, fixed in 1.0.3. Cancellation, by another task.

Two requests run at once, and when the first has its answer the other is cancelled. Then nothing is going on, and no
connection of the pool is busy.
"""

import httpcore
import trio

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Server:
    """Answers each request at once."""

    async def connect_tcp(self, *args, **options):
        await trio.sleep(0)
        return Connection()


class Connection:
    """To that server."""

    async def write(self, buffer, timeout=None):
        await trio.sleep(0)

    async def read(self, max_bytes, timeout=None):
        await trio.sleep(0)
        return ANSWER

    async def aclose(self):
        await trio.sleep(0)

    def get_extra_info(self, info):
        return None


async def main() -> None:
    async with httpcore.AsyncConnectionPool(network_backend=Server()) as pool:
        async with trio.open_nursery() as nursery:

            async def fetch() -> None:
                await pool.request("GET", "http://example.com/")
                nursery.cancel_scope.cancel()

            nursery.start_soon(fetch)
            nursery.start_soon(fetch)
        busy = [one for one in pool.connections if not one.is_idle()]
        assert not busy, f"nothing is requested, but {busy} is busy"
