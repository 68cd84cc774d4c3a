"""The write-ahead log: right in every crash state, and each wrong variant is found to be wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun.explore.failures.functions import function_at
from detrun.world.disk.disk import Disk, DiskLatency
from detrun.world.disk.faults import DiskFaults
from detrun.world.disk.model import EXT4_ORDERED
from detrun_scenarios.frame.catalogue import find_scenario
from detrun_scenarios.frame.scenario_program import ScenarioProgram
from detrun_scenarios.programs import write_ahead_log
from detrun_scenarios.write_ahead_log.bugs import BUGS, RETRIES_FSYNC
from detrun_scenarios.write_ahead_log.crashes import MODEL, Verdict, every_crash, main
from detrun_scenarios.write_ahead_log.history import History, value_of
from detrun_scenarios.write_ahead_log.store import CORRECT, Discipline, Record, records_in


def verdict_on(discipline: Discipline, *args: object, seed: int = 0) -> Verdict:
    return detrun.record(every_crash, discipline, *args, seed=seed).result


@pytest.mark.parametrize("seed", range(4))
def test_the_correct_store_loses_nothing_in_any_crash_state_of_any_point(seed: int) -> None:
    verdict = verdict_on(CORRECT, 2, 3, seed=seed)
    assert verdict.states.complete
    assert len(verdict.states) >= 50
    assert not verdict.failures, str(verdict)


def test_the_correct_store_survives_a_crash_during_each_recovery_too() -> None:
    verdict = verdict_on(CORRECT, 1, 5, MODEL, True)
    assert verdict.states.complete
    assert not verdict.failures, str(verdict)


@pytest.mark.parametrize("name", BUGS)
def test_every_wrong_store_is_found_out_in_some_crash_state(name: str) -> None:
    # Without any fsync everything stays pending, and the states multiply: two writes are enough to show it.
    verdict = verdict_on(BUGS[name], *((1, 2) if name == "without_fsync" else (2, 2)))
    assert verdict.states.complete
    assert verdict.failures
    assert "WRONG" in str(verdict)


@pytest.mark.parametrize("name", BUGS)
def test_every_wrong_store_is_found_by_exploration_and_the_failure_repeats(name: str) -> None:
    exploration = detrun.explore(
        main, BUGS[name], strategy="random", schedules=200, directory=None, shrink=False, explain=False
    )
    failure = exploration.failure
    assert failure is not None, exploration.reason
    assert isinstance(failure.exception, AssertionViolatedError)
    with pytest.raises(AssertionViolatedError) as again:
        detrun.replay(main, BUGS[name], recording=failure.recording)
    assert str(again.value) == str(failure.exception)


def test_of_half_a_record_it_is_said_who_wrote_what_is_lost_and_who_read_the_rest() -> None:
    """The store reads by a function that two others call, to the end of the file, where there is nothing."""
    scenario = find_scenario("write_ahead_log")
    program = ScenarioProgram(scenario, scenario.setting("small", bug="torn_tail_accepted"))
    failure = detrun.explore(program, {}, directory=None, **scenario.hunt_options("torn_tail_accepted")).failure
    assert failure is not None
    assert failure.explanation is not None
    lines = {
        label: function_at(place.line.file, place.line.number)
        for label, place in zip(failure.explanation.labels, failure.explanation.places, strict=True)
        if place.line is not None
    }
    assert lines["lost is what was done in"] == "Store.put"
    assert lines["read in"] == "open_store"


# Each trial of the shrinker is a crash and a recovery. The others take up to fifteen seconds, and say the same.
SHRUNK_SOON = {"acknowledgement_before_fsync"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SHRUNK_SOON else pytest.mark.slow) for name in BUGS]
)
def test_a_wrong_stores_failure_is_shrunk_and_explained_and_repeats(name: str) -> None:
    failure = detrun.explore(main, BUGS[name], strategy="random", schedules=200, directory=None).failure
    assert failure is not None
    assert failure.shrunk is not None
    assert failure.shrunk.after[0] == 0  # preemptions: no store is wrong for a race among its own tasks
    assert failure.explanation is not None
    assert 1 <= len(failure.shrunk.faults) <= failure.shrunk.faults_before <= 4
    assert all(fault.startswith("power_loss[") for fault in failure.shrunk.faults)
    with pytest.raises(AssertionViolatedError) as again:
        detrun.replay(main, BUGS[name], recording=failure.recording)
    assert str(again.value) == str(failure.exception)


@pytest.mark.parametrize("schedules", [50, pytest.param(200, marks=pytest.mark.slow)])
def test_the_correct_store_passes_the_same_exploration(schedules: int) -> None:
    exploration = detrun.explore(main, CORRECT, strategy="random", schedules=schedules, directory=None)
    assert exploration.verdict == "passed", exploration.reason


def test_on_ext4_some_mistakes_go_unnoticed_and_some_do_not() -> None:
    """The file system's kindness hides a missing fsync of the directory and of the snapshot, which is how such bugs
    live for years; it cannot hide a missing fsync of the log.
    """
    ext4 = replace(EXT4_ORDERED, sector_bytes=128)
    wrong = {name for name, discipline in BUGS.items() if verdict_on(discipline, 2, 2, ext4).failures}
    assert wrong == {"without_fsync", "acknowledgement_before_fsync"}


async def with_failing_fsync(discipline: Discipline) -> dict[bytes, int]:
    latency = DiskLatency(write_seconds=0.001, fsync_seconds=lambda: detrun.exponential(0.01))
    disk = Disk(model=MODEL, latency=latency, faults=DiskFaults(fsync_failure=0.1, below="/store/log"))
    return await main(discipline, 3, 2, disk)


@pytest.mark.parametrize("seeds", [30, pytest.param(60, marks=pytest.mark.slow)])
def test_a_store_that_retries_a_failed_fsync_loses_what_it_acknowledges_then(seeds: int) -> None:
    lost = {True: 0, False: 0}
    for seed in range(seeds):
        for discipline in (CORRECT, RETRIES_FSYNC):
            run = detrun.record(with_failing_fsync, discipline, seed=seed, raise_errors=False)
            leaves = run.exception
            lost[discipline is CORRECT] += isinstance(leaves, AssertionViolatedError)
            assert leaves is None or isinstance(leaves, AssertionViolatedError | OSError), leaves
    assert lost[True] == 0
    assert lost[False] > 0


def test_a_record_that_is_not_whole_ends_the_log_unless_checks_are_off() -> None:
    first, second = Record(1, b"k", b"one"), Record(2, b"k", b"two")
    data = first.encoded() + second.encoded()
    assert [record for record, _ in records_in(data, checked=True)] == [first, second]
    for cut in range(len(first.encoded()), len(data)):
        assert [record for record, _ in records_in(data[:cut], checked=True)] == [first]
    assert [record.value for record, _ in records_in(data[:-1], checked=False)] == [b"one", b"tw"]


def test_every_mistake_is_a_program_of_its_own() -> None:
    assert {one.name for one in write_ahead_log.scenario.bugs} == BUGS.keys()
    assert detrun.explore(write_ahead_log.small, {}, schedules=3, directory=None).verdict == "passed"
    wrong = write_ahead_log.small.bug_without_fsync
    with pytest.raises(AssertionViolatedError, match="acknowledged writes survive"):
        detrun.explore(wrong, {}, directory=None, shrink=False, explain=False).raise_on_failure()


def test_the_latency_of_a_write_scales_with_the_disk_and_its_clients() -> None:
    """Of degree one in all times together: the sum of each derivative times its parameter is the loss (Euler)."""
    params = {**write_ahead_log.scenario.defaults, "group_delay": 0.002}
    times = {name: number for name, number in params.items() if name.endswith(("_seconds", "_delay"))}
    found = detrun.gradient(write_ahead_log.small.loss_write_latency, times, seed=3)
    assert sum(found.grads[name] * number for name, number in times.items()) == pytest.approx(found.value, rel=1e-9)


@pytest.mark.parametrize(
    ("value", "points", "message"),
    [
        (
            None,
            (3, 9),
            r"k: write 2 was acknowledged, but the store has nothing, if the power goes at points 7 to 9 of",
        ),
        (value_of(1), (8, 9), r"write 2 was acknowledged, but the store has write 1, if the power goes at points 8 to"),
        (value_of(3), (7, 9), r"the store has write 3 before it was begun, if the power goes at point 7 of"),
        (
            value_of(2)[:-1] + b"?",
            (8, 8),
            r"the store has 150 bytes, b'000002 000' to .*, which are no write's value",
        ),
    ],
)
def test_what_a_store_has_lost_is_said_with_the_moment(
    value: bytes | None, points: tuple[int, int], message: str
) -> None:
    history = History(lambda: 0)
    history.begun, history.acknowledged = {b"k": [1, 4, 8]}, {b"k": [3, 7]}
    store: Any = SimpleNamespace(get=lambda key: value, table={})  # all that is asked of a Store
    assert re.search(message, history.lost(store, *points))
    store.get = lambda key: value_of(2)
    assert not history.lost(store, 7, 9)
