"""Faults of the network: partitions partition, one-way ones one way; clogs hold back, resets reset, time-outs come."""

from __future__ import annotations

import errno
from itertools import combinations, permutations
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.world import Exponential, World

NODES = ("a", "b", "c", "d", "e")


async def gossip(world: World, heard: set[tuple[str, str]], names: tuple[str, ...] = NODES) -> None:
    """Let every node send to every other for a while; note who heard whom."""

    async def listen(name: str) -> None:
        while True:
            heard.add((await world.node(name).receive(), name))

    async def speak(name: str) -> None:
        while True:
            for other in names:
                if other != name:
                    world.node(name).send(other, name)
            await trio.sleep(0.3)

    for name in names:
        world.node(name)
    for name in names:
        world.node(name).start(listen, name)
        world.node(name).start(speak, name)


async def heard_under(world: World, seconds: float = 5.0) -> set[tuple[str, str]]:
    heard: set[tuple[str, str]] = set()
    await gossip(world, heard)
    await trio.sleep(seconds)
    return heard


EVERYBODY = set(permutations(NODES, 2))


def test_without_a_partition_every_node_hears_every_other():
    async def main() -> set[tuple[str, str]]:
        async with World(latency=Exponential(0.1)) as world:
            return await heard_under(world)

    assert detrun.record(main).result == EVERYBODY


@settings(max_examples=15, deadline=None)
@given(inside=st.sets(st.sampled_from(NODES), min_size=1, max_size=4), one_way=st.booleans(), seed=st.integers(0, 1000))
def test_a_partition_stops_exactly_what_crosses_it(inside: set[str], one_way: bool, seed: int):
    outside = [name for name in NODES if name not in inside]

    async def main() -> set[tuple[str, str]]:
        async with World(latency=Exponential(0.1)) as world:
            for name in NODES:
                world.node(name)
            world.partition(sorted(inside), outside, one_way=one_way)
            return await heard_under(world)

    crossing = {(one, other) for one, other in EVERYBODY if one in inside and other in outside}
    if not one_way:
        crossing |= {(other, one) for one, other in crossing}
    assert detrun.record(main, seed=seed).result == EVERYBODY - crossing


def test_nothing_crosses_a_partition_not_even_what_was_on_its_way_when_it_began():
    async def main() -> tuple[list[float], int]:
        got: list[float] = []
        async with World(latency=1.0) as world:
            node = world.node("a")

            async def receive() -> None:
                while True:
                    await node.receive()
                    got.append(trio.current_time())

            async def cut() -> None:
                await trio.sleep(2.25)
                world.partition("driver", "a", one_way=True)
                await trio.sleep(1.5)
                world.heal()

            node.start(receive)
            node.start(cut)
            for _ in range(10):
                world.driver.send("a", "x")
                await trio.sleep(0.5)
            await trio.sleep(5)
            return got, world.faults["partition"]

    got, swallowed = detrun.record(main).result
    # Sent every half second from 0 to 4.5, a second on the way; cut from 2.25 to 3.75. Lost is what was on its way when
    # the cut began (sent at 1.5 and 2) and what was sent during it (2.5, 3, 3.5).
    assert got == [1.0, 1.5, 2.0, 5.0, 5.5]
    assert swallowed == 5


