"""Clocks of machines: against closed forms, against each other, and against the bounds that synchronization claims."""

from __future__ import annotations

import math

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.errors import UsageError
from detrun.world.time.clocks import NodeClock, Wander
from detrun.world.time.synchronized_time import (
    SynchronizedClock,
    TimeInterval,
    TimeSample,
    agreed_interval,
    offset_bounds,
)
from detrun_scheduler.environment.virtual_time import WALL_START_SECONDS
from tests.examples import examples


def run(main, *args, seed=0):
    return detrun.record(main, *args, seed=seed).result


# Reading.


def test_a_perfect_clock_is_the_time():
    async def main():
        clock = NodeClock()
        await detrun.sleep(12.5)
        return clock.monotonic(), clock.now(), clock.error()

    assert run(main) == (12.5, WALL_START_SECONDS + 12.5, 0.0)


@given(
    skew=st.floats(-10, 10),
    drift=st.floats(-0.5, 0.5),
    first=st.floats(0, 50),
    step=st.floats(-5, 5),
    second=st.floats(0, 50),
    drift_then=st.floats(-0.5, 0.5),
)
@examples(30)
def test_skew_drift_and_steps_add_up_as_written(skew, drift, first, step, second, drift_then):
    async def main():
        clock = NodeClock(skew=skew, drift=drift, wall_start_seconds=0.0)
        await detrun.sleep(first)
        clock.step(step)
        clock.set_drift(drift_then)
        await detrun.sleep(second)
        return clock.monotonic(), clock.now()

    monotonic = first * (1 + drift) + second * (1 + drift_then)
    got_monotonic, got_wall = run(main)
    assert math.isclose(got_monotonic, monotonic, rel_tol=1e-12, abs_tol=1e-12)
    assert math.isclose(got_wall, monotonic + skew + step, rel_tol=1e-12, abs_tol=1e-9)


def test_the_monotonic_clock_ignores_steps_and_begins_anew_at_a_boot():
    async def main():
        clock = NodeClock()
        await detrun.sleep(3.0)
        clock.step(-2.0)
        before = clock.monotonic()
        clock.power_on()
        await detrun.sleep(1.0)
        return before, clock.monotonic(), clock.now() - WALL_START_SECONDS

    assert run(main) == (3.0, 1.0, 2.0)


def test_readings_are_rounded_down_to_the_resolution():
    async def main():
        clock = NodeClock(resolution=0.25, wall_start_seconds=0.0)
        await detrun.sleep(1.6)
        return clock.monotonic(), clock.now()

    assert run(main) == (1.5, 1.5)


def test_a_wandering_rate_is_a_function_of_time_for_all_readers():
    async def main(pauses):
        clock = NodeClock("a", wander=Wander(0.01, 1.0))
        for pause in pauses:
            await detrun.sleep(pause)
            clock.monotonic()
        clock.true_time_at(30.0)  # looks ahead, which must not disturb anything
        return clock.monotonic()

    assert run(main, [20.0]) == pytest.approx(run(main, [0.1] * 200), rel=1e-12)
    assert run(main, [20.0]) != 20.0
    assert run(main, [20.0], seed=1) != run(main, [20.0])


def test_the_wander_grows_as_a_random_walk_does():
    """After n intervals the rate has variance n * std². Over 400 clocks the estimate of that variance is within 30 % of
    the truth, which is 4.2 standard errors: false alarm 3e-5.
    """

    async def main():
        rates = []
        for index in range(400):
            clock = NodeClock(f"clock {index}", wander=Wander(1e-4, 1.0))
            rates.append(clock._rate_at(25.5) - 1.0)
        return rates

    rates = run(main)
    variance = math.fsum(rate * rate for rate in rates) / len(rates)
    assert variance == pytest.approx(25 * 1e-8, rel=0.3)


@examples(25)
@given(
    drift=st.floats(-0.3, 0.3),
    std=st.floats(0, 0.02),
    changes=st.lists(st.floats(-0.3, 0.3), max_size=4),
    seed=st.integers(0, 9),
)
def test_the_inverse_of_the_monotonic_clock_is_its_inverse(drift, std, changes, seed):
    async def main():
        clock = NodeClock(drift=drift, wander=Wander(std, 0.7))
        for change in changes:
            await detrun.sleep(0.9)
            clock.set_drift(change)
        goal = clock.monotonic() + 3.3
        await trio.sleep_until(clock.true_time_at(goal))
        return clock.monotonic() - goal

    assert abs(run(main, seed=seed)) < 1e-9


