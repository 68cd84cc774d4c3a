"""Bodies under pre-emption: the right engine survives, replays, and its invariants can fail; losses that mislead."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

import detrun
from detrun_scenarios.frame.derivatives import Effort, differentiate
from detrun_scenarios.physics import SCENARIO
from tests.scenarios.whole import check_drawn, check_large, program_of

BUGS = [one.name for one in SCENARIO.bugs]

of = partial(program_of, SCENARIO)


@pytest.mark.parametrize("spared", [None, *BUGS[:1]])
def test_the_right_engine_survives_fifty_seeds_of_pre_emption(spared: str | None) -> None:
    found = detrun.explore(of("small", spared=spared), {}, schedules=25, directory=None, max_steps=20_000)
    assert found.verdict == "passed", found.reason


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("spared", [None, *BUGS])
def test_the_right_engine_survives_two_thousand_seeds_of_pre_emption(spared: str | None) -> None:
    found = detrun.explore(of("small", spared=spared), {}, schedules=2_000, directory=None, max_steps=20_000)
    assert found.verdict == "passed", found.reason


def test_every_schedule_gives_the_same_pile_and_a_run_is_replayed() -> None:
    runs = [detrun.record(of("small"), {}, seed=3, strategy=strategy) for strategy in ("random", "fifo")]
    assert runs[0].digest != runs[1].digest
    assert runs[0].result == runs[1].result
    assert detrun.replay(of("small"), {}, recording=runs[0].recording).digest == runs[0].digest


@pytest.mark.parametrize(("bug", "says"), [("contact_order", "momentum"), ("shared_body", "one island")])
def test_a_planted_bug_breaks_what_it_should(bug: str, says: str) -> None:
    found = detrun.explore(
        of("small", bug=bug), {}, schedules=40, directory=None, shrink=False, explain=False, max_steps=20_000
    )
    assert found.failure is not None
    assert says in str(found.failure.exception)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", BUGS)
def test_every_planted_bug_is_found_by_default_explained_and_replayed(bug: str) -> None:
    found = detrun.explore(of("small", bug=bug), {}, directory=None, **SCENARIO.explore_options)
    assert found.failure is not None
    assert "Verified: reversed, the run passes." in str(found)
    with pytest.raises(type(found.failure.exception)):
        detrun.replay(of("small", bug=bug), {}, recording=found.failure.recording)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_large_workload_takes_a_hundred_thousand_steps_and_gives_every_loss() -> None:
    check_large(SCENARIO)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("loss", ["hopping_cost", "pile_height"])
def test_windows_give_the_bits_of_one_tape(loss: str) -> None:
    at = {name: SCENARIO.defaults[name] for name in ("hop_thrust", "speed_gain", "restitution")}
    whole = detrun.gradient(of("medium", loss), at, verify=False)
    cut = detrun.gradient(of("medium", loss), at, verify=False, snapshots=3, window=60)
    assert cut.grads == whole.grads
    assert cut.diagnostics.windows > 1


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_picture_is_drawn(tmp_path: Path) -> None:
    check_drawn(SCENARIO, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "loss", ["miss_distance", "pot_miss", "reach_cost", "hopping_cost", "height", "height_by_steps"]
)
def test_declared_derivatives_agree_with_differences(loss: str) -> None:
    found = differentiate(of("medium", loss), SCENARIO.defaults)
    assert all(one.agrees for one in found.derivatives), found.derivatives


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_frozen_run_has_the_wrong_sign_where_another_swing_may_be_the_last() -> None:
    """More damping settles sooner, as the last overshoot stays within the band; each run by itself settles later."""
    defaults = {**SCENARIO.defaults, "damping": 3.5}
    local, mean = (
        differentiate(of("medium", "settling_time"), defaults, kind, Effort(samples=60)).derivatives[0]
        for kind in ("local", "finite")
    )
    assert local.derivative > 0.0
    assert local.std_error is not None
    assert mean.derivative < -4.0 * mean.std_error


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_frozen_break_has_the_wrong_sign_and_a_harder_one_says_nothing() -> None:
    """Aimed at the middle, another ball is met first on either side; at 3 m/s each impact multiplies the derivative."""
    straight = {**SCENARIO.defaults, "cue_angle": 0.0}
    local, mean = (
        differentiate(of("medium", "break_miss"), straight, kind, Effort(samples=40, by=("cue_angle",))).derivatives[0]
        for kind in ("local", "finite")
    )
    assert local.derivative > 4.0 * local.std_error
    assert mean.derivative < -4.0 * mean.std_error
    hard = {**straight, "cue_speed": 3.0}
    harder = differentiate(of("medium", "break_miss"), hard, "local", Effort(samples=40, by=("cue_angle",)))
    assert harder.derivatives[0].std_error > 1_000.0 * abs(mean.derivative)
