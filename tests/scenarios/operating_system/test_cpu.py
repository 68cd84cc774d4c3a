"""Queues, cores and mutexes, each rule by itself."""

from __future__ import annotations

import errno
from typing import Any

import pytest
import trio

from detrun_scenarios.operating_system.cpu.fair import FairQueue
from detrun_scenarios.operating_system.cpu.mutex import Mutex
from detrun_scenarios.operating_system.cpu.scheduler import Scheduler
from detrun_scenarios.operating_system.cpu.settings import CpuSettings
from detrun_scenarios.operating_system.cpu.threads import State, Thread, weight_of
from detrun_scenarios.operating_system.cpu.watchdog import Watchdog
from detrun_scheduler.errors import UsageError
from tests.scenarios.operating_system.cores import live, run

LINUX_WEIGHTS = {-20: 88761, -10: 9548, -5: 3121, 0: 1024, 5: 335, 10: 110, 19: 15}  # sched_prio_to_weight


def test_weights_are_those_of_linux_but_for_its_rounding() -> None:
    for nice, weight in LINUX_WEIGHTS.items():
        assert weight_of(float(nice)) == pytest.approx(weight, rel=0.05)


@pytest.mark.parametrize("name", ["quantum", "boost_period"])
@pytest.mark.parametrize("seconds", [0.0, -0.01, float("nan")])
def test_a_time_in_which_none_would_pass_is_refused(name: str, seconds: float) -> None:
    with pytest.raises(UsageError, match=f"{name} is {seconds:g} s; it has to be above 0"):
        CpuSettings(**{name: seconds})


@pytest.mark.parametrize("nice", [0.0, 5.0])
def test_threads_of_a_fair_queue_share_a_core_by_their_weights(nice: float) -> None:
    async def body(scheduler: Scheduler, users: trio.Nursery) -> tuple[float, float]:
        first, second = scheduler.new_thread("first"), scheduler.new_thread("second", weight_of(nice))
        for thread in (first, second):
            users.start_soon(live, scheduler, thread, 1.0)
        await trio.sleep(0.5)
        for core in scheduler.cores:
            core.account()
        return first.ran, second.ran

    first, second = run(body)
    assert first + second == pytest.approx(0.5)
    assert first / second == pytest.approx(1.25**nice, abs=0.05)


def test_one_who_waits_beside_a_thread_of_thousands_of_times_its_weight_is_not_taken_for_neglected() -> None:
    """Its share of the load counts the one who runs."""

    async def body(scheduler: Scheduler, users: trio.Nursery) -> float:
        heavy, light = scheduler.new_thread("heavy", weight_of(-20.0)), scheduler.new_thread("light", weight_of(19.0))
        users.start_soon(live, scheduler, light, 0.001)
        users.start_soon(live, scheduler, heavy, 0.4)
        await trio.sleep(0.3)
        (core,) = scheduler.cores
        Watchdog(scheduler, 1.0).look()
        return float(core.busy - light.passed_since)

    settings = CpuSettings()
    alone = 5.0 * (settings.latency + settings.min_granularity)  # its patience by its own weight only
    assert run(body) > 5.0 * alone


@pytest.mark.parametrize(("granularity", "waits"), [(0.001, 0.0), (0.02, 0.005)])
def test_one_who_wakes_takes_the_core_if_it_lags_by_more_than_the_granularity(granularity: float, waits: float) -> None:
    async def body(scheduler: Scheduler, users: trio.Nursery) -> Any:
        busy, light = scheduler.new_thread("busy"), scheduler.new_thread("light")
        await scheduler.compute(light, 0.001)
        scheduler.leave_core(light, "a while")
        users.start_soon(live, scheduler, busy, 0.1)
        await trio.sleep(0.013)  # of its third slice the busy one has 5 ms left
        await live(scheduler, light, 0.001)
        return trio.current_time() - 0.014 - 0.001

    assert run(body, wakeup_granularity=granularity) == pytest.approx(waits, abs=1e-9)


def test_a_sleeper_keeps_a_credit_of_half_a_latency_however_long_it_slept() -> None:
    async def body(scheduler: Scheduler, users: trio.Nursery) -> float:
        busy, light = scheduler.new_thread("busy"), scheduler.new_thread("light")
        await scheduler.compute(light, 1e-6)
        scheduler.leave_core(light, "a long sleep")
        users.start_soon(live, scheduler, busy, 1.0)
        await trio.sleep(0.5)
        users.start_soon(live, scheduler, light, 0.1)
        await trio.sleep(0)
        queue = scheduler.cores[0].queue
        assert isinstance(queue, FairQueue)
        return float(queue.min_vruntime - light.vruntime)

    assert run(body) == pytest.approx(0.003, abs=1e-5)


def test_a_thread_that_uses_up_its_time_sinks_and_a_boost_lifts_it() -> None:
    """Time counts over sleeps, so that one who gives up the core before its quantum ends sinks as well."""

    async def body(scheduler: Scheduler, users: trio.Nursery) -> list[int]:
        cunning, levels = scheduler.new_thread("cunning"), []
        for _ in range(8):
            await scheduler.compute(cunning, 0.004)
            levels.append(cunning.own_level)
            scheduler.leave_core(cunning, "a moment")
            await trio.sleep(0.001)
        scheduler.end(cunning)
        return levels

    assert run(body, policy="feedback", quantum=0.01) == [0, 0, 1, 1, 1, 1, 1, 2]


def test_a_lower_level_runs_only_while_no_higher_one_wants_to() -> None:
    async def body(scheduler: Scheduler, users: trio.Nursery) -> Any:
        busy, light = scheduler.new_thread("busy"), scheduler.new_thread("light")
        users.start_soon(live, scheduler, busy, 0.2)
        await trio.sleep(0.05)
        assert busy.own_level == 2
        await live(scheduler, light, 0.002)
        return trio.current_time()

    assert run(body, policy="feedback", quantum=0.01) == pytest.approx(0.052)


