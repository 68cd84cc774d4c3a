"""Mailboxes: copies, types, and gradients that pass through the network with the messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import trio

import detrun
from detrun.errors import UsageError
from detrun.world import Exponential, Packet, Verdict
from detrun.world.network.mailbox import copied


@dataclass(frozen=True)
class Vote:
    term: int
    weight: Any


@dataclass(frozen=True)
class Append:
    entries: list[Any]


@dataclass
class Mutable:
    number: int


async def forever() -> None:
    await trio.sleep_forever()


def test_a_message_is_what_it_was_when_it_was_sent():
    async def main() -> tuple[list[int], Any]:
        async with detrun.World() as world:
            message = Append([1, 2])
            world.driver.send("driver", message)
            message.entries.append(3)
            got = await world.driver.receive()
            return got.entries, got is message

    assert detrun.record(main).result == ([1, 2], False)


def test_only_what_could_change_is_copied():
    value = detrun.Value(1.0)
    for message in (1, "a", b"b", None, (1, ("x",)), value, Vote(1, value), (Vote(1, 2.0),), frozenset({1})):
        assert copied(message) is message
    for message in ([1], {"a": 1}, (1, [2]), Append([1]), Mutable(1), {1}):
        assert copied(message) is not message
        assert copied(message) == message
    assert copied([value])[0] is value


def test_receiving_by_type_leaves_the_others_in_order():
    async def main() -> list[Any]:
        async with detrun.World() as world:
            for message in (Vote(1, 0), Append([1]), Vote(2, 0), "text"):
                world.driver.send("driver", message)
            receive = world.driver.receive
            seen: list[Any] = [
                await receive(Append),
                await receive((str, Append)),
                await receive(Vote),
                await receive(),
            ]
            return seen

    assert detrun.record(main).result == [Append([1]), "text", Vote(1, 0), Vote(2, 0)]


def test_waiting_tasks_get_what_they_wait_for_in_the_order_in_which_they_came():
    async def main() -> dict[str, Any]:
        got: dict[str, Any] = {}

        async def wait(name: str, kind: Any) -> None:
            got[name] = await detrun.this_node().receive(kind)

        async def program() -> None:
            async with trio.open_nursery() as nursery:
                for name, kind in (("vote", Vote), ("text", str), ("any", None)):
                    nursery.start_soon(wait, name, kind)
                    await trio.sleep(1)

        async with detrun.World() as world:
            node = world.node("a")
            node.start(program)
            await trio.sleep(10)
            for message in ("hello", 42, Vote(1, 0)):
                world.driver.send(node, message)
            await node.ended()
        return got

    assert detrun.record(main).result == {"text": "hello", "any": 42, "vote": Vote(1, 0)}


def test_an_envelope_tells_sender_and_times_and_a_cancelled_receive_loses_nothing():
    async def main() -> tuple[Any, ...]:
        async with detrun.World(latency=0.5) as world:
            sender = world.node("a")
            with trio.move_on_after(1) as scope:
                await world.driver.receive()
            sender.send("driver", "x")
            envelope = await world.driver.receive_envelope()
            return scope.cancelled_caught, envelope.sender.name, envelope.message, envelope.sent_at, envelope.arrived_at

    assert detrun.record(main).result == (True, "a", "x", 1.0, 1.5)


def test_a_message_for_a_process_that_has_died_does_not_reach_the_next_one():
    async def main() -> list[Any]:
        got: list[Any] = []

        async def program() -> None:
            while True:
                got.append(await detrun.this_node().receive())

        async with detrun.World(latency=0.1) as world:
            node = world.node("a")
            node.start(forever)
            world.driver.send(node, "in the box of the first")
            await trio.sleep(1)
            node.crash()
            world.driver.send(node, "while it is down")
            await trio.sleep(1)
            node.restart(program)
            world.driver.send(node, "for the second")
            await trio.sleep(1)
        return got

    assert detrun.record(main).result == ["for the second"]


def test_receiving_where_nothing_runs_and_sending_to_an_unknown_node_are_named():
    async def receiving() -> None:
        async with detrun.World() as world:
            await world.node("a").receive()

    async def sending() -> None:
        async with detrun.World() as world:
            world.driver.send("nobody", 1)

    with pytest.raises(UsageError, match="runs nothing"):
        detrun.record(receiving)
    with pytest.raises(UsageError, match="no node 'nobody'"):
        detrun.record(sending)


# Gradients.


def gradient_of(main: Any, params: dict[str, float], **options: Any) -> Any:
    return detrun.gradient(main, params, kind="local", **options)


def central_difference(main: Any, params: dict[str, float], name: str, seed: int, step: float = 1e-6) -> float:
    def at(value: float) -> float:
        async def run() -> float:
            return await main({**params, name: value})

        return float(detrun.record(run, seed=seed).result)

    return (at(params[name] + step) - at(params[name] - step)) / (2 * step)


async def relay(params: dict[str, Any], verdict: Verdict = Verdict.PASS) -> Any:
    """A number through two nodes: b adds up what comes, times its weight."""

    class Judge:
        def judge(self, packet: Packet) -> Verdict:
            return verdict if packet.source.name == "a" else Verdict.PASS

    async with detrun.World(latency=0.1) as world:
        a, b = world.node("a"), world.node("b")
        world.add_rule(Judge())

        async def first() -> None:
            a.send("b", Vote(1, params["x"] * 3.0))

        async def second() -> None:
            total: Any = 0.0
            with trio.move_on_after(1):
                while True:
                    vote = await b.receive(Vote)
                    total = total + vote.weight * params["w"]
            b.send("driver", total + params["x"])

        a.start(first)
        b.start(second)
        return await world.driver.receive()


@pytest.mark.parametrize(
    ("verdict", "value", "by_x", "by_w"),
    [(Verdict.PASS, 32.0, 16.0, 6.0), (Verdict.DROP, 2.0, 1.0, 0.0), (Verdict.DUPLICATE, 62.0, 31.0, 12.0)],
)
def test_adjoint_follows_the_message_none_if_it_is_dropped_twice_if_it_is_doubled(
    verdict: Verdict, value: float, by_x: float, by_w: float
):
    async def main(params: dict[str, Any]) -> Any:
        return await relay(params, verdict)

    found = gradient_of(main, {"x": 2.0, "w": 5.0})
    assert found.value == value
    assert found.grads == {"x": by_x, "w": by_w}


def test_a_delivery_time_is_differentiable_in_the_parameters_of_its_link():
    async def main(params: dict[str, Any]) -> Any:
        latency = Exponential(mean=params["mean"], minimum=params["minimum"])
        async with detrun.World(latency=latency, bandwidth=params["bandwidth"]) as world:
            world.node("a").send("driver", "x", size=1000)
            envelope = await world.driver.receive_envelope()
            return envelope.arrived_at

    params = {"mean": 0.2, "minimum": 0.05, "bandwidth": 4000.0}
    found = gradient_of(main, params, seed=3)
    drawn = found.value - 0.05 - 0.25
    assert found.grads["minimum"] == pytest.approx(1.0)
    assert found.grads["mean"] == pytest.approx(drawn / 0.2)
    assert found.grads["bandwidth"] == pytest.approx(-1000.0 / 4000.0**2)


REPLICAS, QUORUM, ROUNDS = 5, 3, 30
NAMES = [f"r{index}" for index in range(REPLICAS)]


async def quorum(params: dict[str, Any], log: list[dict[str, Any]] | None = None) -> Any:
    """Mean time from a request to the QUORUM-th answer; each link has an exponential of its own mean."""
    async with detrun.World() as world:

        async def answer() -> None:
            node = detrun.this_node()
            while True:
                node.send("driver", (await node.receive(), node.name))

        for name in NAMES:
            world.node(name).start(answer)
            world.link("driver", name).latency = Exponential(params[f"to {name}"])
            world.link(name, "driver").latency = Exponential(params[f"from {name}"])
        total: Any = 0.0
        for number in range(ROUNDS):
            started = trio.current_time()
            for name in NAMES:
                world.driver.send(name, number)
            answers: list[tuple[str, Any]] = []
            while len(answers) < REPLICAS:
                envelope = await world.driver.receive_envelope()
                answers.append((envelope.message[1], envelope.arrived_at))
                if len(answers) == QUORUM:
                    total = total + (envelope.arrived_at - started)
            if log is not None:
                log.append({name: (started, at) for name, at in answers})
        return total / ROUNDS


def test_the_gradient_of_quorum_latency_is_that_of_the_order_statistic_on_each_path():
    """The quorum's time is the third smallest of five sums m1 E1 + m2 E2: its derivative by m1 is E1 of that replica,
    and 0 for all others. The E are recomputed here from the links' own streams.
    """
    from detrun_scheduler.randomness import draw_bits, exponential, stream_key, to_unit

    params = {f"{way} {name}": 0.1 + 0.05 * index for index, name in enumerate(NAMES) for way in ("to", "from")}
    seed = 11
    found = gradient_of(quorum, params, seed=seed)

    def units(link: str) -> list[float]:
        stream = stream_key(seed, f"key {f'{link} latency'!r}")
        return [exponential(to_unit(draw_bits(stream, index)), 1.0) for index in range(ROUNDS)]

    there = {name: units(f"driver->{name}") for name in NAMES}
    back = {name: units(f"{name}->driver") for name in NAMES}
    expected = dict.fromkeys(params, 0.0)
    mean = 0.0
    for number in range(ROUNDS):
        times = {
            name: params[f"to {name}"] * there[name][number] + params[f"from {name}"] * back[name][number]
            for name in NAMES
        }
        third = sorted(NAMES, key=times.__getitem__)[QUORUM - 1]
        mean += times[third] / ROUNDS
        expected[f"to {third}"] += there[third][number] / ROUNDS
        expected[f"from {third}"] += back[third][number] / ROUNDS
    assert found.value == pytest.approx(mean, rel=1e-9)
    assert found.grads == pytest.approx(expected, rel=1e-9, abs=1e-12)
    for name in ("to r0", "from r2", "to r4"):
        assert found.grads[name] == pytest.approx(central_difference(quorum, params, name, seed), rel=1e-5, abs=1e-8)


def test_the_time_of_a_reply_over_tcp_is_differentiable_retransmissions_included():
    class LoseOne:
        def __init__(self) -> None:
            self.seen = 0

        def judge(self, packet: Packet) -> Verdict:
            if b"request" in bytes(getattr(packet, "data", b"")):
                self.seen += 1
                return Verdict.DROP if self.seen == 1 else Verdict.PASS
            return Verdict.PASS

    async def main(params: dict[str, Any]) -> Any:
        async def handle(stream: trio.SocketStream) -> None:
            async for data in stream:
                await detrun.sleep(params["work"])
                await stream.send_all(data)

        latency = Exponential(params["mean"], minimum=0.01)
        async with detrun.World(latency=latency, retransmission_seconds=0.7) as world:
            world.node("server").start(trio.serve_tcp, handle, 80)
            await trio.sleep(0.1)
            world.add_rule(LoseOne())
            stream = await trio.open_tcp_stream("server", 80)
            start = trio.current_time()
            await stream.send_all(b"request")
            await stream.receive_some()
            return trio.current_time() - start

    params = {"mean": 0.05, "work": 0.3}
    found = gradient_of(main, params, seed=4)
    assert found.value > 1.0
    assert found.grads["work"] == pytest.approx(1.0)
    assert found.grads["mean"] == pytest.approx((found.value - 0.7 - 0.3 - 0.02) / 0.05)
    assert found.grads["mean"] == pytest.approx(central_difference(main, params, "mean", 4), rel=1e-5)
