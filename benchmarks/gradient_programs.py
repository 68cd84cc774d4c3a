"""Programs whose derivative of the mean is known, for the table of `benchmarks.gradient_kinds`.

Each has a closed form of its mean or, where there is none, a reference computed by other means (numpy, on the same
model), with its standard error. Each goes wrong for another kind: time-outs and losses jump, a queue bends, a coin has
no path, and a race has an order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import trio
from numpy.polynomial import Chebyshev

import detrun
from detrun import relaxed

CUSTOMERS = 30  # of the queue without a bound
ARRIVALS = 8  # at the queue that turns customers away
PLACES = 2  # in it, with the one who is served
COINS = 10
WALK_STEPS = 20
PERIODS = 6  # of the inventory
Slopes = Mapping[str, tuple[float, float]]  # by parameter, the derivative and its standard error


@dataclass(frozen=True, slots=True)
class KnownProgram:
    """A program, where it is differentiated, and what is right there.

    Attributes:
        name: for people.
        main: the program.
        params: where.
        truth: the derivative of the mean loss by each parameter, with a standard error (0 for a closed form).
        source: where the truth is from, in a few words.
        temperature: of the relaxed kind; None for a program without soft choices.
    """

    name: str
    main: Callable[[Any], Any]
    params: Mapping[str, float]
    truth: Callable[[Mapping[str, float]], Slopes]
    source: str
    temperature: float | None = None


def of_mean(mean: Callable[[Mapping[str, float]], float]) -> Callable[[Mapping[str, float]], Slopes]:
    """The derivatives of a mean that is known to rounding: central differences, wrong by about 1e-8 of them."""

    def slopes(params: Mapping[str, float]) -> Slopes:
        found = {}
        for name, number in params.items():
            step = 1e-5 * number
            up, down = (mean({**params, name: number + sign * step}) for sign in (1.0, -1.0))
            found[name] = ((up - down) / (2 * step), 0.0)
        return found

    return slopes


async def retry(params: Any) -> Any:
    """A service of rate mu that is given up after tau, which costs 0.3 besides."""
    cost = 0.0
    while True:
        with trio.move_on_after(params.get("tau", 0.5)):
            await trio.sleep(detrun.exponential(1.0 / params.get("mu", 1.0)))
            return trio.current_time() + cost
        cost += 0.3


def retry_mean(params: Mapping[str, float]) -> float:
    """1/mu + c q / (1 - q), q = exp(-mu tau)."""
    mu = params.get("mu", 1.0)
    goes_on = math.exp(-mu * params.get("tau", 0.5))
    return 1 / mu + 0.3 * goes_on / (1 - goes_on)


async def coins(params: Any) -> Any:
    """The square of the number of tasks whose coin shows heads."""
    heads = detrun.Atomic(0)

    async def coin() -> None:
        await trio.lowlevel.checkpoint()
        if detrun.bernoulli(params["p"]):
            heads.fetch_add(1)

    async with trio.open_nursery() as nursery:
        for _ in range(COINS):
            nursery.start_soon(coin)
    return float(heads.load()) ** 2


async def queue(params: Any) -> Any:
    """An M/M/1 queue that begins empty: mean time in system of its first customers."""
    send, receive = trio.open_memory_channel[Any](math.inf)
    times: list[Any] = []

    async def arrivals() -> None:
        async with send:
            for _ in range(CUSTOMERS):
                await trio.sleep(detrun.exponential(params["gap"]))
                await send.send(trio.current_time())

    async def server() -> None:
        async for arrived in receive:
            await trio.sleep(detrun.exponential(params["service"]))
            times.append(trio.current_time() - arrived)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(arrivals)
        nursery.start_soon(server)
    return detrun.mean(times)


def queue_slopes(params: Mapping[str, float]) -> Slopes:
    """Lindley's recursion and its derivatives, over 200,000 runs."""
    generator, runs = np.random.default_rng(11), 200_000
    wait, total = np.zeros(runs), {name: np.zeros(runs) for name in params}
    moves = {name: np.zeros(runs) for name in params}
    for _ in range(CUSTOMERS):
        gap, service = generator.exponential(size=runs), generator.exponential(size=runs)
        spent = wait + params["service"] * service
        moves = {"gap": moves["gap"], "service": moves["service"] + service}
        total = {name: total[name] + moves[name] for name in params}
        wait = spent - params["gap"] * gap
        busy = wait > 0
        moves = {"gap": np.where(busy, moves["gap"] - gap, 0.0), "service": np.where(busy, moves["service"], 0.0)}
        wait = np.where(busy, wait, 0.0)
    means = {name: total[name] / CUSTOMERS for name in params}
    return {name: (float(one.mean()), float(one.std() / math.sqrt(runs))) for name, one in means.items()}


async def lossy_queue(params: Any) -> Any:
    """An M/M/1/K queue that begins empty: how many of its first customers find no place."""
    inside, lost = 0, 0
    free_at: Any = 0.0

    async def served(until: Any) -> None:
        nonlocal inside
        await trio.sleep_until(until)
        inside -= 1

    async with trio.open_nursery() as nursery:
        for _ in range(ARRIVALS):
            await trio.sleep(detrun.exponential(1.0 / params["rate"]))
            if inside == PLACES:
                lost += 1
                continue
            inside += 1
            free_at = (free_at if inside > 1 else trio.current_time()) + detrun.exponential(1.0)
            nursery.start_soon(served, free_at)
    return float(lost)