def test_threads_that_are_all_on_one_core_are_balanced() -> None:
    async def body(scheduler: Scheduler, users: trio.Nursery) -> list[int]:
        threads = [scheduler.new_thread(f"busy{number}") for number in range(4)]
        for thread in threads:
            thread.core = 0
            users.start_soon(live, scheduler, thread, 0.1)
        await trio.sleep(0.05)
        return sorted(thread.core for thread in threads)

    assert run(body, cores=2, balances=True) == [0, 0, 1, 1]


def test_a_core_without_threads_sleeps_and_is_kicked() -> None:
    async def body(scheduler: Scheduler, users: trio.Nursery) -> tuple[bool, Any]:
        await trio.sleep(0.1)
        was_halted = scheduler.cores[0].is_halted
        thread = scheduler.new_thread("late")
        await scheduler.compute(thread, 0.01)
        now = trio.current_time()
        scheduler.end(thread)
        return was_halted, now

    assert run(body, idle_seconds=0.001) == (True, pytest.approx(0.111))


def test_switches_and_migrations_cost_time() -> None:
    async def body(scheduler: Scheduler, users: trio.Nursery) -> Any:
        thread = scheduler.new_thread("wanders")
        await scheduler.compute(thread, 0.01)
        scheduler.leave_core(thread, "a moment")
        blocker = scheduler.new_thread("blocker")
        blocker.core = 0
        users.start_soon(live, scheduler, blocker, 0.1)
        await trio.sleep(0.001)
        await live(scheduler, thread, 0.01)
        assert thread.core == 1
        return thread.ran

    assert run(body, cores=2, switch_seconds=1e-4, migration_seconds=1e-3) == pytest.approx(0.02 + 2e-4 + 1e-3)


# Mutexes.


async def hold(scheduler: Scheduler, mutex: Mutex, thread: Thread, seconds: float) -> float:
    """Lock, compute, unlock; when it had the lock."""
    await scheduler.take_core(thread)
    await mutex.lock(thread)
    has_it_at = trio.current_time()
    await scheduler.compute(thread, seconds)
    mutex.unlock(thread)
    return has_it_at


def test_a_holder_inherits_the_priority_of_those_who_wait_along_a_chain() -> None:
    """Low holds `a`; middle holds `b` and waits for `a`; high waits for `b`; a hog is between low and middle."""

    async def body(scheduler: Scheduler, users: trio.Nursery) -> Any:
        low, hog, middle, high = (scheduler.new_thread(f"p{one}", priority=one) for one in (1, 2, 3, 4))
        a, b = Mutex(scheduler, "a"), Mutex(scheduler, "b")

        async def both() -> None:
            await scheduler.take_core(middle)
            await b.lock(middle)
            await hold_more(middle, a)
            b.unlock(middle)
            scheduler.end(middle)

        async def hold_more(thread: Thread, mutex: Mutex) -> None:
            await mutex.lock(thread)
            await scheduler.compute(thread, 0.001)
            mutex.unlock(thread)

        async def at_the_bottom() -> None:
            await hold(scheduler, a, low, 0.010)
            scheduler.end(low)

        users.start_soon(at_the_bottom)
        await trio.sleep(0.001)
        users.start_soon(both)
        await trio.sleep(0.001)
        assert low.priority == 3
        users.start_soon(live, scheduler, hog, 1.0)
        got = await hold(scheduler, b, high, 0.001)
        scheduler.end(high)
        return got

    assert run(body, policy="fixed") == pytest.approx(0.011)


def test_a_mutex_goes_to_the_most_urgent_and_claims_are_given_back() -> None:
    async def body(scheduler: Scheduler, users: trio.Nursery) -> list[str]:
        mutex, order = Mutex(scheduler, "m"), []
        threads = [scheduler.new_thread(f"p{one}", priority=one) for one in (1, 2, 3)]

        async def user(thread: Thread) -> None:
            await hold(scheduler, mutex, thread, 0.01)
            order.append(thread.owner)
            assert not thread.donors
            scheduler.end(thread)

        for thread in threads:
            users.start_soon(user, thread)
            await trio.sleep(0.001)
        await trio.sleep(1.0)
        assert not scheduler.contended
        return order

    assert run(body, policy="fixed") == ["p1", "p3", "p2"]


def test_a_circle_of_mutexes_is_refused_and_so_is_one_who_does_not_hold_it() -> None:
    async def body(scheduler: Scheduler, users: trio.Nursery) -> list[int | None]:
        a, b = Mutex(scheduler, "a"), Mutex(scheduler, "b")
        one, other = scheduler.new_thread("one"), scheduler.new_thread("other")
        found: list[int | None] = []
        await scheduler.take_core(one)
        await a.lock(one)
        scheduler.leave_core(one, "a moment")

        async def second() -> None:
            await scheduler.take_core(other)
            await b.lock(other)
            await a.lock(other)
            a.unlock(other)
            b.unlock(other)
            scheduler.end(other)

        users.start_soon(second)
        await trio.sleep(0.01)
        assert other.state is State.WAITING
        await scheduler.take_core(one)
        for wrong in (b.lock(one), a.lock(one)):
            with pytest.raises(OSError) as refused:
                await wrong
            found.append(refused.value.errno)
        with pytest.raises(OSError) as refused:
            b.unlock(one)
        found.append(refused.value.errno)
        a.unlock(one)
        scheduler.end(one)
        return found

    assert run(body) == [errno.EDEADLK, errno.EDEADLK, errno.EPERM]
