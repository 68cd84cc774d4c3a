"""The thermostat: its gradient on the frozen schedule, in windows and whole, and the decisions that mattered."""

from __future__ import annotations

import pytest

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun_scenarios.programs import thermostat
from detrun_scenarios.thermostat import SCENARIO

SHORT = thermostat.medium.loss_squared_error
DEFAULT_PARAMS = SCENARIO.defaults


def test_windows_whole_tape_and_frozen_differences_agree() -> None:
    """No branch and no clock depends on the parameters, so the same seed gives the same schedule beside them."""
    whole = detrun.gradient(SHORT, DEFAULT_PARAMS, seed=4)
    cut = detrun.gradient(SHORT, DEFAULT_PARAMS, seed=4, snapshots=4, window=500)
    assert cut.grads == whole.grads
    assert cut.diagnostics.windows == 17
    for name, value in DEFAULT_PARAMS.items():
        step = 1e-6 * value
        up = detrun.record(SHORT, {**DEFAULT_PARAMS, name: value + step}, seed=4).result
        down = detrun.record(SHORT, {**DEFAULT_PARAMS, name: value - step}, seed=4).result
        # Truncation is of order step², rounding of order 1e-16 / step: both below 1e-7 of the derivative.
        assert whole.grads[name] == pytest.approx((up - down) / (2 * step), rel=1e-6)


def test_the_decisions_that_mattered_follow_the_start_and_the_doors() -> None:
    report = detrun.gradient(SHORT, DEFAULT_PARAMS, seed=4, credit=20).credit["gain"]
    assert {one.task for one in report} == {"main/thermostat"}
    turns = 8_000 / 4
    for one in report:
        turn = one.step / 4
        assert min(abs(turn - event) for event in (0, turns / 3, 2 * turns / 3)) < 150


@pytest.mark.parametrize("schedules", [50, pytest.param(2_000, marks=pytest.mark.slow)])
def test_the_room_survives_a_campaign(schedules: int) -> None:
    found = detrun.explore(thermostat.small, {}, schedules=schedules, directory=None)
    assert found.verdict == "passed", found.reason


def test_the_torn_turn_is_found_and_replayed() -> None:
    main = thermostat.small.bug_torn_turn
    failure = detrun.explore(main, {}, directory=None, shrink=False, explain=False).failure
    assert failure is not None
    with pytest.raises(AssertionViolatedError, match="no heat is lost"):
        detrun.replay(main, {}, recording=failure.recording)
