"""The cluster: held against M/M/c where its scaler stands still; its invariants can fail."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun_scenarios.studies.self_tuning_cluster import SCENARIO, erlang
from detrun_scenarios.studies.self_tuning_cluster.cluster import Cluster, Machine, Request
from detrun_scenarios.studies.self_tuning_cluster.load import Load
from detrun_scenarios.studies.self_tuning_cluster.scaler import Scaler
from detrun_scenarios.studies.self_tuning_cluster.workload import FIRST_MACHINES, LOADS, run_cluster
from detrun_scheduler.endings import exception_leaves
from tests.scenarios.whole import frozen_difference, program_of

pytestmark = pytest.mark.one_python
of = partial(program_of, SCENARIO)
STEADY = Load(mean=8.0, swing=0.0, flash=1.0)


class Repeating(Cluster):
    """Serves a request again."""

    async def serve(self, machine: Machine) -> None:
        """See `Cluster.serve`."""
        request = machine.request
        await super().serve(machine)
        if request is not None and request.number == 50:
            machine.request = request
            await super().serve(machine)


class Sleepy(Cluster):
    """Tells no machine of a request that comes."""

    def submit(self, request: Request) -> None:
        """See `Cluster.submit`."""
        self.queue.append(request)
        self.check_work()


class Boundless(Cluster):
    """Stops the last machine, too."""

    def stop(self, count: int) -> None:
        """See `Cluster.stop`."""
        self.ready.clear()
        self.starting.clear()
        self.check()


class Nervous(Scaler):
    """Knows no cool-down."""

    def look(self) -> None:
        """See `Scaler.look`."""
        self.change(0.1, detrun.sum([0.0]), "out_cooldown")


SHRINKING = {**SCENARIO.defaults, "lower": 0.65, "in_cooldown": 2.0}


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ((Repeating, Scaler), "every request is served once"),
        ((Sleepy, Scaler), "no machine idles while a request waits"),
        ((Boundless, Scaler), "the number of machines is within its limits"),
        ((Cluster, Nervous), "nothing is changed within a cool-down"),
    ],
)
def test_wrong_parts_are_noticed(parts: tuple[type[Cluster], type[Scaler]], says: str) -> None:
    with pytest.raises((AssertionViolatedError, BaseExceptionGroup)) as failed:
        detrun.record(run_cluster, SHRINKING, 60.0, Load(mean=6.0, day=60.0), True, parts, seed=0)
    assert says in "".join(map(str, exception_leaves(failed.value)))


def test_erlangs_formula_is_the_markov_chain() -> None:
    """Of its stationary distribution, summed state by state."""
    machines, offered = 5, 3.7
    weights, weight = [], 1.0
    for number in range(4_000):
        weights.append(weight)
        weight *= offered / min(number + 1, machines)
    waiting = sum(weights[machines:]) / sum(weights)
    queued = sum((number - machines) * weight for number, weight in enumerate(weights) if number > machines)
    assert erlang.probability_of_waiting(machines, offered) == pytest.approx(waiting, rel=1e-9)
    assert erlang.mean_wait(machines, offered / 0.5, 0.5) == pytest.approx(
        queued / sum(weights) / (offered / 0.5), rel=1e-9
    )


def test_the_derivative_of_erlangs_wait_is_a_difference() -> None:
    sides = [erlang.mean_wait(6, 8.0, 0.5 + step) for step in (1e-6, -1e-6)]
    assert erlang.mean_wait_by_service(6, 8.0, 0.5) == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-6)


async def steady(params: Mapping[str, Any], seconds: float) -> Any:
    """The mean wait while the scaler stands still, first seconds left out."""
    cluster, _ = await run_cluster({**SCENARIO.defaults, **params}, seconds, STEADY, scales=False)
    waits = [wait for wait, number in zip(cluster.waits, cluster.numbers, strict=True) if number >= 200]
    return detrun.mean(waits)


def test_a_cluster_that_stands_still_is_the_queue_of_erlang() -> None:
    """Six runs of fixed seeds, within four standard errors, which are a tenth of the wait at most."""
    found = [detrun.record(steady, {}, 300.0, seed=seed).result for seed in range(6)]
    expected = erlang.mean_wait(FIRST_MACHINES, STEADY.mean, SCENARIO.defaults["service_seconds"])
    error = statistics.stdev(found) / len(found) ** 0.5
    assert abs(statistics.fmean(found) - expected) < 4.0 * error
    assert error < 0.15 * expected


def test_the_local_gradient_by_the_service_time_is_that_of_erlang() -> None:
    """A queue of one discipline and alike machines: no run jumps, so the mean of local gradients is right."""
    found = detrun.gradient(partial(steady, seconds=100.0), {"service_seconds": 0.5}, samples=12, validity=False)
    expected = erlang.mean_wait_by_service(FIRST_MACHINES, STEADY.mean, 0.5)
    assert abs(found.grads["service_seconds"] - expected) < 4.0 * found.std_error["service_seconds"]
    assert found.std_error["service_seconds"] < 0.35 * expected


def test_a_local_gradient_is_a_difference_of_the_same_run() -> None:
    program = of("medium", "wait")
    found = detrun.gradient(program, {"cold_seconds": 8.0}, seed=1, validity=False)
    expected = frozen_difference(program, SCENARIO.defaults, "cold_seconds", 1e-6)
    assert found.grads["cold_seconds"] == pytest.approx(expected, rel=1e-5)


def test_the_flash_crowd_comes_once_a_day() -> None:
    load = LOADS["medium"]
    rates = [load.rate(float(at), 100.0) for at in range(480)]
    assert sum(rate > load.mean * 2.0 for rate in rates) >= 2 * 15
    assert load.rate(0.0, 100.0) == pytest.approx(load.mean * 0.3)
