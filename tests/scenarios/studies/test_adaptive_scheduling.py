"""Adaptive scheduling: what the machine promises under moving weights, and shares of a core by their closed form."""

from __future__ import annotations

import math

import pytest
import trio

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun_scenarios.operating_system.cpu.settings import CpuSettings
from detrun_scenarios.operating_system.cpu.threads import Thread
from detrun_scenarios.operating_system.invariants import NO_STARVATION
from detrun_scenarios.operating_system.machine import machine
from detrun_scenarios.operating_system.process import Process
from detrun_scenarios.operating_system.settings import Settings
from detrun_scenarios.studies.adaptive_scheduling import SCENARIO
from detrun_scenarios.studies.adaptive_scheduling.governor import BOUNDED, MOST, Governor, queue_under
from tests.scenarios.whole import program_of

pytestmark = pytest.mark.one_python


@pytest.mark.parametrize("bias", [-3.0, 3.0])
def test_weights_that_move_as_far_as_they_may_pass_over_no_thread(bias: float) -> None:
    program = program_of(SCENARIO, "small")
    for seed in range(5):
        detrun.record(program, {**SCENARIO.defaults, "bias": bias, "gain": 1.4}, seed=seed)


HEAVY = {"bias": 2.73, "gain": -0.12487, "latency": 0.00276, "wakeup_granularity": 0.00041}


def test_a_batch_beside_a_user_of_fourteen_times_its_weight_waits_its_turn() -> None:
    """The load that it waits for includes the one that runs."""
    detrun.record(program_of(SCENARIO, "medium", "slowdown"), HEAVY, seed=47)


def test_a_batch_that_comes_last_of_all_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unfair(queue_under(0.0)):
        def next(self):
            others = [one for one in self.threads if not str(one).startswith("batch0")]
            return others[0] if others else super().next()

    module = "detrun_scenarios.studies.adaptive_scheduling.workload"
    monkeypatch.setattr(f"{module}.queue_under", lambda gain: Unfair)
    with pytest.raises(AssertionViolatedError, match=NO_STARVATION):
        detrun.record(program_of(SCENARIO, "medium", "slowdown"), {}, seed=0)


def test_a_weight_out_of_bounds_is_noticed() -> None:
    class Boundless(Governor):
        @property
        def weight(self):
            return 2.0 * MOST

    async def main():
        Boundless(0.0, 0.0, [Thread(0, "user")], []).look()

    with pytest.raises(AssertionViolatedError, match=BOUNDED):
        detrun.record(main)


SECONDS = 0.25  # for which shares of a core are counted


def share_of_user(bias: float, gain: float) -> float:
    """Of one core that a user and a batch want all the time, under the governor."""

    async def main(params):
        settings = Settings(cpu=CpuSettings(cores=1, switch_seconds=0.0, latency=0.002, min_granularity=0.0001))

        async def greedy(process: Process) -> None:
            await process.compute(SECONDS)

        async with trio.open_nursery() as governing:
            async with machine(settings) as found:
                user, batch = found.start("user", greedy), found.start("batch", greedy)
                governor = Governor(params["bias"], params["gain"], [user.thread], [batch.thread], crowd=0.5)
                governing.start_soon(governor.run)
                await trio.sleep(SECONDS)
                share = user.thread.ran / (user.thread.ran + batch.thread.ran)
            governing.cancel_scope.cancel()
        return share

    return float(detrun.record(main, {"bias": bias, "gain": gain}).result)


def test_shares_of_a_core_are_the_logistic_function_of_the_governors_exponent() -> None:
    """Half of those who can run are batches, so that the exponent is bias + gain / 2; to within two slices."""
    for bias, gain in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.4), (-0.5, 0.6)):
        exact = 1.0 / (1.0 + math.exp(-(bias + 0.5 * gain)))
        assert share_of_user(bias, gain) == pytest.approx(exact, abs=0.01)
    slope = (share_of_user(0.8, 0.0) - share_of_user(0.2, 0.0)) / 0.6
    middle = 1.0 / (1.0 + math.exp(-0.5))
    assert slope == pytest.approx(middle * (1.0 - middle), rel=0.1)
