"""The key-value store: safe under every schedule tried, repeatable, differentiable; and its checks do fail."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun_scenarios.frame.scenario_program import ScenarioProgram
from detrun_scenarios.key_value import demo
from detrun_scenarios.key_value.bugs import HandOverIgnored
from detrun_scenarios.key_value.history import History
from detrun_scenarios.key_value.losses import losses_of
from detrun_scenarios.key_value.messages import Entry, Request
from detrun_scenarios.key_value.replica import Replica
from detrun_scenarios.key_value.workload import DOWN_SECONDS, Parts, Workload, run_store
from detrun_scenarios.programs import key_value
from detrun_scheduler.endings import exception_leaves

SMALL = Workload(clients=4, operations=40, crashes=(0.4, 1.0))
PARAMS = {**demo.PARAMS, "patience": demo.PATIENCE}


async def main(params, history=None, workload=SMALL, parts=Parts()):  # noqa: B008 (frozen)
    return losses_of(await run_store(params, workload, history, parts))["write_latency"]


def test_equal_seeds_give_equal_runs_and_so_does_a_replay() -> None:
    first = detrun.record(main, PARAMS, None, seed=3)
    second = detrun.record(main, PARAMS, None, seed=3)
    replayed = detrun.replay(main, PARAMS, None, recording=first.recording)
    other = detrun.record(main, PARAMS, None, seed=4)
    assert first.digest == second.digest == replayed.digest
    assert first.steps == second.steps == replayed.steps > 1000
    assert other.digest != first.digest


# Each seed is another example of the same; `make test-long` has the rest.
SEEDS = [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 20))]


@pytest.mark.parametrize("strategy", ["random", "pct"])
@pytest.mark.parametrize("seed", SEEDS)
def test_no_write_is_lost_and_no_read_is_stale_although_primaries_crash(seed: int, strategy: str) -> None:
    history = History()
    detrun.record(main, PARAMS, history, seed=seed, strategy=strategy)  # raises if an invariant is broken
    assert history.operations == SMALL.clients * SMALL.operations
    assert len(history.crashes) == len(SMALL.crashes)
    for moment, replica in history.crashes:
        assert any(at > moment and name != replica for at, name in history.elections), "no replica took over"


def test_a_primary_that_ignores_what_is_handed_over_loses_writes_and_the_checks_notice() -> None:
    """The negative twin: a replica that has only just come back takes over and believes its own disk."""
    back_for_a_moment = Workload(clients=4, operations=40, crashes=(0.4, 0.4 + DOWN_SECONDS + 0.01))

    def is_noticed(seed: int) -> bool:
        try:
            detrun.record(main, PARAMS, None, back_for_a_moment, Parts(replica=HandOverIgnored), seed=seed)
        except BaseExceptionGroup as group:
            return any(isinstance(leaf, AssertionViolatedError) for leaf in exception_leaves(group))
        except AssertionViolatedError:
            return True
        return False

    # It takes an unlucky choice of successor and a key that was not written since: some seeds in a hundred. These are
    # fixed, and the first that notices is enough.
    assert any(map(is_noticed, range(20)))


def test_a_write_that_comes_late_undoes_nothing() -> None:
    """Few links of the demonstration are slow enough for this, so the replica is asked by hand."""

    async def serve_out_of_order() -> Entry:
        async with detrun.World() as world:
            world.node("replica1"), world.node("replica2")
            replica = Replica(0, 1.0, History())
            replica.node = world.node("replica0")
            replica.node.start(trio.sleep_forever)
            replica.primary = True
            for number in (2, 1):
                replica.serve(Request("client0", number, "k", 10 * number))
            return replica.entries["k"]

    entry = detrun.record(serve_out_of_order).result
    assert (entry.value, entry.written_by) == (20, 2)
    assert entry.version == (0, 2), "it must go out again, or the late attempt would never be answered"


def test_a_read_may_return_what_was_settled_or_begun_and_nothing_else() -> None:
    history = History()
    history.begun["k"] = 3
    history.write_ended("k", 2, 0.1)
    history.read_ended("k", 2, 2)
    history.read_ended("k", 3, 2)
    assert history.settled["k"] == 3
    with pytest.raises(AssertionViolatedError, match="returned 2"):
        history.read_ended("k", 2, history.settled["k"])
    with pytest.raises(AssertionViolatedError, match="returned 4"):
        history.read_ended("k", 4, history.settled["k"])


def test_a_majority_that_does_not_know_a_settled_value_is_reported() -> None:
    history = History()
    history.write_ended("k", 2, 0.1)
    history.check_disks([{"k": 1}, {"k": 2}])
    with pytest.raises(AssertionViolatedError, match="k = 2"):
        history.check_disks([{"k": 1}, {}])


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_the_gradient_is_the_difference_between_runs_that_keep_the_schedule(seed: int) -> None:
    """Half the validity radius keeps the schedule; the latencies leave 6 digits of such a difference."""
    program = main
    gradient = detrun.gradient(program, PARAMS, seed=seed)
    schedule = demo.schedule_of(gradient.recording)
    for name, slope in gradient.grads.items():
        step = gradient.validity[name].radius / 2
        high, low = PARAMS[name] + step, PARAMS[name] - step
        runs = [detrun.record(program, {**PARAMS, name: value}, seed=seed) for value in (high, low)]
        assert [demo.schedule_of(run.recording) for run in runs] == [schedule, schedule]
        assert (runs[0].result - runs[1].result) / (high - low) == pytest.approx(slope, rel=1e-5)


def test_writes_wait_out_whole_time_outs() -> None:
    history = History()
    gradient = detrun.gradient(partial(main, history=history), PARAMS, seed=1)
    waited_out = gradient.grads["retry_timeout"] * len(history.write_latencies)
    assert waited_out == pytest.approx(round(waited_out), abs=1e-6)
    assert 0 < round(waited_out) <= history.retries


def test_schedules_that_differ_have_different_hashes() -> None:
    one, other = (detrun.record(main, PARAMS, None, seed=seed).recording for seed in (0, 1))
    assert demo.schedule_of(one) != demo.schedule_of(other)


def test_the_demonstration_exits_with_1_when_something_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demonstration also checks that the run is long enough."""
    monkeypatch.setattr(demo, "DIRECTORY", tmp_path)
    monkeypatch.setattr(demo, "DEMONSTRATION", SMALL)
    assert demo.demonstrate() == 1
    assert "does not hold: the run has only" in capsys.readouterr().out


SURVIVED = [20, pytest.param(2_000, marks=pytest.mark.slow)]


@pytest.mark.parametrize("schedules", SURVIVED)
def test_the_store_survives_a_campaign_with_faults(schedules: int) -> None:
    assert detrun.explore(key_value.small, {}, schedules=schedules, directory=None).verdict == "passed"


@pytest.mark.parametrize("schedules", [10, pytest.param(500, marks=pytest.mark.slow)])
def test_the_store_survives_primaries_that_are_cut_off(schedules: int) -> None:
    hunt = ScenarioProgram(key_value.scenario, key_value.scenario.setting("small", spared="reads_alone"))
    assert detrun.explore(hunt, {}, schedules=schedules, directory=None).verdict == "passed"


@pytest.mark.slow
@pytest.mark.parametrize("bug", [one.name for one in key_value.scenario.bugs])
def test_each_planted_bug_is_found(bug: str) -> None:
    found = detrun.explore(getattr(key_value.small, f"bug_{bug}"), {}, directory=None, explain=False, shrink=False)
    assert found.verdict == "failed", f"{bug}: {found.reason}"
    assert isinstance(found.failure.exception, AssertionViolatedError | BaseExceptionGroup)
