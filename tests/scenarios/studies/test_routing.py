"""The packet network: held against Jackson's networks and Gallagher's gradient; its invariants can fail."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import trio

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun_scenarios.studies.routing import SCENARIO, optimum
from detrun_scenarios.studies.routing.fabric import Fabric
from detrun_scenarios.studies.routing.links import Link, Packet
from detrun_scenarios.studies.routing.losses import losses_of_flows
from detrun_scenarios.studies.routing.network import LINKS, STREAMS, name_of
from detrun_scenarios.studies.routing.softmin import shares_of
from detrun_scenarios.studies.routing.traffic import BACK_SECONDS, Flow
from detrun_scenarios.studies.routing.workload import run_streams
from detrun_scheduler.endings import exception_leaves
from tests.scenarios.whole import frozen_difference, program_of

pytestmark = pytest.mark.one_python
of = partial(program_of, SCENARIO)
HOPS = dict.fromkeys(LINKS, 1.0)


class Forgetful(Link):
    """Loses a packet without a word while another is being sent."""

    def put(self, packet: Packet) -> None:
        """See `Link.put`."""
        if len(self.queue) != 2:
            super().put(packet)


class Impatient(Link):
    """The last who came goes first."""

    def put(self, packet: Packet) -> None:
        """See `Link.put`."""
        super().put(packet)
        self.queue.rotate(1 if len(self.queue) > 1 else 0)


@pytest.mark.parametrize(
    ("link", "says"), [(Forgetful, "packets are conserved"), (Impatient, "a link sends in the order of arrival")]
)
def test_a_wrong_link_is_noticed(link: type[Link], says: str) -> None:
    with pytest.raises((AssertionViolatedError, BaseExceptionGroup)) as failed:
        detrun.record(run_streams, SCENARIO.defaults, 2.0, link, seed=0)
    assert says in "".join(map(str, exception_leaves(failed.value)))


def test_a_packet_that_comes_back_is_noticed() -> None:
    async def main() -> None:
        fabric = Fabric(SCENARIO.defaults)
        flow = Flow(STREAMS[0], 0, fabric, 1.0, 0.5)
        fabric.arrive(Packet(flow, 0, "north", 0.0, ["west", "middle"]), "west")

    with pytest.raises(AssertionViolatedError, match="a packet passes a router once"):
        detrun.record(main)


def test_paths_are_taken_in_proportion_to_exp_of_minus_their_weight() -> None:
    """Of the softmin's definition at one router, only the recursion is ours; paths are counted by hand."""
    weights = {link: 0.3 + 0.2 * index for index, link in enumerate(LINKS)}
    split = shares_of(weights)

    def share(*routers: str) -> float:
        found = 1.0
        for router, end in pairwise(routers):
            found *= float(split[router, routers[-1]][end])
        return found

    def likelihood(*routers: str) -> float:
        return -sum(weights[link] for link in pairwise(routers))

    paths = [("west", "upper", "north"), ("west", "upper", "middle", "north"), ("west", "middle", "north")]
    assert sum(share(*path) for path in paths) == pytest.approx(1.0, abs=1e-12)
    ratios = {share(*path) / float(detrun.exp(likelihood(*path))) for path in paths}
    assert max(ratios) == pytest.approx(min(ratios), rel=1e-12)


def delay_at(weights: Mapping[tuple[str, str], Any]) -> float:
    return optimum.delay_of(optimum.flows_of(shares_of(weights)))


def test_gallaghers_gradient_is_the_difference_of_the_closed_form() -> None:
    found = optimum.gradient_by_weights(shares_of(HOPS))
    for link in LINKS:
        sides = [delay_at({**HOPS, link: 1.0 + step}) for step in (1e-5, -1e-5)]
        assert found[link] == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-6)


def test_no_split_is_better_than_the_optimum_and_weights_come_near_it() -> None:
    pytest.importorskip("scipy")
    least, flows = optimum.least_delay()
    assert least == pytest.approx(optimum.delay_of(flows), rel=1e-9)
    near = dict(zip(LINKS, (3.42, 0.12, 0.09, 2.53, 1.19, 6.0, 5.88, 0.34, 5.2, 4.35), strict=True))
    assert least <= delay_at(near) < 1.001 * least
    assert delay_at(HOPS) > 2.0 * least


LIGHT = {**SCENARIO.defaults, "slowness": 0.7}  # a third of the load away, so that queues forget within a second