def test_a_slew_moves_the_wall_clock_little_by_little_and_never_back():
    async def main():
        clock = NodeClock(wall_start_seconds=0.0)
        clock.slew(-1.0, over=10.0)
        readings = []
        for _ in range(6):
            await detrun.sleep(2.5)
            readings.append(clock.now())
        return readings

    assert run(main) == pytest.approx([2.25, 4.5, 6.75, 9.0, 11.5, 14.0])


def test_a_smeared_leap_second_is_half_done_at_the_leap():
    async def main():
        clock = NodeClock(wall_start_seconds=0.0)
        clock.smear_leap(200.0, over=100.0)
        errors = []
        for until in (150.0, 200.0, 250.0, 300.0):
            await trio.sleep_until(until)
            errors.append(clock.error())
        return errors

    assert run(main) == pytest.approx([0.0, -0.5, -1.0, -1.0])


def test_a_clock_that_would_run_backward_is_refused():
    async def main():
        clock = NodeClock()
        with pytest.raises(UsageError, match="backward"):
            clock.slew(-1.0, over=1.0)
        with pytest.raises(UsageError, match="above -1"):
            clock.set_drift(-1.0)
        with pytest.raises(UsageError, match="at least 0"):
            await clock.sleep(-1.0)

    run(main)
    with pytest.raises(UsageError, match="above -1"):
        NodeClock(drift=-2.0)
    with pytest.raises(UsageError, match="outside a run"):
        NodeClock().now()


# Sleeping.


def test_a_sleep_takes_as_long_as_the_machine_believes():
    async def main():
        clock = NodeClock(drift=0.25)
        await clock.sleep(10.0)
        first = trio.current_time()
        await clock.sleep_until(20.0)
        return first, trio.current_time(), clock.monotonic()

    assert run(main) == (8.0, 16.0, 20.0)


def test_a_change_of_drift_reaches_those_who_sleep_already():
    async def main():
        clock = NodeClock()
        woke = []

        async def sleeper(seconds):
            await clock.sleep(seconds)
            woke.append((seconds, trio.current_time()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleeper, 4.0)
            nursery.start_soon(sleeper, 1.0)
            await detrun.sleep(2.0)
            clock.set_drift(1.0)  # the remaining 2 seconds take 1
        return woke

    assert run(main) == [(1.0, 1.0), (4.0, 3.0)]


def test_a_sleep_can_be_cancelled_from_outside():
    async def main():
        clock = NodeClock(drift=-0.5)
        with trio.move_on_after(1.0) as scope:
            await clock.sleep(10.0)
        return scope.cancelled_caught, trio.current_time(), clock._sleepers

    assert run(main) == (True, 1.0, {})


def test_what_disturbs_a_clock_is_told():
    told = []

    async def main():
        clock = NodeClock(on_fault=told.append)
        clock.step(1.0)
        clock.set_drift(0.1)

    run(main)
    assert told == ["clock step", "clock drift"]


# Derivatives.


def test_readings_and_sleeps_are_differentiable_in_skew_and_drift():
    """Sleep L local seconds at drift d: true time is L/(1+d), its derivative -L/(1+d)²; the wall clock is L + skew."""

    async def main(params):
        clock = NodeClock(skew=params["skew"], drift=params["drift"], wall_start_seconds=0.0)
        await clock.sleep(10.0)
        return trio.current_time() + 3.0 * clock.now()

    gradient = detrun.gradient(main, {"skew": 0.5, "drift": 0.25})
    assert gradient.value == pytest.approx(8.0 + 3 * 10.5)
    assert gradient.grads["drift"] == pytest.approx(-10 / 1.25**2)
    assert gradient.grads["skew"] == 3.0


def test_a_wandering_slewed_stepped_clock_agrees_with_central_differences():
    async def main(params):
        clock = NodeClock(
            skew=params["skew"], drift=params["drift"], wander=Wander(params["std"], 0.5), wall_start_seconds=0.0
        )
        clock.slew(params["slew"], over=params["over"])
        await clock.sleep(2.2)
        clock.step(params["skew"] * 2.0)
        clock.set_drift(params["drift"] * 3.0)
        await clock.sleep(1.3)
        return clock.now() * trio.current_time() + clock.error()

    at = {"skew": 0.2, "drift": 0.05, "std": 0.03, "slew": 0.4, "over": 5.0}
    gradient = detrun.gradient(main, at, seed=4)
    for name in at:
        ends = []
        for sign in (1, -1):
            moved = {**at, name: at[name] + sign * 1e-6}
            ends.append(detrun.record(main, moved, seed=4).result)
        assert gradient.grads[name] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-7), name


