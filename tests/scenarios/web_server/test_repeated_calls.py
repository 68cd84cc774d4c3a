"""Calls that are made more than once: retries, their budget, hedges and the breaker, against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import trio

import detrun
from detrun_scenarios.web_server.errors import BackendError, BackendTimeoutError, BreakerOpenError, ServiceError
from detrun_scenarios.web_server.resilience.backoff import Backoff
from detrun_scenarios.web_server.resilience.breaker import Breaker
from detrun_scenarios.web_server.resilience.hedges import Hedges
from detrun_scenarios.web_server.resilience.retries import Retries
from detrun_scenarios.web_server.resilience.retry_budget import KEPT_SECONDS, RetryBudget
from detrun_scenarios.web_server.settings import Settings

pytestmark = pytest.mark.one_python

RICH: dict[str, Any] = {"retry_budget": 10.0}  # a budget that never refuses


async def outcome_of(call: Any) -> str:
    """What came of a call: its answer, or the name of its error."""
    try:
        return str(await call)
    except ServiceError as error:
        return type(error).__name__


def test_calls_make_as_many_attempts_and_wait_as_long_as_the_closed_forms_say() -> None:
    """Attempts fail with probability 0.4 by themselves, four at most: (1 - 0.4^4) / (1 - 0.4) of them on average.

    The wait before attempt k + 1 is half of 2^(k-1) bases on average, and is waited with probability 0.4^k. Within six
    standard errors of 2,000 calls.
    """
    chance, most, base, calls = 0.4, 4, 0.1, 2_000

    async def main() -> tuple[list[int], list[float]]:
        settings = Settings(attempts_max=most, backoff=base, **RICH)
        retries = Retries(settings, RetryBudget(settings))
        attempts, waits = [], []

        async def attempt(number: int) -> str:
            if detrun.bernoulli(chance):
                raise BackendError("it fails")
            return "done"

        for _ in range(calls):
            before, began = retries.attempts, float(trio.current_time())
            await outcome_of(retries.call(attempt))
            attempts.append(retries.attempts - before)
            waits.append(float(trio.current_time()) - began)
        assert retries.calls == calls
        return attempts, waits

    attempts, waits = detrun.record(main).result
    mean_wait = sum(chance**k * base * 2.0 ** (k - 1) / 2 for k in range(1, most))
    for found, wanted in ((attempts, (1 - chance**most) / (1 - chance)), (waits, mean_wait)):
        assert np.mean(found) == pytest.approx(wanted, abs=6.0 * np.std(found) / calls**0.5)
    assert max(attempts) == most


def test_the_ceiling_of_a_wait_doubles_up_to_the_longest_and_waits_fill_it_evenly() -> None:
    """The mean of a uniform draw is half its ceiling; within six standard errors."""
    backoff = Backoff(0.1, longest=0.5)
    assert [backoff.ceiling(attempt) for attempt in range(1, 6)] == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5])

    async def main() -> list[float]:
        return [backoff.draw(2) for _ in range(1_000)]

    draws = detrun.record(main).result
    assert np.mean(draws) == pytest.approx(0.1, abs=6.0 * 0.2 / 12**0.5 / 1_000**0.5)
    assert 0.0 <= min(draws) < 0.01
    assert 0.19 < max(draws) < 0.2


def test_when_everything_fails_the_budget_bounds_the_load_to_its_share_and_its_reserve() -> None:
    """40 calls a second for 60 s, a share of 0.2 and a reserve of one a second: 40 · 1.2 + 1 attempts a second."""
    seconds, rate, share, reserve = 60, 40, 0.2, 1.0

    async def main() -> tuple[int, int]:
        settings = Settings(retry_budget=share, retry_reserve=reserve, backoff=1e-6)
        retries = Retries(settings, RetryBudget(settings))

        async def attempt(number: int) -> str:
            raise BackendError("it fails")

        for _ in range(seconds * rate):
            await outcome_of(retries.call(attempt))
            await trio.sleep(1 / rate)
        return retries.calls, retries.attempts

    calls, attempts = detrun.record(main).result
    assert calls == seconds * rate
    # What was withdrawn is worth as much as what came in: a slice that ends takes its debts along, at most one reserve.
    assert attempts - calls == pytest.approx(share * calls + reserve * seconds, abs=reserve * KEPT_SECONDS + 1)
    assert attempts - calls <= share * calls + reserve * (seconds + KEPT_SECONDS)


def test_what_was_deposited_long_ago_pays_for_nothing() -> None:
    async def main() -> list[float]:
        budget, found = RetryBudget(Settings(retry_budget=1.0, retry_reserve=0.2)), []
        for _ in range(50):
            budget.deposit()
        for wait in (0.0, 0.8 * KEPT_SECONDS, 0.2 * KEPT_SECONDS):
            await trio.sleep(wait)
            found.append(budget.balance())
        assert [budget.withdraw() for _ in range(3)] == [True, True, False]
        return found

    assert detrun.record(main).result == [52.0, 52.0, 2.0]


SHIFT, MEAN, DELAY = 0.2, 1.0, 0.7


async def race(params: Any, calls: int) -> tuple[list[Any], int]:
    """Latencies of calls whose attempts take a shift and an exponential time; how many were hedged."""
    settings = Settings(hedge_delay=params["delay"], **RICH)
    budget = RetryBudget(settings)
    hedges, found = Hedges(settings, budget), []

    async def attempt(number: int) -> str:
        await detrun.sleep(SHIFT + detrun.exponential(MEAN, key=f"attempt {number}"))
        return f"attempt {number}"

    for _ in range(calls):
        budget.deposit()
        began = trio.current_time()
        await hedges.call(attempt)
        found.append(trio.current_time() - began)
    return found, hedges.hedged


def test_a_hedged_call_takes_the_smaller_of_two_times_on_average() -> None:
    """E min(X, d + Y) = a + m - m/2 exp(-d/m), for X and Y of a + Exp(m); hedged is who takes longer than d.

    Within six standard errors of 1,500 calls.
    """
    calls = 1_500
    latencies, hedged = detrun.record(race, {"delay": DELAY}, calls).result
    wanted = SHIFT + MEAN - MEAN / 2 * math.exp(-DELAY / MEAN)
    assert np.mean(latencies) == pytest.approx(wanted, abs=6.0 * np.std(latencies) / calls**0.5)
    share = math.exp(-(DELAY - SHIFT) / MEAN)
    assert hedged / calls == pytest.approx(share, abs=6.0 * (share * (1 - share) / calls) ** 0.5)


def test_the_local_derivative_by_the_delay_of_hedges_is_that_of_the_mean() -> None:
    """1/2 exp(-d/m): the delay counts where the second attempt wins, and nothing jumps where it just does."""
    calls = 600

    async def main(params: Any) -> Any:
        latencies, _ = await race(params, calls)
        return detrun.sum(latencies) / calls

    found = float(detrun.gradient(main, {"delay": DELAY}, seed=2).grads["delay"])
    share = math.exp(-DELAY / MEAN) / 2
    assert found == pytest.approx(share, abs=6.0 * (share * (1 - share) / calls) ** 0.5)


@pytest.mark.parametrize(
    ("first", "second", "says", "at"),
    [
        (("answer", 0.05), ("answer", 0.01), "0", 0.05),  # before the delay of 0.1
        (("fails", 0.05), ("answer", 0.01), "BackendError", 0.05),
        (("answer", 0.5), ("answer", 0.1), "1", 0.2),
        (("answer", 0.5), ("fails", 0.1), "0", 0.5),
        (("fails", 0.15), ("answer", 0.1), "1", 0.2),
        (("fails", 0.3), ("times out", 0.1), "BackendError", 0.3),
    ],
)
def test_the_first_answer_counts_and_an_error_only_when_none_can_come(
    first: tuple[str, float], second: tuple[str, float], says: str, at: float
) -> None:
    async def attempt(number: int) -> str:
        what, seconds = (first, second)[number]
        await trio.sleep(seconds)
        if what == "fails":
            raise BackendError("it fails")
        if what == "times out":
            raise BackendTimeoutError("it takes long")
        return str(number)

    async def main() -> tuple[str, float]:
        settings = Settings(hedge_delay=0.1)
        found = await outcome_of(Hedges(settings, RetryBudget(settings)).call(attempt))
        return found, float(trio.current_time())

    found, ended = detrun.record(main).result
    assert (found, ended) == (says, pytest.approx(at))


def test_a_service_that_is_slow_for_all_is_hedged_no_more_than_the_budget_allows() -> None:
    async def main() -> tuple[int, int]:
        settings = Settings(hedge_delay=0.1, retry_budget=0.1, retry_reserve=0.0)
        budget = RetryBudget(settings)
        hedges, attempts = Hedges(settings, budget), 0

        async def attempt(number: int) -> str:
            nonlocal attempts
            attempts += 1
            await trio.sleep(0.5)
            return "late"

        for _ in range(100):
            budget.deposit()
            await hedges.call(attempt)
        return hedges.hedged, attempts

    hedged, attempts = detrun.record(main).result
    assert attempts == 100 + hedged
    assert 5 <= hedged <= 10


def breaker_story(*, tell: Callable[[Breaker], Any]) -> Any:
    async def main() -> Any:
        return await tell(Breaker(Settings(breaker_threshold=3, breaker_seconds=1.0)))

    return detrun.record(main).result


async def calls(breaker: Breaker, *outcomes: str) -> list[str]:
    """Make calls with these outcomes, one after the other; what each ended with, and the state then."""
    found = []
    for outcome in outcomes:

        async def call(outcome: str = outcome) -> str:
            with breaker.guard():
                if outcome == "fails":
                    raise BackendError("it fails")
                return "ok"

        said = await outcome_of(call())
        found.append(f"{said}, {breaker.state}")
    return found


def test_a_breaker_opens_after_failures_in_a_row_and_closes_after_a_probe_that_succeeds() -> None:
    async def tell(breaker: Breaker) -> list[str]:
        found = await calls(breaker, "fails", "fails", "ok", "fails", "fails", "fails", "ok")
        await trio.sleep(1.0)
        return [*found, *await calls(breaker, "ok", "fails")]

    failed = "BackendError, closed"
    assert breaker_story(tell=tell) == [
        *(failed, failed, "ok, closed", failed, failed, "BackendError, open", "BreakerOpenError, open"),
        *("ok, closed", failed),
    ]


def test_a_probe_that_fails_opens_the_breaker_again_for_another_rest() -> None:
    async def tell(breaker: Breaker) -> list[Any]:
        await calls(breaker, "fails", "fails", "fails")
        await trio.sleep(1.5)
        found = await calls(breaker, "fails", "ok")
        await trio.sleep(0.9)
        found += await calls(breaker, "ok")
        await trio.sleep(0.1)
        return [*found, *await calls(breaker, "ok"), breaker.opened]

    refused = "BreakerOpenError, open"
    assert breaker_story(tell=tell) == ["BackendError, open", refused, refused, "ok, closed", 2]


def test_one_probe_at_a_time_passes_and_one_that_is_cancelled_leaves_its_place_to_the_next() -> None:
    async def tell(breaker: Breaker) -> list[str]:
        await calls(breaker, "fails", "fails", "fails")
        await trio.sleep(1.0)
        with trio.move_on_after(0.1), breaker.guard():
            found = await calls(breaker, "ok")
            await trio.sleep_forever()
        return [*found, *await calls(breaker, "ok")]

    assert breaker_story(tell=tell) == ["BreakerOpenError, half-open", "ok, closed"]


def test_an_answer_that_was_asked_for_before_the_breaker_opened_changes_nothing() -> None:
    async def tell(breaker: Breaker) -> str:
        with breaker.guard():
            await calls(breaker, "fails", "fails", "fails")
        return breaker.state

    assert breaker_story(tell=tell) == "open"


def test_retries_end_at_an_open_breaker() -> None:
    async def main() -> tuple[str, int]:
        settings = Settings(breaker_threshold=2, attempts_max=5, **RICH)
        breaker, retries = Breaker(settings), Retries(settings, RetryBudget(settings))

        async def attempt(number: int) -> str:
            with breaker.guard():
                raise BackendError("it fails")

        return await outcome_of(retries.call(attempt)), retries.attempts

    assert detrun.record(main).result == (BreakerOpenError.__name__, 3)
