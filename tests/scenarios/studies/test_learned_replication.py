"""The replicated store: held against order statistics of exponential times; its invariants can fail."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import trio

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun_scenarios.studies.learned_replication import SCENARIO, SWARM, orders
from detrun_scenarios.studies.learned_replication.coordinator import REPLICAS, Coordinator, drawn
from detrun_scenarios.studies.learned_replication.messages import Read, Write
from detrun_scenarios.studies.learned_replication.replica import Replica
from detrun_scenarios.studies.learned_replication.workload import LINK_SECONDS, Seen, Workload, run_store
from detrun_scheduler.endings import exception_leaves
from tests.scenarios.whole import program_of

pytestmark = pytest.mark.one_python
of = partial(program_of, SCENARIO)
MEAN = SCENARIO.defaults["replica_seconds"]
SOUND = Workload(300, slow=False)


@pytest.mark.parametrize("seeds", [6, pytest.param(300, marks=pytest.mark.slow)])
def test_quorums_of_any_size_lose_nothing_where_they_overlap(seeds: int) -> None:
    """Sizes between whole numbers, so that each operation has its own."""
    for seed in range(seeds):
        sizes = random.Random(seed)
        params = {
            **SCENARIO.defaults,
            "write_quorum": sizes.uniform(1.0, 5.0),
            "read_quorum": sizes.uniform(1.0, 5.0),
            "fan_out": sizes.uniform(1.0, 5.0),
        }
        detrun.record(run_store, params, Workload(50), SWARM, seed=seed, max_steps=20_000)


class Eager(Replica):
    """Says that it has a write, and stores it then."""

    async def handle(self, message: Write | Read) -> None:
        """See `Replica.handle`."""
        if isinstance(message, Write):
            disk, self.disk = self.disk, {}
            self.store(message)
            self.disk = disk
        await super().handle(message)


class Backward(Replica):
    """Takes what comes last for the newest."""

    def store(self, message: Write) -> None:
        """See `Replica.store`."""
        for key, _ in message.values:
            self.disk.pop(key, None)
        super().store(message)


class Trusting(Coordinator):
    """Takes the answer of one replica for that of a quorum."""

    def check_read(self, key: str, found: int, quorum: int, before: Any) -> None:
        """See `Coordinator.check_read`."""
        oldest = min(disk.get(key, 0) for disk in self.disks)
        super().check_read(key, oldest, quorum, before)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ((Eager, Coordinator), "an acknowledged write is on as many disks as its quorum says"),
        ((Backward, Coordinator), "an acknowledged write is on as many disks as its quorum says"),
        ((Replica, Trusting), "quorums that overlap see the latest acknowledged write"),
    ],
)
def test_wrong_parts_are_noticed(parts: tuple[type[Replica], type[Coordinator]], says: str) -> None:
    """Within forty seeds under the swarm."""
    assert any(says in failure(parts, seed) for seed in range(40))


def failure(parts: tuple[type[Replica], type[Coordinator]], seed: int) -> str:
    """What a run fails with; empty if it does not."""
    try:
        detrun.record(run_store, SCENARIO.defaults, Workload(60), SWARM, parts, seed=seed)
    except (AssertionViolatedError, BaseExceptionGroup) as error:
        return "".join(map(str, exception_leaves(error)))
    return ""


def test_the_mean_of_the_kth_of_n_is_what_draws_have() -> None:
    """10,000 draws: within five standard errors, each some 1 % of the mean."""
    numbers = random.Random(5)
    for k in (1, 3, 5):
        found = [sorted(numbers.expovariate(1.0 / MEAN) for _ in range(5))[k - 1] for _ in range(10_000)]
        error = statistics.stdev(found) / 100.0
        assert abs(statistics.fmean(found) - orders.mean_of_kth(k, 5, MEAN)) < 5.0 * error


def test_a_number_between_two_is_their_draw() -> None:
    async def main() -> list[int]:
        return [drawn(2.3, 5, ("test", index)) for index in range(1_000)]

    found = detrun.record(main, seed=1).result
    assert set(found) == {2, 3}
    assert statistics.fmean(found) == pytest.approx(2.3, abs=0.08)  # five standard errors

    async def whole() -> tuple[int, int]:
        return drawn(3.0, 5, "one"), drawn(5.0, 5, "two")

    assert detrun.record(whole).result == (3, 5)


def latencies(params: Mapping[str, float], seed: int) -> Seen:
    found: Seen = detrun.record(run_store, {**SCENARIO.defaults, **params}, SOUND, seed=seed).result
    return found


@pytest.mark.parametrize("quorum", [1.0, 2.5, 4.0])
def test_a_write_takes_the_time_of_its_quorum(quorum: float) -> None:
    """A batch waits for the k-th of five, behind two links: within five standard errors."""
    params = {"write_quorum": quorum, "batch_delay": 0.0001}
    found = [one for seed in range(2) for one in latencies(params, seed).writes]
    expected = orders.mean_of_quorum(quorum, REPLICAS, MEAN) + 2.0 * LINK_SECONDS + 0.0001
    assert abs(statistics.fmean(found) - expected) < 5.0 * statistics.stdev(found) / len(found) ** 0.5


def test_a_read_takes_the_time_of_its_quorum_among_those_it_asks() -> None:
    params = {"read_quorum": 2.0, "fan_out": 3.0, "hedge_delay": 0.1}
    found = [one for seed in range(2) for one in latencies(params, seed).reads]
    expected = orders.mean_of_kth(2, 3, MEAN) + 2.0 * LINK_SECONDS
    assert abs(statistics.fmean(found) - expected) < 5.0 * statistics.stdev(found) / len(found) ** 0.5


def test_writes_wait_for_their_batch_as_long_as_renewal_theory_says() -> None:
    """The first waits all of the delay d, those behind it, rate times d in the mean, half of it each."""
    delay, rate = 0.01, SOUND.rate / 2.0
    found = [one for seed in range(3) for one in latencies({"batch_delay": delay}, seed).writes]
    waits = (delay + rate * delay**2 / 2.0) / (1.0 + rate * delay)
    expected = waits + orders.mean_of_kth(3, REPLICAS, MEAN) + 2.0 * LINK_SECONDS
    assert statistics.fmean(found) == pytest.approx(expected, rel=0.08)


async def mean_write(params: Mapping[str, Any]) -> float:
    """As costs; without slow replicas and crashes."""
    await run_store({**SCENARIO.defaults, "batch_delay": 0.0001, **params}, Workload(120, slow=False), cost_of=True)
    return 0.0


def test_gradients_of_write_latency_are_those_of_order_statistics() -> None:
    """By the quorum a write waits for the next replica more; by the time of a message it is in proportion."""
    by_quorum = detrun.gradient(mean_write, {"write_quorum": 2.5}, kind="policy", samples=24)
    expected = orders.mean_of_quorum_by_quorum(2.5, REPLICAS, MEAN)
    assert abs(by_quorum.grads["write_quorum"] - expected) < 4.0 * by_quorum.std_error["write_quorum"]
    assert by_quorum.std_error["write_quorum"] < 0.35 * expected
    by_time = detrun.gradient(mean_write, {"replica_seconds": MEAN}, samples=4, validity=False)
    expected = orders.mean_of_kth(3, REPLICAS, MEAN) / MEAN
    assert abs(by_time.grads["replica_seconds"] - expected) < 4.0 * by_time.std_error["replica_seconds"]


def test_a_client_is_answered_although_all_but_a_majority_are_down() -> None:
    async def main() -> int:
        async with detrun.World(latency=LINK_SECONDS) as world:
            replicas = [Replica(index, MEAN, falters=False) for index in range(REPLICAS)]
            coordinator = Coordinator(SCENARIO.defaults, [one.disk for one in replicas])
            for one in replicas:
                world.node(one.name).start(one.run)
            for one in replicas[:2]:
                world.node(one.name).crash()

            async def client() -> None:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(coordinator.hear)
                    await trio.sleep(0.001)
                    await coordinator.write("key", nursery)
                    found.append(await coordinator.read("key"))
                    nursery.cancel_scope.cancel()

            found: list[int] = []
            node = world.node("coordinator")
            node.start(client)
            await node.ended()
            return found[0]

    assert detrun.record(main).result == 1
