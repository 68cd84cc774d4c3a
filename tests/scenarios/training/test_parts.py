"""Parts of a training by themselves: optimizer, compression, batches, sums over a ring, checkpoints, sessions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import trio
from scipy.optimize import minimize_scalar

import detrun
from detrun.ad.temperature import temperature_of
from detrun.world import Exponential
from detrun.world.nodes.node import this_node
from detrun_scenarios.training import SCENARIO
from detrun_scenarios.training.losses import Meter, daly_interval, daly_share, young_interval, young_share
from detrun_scenarios.training.messages import Again, Chunk, View
from detrun_scenarios.training.model.compression import ENTRY_BYTES, compressed
from detrun_scenarios.training.model.digits import Shard
from detrun_scenarios.training.model.network import WEIGHTS, first_weights, gradient
from detrun_scenarios.training.model.optimizer import optimizer_of
from detrun_scenarios.training.parameter_server.checkpoints import Checkpoint, Checkpoints
from detrun_scenarios.training.parameter_server.sessions import Session, Sessions
from detrun_scenarios.training.ring.all_reduce import AllReduce
from detrun_scenarios.training.settings import settings_of

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

pytestmark = pytest.mark.one_python


def test_the_optimizer_is_that_of_torch() -> None:
    """Ten steps of heavy ball with weight decay; the order of a sum differs, so to a few last bits."""
    numbers = torch.Generator().manual_seed(0)
    weights = torch.randn(20, dtype=torch.float64, generator=numbers)
    theirs = torch.nn.Parameter(weights.clone())
    reference = torch.optim.SGD([theirs], lr=0.05, momentum=0.8, weight_decay=0.01)
    ours = optimizer_of(
        replace(settings_of(SCENARIO.defaults), step_size=0.05, momentum=0.8, weight_decay=0.01, staleness_discount=0.0)
    )
    moments = torch.zeros_like(weights)
    for _ in range(10):
        found = torch.randn(20, dtype=torch.float64, generator=numbers)
        theirs.grad = found.clone()
        reference.step()
        weights, moments = ours.step(weights, moments, found, staleness=3)
    assert torch.allclose(weights, theirs.detach(), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(("ratio", "count"), [(0.05, 5), (0.2, 20), (0.555, 55), (1.0, 100)])
def test_the_largest_entries_are_sent_and_the_others_kept(ratio: float, count: int) -> None:
    numbers = torch.Generator().manual_seed(1)
    found = torch.randn(100, dtype=torch.float64, generator=numbers)
    kept = torch.randn(100, dtype=torch.float64, generator=numbers)
    sent = compressed(found, kept, ratio)
    largest = torch.topk((found + kept).abs(), count).indices
    assert sorted(sent.indices.tolist()) == sorted(largest.tolist())
    assert sent.bytes == count * ENTRY_BYTES
    assert torch.equal(sent.kept.index_add(0, sent.indices, sent.values), found + kept)


def test_an_epoch_shows_each_image_of_a_shard_at_most_once_and_shards_have_nothing_in_common() -> None:
    seen = []
    for rank in range(3):
        shard = Shard(rank, 3, 16.0, seed=5)
        batches = [shard.batch(number) for number in range(499 // 16)]
        seen += [tuple(row) for batch in batches for row in batch.pixels.tolist()]
        assert not torch.equal(shard.batch(499 // 16).pixels, batches[0].pixels)  # the next epoch has its own order
    assert len(set(seen)) == len(seen) == 3 * (499 // 16) * 16


def test_the_gradient_of_a_batch_is_continuous_in_its_size() -> None:
    """The last image counts for a part: at 15 and a little more it counts for almost nothing."""
    weights = first_weights(0)
    below, above = (gradient(weights, Shard(0, 3, size, seed=5).batch(0)) for size in (15.0, 15.0 + 1e-9))
    assert torch.allclose(below, above, atol=1e-8)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_all_members_of_a_ring_have_the_same_sum_although_messages_are_lost(count: int) -> None:
    names = tuple(f"member{number}" for number in range(count))
    view = View(1, names, 0, 0, (0,) * count, names[0])
    given = {name: first_weights(seed)[:11] for seed, name in enumerate(names)}
    found: dict[str, Any] = {}

    async def take_part(name: str) -> None:
        node = this_node()
        ring = AllReduce(node, Meter())

        async def listen() -> None:
            while True:
                envelope = await node.receive_envelope()
                if isinstance(envelope.message, Chunk):
                    ring.take(envelope.message)
                elif isinstance(envelope.message, Again):
                    ring.repeat(envelope.message, envelope.sender.name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            found[name] = await ring.total(view, 0, given[name], lambda: False)
            await trio.sleep_forever()

    async def main() -> None:
        async with detrun.World(latency=Exponential(0.001), loss=0.3, duplication=0.2) as world:
            for name in names:
                world.node(name).start(take_part, name)
            await trio.sleep(5.0)

    detrun.record(main, seed=count)
    assert len(found) == count
    assert all(torch.equal(one, found[names[0]]) for one in found.values())
    assert torch.allclose(found[names[0]], sum(given.values()), rtol=1e-14, atol=1e-15)


def test_a_power_loss_at_any_moment_leaves_a_whole_checkpoint() -> None:
    """The second of two is interrupted after each number of turns, in many seeds of what the disk then keeps."""
    first, second = (Checkpoint(n, n, {"a": n}, torch.full((3,), 1.0 * n), torch.full((3,), -1.0 * n)) for n in (1, 2))
    seen = set()

    def restored(turns: int) -> int:
        async def save() -> None:
            checkpoints = Checkpoints(this_node().disk)
            await checkpoints.boot()
            await checkpoints.save(first)
            await checkpoints.save(second)

        async def main() -> int:
            async with detrun.World() as world:
                node = world.node("server")
                node.start(save)
                while not await node.disk.exists("/checkpoints/latest"):
                    await trio.lowlevel.checkpoint()
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                node.power_loss()
                found = await Checkpoints(node.disk).restore()
                if found is None:
                    return 0
                expected = (first, second)[found.number - 1]
                assert (found.batches, found.version) == (expected.batches, expected.version)
                assert torch.equal(found.weights, expected.weights)
                assert torch.equal(found.moments, expected.moments)
                return found.number

        return int(detrun.record(main, seed=turns).result)

    seen = {restored(turns) for turns in range(0, 80, 2)}
    assert seen >= {1, 2}


def test_youngs_interval_loses_the_least_time_to_first_order() -> None:
    best = young_interval(0.004, 1.0)
    assert best == pytest.approx(0.0894, abs=1e-4)
    shares = [young_share(best * factor, 0.004, 1.0, 0.05) for factor in (0.7, 0.96, 1.0, 1.4)]
    assert shares[1] < min(shares[0], shares[3])
    assert shares[2] == pytest.approx(shares[1], rel=1e-2)
    assert len(first_weights(0)) == WEIGHTS


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.1])
def test_dalys_interval_loses_the_least_of_his_share_and_youngs_somewhat_more(seconds: float) -> None:
    """Beside scipy's minimum; his series of the interval is off by 4e-4 of it at most here."""
    least = minimize_scalar(daly_share, bounds=(1e-4, 3.0), args=(seconds, 1.0, 0.05), method="bounded")
    assert daly_interval(seconds, 1.0) == pytest.approx(least.x, rel=1e-3)
    by_young = daly_share(young_interval(seconds, 1.0), seconds, 1.0, 0.05)
    assert least.fun < by_young < least.fun + 0.01


def test_both_shares_are_one_where_failures_are_rare() -> None:
    """The first order of Daly's is Young's: what is left is of the second order, one over the time squared."""
    shares = [share(10.0, 0.1, 1e5, 1.0) for share in (young_share, daly_share)]
    assert shares[1] == pytest.approx(shares[0], abs=1e-5)


def test_a_push_counts_wholly_up_to_the_drawn_bound_and_softly_by_the_distance_to_the_one_beyond() -> None:
    """Of a bound of 2.5, three may be drawn; softly the share is the logistic function of that distance."""
    sessions = Sessions(1, {}, 2.5)
    sessions.open = {"slow": Session(1, 4, 0.0)}
    fast = [Session(2, 4 + lead, 0.0) for lead in range(4)]
    assert [sessions.share(one) for one in fast] == [1.0] * 4
    with temperature_of(0.5):
        soft = [float(sessions.share(one)) for one in fast]
    assert soft == pytest.approx([1.0 / (1.0 + math.exp(-(3.5 - lead) / 0.5)) for lead in range(4)], rel=1e-12)
