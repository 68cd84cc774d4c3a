"""starlette's `BaseHTTPMiddleware` cancels a background task when the client disconnects.

Reported: https://github.com/encode/starlette/issues/1438; in 0.20.4, fixed in 0.21.0. Cancellation, by order.

An application answers and then works on in a background task, as documented. The client is gone once it has the
answer. The work must be done all the same.
"""

import anyio
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

SCOPE = {"type": "http", "version": "3", "method": "GET", "path": "/", "headers": [], "query_string": b""}


async def main() -> None:
    answered = anyio.Event()
    done: list[str] = []

    async def work() -> None:
        await anyio.sleep(0)  # a query, a message to send
        done.append("work")

    async def endpoint(request):
        return PlainTextResponse("hello", background=BackgroundTask(work))

    async def pass_on(request, call_next):
        return await call_next(request)

    requests = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        if requests:
            return requests.pop()
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        await anyio.sleep(0)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            answered.set()

    routes, layers = [Route("/", endpoint)], [Middleware(BaseHTTPMiddleware, dispatch=pass_on)]
    await Starlette(routes=routes, middleware=layers)(SCOPE, receive, send)
    assert done == ["work"], "the background task was cancelled"
