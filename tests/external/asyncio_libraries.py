"""Servers and clients of asyncio libraries, unmodified: aiohttp, uvicorn with FastAPI, hypercorn, websockets, redis.

Each function takes the modules of a library and makes a server and a client of it, for nodes of a world.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from digest_app import app as digest_app

Pair = tuple[Callable[..., Any], Callable[..., Any]]


async def noted(got: list[Any], request: Callable[[int], Any]) -> None:
    """Three requests, a second apart; what fails is noted by the name of its error."""
    for number in range(3):
        try:
            got.append(await request(number))
        except Exception as error:
            got.append(type(error).__name__)
        await asyncio.sleep(1)


def aiohttp_both(aiohttp: Any, web: Any) -> Pair:
    async def hello(request: Any) -> Any:
        body = await request.read()
        await asyncio.sleep(0.01)
        return web.json_response({"length": len(body)})

    def server() -> None:
        app = web.Application()
        app.router.add_post("/", hello)
        web.run_app(app, port=80, print=None, handle_signals=False)

    async def client(got: list[Any]) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1)) as session:

            async def request(number: int) -> Any:
                async with session.post("http://server/", data=b"a" * 9_000 * number) as response:
                    return (await response.json())["length"]

            await noted(got, request)

    return server, client


def uvicorn_with_fastapi_and_httpx(uvicorn: Any, fastapi: Any, httpx: Any) -> Pair:
    app = fastapi.FastAPI()

    @app.get("/items/{item}")
    def item(item: int) -> dict[str, int]:  # in a thread
        time.sleep(0.01)
        return {"item": item}

    def server() -> None:
        uvicorn.run(app, host="0.0.0.0", port=80, log_config=None, lifespan="off")

    async def client(got: list[Any]) -> None:
        async with httpx.AsyncClient(timeout=1) as session:

            async def request(number: int) -> Any:
                return (await session.get(f"http://server/items/{number}")).json()["item"]

            await noted(got, request)

    return server, client


def hypercorn_and_httpx_with_two_requests_at_once(config: Any, serving: Any, httpx: Any) -> Pair:
    async def server() -> None:
        settings = config.Config()
        settings.bind = ["0.0.0.0:80"]
        settings.accesslog = settings.errorlog = None
        await serving.serve(digest_app, settings, shutdown_trigger=asyncio.Event().wait, mode="asgi")

    async def client(got: list[Any]) -> None:
        async with httpx.AsyncClient(timeout=1) as session:

            async def post(number: int) -> str:
                try:
                    return str((await session.post("http://server/", content=b"a" * 1000 * number)).text)[:6]
                except httpx.HTTPError as error:
                    return type(error).__name__

            async def request(number: int) -> Any:
                return await asyncio.gather(post(2 * number), post(2 * number + 1))

            await noted(got, request)

    return server, client


def websockets_both(client_module: Any, server_module: Any) -> Pair:
    async def echo(connection: Any) -> None:
        async for message in connection:
            await connection.send(message + "!")

    async def server() -> None:
        async with server_module.serve(echo, "0.0.0.0", 80) as listening:
            await listening.serve_forever()

    async def client(got: list[Any]) -> None:
        async with client_module.connect("ws://server:80") as connection:

            async def request(number: int) -> Any:
                await connection.send(str(number))
                async with asyncio.timeout(3):  # long enough: TCP sends again
                    return await connection.recv()

            await noted(got, request)

    return server, client


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Redis's protocol, as far as SET and GET."""
    data: dict[bytes, bytes] = {}
    while line := await reader.readline():
        words = []
        for _ in range(int(line[1:])):
            length = int((await reader.readline())[1:])
            words.append((await reader.readexactly(length + 2))[:-2])
        match words[0].upper():
            case b"SET":
                data[words[1]] = words[2]
                writer.write(b"+OK\r\n")
            case b"GET":
                writer.write(b"$%d\r\n%s\r\n" % (len(data[words[1]]), data[words[1]]))
            case b"HELLO":
                writer.write(b"%1\r\n$5\r\nproto\r\n:3\r\n")
            case _:
                writer.write(b"+OK\r\n")
        await writer.drain()


def redis_and_a_small_server(redis: Any) -> Pair:
    async def server() -> None:
        async with await asyncio.start_server(answer, "0.0.0.0", 6379) as listening:
            await listening.serve_forever()

    async def client(got: list[Any]) -> None:
        connection = redis.Redis(host="server", socket_timeout=1, retry=None)

        async def request(number: int) -> Any:
            await connection.set("key", str(number))
            return (await connection.get("key")).decode()

        await noted(got, request)
        await connection.aclose()

    return server, client