def lossy_queue_mean(params: Mapping[str, float]) -> float:
    """The chain of the number inside, as arrivals find it: a departure comes first with probability 1 / (1 + rate)."""
    leaves, lost = 1.0 / (1.0 + params["rate"]), 0.0
    found = [1.0] + [0.0] * PLACES
    for _ in range(ARRIVALS):
        lost += found[PLACES]
        after = [0.0, *found]
        after[PLACES] += after.pop()
        found = [0.0] * (PLACES + 1)
        for inside, chance in enumerate(after):
            for left in range(inside):
                found[inside - left] += chance * leaves**left * (1 - leaves)
            found[0] += chance * leaves**inside
    return lost


def base_stock(params: Any) -> Any:
    """A stock of S for an exponential demand: 1 to hold, 4 to miss."""
    demand = detrun.exponential(1.0)
    return relaxed.maximum(params["S"] - demand, 0.0) + 4 * relaxed.maximum(demand - params["S"], 0.0)


def inventory(params: Any) -> Any:
    """An (s, S) policy: below s the stock is filled up to S."""
    stock, cost = params["S"], 0.0
    for _ in range(PERIODS):
        stock = stock - detrun.exponential(1.0)
        cost = cost + relaxed.where(params["s"] - stock, 1.0 + 0.5 * (params["S"] - stock), 0.0)
        stock = relaxed.where(params["s"] - stock, params["S"], stock)
        cost = cost + 0.3 * stock
    return cost


def inventory_mean(params: Mapping[str, float]) -> float:
    """The expected cost to go from each stock, period by period, on Chebyshev nodes: exact to 1e-9."""
    low, high = params["s"], params["S"]
    nodes, weights = np.polynomial.legendre.leggauss(24)

    def one_more(after: Chebyshev) -> Callable[[Any], Any]:
        filled = 1.0 + 0.5 * (high - low + 1.0) + 0.3 * high + float(after(high))

        def cost(stock: Any) -> Any:
            half = (np.asarray(stock) - low) / 2
            left = low + half[..., None] * (nodes + 1)
            kept = (np.exp(left - np.asarray(stock)[..., None]) * (0.3 * left + after(left)) * weights).sum(axis=-1)
            return half * kept + np.exp(-2 * half) * filled

        return cost

    to_go = Chebyshev([0.0], domain=[low, high])
    for _ in range(PERIODS):
        to_go = Chebyshev.interpolate(one_more(to_go), 20, domain=[low, high])
    return float(to_go(high))


async def quorum(params: Any) -> Any:
    """The time of the second of three answers."""
    ended: list[Any] = []

    async def server(mean: Any) -> None:
        await trio.sleep(detrun.exponential(mean))
        ended.append(trio.current_time())
        if len(ended) == 2:
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for mean in params.values():
            nursery.start_soon(server, mean)
    return ended[1]


def quorum_mean(params: Mapping[str, float]) -> float:
    """The sum of 1 / (r_i + r_j) over pairs, less 2 / (r_1 + r_2 + r_3)."""
    a, b, c = (1 / mean for mean in params.values())
    return 1 / (a + b) + 1 / (a + c) + 1 / (b + c) - 2 / (a + b + c)


def walk(params: Any) -> Any:
    """The square of where a walk ends that goes up with probability p."""
    return float(sum(1 if detrun.bernoulli(params["p"]) else -1 for _ in range(WALK_STEPS))) ** 2


def routing(params: Any) -> Any:
    """Short jobs go to a server that takes twice their size, long ones to one with an overhead."""
    size = detrun.exponential(1.0)
    return relaxed.where(params["longest"] - size, 2 * size, size + 0.5)


def routing_mean(params: Mapping[str, float]) -> float:
    """The integral of 2 x exp(-x) up to the threshold, and of (x + 0.5) exp(-x) beyond."""
    longest = params["longest"]
    beyond = math.exp(-longest)
    return 2 * (1 - (1 + longest) * beyond) + (longest + 1.5) * beyond


PROGRAMS: Sequence[KnownProgram] = (
    KnownProgram("retry, by its time-out", retry, {"tau": 0.5}, of_mean(retry_mean), "closed form"),
    KnownProgram("retry, by the rate of the service", retry, {"mu": 1.0}, of_mean(retry_mean), "closed form"),
    KnownProgram(
        f"E[Bin({COINS}, p)²], a task a coin",
        coins,
        {"p": 0.3},
        of_mean(lambda params: COINS * params["p"] + COINS * (COINS - 1) * params["p"] ** 2),
        "closed form",
    ),
    KnownProgram(f"M/M/1, {CUSTOMERS} customers", queue, {"gap": 1.0, "service": 0.6}, queue_slopes, "200,000 runs"),
    KnownProgram(
        f"M/M/1/{PLACES}, losses of {ARRIVALS}", lossy_queue, {"rate": 1.5}, of_mean(lossy_queue_mean), "Markov chain"
    ),
    KnownProgram(
        "base stock",
        base_stock,
        {"S": 0.7},
        of_mean(lambda params: params["S"] - 1 + 5 * math.exp(-params["S"])),
        "closed form",
        temperature=0.05,
    ),
    KnownProgram(
        f"(s, S), {PERIODS} periods",
        inventory,
        {"s": 0.8, "S": 2.0},
        of_mean(inventory_mean),
        "integral",
        temperature=0.05,
    ),
    KnownProgram(
        "second of three answers", quorum, {"a": 1.0, "b": 1.3, "c": 2.0}, of_mean(quorum_mean), "closed form"
    ),
    KnownProgram(
        f"random walk, {WALK_STEPS} steps",
        walk,
        {"p": 0.6},
        of_mean(
            lambda params: 4 * WALK_STEPS * params["p"] * (1 - params["p"]) + WALK_STEPS**2 * (2 * params["p"] - 1) ** 2
        ),
        "closed form",
    ),
    KnownProgram(
        "two servers by a threshold", routing, {"longest": 0.2}, of_mean(routing_mean), "closed form", temperature=0.03
    ),
)
