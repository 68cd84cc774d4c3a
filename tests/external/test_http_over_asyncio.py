"""httpx against hypercorn's asyncio worker, unmodified, over the simulated network: loss and a partition."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

import detrun

httpx = pytest.importorskip("httpx")
hypercorn = pytest.importorskip("hypercorn")
pytest.importorskip("h11")

from hypercorn.asyncio import serve  # noqa: E402
from hypercorn.config import Config  # noqa: E402

pytestmark = pytest.mark.one_python

PORT = 8000


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application with a lifespan, which answers a body by its digest."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    await asyncio.sleep(0.002)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": hashlib.sha256(body).hexdigest().encode()})


async def run_server() -> None:
    config = Config()
    config.bind = [f"0.0.0.0:{PORT}"]
    config.accesslog = config.errorlog = None
    await serve(app, config, shutdown_trigger=asyncio.Event().wait, mode="asgi")


async def run_client(got: list[tuple[int, str]]) -> None:
    """Two requests at once, and again a second later: each number with the beginning of the answer, or the error."""
    async with httpx.AsyncClient(timeout=1) as client:

        async def request(number: int) -> None:
            try:
                response = await client.post(f"http://server:{PORT}/", content=b"a" * 1000 * number)
                got.append((number, response.text[:6]))
            except httpx.HTTPError as error:
                got.append((number, type(error).__name__))

        for number in range(0, 6, 2):
            await asyncio.gather(request(number), request(number + 1))
            await asyncio.sleep(1)


async def main() -> list[tuple[int, str]]:
    got: list[tuple[int, str]] = []
    async with detrun.World(latency=0.01, loss=0.02) as world:
        world.node("server").start(run_server)
        await asyncio.sleep(0.1)
        world.node("client").start(run_client, got)
        await asyncio.sleep(0.6)
        world.partition("server", "client")
        await asyncio.sleep(1)
        world.heal()
        await world.node("client").ended()
    return got


def test_requests_go_through_or_fail_alike_in_every_replay() -> None:
    run = detrun.record(main)
    digests = {number: hashlib.sha256(b"a" * 1000 * number).hexdigest()[:6] for number in range(6)}
    assert dict(run.result) == {**digests, 2: "ReadTimeout", 3: "ReadTimeout"}
    assert detrun.replay(main, recording=run.recording).digest == run.digest
