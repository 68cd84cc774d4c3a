"""The site as a whole: the right one survives, replays, is measured, and its invariants can fail."""

from __future__ import annotations

from functools import partial

import pytest

import detrun

pytest.importorskip("hypercorn")
pytest.importorskip("httpx")

from detrun_scenarios.web_server import SCENARIO
from tests.scenarios.whole import (
    check_breaks,
    check_found_and_replayed,
    check_large,
    check_replayed,
    frozen_difference,
    looked_at,
    program_of,
    survived,
)

pytestmark = pytest.mark.one_python

BUGS = [one.name for one in SCENARIO.bugs]

of = partial(program_of, SCENARIO)


def survives(seeds: range, spared: str | None = None) -> set[str]:
    """Every run of the right site fails by itself if anything is wrong; what was looked at."""
    return looked_at(survived(of("small", spared=spared), seeds))


def test_the_right_site_survives_many_seeds() -> None:
    """Twelve of the small workload under faults, and two of each variant in which a bug is looked for."""
    seen = survives(range(12))
    for bug in BUGS:
        seen |= survives(range(2), bug)
    assert seen == {one.name for one in SCENARIO.invariants}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("spared", [None, *BUGS])
def test_the_right_site_survives_two_thousand_seeds(spared: str | None) -> None:
    survives(range(50, 250) if spared else range(50, 1_050), spared)


def test_a_run_is_replayed_to_the_same_digest() -> None:
    check_replayed(SCENARIO)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_large_workload_takes_a_hundred_thousand_steps_and_measures_every_loss() -> None:
    run = check_large(SCENARIO)
    assert all(run.result[one.name] > 0.0 for one in SCENARIO.losses)


def test_the_count_that_drifts_breaks_what_it_should() -> None:
    main = of("small", bug="inflight_drift")
    found = detrun.explore(main, {}, directory=None, shrink=False, explain=False, schedules=20, max_steps=20_000)
    assert found.failure is not None
    assert "the count of requests in flight is that of requests in flight" in str(found.failure.exception)


@pytest.mark.parametrize(
    ("bug", "seed", "says", "about"),
    [
        (
            "leaked_connection",
            0,
            "a seat of the pool is taken by one who is there",
            ["is handed over in Seats.fill", "gives up in Seats.take"],
        ),
        (
            "mixed_responses",
            21,
            "a client gets the answer to its own request",
            ["goes back in ConnectionPool._take_back", "is asked again in DatabaseConnection.ask"],
        ),
        ("cache_stampede", 10, "of each key one fetch is on its way at most", []),
        (
            "retry_storm",
            0,
            "quotes come again when the outage is over",
            ["asks again in Retries.call", "and is taken on in UpstreamService._quote"],
        ),
    ],
)
def test_a_planted_bug_shows_under_a_seed_that_is_known(bug: str, seed: int, says: str, about: list[str]) -> None:
    assert check_breaks(SCENARIO, bug, seed, says) == about


def test_local_gradients_are_those_of_frozen_differences() -> None:
    """Through httpx, hypercorn and the pool. A step of 1e-8 of the parameter changes no order in this run."""
    main, params = of("small", "mean_latency"), {"upstream_seconds": 0.02, "database_seconds": 0.012}
    found = detrun.gradient(main, params, seed=1, verify=False).grads
    for name, number in params.items():
        assert found[name] > 0.0
        assert float(found[name]) == pytest.approx(frozen_difference(main, params, name, 1e-8 * number), rel=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", BUGS)
def test_every_planted_bug_is_found_by_default_and_replayed(bug: str) -> None:
    check_found_and_replayed(SCENARIO, bug)
