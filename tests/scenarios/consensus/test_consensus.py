"""The cluster under faults: the right system survives, replays, and its invariants can fail."""

from __future__ import annotations

import pytest

import detrun
from detrun.checkers.assertions import tallying
from detrun_scenarios.consensus import SCENARIO
from detrun_scenarios.consensus.core.entries import Command
from detrun_scenarios.consensus.state_machine import EXPIRED, SESSIONS_MAX, StateMachine
from detrun_scenarios.frame.scenario_program import ScenarioProgram


def of(size: str, loss: str | None = None, bug: str | None = None) -> ScenarioProgram:
    return ScenarioProgram(SCENARIO, SCENARIO.setting(size, loss, bug))  # type: ignore[arg-type]


def survives(seeds: range) -> int:
    """The steps of all runs of the right system, which fail by themselves if anything is wrong."""
    small = of("small")
    with tallying() as tally:
        steps = sum(detrun.record(small, {}, seed=seed, max_steps=20_000).steps for seed in seeds)
    looked_at = {one.name: one.looked_at for one in tally}
    assert all(looked_at[one.name] for one in SCENARIO.invariants), looked_at
    return steps


def test_the_right_system_survives_fifty_seeds_with_faults() -> None:
    assert survives(range(50)) > 50_000


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_right_system_survives_two_thousand_seeds_with_faults() -> None:
    survives(range(50, 2_050))


def test_a_run_is_replayed_to_the_same_digest() -> None:
    run = detrun.record(of("small"), {}, seed=3)
    assert detrun.replay(of("small"), {}, recording=run.recording).digest == run.digest


@pytest.mark.slow
def test_a_run_has_the_same_digest_in_a_fresh_process_under_another_hash_seed() -> None:
    found = detrun.check_determinism(of("small"), {}, seed=3, fresh_process=True)
    assert found.is_deterministic, str(found)


@pytest.mark.slow
def test_the_large_workload_takes_a_hundred_thousand_steps() -> None:
    run = detrun.record(of("large"), {}, seed=0)
    assert run.steps >= 100_000
    assert run.result["commit_latency"] > 0.0
    assert run.result["unavailability"] > 0.1


def test_a_request_takes_effect_once_and_a_forgotten_session_is_refused() -> None:
    machine = StateMachine()
    machine.apply(Command("first", 1, "open"))
    add = Command("first", 2, "add", "k", 5)
    assert [machine.apply(add), machine.apply(add), machine.read("k")] == [5, 5, 5]
    again = StateMachine()
    again.restore(machine.to_bytes())
    assert again.to_bytes() == machine.to_bytes()
    for number in range(SESSIONS_MAX):
        machine.apply(Command(f"other{number}", 1, "open"))
    assert machine.apply(add) == EXPIRED
    assert machine.read("k") == 5
