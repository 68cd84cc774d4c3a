"""The database with its pool, and the upstream service with httpx, on nodes: each alone, and cut off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import detrun
from detrun_scenarios.web_server.addresses import DATABASE, UPSTREAM
from detrun_scenarios.web_server.backend.database_client import DatabaseClient
from detrun_scenarios.web_server.backend.database_server import DatabaseServer
from detrun_scenarios.web_server.backend.upstream_client import UpstreamClient
from detrun_scenarios.web_server.backend.upstream_service import UpstreamService
from detrun_scenarios.web_server.errors import BackendError, BackendTimeoutError, PoolTimeoutError, ServiceError
from detrun_scenarios.web_server.resilience.breaker import Breaker
from detrun_scenarios.web_server.resilience.hedges import Hedges
from detrun_scenarios.web_server.resilience.pool import ConnectionPool
from detrun_scenarios.web_server.resilience.retries import Retries
from detrun_scenarios.web_server.resilience.retry_budget import RetryBudget
from detrun_scenarios.web_server.settings import Settings
from tests.scenarios.web_server.test_admission import drawn, waits_by_recursion

pytestmark = pytest.mark.one_python


@asynccontextmanager
async def database(
    settings: Settings, latency: float = 0.0
) -> AsyncIterator[tuple[Any, DatabaseServer, DatabaseClient]]:
    """A world with a database that listens, and a client with a pool of its own."""
    async with detrun.World(latency=latency) as world:
        server = DatabaseServer(settings)
        server.rows["pen"] = "a pen"
        world.node(DATABASE).start(server.serve)
        await trio.sleep(0.01)
        yield world, server, DatabaseClient(settings, ConnectionPool(settings))


async def outcome_of(call: Any) -> Any:
    """What came of a call: its answer, or the type of its error."""
    try:
        return await call
    except ServiceError as error:
        return type(error)


def test_borrowers_wait_for_a_connection_as_the_recursion_of_kiefer_and_wolfowitz_says() -> None:
    """Three connections, and more workers than that. Service times are those of the keyed draws of the database."""
    arrivals, _ = drawn(250, 250.0, 1.0, 1)
    mean = 0.01

    async def services() -> list[float]:
        return [float(detrun.exponential(mean, key=("database", "READ", f"item{n}"))) for n in range(len(arrivals))]

    async def main() -> list[float]:
        settings = Settings(pool_size=3, database_workers=9, database_seconds=mean, database_timeout=9, pool_seconds=9)
        async with database(settings) as (_, _, client), trio.open_nursery() as nursery:
            began = float(trio.current_time())
            for number, at in enumerate(arrivals):
                await trio.sleep_until(began + at)
                nursery.start_soon(client.read, f"item{number}")
        assert len(client.pool.opened) == 3
        assert client.pool.lent == 0
        return [float(wait) for wait in client.pool.waits]

    waits = detrun.record(main, seed=4).result
    wanted = waits_by_recursion(arrivals, detrun.record(services, seed=4).result, 3)
    assert waits == pytest.approx(wanted, abs=1e-6)
    assert max(waits) > 2 * mean


def test_an_order_that_comes_twice_is_booked_once() -> None:
    async def main() -> Any:
        async with database(Settings()) as (_, server, client):
            found: list[Any] = [await client.order("o1", "pen", 2), await client.order("o1", "pen", 2)]
            found += [await client.order("o2", "pen", 3), await client.read("pen"), await client.read("ink")]
            return found, server.orders

    found, orders = detrun.record(main).result
    assert found == [("o1", 2), ("o1", 2), ("o2", 5), "a pen", None]
    assert orders == {"o1": ("pen", 2), "o2": ("pen", 3)}


def test_a_question_that_timed_out_is_served_all_the_same_and_its_connection_is_closed() -> None:
    async def main() -> Any:
        settings = Settings(pool_size=1, database_seconds=0.01, database_timeout=0.001)
        async with database(settings) as (_, server, client):
            found = [await outcome_of(client.order("o1", "pen", 1))]
            await trio.sleep(1)
            return found, server.orders, client.pool.idle, client.pool.lent

    assert detrun.record(main, seed=1).result == ([BackendTimeoutError], {"o1": ("pen", 1)}, [], 0)


def test_a_borrower_waits_no_longer_than_the_pool_allows() -> None:
    async def main() -> Any:
        settings = Settings(pool_size=1, pool_seconds=0.05, database_timeout=1.0)
        async with database(settings) as (_, server, client):
            server.slowness = 1_000_000.0
            async with trio.open_nursery() as nursery:
                nursery.start_soon(outcome_of, client.read("pen"))
                await trio.sleep(0.1)
                began = float(trio.current_time())
                found = await outcome_of(client.read("pen"))
                return found, float(trio.current_time()) - began, client.pool.waiting

    assert detrun.record(main).result == (PoolTimeoutError, pytest.approx(0.05), 0)


def test_a_connection_that_breaks_and_a_database_that_is_down_are_errors_and_free_their_seats() -> None:
    async def main() -> Any:
        async with database(Settings(pool_size=1), latency=0.001) as (world, server, client):
            found = [await outcome_of(client.read("pen"))]
            server.slowness = 1_000_000.0
            async with trio.open_nursery() as nursery:

                async def read() -> None:
                    found.append(await outcome_of(client.read("pen")))

                nursery.start_soon(read)
                await trio.sleep(0.1)
                world.node(DATABASE).crash()
            found.append(await outcome_of(client.read("pen")))
            world.node(DATABASE).restart()
            await trio.sleep(0.01)
            server.slowness = 1.0
            return [*found, await outcome_of(client.read("pen"))], client.pool.lent

    assert detrun.record(main).result == (["a pen", BackendError, BackendError, "a pen"], 0)


def test_a_cancellation_at_any_time_loses_neither_seat_nor_connection() -> None:
    """Borrowers whose patience runs out while they wait, connect or ask; the others get their own answers."""

    async def main() -> Any:
        settings = Settings(pool_size=2, database_seconds=0.003)
        async with database(settings, latency=0.001) as (_, server, client):
            answered = 0
            server.rows.update({str(number): f"text {number}" for number in range(60)})

            async def read(number: int) -> None:
                nonlocal answered
                with trio.move_on_after(detrun.exponential(0.01)):
                    assert await client.read(str(number)) == f"text {number}"
                    answered += 1

            async with trio.open_nursery() as nursery:
                for number in range(60):
                    nursery.start_soon(read, number)
                    await detrun.sleep(detrun.exponential(0.002))
            assert 5 < answered < 55
            return client.pool.lent, client.pool.waiting, len(client.pool.idle) <= 2

    for seed in range(6):
        assert detrun.record(main, seed=seed, strategy="random").result == (0, 0, True)


def upstream_story(tell: Any, **numbers: Any) -> Any:
    """Tell it about an upstream service that listens, and a client."""

    async def main() -> Any:
        settings = Settings(**{"retry_reserve": 0.0, "retry_budget": 0.0, **numbers})
        async with detrun.World(latency=0.001) as world:
            service = UpstreamService(settings)
            world.node(UPSTREAM).start(service.serve)
            await trio.sleep(0.01)
            budget = RetryBudget(settings)
            client = UpstreamClient(settings, Breaker(settings), Retries(settings, budget), Hedges(settings, budget))
            found = await tell(world, service, client)
            await client.close()
            return found

    return detrun.record(main, seed=2).result


def test_quotes_come_by_httpx_over_one_connection_that_is_kept() -> None:
    async def tell(world: Any, service: UpstreamService, client: UpstreamClient) -> Any:
        return [await client.quote(symbol) for symbol in ("A", "B", "A")], service.served, client.attempts

    assert upstream_story(tell) == (["A costs 65", "B costs 66", "A costs 65"], 3, 3)


def test_a_quote_is_asked_for_again_while_the_service_fails_and_not_beyond_the_budget() -> None:
    async def tell(world: Any, service: UpstreamService, client: UpstreamClient) -> Any:
        service.failure_share = 1.0
        return await outcome_of(client.quote("A")), await outcome_of(client.quote("A")), client.attempts

    found = upstream_story(tell, retry_budget=1.0, attempts_max=3, hedge_delay=9.0, upstream_timeout=9.0)
    assert found == (BackendError, BackendError, 4)  # each deposit pays for one more attempt


def test_the_service_serves_also_those_who_have_given_up() -> None:
    async def tell(world: Any, service: UpstreamService, client: UpstreamClient) -> Any:
        service.slowness = 1_000.0
        found = [await outcome_of(client.quote("A")) for _ in range(3)]
        await trio.sleep(100.0)
        return found, service.served, service.workers.taken

    found = upstream_story(tell, upstream_timeout=0.05, upstream_workers=1, upstream_seconds=0.01)
    assert found == ([BackendTimeoutError] * 3, 3, 0)
