"""httpx against hypercorn, both unmodified, over the simulated network, in clear and over TLS.

Requests under latency, loss, resets and a partition: some fail, the same ones on every replay and in a fresh process
under another hash seed. `make test-long` sends a thousand of them.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun
from detrun.world import Exponential

httpx = pytest.importorskip("httpx")
hypercorn = pytest.importorskip("hypercorn")
pytest.importorskip("h11")

sys.path.insert(0, str(Path(__file__).resolve().parent))
from digest_app import app  # noqa: E402
from hypercorn.config import Config  # noqa: E402
from hypercorn.trio import serve  # noqa: E402

pytestmark = pytest.mark.one_python

REQUESTS = 1000
PORT = 8000


async def run_server(certificates: Path | None) -> None:
    config = Config()
    config.bind = [f"0.0.0.0:{PORT}"]
    config.accesslog = config.errorlog = None
    if certificates is not None:
        config.certfile, config.keyfile = str(certificates / "server.pem"), str(certificates / "server.key")
    await serve(app, config, shutdown_trigger=trio.sleep_forever, mode="asgi")


async def main(certificates: Path | None = None, requests: int = REQUESTS) -> dict[str, Any]:
    """Client after client of a few requests each; what failed, and how."""
    failures: list[tuple[int, str]] = []
    scheme, verify = "http", False
    context: Any = verify
    if certificates is not None:
        scheme, context = "https", ssl.create_default_context(cafile=str(certificates / "authority.pem"))
    latency = Exponential(0.008, minimum=0.002)
    async with detrun.World(latency=latency, loss=0.01, reset=0.001, bandwidth=1e7) as world:
        world.node("server").start(run_server, certificates)
        await trio.sleep(0.1)
        async with httpx.AsyncClient(timeout=2, verify=context) as client:

            async def requests_of(one: int) -> None:
                for number in range(one, requests, 4):
                    if number == requests // 2:
                        world.partition("driver", "server")
                    body = bytes([number % 256]) * (number * 37 % 5000)
                    try:
                        reply = await client.post(f"{scheme}://server:{PORT}/echo", content=body)
                    except httpx.HTTPError as error:
                        failures.append((number, type(error).__name__))
                        world.heal()
                    else:
                        assert reply.status_code == 200
                        assert reply.text == hashlib.sha256(body).hexdigest()

            async with trio.open_nursery() as nursery:
                for one in range(4):
                    nursery.start_soon(requests_of, one)
        return {"failures": sorted(failures), "faults": dict(world.faults), "seconds": trio.current_time()}


async def anyio_main() -> list[Any]:
    """anyio's own streams, listeners and datagrams on its trio backend."""
    import anyio

    seen: list[Any] = []

    async def handle(stream: Any) -> None:
        async with stream:
            seen.append(stream.extra(anyio.abc.SocketAttribute.remote_address)[0])
            await stream.send(await stream.receive() + b" back")

    async def tcp() -> None:
        listener = await anyio.create_tcp_listener(local_host="0.0.0.0", local_port=7000)
        await listener.serve(handle)

    async def udp() -> None:
        async with await anyio.create_udp_socket(local_host="0.0.0.0", local_port=7001) as socket:
            async for data, (host, port) in socket:
                await socket.sendto(data[::-1], host, port)

    async with detrun.World(latency=Exponential(0.01)) as world:
        world.node("server").start(tcp)
        world.node("server").start(udp)
        await anyio.sleep(0.1)
        async with await anyio.connect_tcp("server", 7000) as stream:
            await stream.send(b"there and")
            seen.append(await stream.receive())
        async with await anyio.create_connected_udp_socket("server", 7001) as socket:
            await socket.send(b"abc")
            seen.append(await socket.receive())
        return seen


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority and a server's certificate. RSA: an ECDSA signature's length varies from one to the next."""
    trustme = pytest.importorskip("trustme")
    directory = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    authority.cert_pem.write_to_path(directory / "authority.pem")
    issued = authority.issue_cert("server", key_type=trustme.KeyType.RSA)
    issued.private_key_pem.write_to_path(directory / "server.key")
    issued.cert_chain_pems[0].write_to_path(directory / "server.pem")
    return directory


# TLS runs everything that plain HTTP does; the plain one alone is left to `make test-long`.
PLAIN_AND_ENCRYPTED = [pytest.param(False, id="http", marks=pytest.mark.slow), pytest.param(True, id="https")]


@pytest.mark.parametrize(
    ("encrypted", "requests"),
    [
        pytest.param(False, REQUESTS, id="http", marks=pytest.mark.slow),
        pytest.param(True, REQUESTS, id="https", marks=pytest.mark.slow),
        pytest.param(True, 180, id="fewer over https"),
    ],
)
def test_the_requests_that_fail_are_the_same_on_every_replay(
    encrypted: bool, requests: int, request: pytest.FixtureRequest
):
    where = request.getfixturevalue("certificates") if encrypted else None
    recorded = detrun.record(main, where, requests, seed=7)
    failed = recorded.result["failures"]
    # The partition alone fails some, resets fail others, and most requests get through.
    assert 4 <= len(failed) <= requests // 10
    assert len({kind for _, kind in failed}) >= 2
    assert {"loss", "reset", "partition"} <= set(recorded.result["faults"])
    replayed = detrun.replay(main, where, requests, recording=recorded.recording)
    assert replayed.digest == recorded.digest
    assert replayed.result == recorded.result


def test_another_seed_fails_other_requests():
    one, other = (detrun.record(main, None, 80, seed=seed).result["failures"] for seed in (7, 8))
    assert one != other


@pytest.mark.parametrize("encrypted", PLAIN_AND_ENCRYPTED)
def test_a_fresh_process_under_another_hash_seed_sees_the_same(encrypted: bool, request: pytest.FixtureRequest):
    where = request.getfixturevalue("certificates") if encrypted else None
    here = detrun.record(main, where, 80, seed=5)
    code = (
        "import sys, json, importlib.util, pathlib, detrun\n"
        "spec = importlib.util.spec_from_file_location('http_over_world', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules['http_over_world'] = module\n"
        "spec.loader.exec_module(module)\n"
        "where = pathlib.Path(sys.argv[2]) if sys.argv[2] else None\n"
        "run = detrun.record(module.main, where, 80, seed=5)\n"
        "print(json.dumps([run.digest, run.result]))\n"
    )
    assert here.result["failures"]
    printed = subprocess.run(
        [sys.executable, "-c", code, __file__, str(where or "")],
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(filter(None, sys.path))},  # this process has another
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    digest, result = json.loads(printed.splitlines()[-1])
    assert result["failures"] == [list(one) for one in here.result["failures"]]
    assert digest == here.digest


@pytest.mark.skipif(
    tuple(int(part) for part in trio.__version__.split(".")[:2]) < (0, 32), reason="today's anyio needs trio 0.32"
)
def test_anyio_runs_over_the_simulated_network():
    pytest.importorskip("anyio")
    recorded = detrun.record(anyio_main)
    assert recorded.result == ["10.0.0.1", b"there and back", b"cba"]
    assert detrun.replay(anyio_main, recording=recorded.recording).digest == recorded.digest


async def price_app(scope: Any, receive: Any, send: Any) -> None:
    """Unpacks ``(amount, rate)``, works for as many seconds as the rate says, and answers the packed product."""
    if scope["type"] == "lifespan":
        await app(scope, receive, send)
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    amount, rate = detrun.unpack(body)
    await detrun.sleep(rate)
    answer = detrun.pack({"price": amount * amount * rate, "amount": amount})
    headers = [(b"content-type", b"application/x-msgpack"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer[:10], "more_body": True})
    await send({"type": "http.response.body", "body": answer[10:]})


async def priced(params: dict[str, Any], certificates: Path | None = None) -> Any:
    """Cost and duration of three requests; the mean latency of the links, which lose messages, is a parameter."""

    async def run() -> None:
        config = Config()
        config.bind = [f"0.0.0.0:{PORT}"]
        config.accesslog = config.errorlog = None
        if certificates is not None:
            config.certfile, config.keyfile = str(certificates / "server.pem"), str(certificates / "server.key")
        await serve(price_app, config, shutdown_trigger=trio.sleep_forever, mode="asgi")

    scheme, context = ("http", True)
    if certificates is not None:
        scheme, context = "https", ssl.create_default_context(cafile=str(certificates / "authority.pem"))
    async with detrun.World(latency=Exponential(params["mean"]), loss=0.05) as world:
        world.node("server").start(run)
        await trio.sleep(0.1)
        total = 0.0
        async with httpx.AsyncClient(timeout=20, verify=context) as client:
            amount = params["amount"]
            start = trio.current_time()
            for _ in range(3):
                reply = await client.post(f"{scheme}://server:{PORT}/", content=detrun.pack((amount, params["rate"])))
                answer = detrun.unpack(reply.content)
                total = total + answer["price"]
                amount = answer["amount"] + 1.0
        return total + 10.0 * (trio.current_time() - start)


@pytest.mark.parametrize("encrypted", [False, True], ids=["http", "https"])
def test_gradients_go_through_the_bytes_of_requests_and_replies_and_through_the_time_they_take(
    encrypted: bool, request: pytest.FixtureRequest
):
    where = request.getfixturevalue("certificates") if encrypted else None
    params = {"amount": 2.0, "rate": 0.5, "mean": 0.02}

    async def main(numbers: dict[str, Any]) -> Any:
        return await priced(numbers, where)

    found = detrun.gradient(main, params, seed=3)
    # The price is rate · Σ (amount + k)², and the server works for three times the rate.
    assert found.grads["amount"] == pytest.approx(0.5 * 2 * (2.0 + 3.0 + 4.0))
    assert found.grads["rate"] == pytest.approx(2.0**2 + 3.0**2 + 4.0**2 + 10.0 * 3)
    # What is left of the time is a sum of exponentials, each proportional to its mean, and of retransmission time-outs.
    step = 1e-6
    ends = [
        detrun.gradient(main, {**params, "mean": params["mean"] + sign * step}, seed=3).value for sign in (1.0, -1.0)
    ]
    assert found.grads["mean"] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)
    assert found.grads["mean"] > 10.0 * 6  # at least there and back, three times, on average


async def multiplexed(certificates: Path) -> list[tuple[int, str, int]]:
    """Twenty requests at once in one connection of HTTP/2."""
    answers: list[tuple[int, str, int]] = []
    context = ssl.create_default_context(cafile=str(certificates / "authority.pem"))
    async with detrun.World(latency=Exponential(0.01), loss=0.02) as world:
        world.node("server").start(run_server, certificates)
        await trio.sleep(0.1)
        async with httpx.AsyncClient(http2=True, verify=context, timeout=20) as client:

            async def post(number: int) -> None:
                reply = await client.post(f"https://server:{PORT}/", content=b"x" * 1000 * number)
                answers.append((number, reply.http_version, reply.status_code))

            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(post, number)
    return sorted(answers)


def test_http_2_runs_over_the_simulated_network(certificates: Path):
    pytest.importorskip("h2")
    recorded = detrun.record(multiplexed, certificates, seed=3)
    assert recorded.result == [(number, "HTTP/2", 200) for number in range(20)]
    assert detrun.replay(multiplexed, certificates, recording=recorded.recording).digest == recorded.digest
