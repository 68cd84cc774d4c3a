"""`Application`: the ASGI callable that hypercorn serves.

A request that comes in while the server drains is refused at once. Any other is accepted: it counts as in flight, waits
for admission, and is worked on until its client hangs up. Errors of the parts are answers. An accepted request that
gets no answer although its client waits was dropped; a server that stops in time drops none.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import trio

from detrun_scenarios.web_server.application.answers import Answer, answer_of, respond
from detrun_scenarios.web_server.application.hanging_up import unless_hung_up
from detrun_scenarios.web_server.application.in_flight import InFlight
from detrun_scenarios.web_server.application.routes import Routes
from detrun_scenarios.web_server.errors import BackendTimeoutError, OverloadedError, PoolTimeoutError, ServiceError
from detrun_scenarios.web_server.resilience.admission import Admission

DRAINING = Answer(503, {"error": "Draining"}, ((b"connection", b"close"), (b"retry-after", b"1")))


class Application:
    """See the module.

    Attributes:
        is_draining: whether new requests are refused, because the server is about to stop.
        dropped: accepted requests that got no answer.
    """

    def __init__(self, routes: Routes, admission: Admission, in_flight: InFlight) -> None:
        self.routes = routes
        self.admission = admission
        self.in_flight = in_flight
        self.is_draining = False
        self.dropped = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, or the lifespan of the server (ASGI specification 3.0)."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif self.is_draining:
            await respond(send, DRAINING)
        else:
            await self.accept(scope, receive, send)

    async def accept(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, and count it meanwhile."""
        wants_answer = True
        number = await self.in_flight.enter()
        try:
            body = await _body(receive)
            answer = None
            if body is not None:
                work = partial(self.admitted, scope["method"], scope["path"], body)
                answer = await unless_hung_up(receive, work)
            if answer is not None:
                await respond(send, answer)
            wants_answer = False
        finally:
            self.dropped += wants_answer
            await self.in_flight.leave(number)

    async def admitted(self, method: str, path: str, body: bytes) -> Answer:
        """The answer to a request, or to why it is not served."""
        try:
            await self.admission.enter()
        except OverloadedError as error:
            return answer_of(error)
        began = trio.current_time()
        succeeded: bool | None = None
        try:
            answer = await self.routes.answer(method, path, body)
            succeeded = True
            return answer
        except ServiceError as error:
            if isinstance(error, (PoolTimeoutError, BackendTimeoutError)):
                succeeded = False  # of the others, none says that there are too many inside
            return answer_of(error)
        finally:
            self.admission.leave(trio.current_time() - began, succeeded)


async def _body(receive: Any) -> bytes | None:
    """The whole body; None if the client hung up before its end."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body, more = body + message["body"], message["more_body"]
    return body


async def _live(receive: Any, send: Any) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
