"""The cluster under faults: the right system survives, replays, and its invariants can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import detrun
from detrun.checkers.assertions import tallying
from detrun_scenarios.consensus import SCENARIO
from detrun_scenarios.consensus.core.entries import Command
from detrun_scenarios.consensus.core.mechanisms import MECHANISMS
from detrun_scenarios.consensus.state_machine import EXPIRED, SESSIONS_MAX, StateMachine
from tests.scenarios.whole import check_found_and_replayed, frozen_difference, program_of, survived

HUNTS = [None, *(one.name for one in SCENARIO.bugs if one.faults is not None)]

of = partial(program_of, SCENARIO)


def survives(seeds: range, spared: str | None = None) -> None:
    """Every run of the right system fails by itself if anything is wrong; under the swarm, all has been looked at."""
    looked_at = {one.name: one.looked_at for one in survived(of("small", spared=spared), seeds)}
    rare = {"leader append-only"}  # only where entries are dropped
    if spared is None:
        assert all(looked_at[one.name] for one in SCENARIO.invariants if one.name not in rare), looked_at
    assert looked_at["linearizable history"] == len(seeds)


@pytest.mark.parametrize("hunt", HUNTS)
def test_the_right_system_survives_fifty_seeds_with_faults(hunt: str | None) -> None:
    """Ten of the swarm, and eight of every plan in which a bug is looked for."""
    survives(range(8 if hunt else 10), hunt)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("first", range(50, 2_050, 500))
def test_the_right_system_survives_two_thousand_seeds_with_faults(first: int) -> None:
    survives(range(first, first + 500))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("hunt", HUNTS[1:])
def test_the_right_system_survives_the_plans_in_which_bugs_are_looked_for(hunt: str) -> None:
    survives(range(50, 250), hunt)


def test_a_run_is_replayed_to_the_same_digest() -> None:
    run = detrun.record(of("small"), {}, seed=3)
    assert detrun.replay(of("small"), {}, recording=run.recording).digest == run.digest


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_large_run_has_the_same_digest_in_fresh_processes_under_other_hash_seeds_and_is_replayed(
    tmp_path: Path,
) -> None:
    """By the commands themselves: twice `scenario run`, and `replay` of what the first of them recorded."""

    def call(hash_seed: str, *arguments: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "detrun", *arguments, "--json"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        found = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
        document: dict[str, Any] = json.loads(found.stdout)
        return document

    first = call("1", "scenario", "run", "consensus", "-o", "run.detrun")
    assert first["steps"] >= 100_000
    assert call("2", "scenario", "run", "consensus")["digest"] == first["digest"]
    assert call("3", "replay", "run.detrun")["digest"] == first["digest"]


@pytest.mark.slow
def test_the_large_workload_takes_a_hundred_thousand_steps_and_uses_every_mechanism() -> None:
    with tallying() as tally:
        run = detrun.record(of("large"), {}, seed=0)
    assert run.steps >= 100_000
    reached = {one.name for one in tally if one.kind == "reachable"}
    assert reached == set(MECHANISMS)
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


def test_a_late_copy_of_an_opening_does_not_make_a_session_forget_its_requests() -> None:
    """Seed 1,566 of the campaign above: its second addition was carried out again."""
    machine = StateMachine()
    opening, adding = Command("s", 1, "open"), Command("s", 2, "add", "k", 1)
    assert [machine.apply(one) for one in (opening, adding, opening, adding)] == [0, 1, 1, 1]
    assert machine.read("k") == 1


@pytest.mark.parametrize(
    ("bug", "seed", "says"),
    [
        ("stale_append_truncates", 0, "state-machine safety"),
        ("duplicate_applied", 2, "not linearizable"),
        ("stale_read", 0, "not linearizable"),
        ("vote_not_persisted", 11, "election safety"),
        ("old_term_committed", 1, "leader completeness"),
        ("snapshot_drops_configuration", 5, "leader completeness"),
        ("lease_trusts_clock", 3, "not linearizable"),
    ],
)
def test_a_planted_bug_breaks_what_it_should(bug: str, seed: int, says: str) -> None:
    """The seeds are the first that show it, so that each invariant is seen to fail."""
    with pytest.raises(Exception, match=says):
        detrun.record(of("small", bug=bug), {}, seed=seed, max_steps=20_000)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", [one.name for one in SCENARIO.bugs])
def test_every_planted_bug_is_found_by_default_and_replayed(bug: str) -> None:
    """The rarest shows in one schedule of fifty, so that a thousand of them miss it once in 10^9 campaigns."""
    check_found_and_replayed(SCENARIO, bug)


@pytest.mark.parametrize(
    ("loss", "parameters"),
    [
        pytest.param("commit_latency", ("batch_delay", "weight_server1", "weight_server5"), marks=pytest.mark.slow),
        ("unavailability", ("election_timeout", "election_spread", "heartbeat_interval")),
    ],
)
def test_local_gradients_are_those_of_frozen_differences(loss: str, parameters: tuple[str, ...]) -> None:
    """A step of 1e-7 changes no order in these runs, so that the same seed takes the same way.

    Weights are unequal: appends of equal ones leave at the same instant, and any step decides which is first.
    """
    main, step = of("medium", loss), 1e-7
    unequal = {"weight_server1": 1.1, "weight_server5": 0.87}
    params = {name: unequal.get(name, SCENARIO.parameter(name).default) for name in parameters}
    found = detrun.gradient(main, params, seed=1, verify=False).grads
    for name in parameters:
        difference = frozen_difference(main, params, name, step)
        assert float(found[name]) == pytest.approx(difference, rel=1e-6, abs=1e-8)
        assert found[name] != 0.0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_longer_intervals_of_heartbeats_shorten_outages_in_the_mean_though_every_run_says_otherwise() -> None:
    """The crash falls anywhere between two heartbeats: -1/2 in the mean, with a standard error of 0.1 on 40 seeds."""
    main, low, high = of("medium", "unavailability"), 0.02, 0.08
    means = [
        sum(float(detrun.record(main, {"heartbeat_interval": value}, seed=seed).result) for seed in range(40)) / 40
        for value in (low, high)
    ]
    assert -1.2 < (means[1] - means[0]) / (high - low) < 0.2
    assert detrun.gradient(main, {"heartbeat_interval": 0.05}, seed=1, verify=False).grads["heartbeat_interval"] > 5.0