# Synchronized time.


@given(
    offset=st.floats(-100, 100),
    there=st.floats(0, 5),
    work=st.floats(0, 5),
    back=st.floats(0, 5),
    drift=st.floats(-1e-3, 1e-3),
    error=st.floats(-0.5, 0.5),
)
def test_the_bounds_of_a_sample_contain_the_true_offset(offset, there, work, back, drift, error):
    """The asking clock shows (true time)·(1+drift) − offset at the time of asking; the server's is off by ``error``."""
    asked_true, arrived, answered = 1000.0, 1000.0 + there, 1000.0 + there + work
    returned_true = answered + back
    asked = asked_true - offset
    returned = asked + (returned_true - asked_true) * (1 + drift)
    sample = TimeSample(asked, arrived + error, answered + error, returned, abs(error))
    bounds = offset_bounds(sample, drift_bound=1.01e-3)
    truth = returned_true - returned
    assert bounds.earliest - 1e-9 <= truth <= bounds.latest + 1e-9


def test_without_the_drift_bound_the_bounds_may_be_wrong():
    """The negative twin: a slow local clock, an answer that comes back at once."""
    returned = 10.0 * 0.99
    sample = TimeSample(0.0, 0.0, 10.0, returned)
    truth = 10.0 - returned
    assert not offset_bounds(sample).latest >= truth
    assert offset_bounds(sample, drift_bound=0.011).contains(truth)


INTERVALS = st.tuples(st.integers(0, 12), st.integers(0, 5)).map(lambda pair: TimeInterval(pair[0], pair[0] + pair[1]))


@given(intervals=st.lists(INTERVALS, min_size=1, max_size=7))
def test_the_agreed_interval_is_where_most_intervals_overlap(intervals):
    """By brute force over all moments, at half steps."""
    votes = {half / 2: sum(one.contains(half / 2) for one in intervals) for half in range(-1, 40)}
    best = max(votes.values())
    first = next(moment for moment in sorted(votes) if votes[moment] == best)
    last = first
    while votes[last + 0.5] == best:
        last += 0.5
    found = agreed_interval(intervals)
    assert found.votes == best
    assert found.interval.earliest == first
    # Where one interval ends and another begins just behind it, the count stays and the region is another one.
    assert found.interval.latest <= last
    assert all(votes[moment] == best for moment in votes if found.interval.contains(moment))
    assert found.interval.latest in {one.latest for one in intervals}


def test_a_liar_among_three_servers_is_outvoted_and_two_are_a_refusal():
    async def main():
        clock = NodeClock(wall_start_seconds=0.0)
        synchronized = SynchronizedClock(clock, drift_bound=0.0)
        with pytest.raises(UsageError, match="never synchronized"):
            synchronized.now()
        honest = [TimeSample(0.0, 100.0, 100.0, 0.2), TimeSample(0.0, 100.1, 100.1, 0.1)]
        liar = TimeSample(0.0, 500.0, 500.0, 0.1)
        agreement = synchronized.observe([*honest, liar])
        with pytest.raises(UsageError, match="only 1 of 2"):
            synchronized.observe([honest[0], liar])
        with pytest.raises(UsageError, match="no intervals"):
            synchronized.observe([])
        return agreement

    agreement = run(main)
    assert agreement.votes == 2
    assert agreement.interval == (100.0, 100.0)


