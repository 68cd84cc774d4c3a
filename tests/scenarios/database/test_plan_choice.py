"""What a query takes when its plan is drawn, differentiated by the constants of the costs."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest
import trio

import detrun
from detrun.world.disk.disk import Disk, DiskLatency
from detrun.world.disk.image import Tree
from detrun_scenarios.database import SCENARIO
from detrun_scenarios.database.log.changes import Changes
from detrun_scenarios.database.log.recovery import checkpoint, recover
from detrun_scenarios.database.log.writer import DIRECTORY, open_log
from detrun_scenarios.database.sql.choice import Choose, Drawn, cheapest
from detrun_scenarios.database.sql.cost import Costs
from detrun_scenarios.database.sql.execute import Executor
from detrun_scenarios.database.sql.parse import parse
from detrun_scenarios.database.sql.plan import Plan
from detrun_scenarios.database.sql.statistics import Statistics
from detrun_scenarios.database.storage.buffer import BufferPool
from detrun_scenarios.database.storage.volume import open_volume
from detrun_scenarios.database.transactions.store import Store
from detrun_scenarios.database.transactions.transaction import Transaction
from detrun_scenarios.frame.scenario_program import ScenarioProgram

ROWS, TEMPERATURE = 60, 0.5
SUM = "SELECT SUM(key) FROM record WHERE place BETWEEN ? AND ?"
READ_SECONDS = 0.001
Run = Callable[[Mapping[str, Any]], Awaitable[Any]]


async def opened(disk: Disk) -> Store:
    log = await open_log(disk)
    volume = await open_volume(disk, f"{DIRECTORY}/pages", 256)
    store = Store(Changes(BufferPool(volume, log, {"heap": 10, "index": 10}), log), read_ahead=4)
    await recover(store.changes)
    await store.load()
    return store


@pytest.fixture(scope="module")
def filled() -> tuple[Tree, dict[str, Statistics]]:
    """A disk with a table, in whose order places are not; and its statistics."""

    async def main() -> tuple[Tree, dict[str, Statistics]]:
        disk = Disk()
        store = await opened(disk)
        table = await store.create_table("record", ("key", "place", "text"), {"place": ("place",)})
        one = Transaction(store, "snapshot")
        for key in range(ROWS):
            await one.insert(table, (key, key * 37 % ROWS, "." * 25))
        await one.commit()
        executor = Executor(Transaction(store, "snapshot"), {}, Costs())
        await executor.execute(parse("ANALYZE"))
        for frame in list(store.changes.pool.frames.values()):
            await store.changes.pool.write(frame)
        await store.changes.pool.sync()
        await checkpoint(store.changes)
        return disk.tree(), dict(executor.statistics)

    found: tuple[Tree, dict[str, Statistics]] = detrun.record(main).result
    return found


@pytest.fixture(scope="module")
def program(filled: tuple[Tree, dict[str, Statistics]]) -> Callable[..., Run]:
    """Makes programs: the seconds that queries take, with no page in memory."""
    tree, statistics = filled

    def made(chooser: Callable[[], Choose], *queries: tuple[int, int]) -> Run:
        async def main(params: Mapping[str, Any]) -> Any:
            seconds = []
            choose = chooser()
            for query in queries:
                disk = Disk(f"disk{len(seconds)}", tree=tree, latency=DiskLatency(read_seconds=READ_SECONDS))
                store = await opened(disk)
                executor = Executor(Transaction(store, "snapshot"), dict(statistics), Costs(**params), choose)
                began = trio.current_time()
                await executor.execute(parse(SUM), query)
                seconds.append(trio.current_time() - began)
            return detrun.mean(seconds)

        return main

    return made


def drawn() -> Choose:
    return Drawn(TEMPERATURE, "client")


NARROW, WIDE = (10, 13), (10, 24)  # sooner by the index, sooner by a scan
COSTS = {"random_page_cost": 4.0, "cpu_tuple_cost": 0.01}


class Told:
    """Takes the plan at a place, and notes the costs of all."""

    def __init__(self, place: int) -> None:
        self.place = place
        self.costs: list[float] = []

    def __call__(self, plans: Sequence[Plan]) -> Plan:
        self.costs = [float(one.cost) for one in plans]
        return plans[self.place]


def told(program: Callable[..., Run], query: tuple[int, int], costs: Mapping[str, float], place: int) -> Any:
    """The seconds that a query takes by one of the plans, and what all are estimated to cost."""
    choose = Told(place)
    seconds = detrun.record(program(lambda: choose, query), costs).result
    return seconds, choose.costs


def test_the_mean_time_of_a_query_whose_plan_is_drawn_has_the_derivative_of_its_closed_form(
    program: Callable[..., Run],
) -> None:
    seconds = [told(program, NARROW, COSTS, place)[0] for place in (0, 1)]

    def mean(costs: Mapping[str, float]) -> float:
        weights = [cost ** (-1.0 / TEMPERATURE) for cost in told(program, NARROW, costs, 0)[1]]
        return math.fsum(w * s for w, s in zip(weights, seconds, strict=True)) / math.fsum(weights)

    right = {}
    for name, cost in COSTS.items():
        step = 1e-4 * cost
        right[name] = (mean({**COSTS, name: cost + step}) - mean({**COSTS, name: cost - step})) / (2.0 * step)
    assert right["random_page_cost"] > 4e-4  # the index is sooner, and is taken less often
    assert right["cpu_tuple_cost"] < -4e-3  # of all rows, which make a scan dear
    drawn_plan = program(drawn, NARROW)
    by_pairs = detrun.gradient(drawn_plan, COSTS, kind="expected", samples=2, verify=False)
    by_score = detrun.gradient(drawn_plan, COSTS, kind="policy", samples=24, verify=False)
    for name in COSTS:
        assert by_pairs.grads[name] == pytest.approx(right[name], rel=1e-5)
        # Two outcomes, and the mean of the others for a baseline: what is left is the noise of a binomial's variance.
        assert by_score.grads[name] == pytest.approx(right[name], rel=0.25)
    # A frozen schedule has frozen draws: the wrong meaning sees nothing.
    assert detrun.gradient(drawn_plan, COSTS, verify=False).grads == dict.fromkeys(COSTS, 0.0)


def test_the_time_by_the_cheapest_plan_is_constant_up_to_where_the_choice_flips(program: Callable[..., Run]) -> None:
    exact = program(lambda: cheapest, NARROW)
    found = detrun.gradient(exact, COSTS, verify=False)
    assert found.grads == dict.fromkeys(COSTS, 0.0)
    below = found.flips(1.0)["random_page_cost"].nearest[0]
    assert below.jump == pytest.approx(-4 * READ_SECONDS)  # as many pages less by the index
    flip = COSTS["random_page_cost"] + below.move
    sides = [detrun.record(exact, {**COSTS, "random_page_cost": flip * side}).result for side in (0.99, 1.01)]
    assert sides == pytest.approx([4 * READ_SECONDS, 8 * READ_SECONDS])


def test_the_derivative_of_what_the_planner_believes_has_the_wrong_sign(program: Callable[..., Run]) -> None:
    """The least of some costs grows with each constant; the time falls where a plan is given up that is not soonest."""
    costs = {**COSTS, "random_page_cost": 1.0}
    least = [min(told(program, WIDE, {**costs, "random_page_cost": one}, 1)[1]) for one in (1.0, 1.01)]
    believed = (least[1] - least[0]) / 0.01
    real = detrun.gradient(program(drawn, WIDE), costs, kind="expected", samples=2, verify=False)
    assert believed > 1.0
    assert real.grads["random_page_cost"] < -1e-4


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_scores_agree_with_a_difference_under_common_random_numbers() -> None:
    """The seeds are fixed."""
    scenario = ScenarioProgram(SCENARIO, SCENARIO.setting("medium", loss="read_latency"))
    costs = {"random_page_cost": 4.0}
    by_score = detrun.gradient(scenario, costs, kind="policy", samples=30, seed=3, verify=False)
    by_difference = detrun.gradient(scenario, costs, kind="finite", samples=10, seed=1_000, step=1.5)
    error = math.hypot(by_score.std_error["random_page_cost"], by_difference.std_error["random_page_cost"])
    assert abs(by_score.grads["random_page_cost"] - by_difference.grads["random_page_cost"]) < 4 * error
    assert by_difference.grads["random_page_cost"] > 4 * by_difference.std_error["random_page_cost"]
