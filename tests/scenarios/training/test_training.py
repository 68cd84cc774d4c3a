"""The training as a whole: the right one survives, replays, and its invariants can fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun.world import FaultPlan
from detrun_scenarios.training import SCENARIO
from detrun_scenarios.training.invariants import Monitor
from detrun_scenarios.training.messages import Push, View
from detrun_scenarios.training.model.compression import Compressed
from detrun_scenarios.training.model.digits import digits
from detrun_scenarios.training.model.network import WEIGHTS
from detrun_scenarios.training.model.optimizer import optimizer_of
from detrun_scenarios.training.parameter_server.cells import Cells
from detrun_scenarios.training.parameter_server.checkpoints import Checkpoint
from detrun_scenarios.training.settings import settings_of
from detrun_scenarios.training.workload import WORKLOADS, train
from tests.scenarios.whole import (
    check_breaks,
    check_drawn,
    check_found_and_replayed,
    check_large,
    check_replayed,
    check_survives,
    program_of,
    survived,
)

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

pytestmark = pytest.mark.one_python
BUGS = [one.name for one in SCENARIO.bugs]
HUNTS = ("stale_moments", "repeated_batch", "hanging_barrier")  # with faults or a length of their own

of = partial(program_of, SCENARIO)


def test_the_right_training_survives_fifty_seeds_of_trouble() -> None:
    """Twenty in both ways under all faults, and ten of each hunt."""
    check_survives(SCENARIO, range(20), HUNTS, range(10))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("spared", [None, *HUNTS])
def test_the_right_training_survives_two_thousand_seeds(spared: str | None) -> None:
    survived(of("small", spared=spared), range(50, 550))


def test_a_run_is_replayed_to_the_same_digest_and_leaves_torch_its_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        check_replayed(SCENARIO)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_large_workload_takes_a_hundred_thousand_steps_and_measures_every_loss() -> None:
    run = check_large(SCENARIO)
    assert float(run.result["validation_loss"]) < 0.5 < 2.3 - float(run.result["ring_loss"])  # guessing has 2.3


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_picture_is_drawn(tmp_path: Path) -> None:
    check_drawn(SCENARIO, tmp_path)


@pytest.mark.parametrize(
    ("bug", "seed", "says", "about"),
    [
        (
            "applied_twice",
            0,
            "a push is applied once",
            ["is first taken in ParameterServer._push", "is taken again in ParameterServer._push"],
        ),
        ("stale_moments", 4, "what is restored was checkpointed", []),
        ("lost_update", 11, "weights are the updates one after the other", []),
        (
            "repeated_batch",
            0,
            "each batch is applied once, in order",
            ["its bookmark is from Worker._train", "goes on in Worker._train"],
        ),
        (
            "hanging_barrier",
            1,
            "a barrier ends",
            ["begins in Coordinator._round_counts", "worker1 leaves in Coordinator._is_gone"],
        ),
    ],
)
def test_a_planted_bug_breaks_what_it_should(bug: str, seed: int, says: str, about: list[str]) -> None:
    """The first seed that shows it, so that each invariant is seen to fail."""
    assert check_breaks(SCENARIO, bug, seed, says) == about


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", BUGS)
def test_every_planted_bug_is_found_by_default_and_replayed(bug: str) -> None:
    check_found_and_replayed(SCENARIO, bug)


def test_each_worker_has_its_own_batch_and_waits_for_no_one_where_updates_are_asynchronous() -> None:
    """At a bound of 0 the one with batches of four images is in step with the others, at 1000 it leaves them behind."""
    digits()
    counts: list[dict[str, int]] = []

    async def main(params: Mapping[str, Any]) -> None:
        settings = settings_of({**SCENARIO.defaults, "batch_1": 4.0, "batch_2": 8.0, **params})
        found = await train("server", 0.25, replace(WORKLOADS["small"], ring_seconds=0.0), settings, FaultPlan())
        assert [found.shards[name].size for name in found.workload.names] == [4.0, 8.0, 16.0]
        workers = [worker for worker, _, _ in found.monitor.applied_pushes]
        counts.append({name: workers.count(name) for name in found.workload.names})

    for bound in (0.0, 1000.0):
        detrun.record(main, {"staleness": bound}, seed=2)
    in_step, alone = counts
    assert max(in_step.values()) - min(in_step.values()) <= 1
    assert alone["worker1"] > 1.2 * alone["worker2"] > 1.44 * alone["worker3"]


def two_ahead(monitor: Monitor) -> None:
    """With a bound of 0 a worker may be one ahead."""
    zeros = torch.zeros(WEIGHTS, dtype=torch.float64)
    cells = Cells(zeros, zeros, optimizer_of(settings_of(SCENARIO.defaults)))
    monitor.restored(Checkpoint(0, 0, {}, zeros, zeros))
    for worker in ("fast", "slow"):
        monitor.joined(worker, 0)
    for number in (1, 2):
        push = Push(1, number, number - 1, number - 1, torch.tensor([], dtype=torch.int64), zeros[:0])
        monitor.applied("fast", push, zeros, 0, cells, ("fast", "slow"))


def lossy(monitor: Monitor) -> None:
    gradient, kept = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.0])
    monitor.compressed(gradient, kept, Compressed(torch.tensor([1]), torch.tensor([2.0]), torch.tensor([1.0, 0.0]), 12))


def wrong_sum(monitor: Monitor) -> None:
    view = View(1, ("a", "b"), 0, 0, (0, 0), "a")
    for member in view.members:
        monitor.contributes(view, 0, member, torch.ones(2))
    monitor.is_reduced(view, 0, torch.tensor([2.0, 1.0]))


def different_replicas(monitor: Monitor) -> None:
    monitor.has_committed(1, torch.ones(2), torch.ones(2))
    monitor.has_committed(1, torch.ones(2), torch.ones(2) * (1.0 + 1e-7))


@pytest.mark.parametrize(
    ("happens", "says"),
    [
        (two_ahead, "staleness is bounded"),
        (lossy, "what is sent and what is kept is the gradient"),
        (wrong_sum, "a reduced gradient is the sum"),
        (different_replicas, "replicas are equal after a round"),
    ],
)
def test_invariants_that_no_planted_bug_breaks_can_fail(happens: Callable[[Monitor], None], says: str) -> None:
    async def main() -> None:
        happens(Monitor(settings_of({**SCENARIO.defaults, "staleness": 0.0})))

    with pytest.raises(AssertionViolatedError, match=says):
        detrun.record(main)
