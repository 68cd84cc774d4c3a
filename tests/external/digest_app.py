"""An ASGI application with a lifespan, which answers a body by its digest, in two parts; for trio and for asyncio."""

from __future__ import annotations

import hashlib
from typing import Any

import detrun


async def app(scope: Any, receive: Any, send: Any) -> None:
    """See the module's opening."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    assert scope["type"] == "http"
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    await detrun.sleep(0.002)
    digest = hashlib.sha256(body).hexdigest().encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": digest[:32], "more_body": True})
    await send({"type": "http.response.body", "body": digest[32:]})
