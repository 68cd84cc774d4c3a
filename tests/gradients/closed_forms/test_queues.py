"""Queues against closed forms: long runs of open ones by local gradients, a finite one by the kinds that see jumps.

Arrivals are Poisson with rate 1. Seeds are fixed; each docstring gives the closed form, and how many standard errors
the fixed sample is away from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import trio

import detrun

PLACES = 2
ARRIVALS = 3


def stations(customers: int, *services: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The mean time that customers spend at stations in a row, each first come, first served; empty at the start."""

    async def main(params: Any) -> Any:
        async def station(receive: Any, send: Any, service: Callable[[Any], Any]) -> None:
            async with receive, send:
                async for arrived in receive:
                    await trio.sleep(service(params))
                    await send.send(arrived)

        async def source(send: Any) -> None:
            async with send:
                for _ in range(customers):
                    await trio.sleep(detrun.exponential(1.0))
                    await send.send(trio.current_time())

        spent: Any = 0.0
        async with trio.open_nursery() as nursery:
            send, receive = trio.open_memory_channel[Any](math.inf)
            nursery.start_soon(source, send)
            for service in services:
                send, behind = trio.open_memory_channel[Any](math.inf)
                nursery.start_soon(station, receive, send, service)
                receive = behind
            async with receive:
                async for arrived in receive:
                    spent = spent + (trio.current_time() - arrived)
        return spent / customers

    return main


def holds(main: Callable[[Any], Any], params: dict[str, float], truth: dict[str, float], **options: Any) -> Any:
    found = detrun.gradient(main, params, **options)
    for name, exact in truth.items():
        assert abs(found.grads[name] - exact) <= 4 * found.std_error[name], name
        assert found.std_error[name] <= 0.35 * abs(exact), name
    return found


@pytest.mark.parametrize("samples", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_the_time_in_a_queue_by_the_rate_of_its_server(samples: int) -> None:
    """M/M/1: E[T] = 1/(mu - 1), by mu -(mu - 1)^-2 = -1; 2,000 customers, and 20,000 in the slow test.

    200 customers after an empty start have -0.973 ± 0.002 (numpy, 40,000 runs of Lindley's recursion), so the bias
    of cutting off is 0.027, less than a third of the standard error here and under one in the slow test.
    The sample is 1.1 errors away.
    """
    main = stations(200, lambda params: detrun.exponential(1 / params["mu"]))
    holds(main, {"mu": 2.0}, {"mu": -1.0}, samples=samples)


@pytest.mark.parametrize("shape", ["uniform", pytest.param("fixed", marks=pytest.mark.slow)])
def test_the_time_in_a_queue_by_the_scale_of_its_services(shape: str) -> None:
    """M/G/1 with services a·G: E[T] = a E[G] + a² E[G²] / (2 (1 - a E[G])) (Pollaczek and Khinchine).

    The derivative by a is E[G] + E[G²] a (2 - a E[G]) / (2 (1 - a E[G])²). The empty start moves it by 0.009 for fixed
    and 0.015 for uniform services (numpy), at most 0.3 standard errors. The samples are 0.5 and 0.7 of them away.
    """

    def service(params: Any) -> Any:
        return params["a"] * (0.5 if shape == "fixed" else detrun.uniform())

    a, mean, square = 0.9, 0.5, 0.25 if shape == "fixed" else 1 / 3
    truth = mean + square * a * (2 - a * mean) / (2 * (1 - a * mean) ** 2)
    holds(stations(200, service), {"a": a}, {"a": truth}, samples=10)


def test_the_time_in_two_queues_in_a_row() -> None:
    """Each is a M/M/1 queue by itself (Burke): E[T] = sum of 1/(mu - 1), by each mu -(mu - 1)^-2.

    The empty start moves the two by 0.013 and 0.006 (numpy), a third of the standard errors. 1.6 and 0.1 of them away.
    """

    def served(name: str) -> Callable[[Any], Any]:
        return lambda params: detrun.exponential(1 / params[name])

    main = stations(100, served("first"), served("second"))
    holds(main, {"first": 2.5, "second": 3.0}, {"first": -1 / 1.5**2, "second": -1 / 2.0**2}, samples=16)


async def share_lost(params: Any) -> Any:
    """Arrivals at a server of rate 1 with one waiting place; the first of them finds the stationary number inside."""
    rate = params["rate"]
    inside, lost = detrun.choice(PLACES + 1, [1.0, rate, rate**2]), 0
    came = trio.Event()

    async def server() -> None:
        nonlocal inside, came
        while True:
            if inside == 0:
                came = trio.Event()
                await came.wait()
            await trio.sleep(detrun.exponential(1.0))
            inside -= 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        for _ in range(ARRIVALS):
            if inside == PLACES:
                lost += 1
            else:
                inside += 1
                came.set()
            await trio.sleep(detrun.exponential(1.0 / rate))
        nursery.cancel_scope.cancel()
    return lost / ARRIVALS


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("expected", {"samples": 60, "pairs": 2}),
        ("finite", {"samples": 150, "step": 0.1}),
        ("policy", {"samples": 300}),
        pytest.param("expected", {"samples": 600, "pairs": 2}, marks=pytest.mark.slow),
        pytest.param("policy", {"samples": 3000}, marks=pytest.mark.slow),
    ],
)
def test_the_share_of_customers_that_a_full_queue_loses(kind: Any, options: dict[str, Any]) -> None:
    """M/M/1/2: L = r²/(1 + r + r²), by r (2r + r²)/(1 + r + r²)² = 0.376 at 0.8. Local gradients are 0.

    Arrivals find the stationary distribution if the first one does, so nothing is cut off. A difference with the step
    0.1 has a bias of 0.0004. The default samples are at most 0.4 standard errors away.
    """
    rate = 0.8
    truth = (2 * rate + rate**2) / (1 + rate + rate**2) ** 2
    found = holds(share_lost, {"rate": rate}, {"rate": truth}, kind=kind, **options)
    assert abs(found.value - rate**2 / (1 + rate + rate**2)) <= 4 * found.value_std_error


def test_the_share_lost_does_not_move_along_the_path() -> None:
    assert detrun.gradient(share_lost, {"rate": 0.8}, samples=5).grads == {"rate": 0.0}