@pytest.mark.parametrize("size", [3, 4, 5, 7])
def test_the_shapes_of_partitions(size: int):
    names = tuple(f"n{index}" for index in range(size))

    async def main(shape: str) -> set[tuple[str, str]]:
        async with World(latency=0.01) as world:
            for name in names:
                world.node(name)
            getattr(world, f"partition_{shape}")()
            heard: set[tuple[str, str]] = set()
            await gossip(world, heard, names)
            await trio.sleep(2)
            return heard

    def neighbours(heard: set[tuple[str, str]]) -> dict[str, set[str]]:
        assert heard == {(other, one) for one, other in heard}
        return {name: {name} | {other for one, other in heard if one == name} for name in names}

    halves = neighbours(detrun.record(main, "halves").result)
    assert {frozenset(group) for group in halves.values()} == {
        frozenset(names[: (size + 1) // 2]),
        frozenset(names[(size + 1) // 2 :]),
    }
    bridge = neighbours(detrun.record(main, "bridge").result)
    middle = names[size // 2]
    assert bridge[middle] == set(names)
    for one, other in combinations([name for name in names if name != middle], 2):
        same_side = (names.index(one) < size // 2) == (names.index(other) < size // 2)
        assert (other in bridge[one]) == same_side
    ring = neighbours(detrun.record(main, "majorities_ring").result)
    assert all(2 * len(group) > size for group in ring.values())
    if size >= 5:
        assert len({frozenset(group) for group in ring.values()}) == size


def test_healing_opens_what_it_names_and_all_if_it_names_nothing():
    async def main(which: tuple[Any, ...]) -> set[tuple[str, str]]:
        async with World(latency=0.01) as world:
            for name in NODES:
                world.node(name)
            world.isolate(["a", "b"])
            world.heal(*which)
            return await heard_under(world, 1)

    cut = {(x, y) for x, y in EVERYBODY if (x in "ab") != (y in "ab")}
    assert detrun.record(main, ()).result == EVERYBODY
    assert detrun.record(main, ("a", "c")).result == EVERYBODY - cut | {("a", "c"), ("c", "a")}
    assert detrun.record(main, ("a",)).result == EVERYBODY - {(x, y) for x, y in cut if "a" not in (x, y)}


def test_isolation_spares_the_driver_and_the_nodes_that_are_excepted():
    async def main() -> set[str]:
        async with World(latency=0.01) as world:
            for name in NODES:
                world.node(name)
            world.isolate("a", but=["b"])
            return {link.name for link in world.network.links.values() if link.partitioned}

    assert detrun.record(main).result == {
        name for other in NODES if other not in "ab" for name in (f"a->{other}", f"{other}->a")
    }


def test_a_clog_holds_back_and_then_everything_arrives_in_order():
    async def main() -> list[tuple[int, float]]:
        got: list[tuple[int, float]] = []
        async with World(latency=0.1) as world:
            node = world.node("a")

            async def receive() -> None:
                while True:
                    got.append((await node.receive(), round(trio.current_time(), 9)))

            node.start(receive)
            world.clog("a", 2.0, direction="in")
            for number in range(3):
                world.driver.send("a", number)
                await trio.sleep(1)
            assert world.faults["clog"] == 2
        return got

    assert detrun.record(main, strategy="fifo").result == [(0, 2.0), (1, 2.0), (2, 2.1)]


def test_a_clog_of_what_goes_out_leaves_what_comes_in_alone_and_open_ended_ones_end_when_told():
    async def main() -> list[tuple[str, str, float]]:
        got: list[tuple[str, str, float]] = []
        async with World(latency=0.1) as world:
            for name in ("a", "b"):
                node = world.node(name)

                async def receive(node: Any = node) -> None:
                    while True:
                        got.append((await node.receive(), node.name, round(trio.current_time(), 9)))

                node.start(receive)
            world.clog("a", direction="out")
            world.node("a").send("b", "out")
            world.node("b").send("a", "in")
            await trio.sleep(5)
            world.unclog("a", direction="out")
            await trio.sleep(1)
        return got

    assert detrun.record(main).result == [("in", "a", 0.1), ("out", "b", 5.0)]


# TCP under faults.


async def echo(stream: trio.SocketStream) -> None:
    try:
        async for data in stream:
            await stream.send_all(data)
    except trio.BrokenResourceError:
        pass


async def error_of(operation: Any) -> Any:
    try:
        return await operation
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    except trio.BrokenResourceError as error:
        cause = error.__cause__
        return errno.errorcode[cause.errno or 0] if isinstance(cause, OSError) else "broken"


def test_a_connection_to_a_partitioned_host_times_out_as_on_linux():
    async def main() -> tuple[Any, float]:
        async with World(latency=0.1) as world:
            world.node("server").start(trio.serve_tcp, echo, 80)
            await trio.sleep(1)
            world.partition("driver", "server")
            start = trio.current_time()
            socket = trio.socket.socket()
            return await error_of(socket.connect(("server", 80))), trio.current_time() - start

    error, seconds = detrun.record(main).result
    assert error == "ETIMEDOUT"
    assert seconds == 127  # tcp_syn_retries = 6: 1 + 2 + 4 + ... + 64


def test_a_connection_made_while_the_partition_heals_succeeds_at_the_next_syn():
    async def main() -> float:
        async with World(latency=0.1) as world:
            world.node("server").start(trio.serve_tcp, echo, 80)
            await trio.sleep(1)
            world.partition("driver", "server")
            start = trio.current_time()
            async with trio.open_nursery() as nursery:

                async def heal() -> None:
                    await trio.sleep(4)
                    world.heal()

                nursery.start_soon(heal)
                socket = trio.socket.socket()
                await socket.connect(("server", 80))
            return trio.current_time() - start

    assert detrun.record(main).result == pytest.approx(7.2)  # SYNs at 0, 1, 3, 7


@pytest.mark.parametrize("direction", ["there", "back", "both"])
def test_a_partition_stalls_a_stream_and_healing_lets_it_go_on_without_a_gap(direction: str):
    async def main() -> tuple[bytes, int]:
        async with World(latency=0.05) as world:
            world.node("server").start(trio.serve_tcp, echo, 80)
            await trio.sleep(1)
            stream = await trio.open_tcp_stream("server", 80)
            received = bytearray()
            async with trio.open_nursery() as nursery:

                async def read() -> None:
                    async for data in stream:
                        received.extend(data)
                        if len(received) == 100:
                            return

                async def cut() -> None:
                    await trio.sleep(1.03)
                    pair = ("server", "driver") if direction == "back" else ("driver", "server")
                    world.partition(*pair, one_way=direction != "both")
                    await trio.sleep(20)
                    world.heal()

                nursery.start_soon(read)
                nursery.start_soon(cut)
                for number in range(100):
                    await stream.send_all(bytes([number]))
                    await trio.sleep(0.1)
            return bytes(received), world.faults["partition"]

    received, swallowed = detrun.record(main, seed=1).result
    assert received == bytes(range(100))
    assert swallowed > 0


def test_a_sender_gives_up_a_connection_that_is_never_acknowledged():
    async def main() -> tuple[Any, Any, float]:
        async with World(latency=0.05) as world:
            world.node("server").start(trio.serve_tcp, echo, 80)
            await trio.sleep(1)
            stream = await trio.open_tcp_stream("server", 80)
            world.partition("driver", "server")
            start = trio.current_time()
            await stream.send_all(b"x")
            return (
                await error_of(stream.receive_some()),
                await error_of(stream.send_all(b"y")),
                trio.current_time() - start,
            )

    error, then, seconds = detrun.record(main).result
    assert (error, then) == ("ETIMEDOUT", "EPIPE")
    assert seconds == pytest.approx(924.6)  # tcp_retries2 = 15, as Linux's documentation has it


@pytest.mark.parametrize("how", ["crash", "power_loss", "stop", "exit"])
def test_what_a_peer_sees_of_the_end_of_a_process(how: str):
    async def main() -> list[Any]:
        async with World(latency=0.05) as world:
            server = world.node("server")
            finish = trio.Event()

            async def program() -> None:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.serve_tcp, echo, 80)
                    await finish.wait()
                    if how == "exit":
                        nursery.cancel_scope.cancel()

            server.start(program)
            await trio.sleep(1)
            stream = await trio.open_tcp_stream("server", 80)
            await stream.send_all(b"x")
            seen: list[Any] = [await stream.receive_some()]
            if how == "stop":
                await server.stop()
            elif how == "exit":
                finish.set()
                await server.ended()
                finish = trio.Event()
            else:
                getattr(server, how)()
            with trio.move_on_after(5) as waiting:
                seen.append(await error_of(stream.receive_some()))
            if waiting.cancelled_caught:
                seen.append("nothing")
            await stream.send_all(b"y")
            await trio.sleep(1)
            server.restart()
            await trio.sleep(10)
            seen.append(await error_of(stream.send_all(b"z")))
            fresh = await trio.open_tcp_stream("server", 80)
            await fresh.send_all(b"again")
            return [*seen, await fresh.receive_some()]

    expected = {
        # The operating system closes the socket: end of stream, then a reset for what is sent to a closed socket.
        "crash": [b"x", b"", "EPIPE", b"again"],
        "stop": [b"x", b"", "EPIPE", b"again"],
        "exit": [b"x", b"", "EPIPE", b"again"],
        # Nothing is sent; when the machine is up again, it answers the retransmission with a reset.
        "power_loss": [b"x", "nothing", "ECONNRESET", b"again"],
    }
    assert detrun.record(main).result == expected[how]


def test_a_port_is_free_again_after_a_crash_and_refused_until_a_program_listens():
    async def main() -> list[Any]:
        async with World(latency=0.05) as world:
            server = world.node("server")
            server.start(trio.serve_tcp, echo, 80)
            await trio.sleep(1)
            server.crash()
            socket = trio.socket.socket()
            seen = [await error_of(socket.connect(("server", 80)))]
            server.restart()
            await trio.sleep(0.1)
            socket = trio.socket.socket()
            seen.append(await error_of(socket.connect(("server", 80))))
            server.power_loss()
            other = trio.socket.socket()
            with trio.move_on_after(10) as scope:
                await other.connect(("server", 80))
            return [*seen, scope.cancelled_caught]

    assert detrun.record(main).result == ["ECONNREFUSED", None, True]


def test_a_paused_server_accepts_in_its_kernel_and_answers_when_it_goes_on():
    async def main() -> list[Any]:
        async with World(latency=0.05) as world:
            server = world.node("server")
            server.start(trio.serve_tcp, echo, 80)
            await trio.sleep(1)
            server.pause()
            stream = await trio.open_tcp_stream("server", 80)
            await stream.send_all(b"hello")
            with trio.move_on_after(3) as scope:
                await stream.receive_some()
            server.resume()
            return [scope.cancelled_caught, await stream.receive_some()]

    assert detrun.record(main).result == [True, b"hello"]


def test_resetting_connections_is_seen_at_both_ends_and_by_them_only():
    async def main() -> list[Any]:
        async with World(latency=0.05) as world:
            ends: list[Any] = []

            async def note(stream: trio.SocketStream) -> None:
                ends.append(await error_of(stream.receive_some()))

            for name in ("one", "two"):
                world.node(name).start(trio.serve_tcp, note, 80)
            await trio.sleep(1)
            first, second = [await trio.open_tcp_stream(name, 80) for name in ("one", "two")]
            await trio.sleep(1)
            count = world.reset_connections("driver", "one")
            seen = [count, await error_of(first.receive_some())]
            await trio.sleep(1)
            seen.append(list(ends))
            await second.send_all(b"still here")
            await trio.sleep(1)
            return [*seen, ends[-1]]

    assert detrun.record(main).result == [1, "ECONNRESET", ["ECONNRESET"], b"still here"]


def test_a_backlog_that_is_full_makes_clients_wait_and_try_again():
    async def main() -> tuple[int, int]:
        async with World(latency=0.01) as world:

            async def slow() -> None:
                listener = trio.socket.socket()
                await listener.bind(("0.0.0.0", 80))
                listener.listen(1)
                while True:
                    await trio.sleep(5)
                    await listener.accept()

            world.node("server").start(slow)
            await trio.sleep(1)
            connected = 0

            async def client() -> None:
                nonlocal connected
                await trio.socket.socket().connect(("server", 80))
                connected += 1

            with trio.move_on_after(60):
                async with trio.open_nursery() as nursery:
                    for _ in range(6):
                        nursery.start_soon(client)
            return connected, world.faults["accept queue overflow"]

    connected, overflowed = detrun.record(main).result
    assert connected == 6
    assert overflowed > 0


@pytest.mark.parametrize("moment", [0.015, 0.025])
def test_a_connection_whose_client_loses_power_half_way_does_not_keep_its_place_in_the_backlog(moment: float):
    """The handshake takes 30 ms here: SYN, SYN-ACK, ACK. Linux gives a half-open connection up after 63 s."""

    async def connect() -> None:
        await trio.open_tcp_stream("server", 80)

    async def main() -> list[Any]:
        seen = []
        async with detrun.World(latency=0.01) as world:
            server, client = world.node("server"), world.node("client")

            async def serve() -> None:
                await trio.serve_tcp(lambda stream: trio.sleep_forever(), 80, backlog=1)

            server.start(serve)
            for _ in range(5):
                await trio.sleep(0.1)
                client.restart(connect)
                await trio.sleep(moment)
                client.power_loss()
                await trio.sleep(0.1)
                seen.append(len(server.connections))
                await trio.sleep(63.0)
                seen.append(len(server.connections))
            assert world.faults["accept queue overflow"] == 0
        return seen

    # The SYN-ACK finds the machine off; at 25 ms the ACK is on its way, and the connection is established.
    held = [1, 0] * 5 if moment < 0.02 else [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert detrun.record(main).result == held


@pytest.mark.parametrize("server_closes", [False, True])
def test_a_closed_end_whose_peer_loses_power_before_it_closes_is_forgotten_after_a_minute(server_closes: bool):
    """FIN-WAIT-2 of a socket that no process has: Linux's ``tcp_fin_timeout``, 60 s after the FIN was acknowledged."""

    async def main() -> list[int]:
        async with detrun.World(latency=0.01) as world:
            server, client = world.node("server"), world.node("client")

            async def keep_open(stream: trio.SocketStream) -> None:
                assert await stream.receive_some() == b""
                if not server_closes:
                    await trio.sleep_forever()

            async def connect() -> None:
                async with await trio.open_tcp_stream("server", 80):
                    pass
                await trio.sleep_forever()

            server.start(trio.serve_tcp, keep_open, 80)
            await trio.sleep(0.1)
            client.start(connect)
            await trio.sleep(0.5)
            server.power_loss()
            seen = [len(client.connections)]
            await trio.sleep(59.0)
            seen.append(len(client.connections))
            await trio.sleep(1.0)
            seen.append(len(client.connections))
        return seen

    assert detrun.record(main).result == ([0, 0, 0] if server_closes else [1, 1, 0])


def test_throughput_over_a_long_link_is_a_window_per_round_trip():
    """A receiver's buffer each round trip, and no more: 128 KiB per 0.2 s."""

    async def main() -> float:
        size = 2_000_000
        async with World(latency=0.1) as world:
            done = trio.Event()

            async def sink(stream: trio.SocketStream) -> None:
                got = 0
                async for data in stream:
                    got += len(data)
                assert got == size
                done.set()

            world.node("server").start(trio.serve_tcp, sink, 80)
            await trio.sleep(1)
            stream = await trio.open_tcp_stream("server", 80)
            start = trio.current_time()
            await stream.send_all(b"x" * size)
            await stream.aclose()
            await done.wait()
            return size / (trio.current_time() - start)

    rate = detrun.record(main).result
    assert rate == pytest.approx(131_072 / 0.2, rel=0.15)


def test_throughput_over_a_narrow_link_is_its_bandwidth():
    async def main() -> float:
        size = 300_000
        async with World(latency=0.001, bandwidth=50_000.0) as world:
            done = trio.Event()

            async def sink(stream: trio.SocketStream) -> None:
                async for _ in stream:
                    pass
                done.set()

            world.node("server").start(trio.serve_tcp, sink, 80)
            await trio.sleep(1)
            stream = await trio.open_tcp_stream("server", 80)
            start = trio.current_time()
            await stream.send_all(b"x" * size)
            await stream.aclose()
            await done.wait()
            return size / (trio.current_time() - start)

    assert detrun.record(main).result == pytest.approx(50_000 * 1460 / 1500, rel=0.02)


def test_an_address_that_no_node_has_is_unreachable_and_a_name_is_unknown():
    async def main() -> list[Any]:
        import socket

        async with World() as world:
            world.node("Server")
            seen: list[Any] = [await error_of(trio.socket.socket().connect(("10.9.9.9", 80)))]
            try:
                await trio.open_tcp_stream("sever", 80)
            except socket.gaierror as error:
                seen.append("sever" in str(error))
            found = await trio.socket.getaddrinfo("SERVER", 80, type=socket.SOCK_STREAM)
            name, port = await trio.socket.getnameinfo(("10.0.0.2", 80), 0)
            return [*seen, found[0][4], name, port]

    assert detrun.record(main).result == ["EHOSTUNREACH", True, ("10.0.0.2", 80), "server", "http"]


def test_faults_that_were_switched_on_and_never_took_effect_are_listed():
    async def main() -> tuple[str, ...]:
        async with World(latency=0.1, loss=1e-12) as world:
            world.node("a")
            world.node("b").start(trio.sleep_forever)
            world.partition("a", "b")
            world.clog("b", 1.0)
            world.driver.send("b", "x")
            await trio.sleep(5)
            assert world.faults["clog"] == 1
            return world.faults.unfired()

    assert set(detrun.record(main).result) == {"loss", "partition"}


def test_faults_are_in_the_recording():
    async def main() -> int:
        async with World(latency=0.1, loss=0.5) as world:
            world.node("b").start(trio.sleep_forever)
            for _ in range(20):
                world.driver.send("b", "x")
            await trio.sleep(1)
            world.node("b").crash()
            return world.faults["loss"]

    run = detrun.record(main, seed=1)
    events = [event for step in run.recording.iter_steps() for event in step.events if event.kind == "fault"]
    assert sum(event.label == "loss" for event in events) == run.result > 0
    assert [event.label for event in events][-1] == "crash"