def test_the_mean_delay_is_that_of_a_network_of_jackson() -> None:
    """Four runs of fixed seeds; within five standard errors, or 5 %."""
    capacity = 1.0 / LIGHT["slowness"]
    flows = optimum.flows_of(shares_of(HOPS))
    rooms = [capacity * optimum.CAPACITIES[link] - flow for link, flow in flows.items()]
    expected = sum(flow / room for flow, room in zip(flows.values(), rooms, strict=True)) / optimum.RATE

    async def main(params: Mapping[str, Any]) -> float:
        streams = await run_streams(params, 40.0)
        return statistics.fmean(delay for one in streams for number, delay in one.delays.items() if number > 100)

    found = [detrun.record(main, LIGHT, seed=seed).result for seed in range(4)]
    assert abs(statistics.fmean(found) - expected) < 5.0 * max(statistics.stdev(found) / 2.0, 0.01 * expected)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ["middle_east", "middle_north"])
def test_the_gradient_of_the_mean_delay_is_gallaghers(name: str) -> None:
    """Differences of runs of 12 s against those of the closed form, as wide: within four standard errors."""
    link = next(one for one in LINKS if name_of(one) == name)
    slower = SCENARIO.defaults["slowness"] * 0.7

    def closed(step: float) -> float:
        flows = optimum.flows_of(shares_of({**HOPS, link: 1.0 + step}))
        return sum(f / (optimum.CAPACITIES[one] / slower - f) for one, f in flows.items()) / optimum.RATE

    async def main(params: Mapping[str, Any]) -> float:
        streams = await run_streams({**LIGHT, **params}, 12.0)
        return statistics.fmean(delay for one in streams for number, delay in one.delays.items() if number > 100)

    found = detrun.gradient(main, {name: 1.0}, kind="finite", samples=40, step=0.3)
    expected = (closed(0.3) - closed(-0.3)) / 0.6
    assert abs(found.grads[name] - expected) < 4.0 * found.std_error[name]
    assert found.std_error[name] < 0.3 * abs(expected)


def test_a_local_gradient_is_a_difference_of_the_same_run() -> None:
    program = of("medium", "mean_delay")
    found = detrun.gradient(program, {"slowness": 1.0}, seed=1, validity=False)
    assert found.grads["slowness"] == pytest.approx(
        frozen_difference(program, SCENARIO.defaults, "slowness", 1e-7), rel=1e-5
    )


@pytest.mark.parametrize(("increase", "decrease"), [(1.0, 0.5), (0.5, 0.8)])
def test_a_window_is_that_of_the_law_of_the_square_root(increase: float, decrease: float) -> None:
    """Every p-th packet is lost: the mean window is sqrt(a (1 + b) / (2 (1 - b) p)), Floyd, Handley and Padhye 2000.

    The law takes windows for continuous; a packet is 5 to 10 % of these.
    """
    every = 400

    class Wire:
        """Carries each packet in no time, and loses one of many."""

        carried = 0

        def enter(self, packet: Packet, router: str) -> None:
            packet.entered = trio.current_time()
            self.carried += 1
            (packet.sender.lost if self.carried % every == 0 else packet.sender.delivered)(packet)

    async def main() -> float:
        wire: Any = Wire()
        flow = Flow(STREAMS[0], 0, wire, increase, decrease)
        with trio.move_on_after(100.0):
            await flow.run()
        return flow.number / (100.0 / BACK_SECONDS)

    window = detrun.record(main).result
    expected = (increase * (1.0 + decrease) * every / (2.0 * (1.0 - decrease))) ** 0.5
    assert window == pytest.approx(expected, rel=0.06)


def test_a_flow_that_gets_nothing_through_counts_as_one_packet_at_the_end() -> None:
    """Seed 648 of the small workload locks a flow out for all of its time; a logarithm of 0 was taken there."""
    run = detrun.record(program_of(SCENARIO, "small"), {}, seed=648)
    assert math.isfinite(run.result["powerlessness"])
    fabric = Fabric(SCENARIO.defaults)
    starved, served = (Flow(STREAMS[0], number, fabric, 1.0, 0.5) for number in range(2))
    starved.number = served.number = 4
    starved.losses = 3
    served.delays = [0.5, 1.5]
    found = losses_of_flows([starved, served], 8.0)
    assert found == {
        "powerlessness": pytest.approx((math.log(8.0) + math.log(1.0) - math.log(1 / 8) - math.log(2 / 8)) / 2),
        "lost_share": 3 / 8,
    }