@examples(25)
@given(
    drift=st.floats(-1e-3, 1e-3),
    skew=st.floats(-100, 100),
    delays=st.lists(st.tuples(st.floats(0.001, 0.2), st.floats(0.001, 0.2)), min_size=1, max_size=4),
    idle=st.floats(0, 1000),
)
def test_the_interval_contains_the_true_time_and_widens_with_the_drift_bound(drift, skew, delays, idle):
    async def main():
        clock = NodeClock(skew=skew, drift=drift, wall_start_seconds=0.0)
        synchronized = SynchronizedClock(clock, drift_bound=1.1e-3)
        samples = []
        for there, back in delays:
            asked = clock.monotonic()
            await detrun.sleep(there)
            server = trio.current_time()
            await detrun.sleep(back)
            samples.append(TimeSample(asked, server, server, clock.monotonic()))
        synchronized.observe(samples)
        before = synchronized.now()
        first = before.contains(trio.current_time())
        await detrun.sleep(idle)
        after = synchronized.now()
        return first, after.contains(trio.current_time()), after.width - before.width

    first, second, wider = run(main)
    assert first
    assert second
    assert wider == pytest.approx(2 * 1.1e-3 * idle * (1 + drift), abs=1e-9)


def test_a_drift_beyond_the_bound_is_what_makes_the_interval_wrong():
    async def main():
        clock = NodeClock(drift=0.01, wall_start_seconds=0.0)
        synchronized = SynchronizedClock(clock, drift_bound=1e-3)
        synchronized.observe([TimeSample(0.0, 0.0, 0.0, 0.0)])
        await detrun.sleep(100.0)
        return synchronized.now().contains(trio.current_time())

    assert not run(main)


@settings(max_examples=30)
@given(drift=st.floats(-1e-3, 1e-3), width=st.floats(0, 0.5))
def test_after_a_commit_wait_the_moment_has_passed_in_true_time(drift, width):
    async def main():
        clock = NodeClock(drift=drift, wall_start_seconds=0.0)
        synchronized = SynchronizedClock(clock, drift_bound=1e-3)
        synchronized.observe([TimeSample(0.0, 0.0, 0.0, 0.0, width)])
        await detrun.sleep(1.0)
        moment = synchronized.now().latest
        started = trio.current_time()
        await synchronized.wait_until_past(moment)
        assert synchronized.now().earliest > moment
        return trio.current_time() - moment, trio.current_time() - started

    past, waited = run(main)
    assert past > 0.0
    assert waited <= (2 * width + 2.1e-3) * 1.01 + 1e-6


def test_intervals_are_ordered_only_if_certain():
    early, late, middle = TimeInterval(0.0, 1.0), TimeInterval(2.0, 3.0), TimeInterval(0.5, 2.5)
    assert early.is_before(late)
    assert not late.is_before(early)
    assert not early.is_before(middle)
    assert not middle.is_before(late)
    assert (middle.width, middle.middle) == (2.0, 1.5)


def test_the_uncertainty_is_differentiable_in_the_delay_and_the_drift_bound():
    async def main(params):
        clock = NodeClock()
        synchronized = SynchronizedClock(clock, drift_bound=params["bound"])
        asked = clock.monotonic()
        await detrun.sleep(params["delay"])
        server = trio.current_time()
        await detrun.sleep(params["delay"])
        synchronized.observe([TimeSample(asked, server, server, clock.monotonic())])
        await detrun.sleep(10.0)
        return synchronized.now().width

    gradient = detrun.gradient(main, {"delay": 0.1, "bound": 1e-3})
    assert gradient.value == pytest.approx(0.2 + 0.2e-3 + 2 * 10 * 1e-3)
    assert gradient.grads["delay"] == pytest.approx(2 + 2e-3)
    assert gradient.grads["bound"] == pytest.approx(0.2 + 20.0)


def test_a_clock_shows_what_was_slept_until_whatever_its_rate():
    """Woken too early by rounding, a sleeper that looks at its clock would sleep again, for no time, for good."""

    async def main():
        for drift in (-0.2, 0.013, 0.1, 0.17):
            clock = NodeClock(drift=drift)
            for number in range(25):
                if number == 10:
                    clock.power_on()
                goal = clock.monotonic() + 0.1 + number / 7
                await clock.sleep_until(goal)
                assert clock.monotonic() >= goal
                assert clock.monotonic() <= goal * (1 + 1e-12)

    run(main)
