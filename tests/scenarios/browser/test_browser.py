"""The browser as a whole: the right one survives and replays, and its invariants can fail."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun_scenarios.browser import SCENARIO
from detrun_scenarios.browser.invariants import Monitor
from tests.scenarios.whole import (
    check_breaks,
    check_drawn,
    check_found_and_replayed,
    check_large,
    check_replayed,
    check_survives,
    frozen_difference,
    program_of,
    survived,
)

pytestmark = pytest.mark.one_python
for package in ("html5lib", "tinycss2", "cssselect", "PIL"):
    pytest.importorskip(package)

BUGS = [one.name for one in SCENARIO.bugs]

of = partial(program_of, SCENARIO)


def test_the_right_browser_survives_fifty_seeds_of_trouble() -> None:
    check_survives(SCENARIO, range(50))


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_the_right_browser_survives_two_thousand_seeds() -> None:
    survived(of("small"), range(50, 2_050))


def test_a_run_is_replayed_to_the_same_digest() -> None:
    check_replayed(SCENARIO)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_large_workload_takes_a_hundred_thousand_steps_and_measures_every_loss() -> None:
    check_large(SCENARIO)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_picture_is_drawn(tmp_path: Path) -> None:
    check_drawn(SCENARIO, tmp_path)


@pytest.mark.parametrize(
    ("bug", "seed", "says", "about"),
    [
        (
            "removed_node",
            0,
            "removed nodes are left alone",
            ["removes Document.remove", "gives ImageLoader._load.show"],
        ),
        ("starving_microtask", 7, "microtasks come to an end", ["goes on Window.until", "looks again Window.until"]),
        ("lost_dirt", 17, "layout is as from scratch", ["marks Document.show_picture", "moves Document.insert"]),
        (
            "stale_path",
            0,
            "events follow the path of their dispatch",
            ["moves Document.insert", "travels Dispatcher.dispatch"],
        ),
        ("double_fetch", 0, "a resource is fetched once", ["looks DoubleFetch.join", "starts Cache.start"]),
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


def too_soon(monitor: Monitor) -> None:
    monitor.task_begins(1)


def unstyled(monitor: Monitor) -> None:
    monitor.frame_is_made(1)


@pytest.mark.parametrize(
    ("happens", "says"),
    [(too_soon, "microtasks run out first"), (unstyled, "nothing is painted unstyled")],
)
def test_invariants_that_no_planted_bug_breaks_can_fail(happens: Callable[[Monitor], None], says: str) -> None:
    async def main() -> None:
        happens(Monitor())

    with pytest.raises(AssertionViolatedError, match=says):
        detrun.record(main)


@pytest.mark.parametrize(
    ("loss", "names"),
    [
        ("design_distance", ("line_height", "column_width", "font_size")),
        ("style_time", ("bandwidth", "latency")),
    ],
)
def test_local_gradients_are_differences_of_the_same_run(loss: str, names: tuple[str, ...]) -> None:
    """Steps of a ten-millionth of each parameter, with which no step changes its place; squares are straight there."""
    at = {name: SCENARIO.defaults[name] for name in names}
    found = detrun.gradient(of("medium", loss), at, seed=1, validity=False)
    for name in names:
        expected = frozen_difference(of("medium", loss), SCENARIO.defaults, name, 1e-7 * at[name])
        assert found.grads[name] == pytest.approx(expected, rel=1e-5, abs=1e-8 * abs(found.value) / at[name])
