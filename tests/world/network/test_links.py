"""Links: travel times, bandwidth, loss, doubling, overtaking; against distributions, closed forms and plain models.

False-alarm rates: seeds are fixed, so a test that passes once passes always; what is stated is the probability that a
correct program would have failed the test at a seed chosen blindly.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio

import detrun
from detrun.errors import UsageError
from detrun.world import Constant, Exponential, LinkSettings, LogNormal, Packet, Uniform, Verdict

stats = pytest.importorskip("scipy.stats")

MESSAGES = 1500


async def arrivals(count: int, gap: float = 1.0, size: int = 512, **link: Any) -> tuple[list[float], dict[str, int]]:
    """Travel times of ``count`` mailbox messages over one link, by message number; infinite if lost."""
    took = [math.inf] * count
    async with detrun.World(**link) as world:
        node = world.node("receiver")

        async def receive() -> None:
            while True:
                envelope = await node.receive_envelope()
                number = envelope.message
                took[number] = min(took[number], envelope.arrived_at - envelope.sent_at)

        node.start(receive)
        for number in range(count):
            world.driver.send(node, number, size=size)
            await detrun.sleep(gap)
        await detrun.sleep(1000)
        return took, dict(world.faults)


@pytest.mark.parametrize(
    ("latency", "reference"),
    [
        (Exponential(0.05), stats.expon(scale=0.05)),
        (Exponential(0.05, minimum=0.2), stats.expon(loc=0.2, scale=0.05)),
        (Uniform(0.1, 0.3), stats.uniform(0.1, 0.2)),
        (LogNormal(math.log(0.05), 0.7), stats.lognorm(0.7, scale=0.05)),
        (lambda: detrun.normal(1.0, 0.1), stats.norm(1.0, 0.1)),
    ],
    ids=["exponential", "shifted exponential", "uniform", "lognormal", "function"],
)
def test_travel_times_follow_the_distribution(latency: Any, reference: Any):
    """Kolmogorov-Smirnov at 1 in 1000 for each of five distributions: 0.5 % false alarms together."""

    async def main() -> list[float]:
        return (await arrivals(MESSAGES, latency=latency))[0]

    took = detrun.record(main, seed=2).result
    assert stats.kstest(took, reference.cdf).pvalue > 1e-3


def test_the_test_of_distributions_finds_a_wrong_one():
    async def main() -> list[float]:
        return (await arrivals(MESSAGES, latency=Exponential(0.05)))[0]

    took = detrun.record(main, seed=2).result
    assert stats.kstest(took, stats.expon(scale=0.06).cdf).pvalue < 1e-3


def test_a_constant_link_takes_its_constant_and_the_way_to_oneself_no_time():
    async def main() -> list[float]:
        async with detrun.World(latency=0.25) as world:
            world.driver.send(world.driver, "to myself")
            own = await world.driver.receive_envelope()
            return [own.arrived_at - own.sent_at, *(await there(world))]

    async def there(world: detrun.World) -> list[float]:
        node = world.node("a")
        took: list[float] = []

        async def receive() -> None:
            envelope = await node.receive_envelope()
            took.append(envelope.arrived_at - envelope.sent_at)

        node.start(receive)
        world.driver.send("a", "hello")
        await node.ended()
        return took

    assert detrun.record(main).result == [0.0, 0.25]


@pytest.mark.parametrize("probability", [0.05, 0.5])
@pytest.mark.parametrize("fault", ["loss", "duplication"])
def test_rates_match_their_figures(fault: str, probability: float):
    """Exact binomial test at 1 in 1000 for each of four figures: 0.4 % false alarms together."""

    async def main() -> int:
        _, faults = await arrivals(MESSAGES, gap=0.1, latency=0.01, **{fault: probability})
        return faults[fault]

    hits = detrun.record(main, seed=3).result
    assert stats.binomtest(hits, MESSAGES, probability).pvalue > 1e-3
    assert stats.binomtest(hits, MESSAGES, probability * 1.3).pvalue < 0.1  # the test can tell


def test_what_is_lost_does_not_arrive_and_what_is_doubled_arrives_twice():
    async def main(fault: str) -> tuple[int, int]:
        got = 0
        async with detrun.World(latency=0.01, **{fault: 0.3}) as world:
            node = world.node("a")

            async def receive() -> None:
                nonlocal got
                while True:
                    await node.receive()
                    got += 1

            node.start(receive)
            for number in range(200):
                world.driver.send("a", number)
            await trio.sleep(1)
            return got, world.faults[fault]

    got, lost = detrun.record(main, "loss").result
    assert lost > 0
    assert got == 200 - lost
    got, doubled = detrun.record(main, "duplication").result
    assert doubled > 0
    assert got == 200 + doubled


def test_a_slow_tail_adds_its_delay_to_the_fraction_it_names():
    """Binomial test at 1 in 1000."""

    async def main() -> list[float]:
        return (await arrivals(MESSAGES, latency=0.1, slow_tail=0.1, slow_tail_delay=Constant(5.0)))[0]

    took = detrun.record(main, seed=5).result
    slow = sum(1 for seconds in took if seconds > 1)
    assert {round(seconds, 9) for seconds in took} == {0.1, 5.1}
    assert stats.binomtest(slow, MESSAGES, 0.1).pvalue > 1e-3


def test_reordering_lets_later_messages_overtake_and_without_it_a_constant_link_keeps_the_order():
    async def main(**link: Any) -> list[int]:
        order: list[int] = []
        async with detrun.World(latency=0.1, **link) as world:
            node = world.node("a")

            async def receive() -> None:
                while True:
                    order.append(await node.receive())

            node.start(receive)
            for number in range(100):
                world.driver.send("a", number)
                await detrun.sleep(0.05)
            await trio.sleep(10)
        return order

    async def reordered() -> list[int]:
        return await main(reordering=0.2, reordering_delay=1.0)

    assert detrun.record(main).result == list(range(100))
    order = detrun.record(reordered, seed=1).result
    assert sorted(order) == list(range(100))
    assert order != sorted(order)


def test_bandwidth_makes_messages_queue_as_the_lindley_recursion_says():
    """A link of b bytes/s is a single server: departures d[n] = max(a[n], d[n-1]) + size / b."""
    sizes = [100, 5000, 300, 20, 9000, 40, 1]
    gaps = [0.0, 0.1, 0.5, 3.0, 0.2, 0.0, 20.0]

    async def main() -> list[float]:
        arrived: list[float] = []
        async with detrun.World(latency=0.5, bandwidth=1000.0) as world:
            node = world.node("a")

            async def receive() -> None:
                while True:
                    arrived.append((await node.receive_envelope()).arrived_at)

            node.start(receive)
            for size, gap in zip(sizes, gaps, strict=True):
                await detrun.sleep(gap)
                world.driver.send("a", size, size=size)
            await detrun.sleep(100)
        return arrived

    expected, now, free = [], 0.0, 0.0
    for size, gap in zip(sizes, gaps, strict=True):
        now += gap
        free = max(now, free) + size / 1000.0
        expected.append(free + 0.5)
    assert detrun.record(main).result == pytest.approx(expected, abs=1e-12)


def test_a_queue_that_is_full_loses_what_comes():
    async def main() -> tuple[int, int]:
        got = 0
        async with detrun.World(latency=0.0, bandwidth=1000.0, queue_bytes_max=3000) as world:
            node = world.node("a")

            async def receive() -> None:
                nonlocal got
                while True:
                    await node.receive()
                    got += 1

            node.start(receive)
            for number in range(10):
                world.driver.send("a", number, size=1000)
            await trio.sleep(100)
            return got, world.faults["queue overflow"]

    assert detrun.record(main).result == (3, 7)


def test_one_link_draws_from_its_own_stream_whatever_other_links_carry():
    async def main(others: int) -> list[float]:
        took: list[float] = []
        async with detrun.World(latency=Exponential(0.1)) as world:
            node, other = world.node("a"), world.node("b")

            async def receive() -> None:
                while True:
                    envelope = await node.receive_envelope()
                    took.append(round(envelope.arrived_at - envelope.sent_at, 9))

            node.start(receive)
            for number in range(20):
                for _ in range(others):
                    world.driver.send(other, "noise")
                world.driver.send(node, number)
                await detrun.sleep(10)
        return took

    assert detrun.record(main, 0, seed=1).result == detrun.record(main, 3, seed=1).result


def test_a_link_can_be_changed_while_the_run_goes_on():
    async def main() -> list[float]:
        took: list[float] = []
        async with detrun.World(latency=0.1) as world:
            node = world.node("a")

            async def receive() -> None:
                while True:
                    envelope = await node.receive_envelope()
                    took.append(round(envelope.arrived_at - envelope.sent_at, 9))

            node.start(receive)
            link = world.link("driver", "a")
            exponential = Exponential(mean=0.5)
            for change in (None, lambda: setattr(link, "latency", 0.2), lambda: link.configure(latency=Constant(0.3))):
                if change is not None:
                    change()
                world.driver.send(node, 0)
                await detrun.sleep(1)
            link.latency = exponential
            exponential.mean = 1e-15
            world.driver.send(node, 0)
            await detrun.sleep(1)
        return took

    assert detrun.record(main).result == [0.1, 0.2, 0.3, 0.0]


def test_rules_are_asked_in_the_order_of_installation_and_the_first_verdict_wins():
    asked: list[str] = []

    class Answer:
        def __init__(self, name: str, verdict: Verdict) -> None:
            self.fault = name
            self.verdict = verdict

        def judge(self, packet: Packet) -> Verdict:
            asked.append(self.fault)
            assert packet.source.name == "driver"
            assert packet.destination.name == "a"
            assert packet.protocol == "mailbox"
            return self.verdict

    async def main(*verdicts: Verdict) -> tuple[int, dict[str, int]]:
        asked.clear()
        async with detrun.World(latency=0.1, loss=1.0) as world:
            world.node("a").start(trio.sleep_forever)
            for index, verdict in enumerate(verdicts):
                world.add_rule(Answer(f"rule {index}", verdict))
            world.driver.send("a", "x")
            await trio.sleep(1)
            process = world.node("a").process
            assert process is not None
            return len(process.mailbox.arrived), dict(world.faults)

    passed, dropped, delivered = Verdict.PASS, Verdict.DROP, Verdict.DELIVER
    assert detrun.record(main, passed, delivered, dropped).result == (1, {})
    assert asked == ["rule 0", "rule 1"]
    assert detrun.record(main, passed, dropped, delivered).result == (0, {"rule 1": 1})
    assert detrun.record(main, passed, passed).result == (0, {"loss": 1})
    assert detrun.record(main, Verdict.DUPLICATE).result == (2, {"rule 0": 1})
    assert detrun.record(main, Verdict.HOLD).result == (0, {"rule 0": 1})
    assert detrun.record(main, Verdict.RESET).result == (0, {"rule 0": 1})


def test_what_a_rule_holds_arrives_when_it_is_released():
    class Hold:
        def judge(self, packet: Packet) -> Verdict:
            return Verdict.HOLD

    async def main() -> list[tuple[int, float]]:
        got: list[tuple[int, float]] = []
        async with detrun.World(latency=0.1) as world:
            node = world.node("a")

            async def receive() -> None:
                while True:
                    got.append((await node.receive(), trio.current_time()))

            node.start(receive)
            rule = Hold()
            world.add_rule(rule)
            for number in range(3):
                world.driver.send(node, number)
                await trio.sleep(1)
            world.remove_rule(rule)
            assert got == []
            world.link("driver", node).release()
            await trio.sleep(1)
        return got

    assert detrun.record(main).result == [(0, 3), (1, 3), (2, 3)]


@pytest.mark.parametrize("where", ["world", "link"])
def test_a_plain_function_is_a_rule_and_counts_under_its_name(where: str):
    def lose_the_first(packet: Packet) -> Verdict:
        return Verdict.DROP if packet.describe() == "message 0" else Verdict.PASS

    async def main() -> tuple[list[int], dict[str, int], int]:
        got: list[int] = []
        async with detrun.World(latency=0.1) as world:
            node, other = world.node("a"), world.node("b")

            async def receive() -> None:
                while True:
                    got.append(await detrun.this_node().receive())

            node.start(receive)
            other.start(receive)
            link = world.link("driver", node)
            rules = world.rules if where == "world" else link.rules
            rules.append(lose_the_first)
            for number in range(2):
                world.driver.send(node, number)
                world.driver.send(other, 10 * number)
            await trio.sleep(1)
            rules.remove(lose_the_first)
            world.driver.send(node, 0)
            await trio.sleep(1)
            return sorted(got), dict(world.faults), link.fault_counts["lose_the_first"]

    # The world's rule loses what goes to the other node, too.
    got, lost = ([0, 1, 10], 2) if where == "world" else ([0, 0, 1, 10], 1)
    assert detrun.record(main).result == (got, {"lose_the_first": lost}, 1)


def test_rules_of_both_kinds_are_asked_in_the_order_of_installation_and_must_give_a_verdict():
    asked: list[str] = []

    class Says:
        fault = "a fault of its own name"

        def judge(self, packet: Packet) -> Verdict:
            asked.append("object")
            return Verdict.DROP

    async def main(answer: Any) -> dict[str, int]:
        async with detrun.World() as world:
            world.rules.append(lambda packet: asked.append("function") or answer)
            world.add_rule(Says())
            world.link("driver", world.node("a")).rules.append(lambda packet: asked.append("never") or Verdict.PASS)
            world.driver.send("a", "x")
            return dict(world.faults)

    assert detrun.record(main, Verdict.PASS).result == {"a fault of its own name": 1}
    assert asked == ["function", "object"]
    asked.clear()
    assert detrun.record(main, Verdict.DELIVER).result == {}
    assert asked == ["function"]
    with pytest.raises(UsageError, match=r"rule <lambda> answered None; return a detrun\.world\.Verdict"):
        detrun.record(main, None)


def test_whether_a_message_has_to_queue_is_a_discontinuity_site_that_says_how_nearly_it_had_not():
    """512 bytes at 1,024 bytes/s take 0.5 s; the second message comes 0.45 s after the first: 0.05 s too early."""

    async def main(params):
        async with detrun.World(latency=0.0, bandwidth=params["bandwidth"]) as world:
            node = world.node("receiver")

            node.start(trio.sleep_forever)
            world.driver.send("receiver", b"", size=512)
            await trio.sleep(0.45)
            world.driver.send("receiver", b"", size=512)
            await trio.sleep(2.0)
        return params["bandwidth"]

    nearest = detrun.gradient(main, {"bandwidth": 1024.0}).diagnostics.nearest_margins
    assert [(one.where, one.margin) for one in nearest if one.kind == "link queue"] == [
        ("driver->receiver", pytest.approx(0.05))
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"latency": -1.0}, "latency=-1.0 is not valid; give seconds"),
        ({"latency": "fast"}, "latency='fast' is not valid; give seconds"),
        ({"loss": 1.5}, "not a probability"),
        ({"lossiness": 0.1}, "no setting 'lossiness'"),
        ({"latency": lambda: -0.5}, "before it was sent"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], words: str):
    async def main() -> None:
        async with detrun.World(**settings) as world:
            world.node("a").start(trio.sleep_forever)
            world.driver.send("a", "x")

    with pytest.raises(UsageError, match=words):
        detrun.record(main)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"bandwidth": 0},
            "bandwidth=0 is not valid; give a positive number of bytes per second, or None for no limit",
        ),
        ({"bandwidth": -1.0}, "bandwidth=-1.0"),
        ({"bandwidth": "fast"}, "bandwidth='fast'"),
        ({"bandwidth": True}, "bandwidth=True"),
        ({"queue_bytes_max": -5}, "queue_bytes_max=-5 is not valid; give a number of bytes, at least 0"),
        ({"queue_bytes_max": None}, "queue_bytes_max=None"),
        ({"slow_tail_delay": -1.0}, "slow_tail_delay=-1.0 is not valid"),
        ({"reordering_delay": "long"}, "reordering_delay='long' is not valid"),
        ({"loss": 1.5}, "loss=1.5 is not a probability"),
        ({"latency": None}, "latency=None is not valid"),
        ({"retransmission_seconds": 0.0}, "retransmission_seconds=0.0 is not valid; give a positive"),
        ({"lattency": 1.0}, "a link has no setting 'lattency'"),
    ],
    ids=str,
)
def test_settings_that_no_link_can_have_are_refused_before_the_world_opens(settings: dict[str, Any], message: str):
    async def main() -> None:
        detrun.World(**settings)

    with pytest.raises(UsageError, match=message):
        detrun.record(main)


def test_a_clog_of_negative_length_is_refused_and_one_of_none_ends_at_once():
    async def main() -> Any:
        async with detrun.World(latency=0.01) as world:
            link = world.link(world.node("a"), "driver")
            with pytest.raises(UsageError, match="a clog of -1 s"):
                link.clog(-1)
            link.clog(0.0)
            world.node("a").send("driver", "through")
            return await world.driver.receive()

    assert detrun.record(main).result == "through"


def test_the_settings_of_a_link_are_one_value_and_what_is_refused_changes_none_of_them():
    async def main() -> Any:
        async with detrun.World(latency=0.01, loss=0.25, bandwidth=1e6) as world:
            link, other = world.link(world.node("a"), "driver"), world.link("driver", "a")
            link.configure(loss=0.5, queue_bytes_max=1000)
            link.latency = 0.02
            with pytest.raises(UsageError, match="loss=2 is not a probability"):
                link.configure(bandwidth=5.0, loss=2)
            expected = LinkSettings(latency=0.02, loss=0.5, bandwidth=1e6, queue_bytes_max=1000)
            assert link.settings == expected
            assert (link.loss, link.bandwidth, link.latency) == (0.5, 1e6, Constant(0.02))
            assert other.settings == LinkSettings(latency=0.01, loss=0.25, bandwidth=1e6)
            other.latency.seconds = 7.0  # its own: the other link keeps its latency
            return link.latency, world.faults.unfired()

    assert detrun.record(main).result == (Constant(0.02), ("loss",))


def test_settings_refuse_what_no_link_can_have():
    with pytest.raises(UsageError, match="bandwidth=0 is not valid; give a positive number of bytes per second"):
        LinkSettings(bandwidth=0)
    with pytest.raises(UsageError, match="a link has no setting 'lattency'; it has latency, bandwidth, "):
        LinkSettings().changed({"lattency": 1.0})


@pytest.mark.parametrize("mean", [0.0, -0.01, math.nan])
def test_an_exponential_without_a_mean_is_refused_when_it_is_made(mean: float) -> None:
    with pytest.raises(UsageError, match="give a mean above 0 seconds"):
        Exponential(mean)


def test_an_exponential_that_may_be_negative_is_refused_when_it_is_made() -> None:
    with pytest.raises(UsageError, match=r"minimum=-0\.1"):
        Exponential(0.01, minimum=-0.1)
