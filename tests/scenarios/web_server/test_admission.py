"""What lets requests in: the token bucket against its bounds, seats against queueing theory, the limit, the gates."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial
from typing import Any

import numpy as np
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun_scenarios.web_server.errors import OverloadedError
from detrun_scenarios.web_server.resilience.admission import Admission
from detrun_scenarios.web_server.resilience.concurrency_limit import RATIO, ConcurrencyLimit
from detrun_scenarios.web_server.resilience.seats import Seats
from detrun_scenarios.web_server.resilience.token_bucket import TokenBucket
from detrun_scenarios.web_server.settings import Settings

pytestmark = pytest.mark.one_python


def passed(rate: float, burst: float, times: Sequence[float]) -> list[bool]:
    """Which requests at these times a new bucket lets through."""

    async def main() -> list[bool]:
        bucket, found = TokenBucket(rate, burst), []
        for at in times:
            await trio.sleep_until(at)
            wait = bucket.seconds_until_token()
            found.append(bucket.try_take())
            assert found[-1] == (wait == 0.0)
        return found

    result: list[bool] = detrun.record(main).result
    return result


def conforming(rate: float, burst: float, times: Sequence[float]) -> list[bool]:
    """The same by virtual scheduling, which counts no tokens: when would the next request be due (ITU-T I.371, A.1)."""
    due, found = 0.0, []
    for at in times:
        found.append(due - (burst - 1.0) / rate <= at + 1e-9 / rate)
        if found[-1]:
            due = max(due, at) + 1.0 / rate
    return found


# Eighths, so that no sum is rounded and ties are ties.
TIMES = st.lists(st.integers(0, 40), min_size=1, max_size=60).map(
    lambda gaps: [float(at) / 8 for at in np.cumsum(gaps)]
)


@given(rate=st.sampled_from([0.5, 1.0, 4.0]), burst=st.sampled_from([1.0, 2.5, 8.0]), times=TIMES)
def test_a_bucket_passes_what_virtual_scheduling_passes_and_never_more_than_burst_and_rate_allow(
    rate: float, burst: float, times: list[float]
) -> None:
    found = passed(rate, burst, times)
    assert found == conforming(rate, burst, times)
    kept = [at for at, ok in zip(times, found, strict=True) if ok]
    for first in range(len(kept)):
        for last in range(first, len(kept)):
            assert last - first + 1 <= burst + rate * (kept[last] - kept[first]) + 1e-6


def test_under_more_requests_than_tokens_the_rate_of_those_that_pass_is_that_of_the_tokens() -> None:
    times = np.cumsum(np.random.default_rng(0).exponential(1 / 50, 5_000))
    assert sum(passed(20.0, 5.0, list(map(float, times)))) == pytest.approx(5.0 + 20.0 * times[-1], abs=1.0)


def seated(arrivals: Sequence[float], services: Sequence[float], seats: int) -> list[float]:
    """How long each waits for one of our seats."""

    async def main() -> list[float]:
        ours, waits = Seats(seats), [0.0] * len(arrivals)

        async def one(number: int) -> None:
            await ours.take()
            waits[number] = float(trio.current_time()) - arrivals[number]
            await detrun.sleep(services[number])
            ours.give_back()

        async with trio.open_nursery() as nursery:
            for number, at in enumerate(arrivals):
                await trio.sleep_until(at)
                nursery.start_soon(one, number)
        assert ours.taken == 0
        assert ours.waits == pytest.approx([waits[number] for number in range(len(waits))], abs=1e-9)
        return waits

    result: list[float] = detrun.record(main).result
    return result


def waits_by_recursion(arrivals: Any, services: Any, seats: int) -> list[float]:
    """First come, first served with several servers: the earliest free one takes the next (Kiefer and Wolfowitz)."""
    free, found = [0.0] * seats, []
    for at, service in zip(arrivals, services, strict=True):
        earliest = min(range(seats), key=free.__getitem__)
        begins = max(at, free[earliest])
        found.append(begins - at)
        free[earliest] = begins + service
    return found


def erlang_c_wait(rate: float, service: float, seats: int) -> float:
    """Mean wait of M/M/c (Erlang 1917; Kleinrock 1975, 3.5)."""
    load = rate * service
    last = load**seats / factorial(seats) * seats / (seats - load)
    waits = last / (sum(load**number / factorial(number) for number in range(seats)) + last)
    return waits * service / (seats - load)


def drawn(count: int, rate: float, service: float, seed: int) -> tuple[list[float], list[float]]:
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.exponential(1 / rate, count))
    return list(map(float, arrivals)), list(map(float, random.exponential(service, count)))


def test_each_waits_for_a_seat_as_long_as_the_recursion_of_kiefer_and_wolfowitz_says() -> None:
    arrivals, services = drawn(600, 2.7, 1.0, 3)
    found = seated(arrivals, services, 3)
    assert found == pytest.approx(waits_by_recursion(arrivals, services, 3), abs=1e-6)
    assert max(found) > 5.0


def test_the_mean_wait_is_that_of_erlang_c() -> None:
    """The recursion, whose waits are ours, over 10 streams of 12,000: within six standard errors of the closed form."""
    means = []
    for seed in range(10):
        waits = waits_by_recursion(*drawn(12_000, 2.1, 1.0, seed), 3)
        means.append(np.mean(waits[1_000:]))
    error = np.std(means, ddof=1) / 10**0.5
    assert np.mean(means) == pytest.approx(erlang_c_wait(2.1, 1.0, 3), abs=6.0 * error)
    assert error < 0.05 * erlang_c_wait(2.1, 1.0, 3)


def test_one_seat_is_the_queue_with_one_server() -> None:
    """The formula of the test above against the other closed form: M/M/1 waits load / (1 - load) services."""
    assert erlang_c_wait(0.6, 1.0, 1) == pytest.approx(0.6 / 0.4)


def test_a_seat_that_becomes_free_goes_to_the_first_who_waits_though_another_comes_in_before_that_one_runs() -> None:
    async def main() -> list[str]:
        seats, order = Seats(1), []

        async def wait(name: str) -> None:
            await seats.take()
            order.append(name)
            seats.give_back()

        await seats.take()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, "first")
            await trio.sleep(1)
            seats.give_back()
            nursery.start_soon(wait, "second")
        return order

    assert all(detrun.record(main, seed=seed).result == ["first", "second"] for seed in range(20))


def test_the_limit_grows_by_one_while_it_is_used_and_shrinks_by_its_ratio() -> None:
    limit = ConcurrencyLimit(Settings(slow_seconds=1.0))
    limit.limit = 10.0
    limit.learn(0.5, True, 4)
    assert limit.limit == 10.0  # less than half of it is used
    limit.learn(0.5, True, 5)
    assert limit.limit == 11.0
    limit.learn(1.5, True, 5)
    limit.learn(0.1, False, 5)
    assert limit.limit == pytest.approx(11.0 * RATIO**2)
    for _ in range(100):
        limit.learn(0.1, False, 1)
    assert limit.limit == 1.0


def test_a_smaller_limit_lets_those_inside_stay_and_a_larger_one_lets_more_in() -> None:
    async def main() -> list[int]:
        seats, inside = Seats(2), []
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(seats.take)
            for size in (2, 1, 4):
                await trio.sleep(1)
                seats.size = size
                seats.fill()
                inside.append(seats.taken)
            nursery.cancel_scope.cancel()
        return inside

    assert detrun.record(main).result == [2, 2, 4]


def test_the_gates_refuse_by_rate_and_by_the_length_of_the_queue() -> None:
    async def main() -> dict[str, int]:
        settings = Settings(admission_rate=10.0, admission_burst=30.0, queue_length=4)
        admission, refused = Admission(settings), []

        async def come() -> None:
            try:
                await admission.enter()
            except OverloadedError as error:
                refused.append(float(error.retry_after))

        async with trio.open_nursery() as nursery:
            for _ in range(32):
                nursery.start_soon(come)
            await trio.sleep(0)
            await trio.sleep(0.001)
            found = {"inside": admission.inside, "queue": refused.count(1.0), "rate": len(refused) - refused.count(1.0)}
            nursery.cancel_scope.cancel()
        assert admission.refused == len(refused)
        assert [one for one in refused if one != 1.0] == pytest.approx([0.1, 0.1])  # until the bucket has the next
        return found

    assert detrun.record(main).result == {"inside": 20, "queue": 6, "rate": 2}


def waits_of_a_burst(customers: int = 200) -> Any:
    """The loss: what all wait together who come at once, each served for a second, less what more room would spare."""

    async def main(params: dict[str, Any]) -> Any:
        seats = Seats(params["size"])

        async def come() -> None:
            async with seats.seat():
                await trio.sleep(1.0)

        async with trio.open_nursery() as tasks:
            for _ in range(customers):
                tasks.start_soon(come)
        return detrun.sum(seats.waits) - seats.spared

    return main


def test_softened_seats_spare_what_a_fluid_would_and_go_on_as_they_do() -> None:
    """Beside waits that are counted by hand: of n who come at once, the one with number i waits ``i // c`` seconds. The
    fluid leaves out that one more seat is there at once, 1 / 20 of it here with 10 seats for 200.
    """
    main = waits_of_a_burst()
    soft = detrun.gradient(main, {"size": 10.0}, kind="relaxed", temperature=0.5, samples=2, seed=0)

    def waits(seats: int) -> int:
        return sum(number // seats for number in range(200))

    assert soft.value == pytest.approx(waits(10)) == detrun.record(main, {"size": 10}).result
    assert float(soft.grads["size"]) == pytest.approx((waits(11) - waits(9)) / 2, rel=0.1)
    assert float(detrun.gradient(main, {"size": 10.0}, seed=0).grads["size"]) == 0.0
