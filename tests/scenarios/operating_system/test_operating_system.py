"""The machine as a whole: the right one survives, replays, is differentiated, and its invariants can fail."""

from __future__ import annotations

from functools import partial

import pytest

import detrun
from detrun.checkers.assertions import tallying
from detrun_scenarios.frame.declaration import Size
from detrun_scenarios.frame.invariants import reached
from detrun_scenarios.operating_system import SCENARIO
from detrun_scenarios.operating_system.mechanisms import MECHANISMS
from tests.scenarios.whole import (
    check_breaks,
    check_found_and_replayed,
    check_replayed,
    check_survives,
    frozen_difference,
    program_of,
    survived,
)

BUGS = [one.name for one in SCENARIO.bugs]

of = partial(program_of, SCENARIO)


@pytest.mark.one_python
def test_the_right_machine_survives_fifty_seeds() -> None:
    """Thirty of the small workload, whose policies are drawn, and four of each variant in which a bug is looked for."""
    check_survives(SCENARIO, range(30), BUGS, range(4))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("spared", [None, *BUGS])
def test_the_right_machine_survives_two_thousand_seeds(spared: str | None) -> None:
    survived(of("small", spared=spared), range(50, 250) if spared else range(50, 1_050))


def test_a_run_is_replayed_to_the_same_digest() -> None:
    check_replayed(SCENARIO)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_large_workload_takes_a_hundred_thousand_steps_measures_every_loss_and_uses_all() -> None:
    with tallying() as tally:
        run = detrun.record(of("large"), {}, seed=0)
    assert set(reached(tally)) == set(MECHANISMS)
    assert run.steps >= 100_000
    assert all(run.result[one.name] > 0.0 for one in SCENARIO.losses)


@pytest.mark.parametrize(
    ("bug", "seed", "says"),
    [
        ("priority_inversion", 1, "no thread keeps off a more urgent one by way of a lock"),
        ("lost_wakeup", 7, "no core sleeps while a thread waits for it"),
        ("starvation", 0, "no thread that can run is passed over for long"),
        ("refault_race", 4, "a page reads as it was last written"),
        ("lost_dirty_bit", 6, "what is synced is on the disk"),
    ],
)
def test_a_planted_bug_breaks_what_it_should(bug: str, seed: int, says: str) -> None:
    """The first seed that shows it, so that each invariant is seen to fail."""
    check_breaks(SCENARIO, bug, seed, says)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", BUGS)
def test_every_planted_bug_is_found_by_default_and_replayed(bug: str) -> None:
    check_found_and_replayed(SCENARIO, bug)


@pytest.mark.one_python
@pytest.mark.parametrize(
    ("size", "names"),
    [
        ("small", ("frequency",)),
        pytest.param("medium", ("frequency", "latency", "user_weight"), marks=pytest.mark.slow),
    ],
)
def test_local_gradients_are_those_of_frozen_differences(size: Size, names: tuple[str, ...]) -> None:
    """A step of 1e-8 changes no order in these runs, so that the same seed takes the same way.

    No parameter is at its default: equal weights make ties, which any step decides.
    """
    main, step = of(size, "mean_response"), 1e-8
    params = {"frequency": 1.01, "latency": 0.00613, "user_weight": 1111.0, "batch_weight": 873.0}
    found = detrun.gradient(main, params, seed=1, verify=False).grads
    for name in names:
        difference = frozen_difference(main, params, name, step * params[name])
        assert float(found[name]) == pytest.approx(difference, rel=1e-4, abs=1e-12)
        assert found[name] != 0.0
