"""httpcore's pool loses a connection when a request is cancelled: its clean-up is cancelled as well.

Reported: https://github.com/encode/httpcore/issues/642; in 0.17.2, fixed in 0.17.3, for each moment in 1.0.3.
Cancellation, by a time-out.

The pool may open one connection. A request whose patience ends while the answer is on its way must leave the pool as
it was, so that the next request can be made.
"""

import anyio
import httpcore

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Server:
    """Answers each request at once."""

    async def connect_tcp(self, *args, **options):
        await anyio.sleep(0)
        return Connection()


class Connection:
    """To that server."""

    async def write(self, buffer, timeout=None):
        await anyio.sleep(0)

    async def read(self, max_bytes, timeout=None):
        await anyio.sleep(0)
        return ANSWER

    async def aclose(self):
        await anyio.sleep(0)

    def get_extra_info(self, info):
        return None


async def main() -> None:
    async with httpcore.AsyncConnectionPool(max_connections=1, network_backend=Server()) as pool:
        with anyio.move_on_after(0.1):
            await pool.request("GET", "http://example.com/")
        limits = {"timeout": {"pool": 60}}
        answer = await pool.request("GET", "http://example.com/", extensions=limits)
    assert answer.content == b"hello"
