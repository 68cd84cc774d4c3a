"""`Answer`: what a route says, and how it is sent as an ASGI response. An error of a part becomes its status here."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.web_server.errors import (
    BackendError,
    BackendTimeoutError,
    BreakerOpenError,
    OverloadedError,
    PoolTimeoutError,
    ServiceError,
)

STATUSES: dict[type[ServiceError], int] = {
    BackendError: 502,
    BackendTimeoutError: 504,
    PoolTimeoutError: 503,
    BreakerOpenError: 503,
    OverloadedError: 503,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a JSON body, and headers beside those of the body."""

    status: int
    body: dict[str, Any]
    headers: tuple[tuple[bytes, bytes], ...] = ()


def answer_of(error: ServiceError) -> Answer:
    """What a client is told of an error. Retry-After is in whole seconds (RFC 9110, section 10.2.3), at least one."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if isinstance(error, OverloadedError):
        headers = ((b"retry-after", b"%d" % max(math.ceil(plain(error.retry_after)), 1)),)
    return Answer(STATUSES[type(error)], {"error": type(error).__name__}, headers)


async def respond(send: Any, answer: Answer) -> None:
    """Send an answer. A client that is gone by now is no error: the server drops what nothing can take."""
    body = json.dumps(answer.body).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
