"""The expected gradient against closed forms: at discrete draws, at thresholds, at time-outs and orders of timers.

Seeds are fixed, so no test fails by chance; each docstring gives the closed form, and how many standard errors the
fixed sample is away from it.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import trio

import detrun
from detrun.world import Exponential

Q = math.exp(-0.5)  # the retry below misses its time-out with this probability


def holds(main: Callable[..., Any], params: dict[str, float], truth: Mapping[str, float], **options: Any) -> Any:
    found = detrun.gradient(main, params, kind="expected", **options)
    for name, exact in truth.items():
        # The two sides of a jump are looked at 1e-9 from it; where nothing else is random, that is all the error.
        assert abs(found.grads[name] - exact) <= 4 * found.std_error[name] + 1e-7 * abs(exact), name
        assert found.std_error[name] <= 0.25 * abs(exact) + 1e-12
    return found


async def retry(params: Any) -> Any:
    """A service of rate mu, given up after tau at the cost c."""
    cost: Any = 0.0
    while True:
        with trio.move_on_after(params["tau"]):
            await trio.sleep(detrun.exponential(1.0 / params["mu"]))
            return trio.current_time() + cost
        cost = cost + params["c"]


def test_a_retry_with_a_time_out_has_the_derivative_of_its_mean() -> None:
    """E[L] = 1/mu + c q/(1-q), q = exp(-mu tau): by tau -c mu q/(1-q)², where the local derivative has the other sign.

    By mu -1/mu² - c tau q/(1-q)², by c q/(1-q). The sample is 1.1, 0.4 and 0.2 standard errors away.
    """
    slope = Q / (1 - Q) ** 2
    params = {"tau": 0.5, "mu": 1.0, "c": 0.3}
    found = holds(retry, params, {"tau": -0.3 * slope, "mu": -1 - 0.15 * slope, "c": Q / (1 - Q)}, samples=70, pairs=4)
    local = detrun.gradient(retry, params, samples=50)
    assert local.grads["tau"] > 0.0 > found.grads["tau"]
    assert "unbiased where every jump lies at a draw" in found.bias
    assert "continuous ones at which the loss may jump" in str(found)


@pytest.mark.parametrize("derivative", ["counterfactual", "measure-valued", "enumerate", "score"])
def test_squares_of_counts_have_the_derivatives_of_their_means(derivative: str) -> None:
    """d/dp E[Bin(n,p)²] = n + 2n(n-1)p by n coins and by one draw; E[G²] = (2-p)/p², E[P²] = a + a²; a categorical.

    The farthest of all is 0.4 standard errors away.
    """

    def main(params: Any) -> Any:
        p, a = params["p"], params["a"]
        heads = sum(detrun.bernoulli(p, derivative=derivative) for _ in range(3))
        endless = "counterfactual" if derivative == "enumerate" else derivative
        others = detrun.binomial(4, p, derivative=derivative) ** 2 + detrun.geometric(p, derivative=endless)
        pick = [3.0, 1.0, -2.0][detrun.choice(3, [a, p, 1.0], derivative=derivative)]
        return heads**2 + others + pick + detrun.poisson(a, derivative=endless) ** 2

    p, a = 0.5, 1.5
    weight = a + p + 1
    mean = (3 * a + p - 2) / weight
    truth = {
        "p": (3 + 12 * p) + (4 + 24 * p) - 1 / p**2 + (1 - mean) / weight,
        "a": 1 + 2 * a + (3 - mean) / weight,
    }
    holds(main, {"p": p, "a": a}, truth, samples=250 if derivative == "score" else 60, pairs=3)


async def coins(params: Any) -> Any:
    heads = detrun.Atomic(0)

    async def coin() -> None:
        await trio.lowlevel.checkpoint()
        if detrun.bernoulli(params["p"]):
            heads.fetch_add(1)

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(coin)
    return float(heads.load()) ** 2


def walk(params: Any) -> Any:
    return float(sum(1 if detrun.bernoulli(params["p"]) else -1 for _ in range(6))) ** 2


def test_coins_of_many_tasks_and_a_random_walk() -> None:
    """d/dp E[Bin(10,p)²] = 10 + 180 p; the walk's E[X²] = 4 n p (1-p) + n² (2p-1)². 0.7 and 0.5 errors away."""

    holds(coins, {"p": 0.3}, {"p": 64.0}, samples=20)
    holds(walk, {"p": 0.6}, {"p": 4 * 6 * (1 - 1.2) + 4 * 36 * 0.2}, samples=60)


def test_tasks_that_a_jump_does_not_reach_keep_their_order() -> None:
    """The race below is unrelated to the coin, whose tails cost a step less: no sample deviates from 1."""

    async def main(params: Any) -> Any:
        cell = detrun.Atomic(1.0)

        async def coin() -> float:
            await trio.lowlevel.checkpoint()
            if detrun.bernoulli(params["p"]):
                await trio.lowlevel.checkpoint()
                heads.append(1)
            return 0.0

        async def race(change: Callable[[Any], Any]) -> None:
            for factor in (1.5, 2.0, 2.5):
                await trio.lowlevel.checkpoint()
                change(factor)

        heads: list[int] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(race, cell.fetch_add)
            nursery.start_soon(race, cell.fetch_mul)
            nursery.start_soon(coin)
        return cell.load() + len(heads)

    found = holds(main, {"p": 0.4}, {"p": 1.0}, samples=20)
    assert found.std_error["p"] < 1e-9 < found.value_std_error


def test_the_standard_error_is_the_spread_over_repetitions() -> None:
    """30 repetitions: their spread is known to 13 %, so within 40 % of the error is 3 of its standard errors."""
    found = [detrun.gradient(walk, {"p": 0.6}, kind="expected", samples=8, seed=1000 * s, pairs=1) for s in range(30)]
    spread = statistics.stdev(one.grads["p"] for one in found)
    assert statistics.fmean(one.std_error["p"] for one in found) == pytest.approx(spread, rel=0.4)


def test_a_base_stock_level_is_differentiated_through_its_kink_and_a_lost_sale_through_its_jump() -> None:
    """(h+b) F(S) - b for holding h, backlog b; a penalty of 4 for stock-out adds -4 f(S).

    The demand is exponential with mean m, so F(S) = 1 - exp(-S/m). The sample is 0.8 and 1.2 errors away.
    """

    def main(params: Any) -> Any:
        level = params["S"]
        demand = detrun.exponential(params["m"])
        if demand > level:
            return 3.0 * (demand - level) + 4.0
        return 2.0 * (level - demand)

    level, mean = 0.7, 1.3
    above = math.exp(-level / mean)
    by_level = 5.0 * (1 - above) - 3.0 - 4.0 * above / mean
    # E = 2 (S - m + m e) + 3 m e + 4 e, e = exp(-S/m), de/dm = S/m² e.
    by_mean = 2 * (above - 1) + 3 * above + (5 * mean + 4) * level / mean**2 * above
    holds(main, {"S": level, "m": mean}, {"S": by_level, "m": by_mean}, samples=60)


@pytest.mark.parametrize(
    ("draw", "slope"),
    [
        (lambda p: detrun.uniform(0.0, 2.0), 0.5),
        (lambda p: detrun.normal(0.5, 2.0), math.exp(-0.5 * 0.1**2) / 2.0 / math.sqrt(2 * math.pi)),
        (lambda p: detrun.exponential(1.0), math.exp(-0.7)),
        # Of a draw that moves with the parameter: P(p z > 0.7 p + 0.7), so z > 2 at p = 0.7.
        (lambda p: detrun.exponential(p) - 0.7, 0.7 / 0.7**2 * math.exp(-2.0) * -1.0),
    ],
)
def test_the_probability_of_crossing_a_level_has_the_density_for_derivative(
    draw: Callable[[Any], Any], slope: float
) -> None:
    """d/dp P(X > p) = -f(p): no sample deviates, since a run of either side shows it exactly."""

    def main(params: Any) -> Any:
        return 1.0 if draw(params["p"]) > params["p"] else 0.0

    found = holds(main, {"p": 0.7}, {"p": -slope}, samples=20)
    assert found.std_error["p"] < 1e-6


def test_short_pieces_behind_a_threshold_add_no_noise() -> None:
    """d/dp P(X > p) = f(p), where a second comparison flips just behind and another just before, for nothing.

    A run on the piece between them, of a probability of 1e-4, says no more than others: no sample deviates.
    """

    def main(params: Any) -> Any:
        one = detrun.exponential(1.0)
        is_above = one > params["p"]
        for near in (-1e-4, 1e-4):
            assert (one > params["p"] + near) in (True, False)
        return 1.0 if is_above else 0.0

    found = holds(main, {"p": 0.7}, {"p": -math.exp(-0.7)}, samples=20, pairs=3)
    assert found.std_error["p"] < 1e-6


def test_a_margin_counts_on_the_last_draw_that_moves_it() -> None:
    """P(A + max(B - 5, 0) > p) for B uniform below 1: the second draw is in the margin and never moves it."""

    def main(params: Any) -> Any:
        first = detrun.exponential(1.0)
        second = detrun.maximum(detrun.uniform() - 5.0, 0.0)
        third = detrun.normal()
        return 1.0 if first + second + (third - third) > params["p"] else 0.0

    found = holds(main, {"p": 0.7}, {"p": -math.exp(-0.7)}, samples=20)
    assert found.std_error["p"] < 1e-6


def test_a_deadline_counts_on_the_last_draw_that_moves_it_against_the_other() -> None:
    """The answer takes a time that was drawn before the wait that moves both its timers: P(X > t) = exp(-t)."""

    async def main(params: Any) -> Any:
        size = detrun.exponential(1.0)
        await trio.sleep(detrun.exponential(1.0))
        with trio.move_on_after(params["t"]):
            await trio.sleep(size)
            return 0.0
        return 1.0

    found = holds(main, {"t": 0.7}, {"t": -math.exp(-0.7)}, samples=20)
    assert found.std_error["t"] < 1e-6


def test_each_timer_that_may_be_first_counts_once() -> None:
    """Which of two timers that one draw moves, and a third that it does not, is first: P(z < t/2), P(z < t), t = 0.7.

    The timers stand at z + 0.35, 2 z and t + 0.35; with 1 for the first of these, 10 for the second and 100 for the
    third, the mean is 10 P(z < 0.35) + P(0.35 < z < t) + 100 P(z > t): by t 99 times less the density. No sample
    deviates, since a run of any side shows both cuts.
    """

    async def main(params: Any) -> Any:
        order: list[float] = []

        async def wait(seconds: Any, number: float) -> None:
            await trio.sleep(seconds)
            order.append(number)

        one = detrun.exponential(1.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, one + 0.35, 1.0)
            nursery.start_soon(wait, 2.0 * one, 10.0)
            nursery.start_soon(wait, params["t"] + 0.35, 100.0)
        return order[0]

    found = holds(main, {"t": 0.7}, {"t": -99.0 * math.exp(-0.7)}, samples=20, pairs=9)
    assert found.std_error["t"] < 1e-4


def test_the_second_of_three_answers() -> None:
    """A quorum of 2 of 3 exponential servers waits m (1/3 + 1/2) on average; the sample is 0.5 errors away."""

    async def main(params: Any) -> Any:
        ended: list[Any] = []

        async def server() -> None:
            await trio.sleep(detrun.exponential(params["m"]))
            ended.append(trio.current_time())
            if len(ended) == 2:
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(server)
        return ended[1]

    holds(main, {"m": 1.3}, {"m": 1 / 3 + 1 / 2}, samples=30)


def test_a_queue_with_two_places_loses_customers_by_the_rate_of_arrivals() -> None:
    """Where the derivative along the path is 0. Against differences of a vectorized queue.

    Of four arrivals at a server with one waiting place, the losses; the reference has a standard error of 0.01. The
    sample is 0.2 errors away.
    """

    async def main(params: Any) -> Any:
        inside, lost = 0, 0
        free_at: Any = 0.0

        async def served(until: Any) -> None:
            nonlocal inside
            await trio.sleep_until(until)
            inside -= 1

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                await trio.sleep(detrun.exponential(1.0 / params["rate"]))
                if inside == 2:
                    lost += 1
                    continue
                inside += 1
                now = trio.current_time()
                free_at = (free_at if inside == 2 else now) + detrun.exponential(1.0)
                nursery.start_soon(served, free_at)
        return float(lost)

    def losses(rate: float) -> Any:
        draws = np.random.default_rng(7).exponential(size=(100_000, 8))
        now = free_at = ended = np.zeros(len(draws))
        lost = np.zeros(len(draws))
        departures = np.full((len(draws), 2), -1.0)
        for k in range(4):
            now = now + draws[:, k] / rate
            inside = (departures > now[:, None]).sum(axis=1)
            is_lost = inside == 2
            lost += is_lost
            free_at = np.where(inside == 1, ended, now)
            new = free_at + draws[:, 4 + k]
            departures = np.where(is_lost[:, None], departures, np.stack([departures[:, 1], new], axis=1))
            ended = np.where(is_lost, ended, new)
        return lost

    step = 0.1
    truth = float((losses(1.5 + step) - losses(1.5 - step)).mean() / (2 * step))
    assert detrun.gradient(main, {"rate": 1.5}, samples=5).grads["rate"] == 0.0
    holds(main, {"rate": 1.5}, {"rate": truth}, samples=40, pairs=4)


def test_an_order_of_timers_is_seen_across_one_that_is_taken_back() -> None:
    """P(C < t) = 1 - exp(-t) for an exponential C, times 5; beyond t stands a timer that is taken back at t.

    A run in which C falls behind that timer sees it only if not the next timer alone is noted: no sample deviates.
    """

    async def main(params: Any) -> Any:
        order: list[str] = []
        scope = trio.CancelScope()

        async def cancels() -> None:
            await trio.sleep(params["t"])
            order.append("t")
            scope.cancel()

        async def cancelled() -> None:
            with scope:
                await trio.sleep(params["t"] + 0.5)

        async def draws() -> None:
            await trio.sleep(detrun.exponential(1.0))
            order.append("C")

        async with trio.open_nursery() as nursery:
            for task in (cancels, cancelled, draws):
                nursery.start_soon(task)
        return 5.0 if order[0] == "C" else 0.0

    found = holds(main, {"t": 0.7}, {"t": 5 * math.exp(-0.7)}, samples=30)
    assert found.std_error["t"] < 1e-6


def test_routing_by_a_threshold() -> None:
    """A job goes to the fast server below the threshold: E[L] = 0.5 t + 1 (1 - t); the sample is 1.8 errors away."""

    async def main(params: Any) -> Any:
        mean = 0.5 if detrun.uniform() < params["t"] else 1.0
        await trio.sleep(detrun.exponential(mean))
        return trio.current_time()

    holds(main, {"t": 0.4}, {"t": -0.5}, samples=50)


def test_messages_of_a_world_that_are_lost_or_late() -> None:
    """Each of three arrives before 0.5 s with probability q = (1-l) (1 - exp(-0.5/m)): E[N²] = 3 q + 6 q².

    The sample is 1.2 and 0.7 errors away.
    """

    async def main(params: Any) -> Any:
        arrived: list[Any] = []

        async def receiver() -> None:
            while True:
                arrived.append(await detrun.this_node().receive())

        async def sender() -> None:
            for number in range(3):
                detrun.this_node().send("receiver", number)

        async with detrun.World(loss=params["l"], latency=Exponential(mean=params["m"])) as world:
            world.node("receiver").start(receiver)
            world.node("sender").start(sender)
            await trio.sleep(0.5)
        return float(len(arrived)) ** 2

    loss, mean = 0.2, 0.4
    late = math.exp(-0.5 / mean)
    slope = 3 + 12 * (1 - loss) * (1 - late)
    truth = {"l": -slope * (1 - late), "m": -slope * (1 - loss) * late * 0.5 / mean**2}
    holds(main, {"l": loss, "m": mean}, truth, samples=40)


def test_an_inventory_that_is_filled_up_below_a_level() -> None:
    """An (s, S) policy over three periods, against differences of numpy over 200,000 runs (standard error 0.02).

    The sample is 0.9 errors away.
    """

    def main(params: Any) -> Any:
        stock, cost = params["S"], 0.0
        for _ in range(3):
            stock = stock - detrun.exponential(1.0)
            if stock < params["s"]:
                cost = cost + 1.0 + 0.5 * (params["S"] - stock)
                stock = params["S"]
            cost = cost + 0.3 * stock
        return cost

    demand = np.random.default_rng(5).exponential(size=(200_000, 3))

    def mean_cost(upper: float, lower: float) -> float:
        stock, cost = np.full(len(demand), upper), np.zeros(len(demand))
        for period in range(3):
            stock = stock - demand[:, period]
            low = stock < lower
            cost += np.where(low, 1.0 + 0.5 * (upper - stock), 0.0)
            stock = np.where(low, upper, stock)
            cost += 0.3 * stock
        return float(cost.mean())

    truth = {
        "S": (mean_cost(2.02, 0.8) - mean_cost(1.98, 0.8)) / 0.04,
        "s": (mean_cost(2.0, 0.82) - mean_cost(2.0, 0.78)) / 0.04,
    }
    holds(main, {"S": 2.0, "s": 0.8}, truth, samples=75, pairs=3)


def test_numbers_of_random_are_draws() -> None:
    """A coin by `random.random`: 2; a time-out: e^-t; E[X²] = 2/r²: -4/r³; weights w, 1, 2 of 1, 5, 2: -6/(w+3)².

    The samples are without noise, without noise, 1.1 and 0.1 standard errors away.
    """

    def coin(params: Any) -> Any:
        return (1.0 if random.random() < params["p"] else 0.0) + params["p"]

    async def race(params: Any) -> Any:
        with trio.move_on_after(params["t"]):
            await trio.sleep(random.Random().expovariate(1.0))
            return 1.0
        return 0.0

    def square(params: Any) -> Any:
        return random.expovariate(params["r"]) ** 2

    def option(params: Any) -> Any:
        return random.choices([1.0, 5.0, 2.0], [params["w"], 1.0, 2.0])[0]

    holds(coin, {"p": 0.3}, {"p": 2.0}, samples=40)
    holds(race, {"t": 0.5}, {"t": math.exp(-0.5)}, samples=20)
    holds(square, {"r": 2.0}, {"r": -0.5}, samples=100)
    holds(option, {"w": 1.0}, {"w": -0.375}, samples=100)


def test_a_generator_that_the_program_seeds_gives_constants() -> None:
    def main(params: Any) -> Any:
        rng = random.Random(4)
        return (1.0 if rng.random() < params["p"] else 0.0) + params["p"] * rng.gauss(params["p"], 0.0)

    found = detrun.gradient(main, {"p": 0.25}, kind="expected", samples=3)
    assert found.grads == {"p": 0.5}
    assert "generators that the program seeds itself are its constants: random.Random[0]" in found.bias


# What has no density.


def test_numbers_from_elsewhere_are_refused_by_name_or_reported() -> None:
    def main(params: Any) -> Any:
        return (1.0 if np.random.random() < params["p"] else 0.0) + params["p"]

    with pytest.raises(detrun.NotDifferentiableError, match=r"knows no density .*expected.py:\d+.*from numpy.random"):
        detrun.gradient(main, {"p": 0.3}, kind="expected", samples=5)
    found = detrun.gradient(main, {"p": 0.3}, kind="expected", samples=5, on_unknown="report")
    assert found.grads == {"p": 1.0}
    assert "leaves out the jumps at 1 sites without a known density" in found.bias
    assert any("left out" in one for one in found.warnings)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda p: 1.0 * int(10 * p * detrun.uniform()), "a rounded number"),
        (lambda p: 1.0 if math.log(detrun.exponential()) > p else 0.0, "a number taken out of a Value at"),
        (lambda p: 1.0 if random.gammavariate(2.0, 1.0) > p else 0.0, "numbers from random.gammavariate"),
        (lambda p: 1.0 if random.randrange(10**6) > p else 0.0, "numbers from random.randrange"),
        (lambda p: 1.0 if p > 0.3 else 0.0, "exactly where this decides"),
        (lambda p: 1.0 if (detrun.exponential(p) - 1.0) ** 2 > 0.1 else 0.0, "not monotone"),
        (lambda p: 1.0 * detrun.bernoulli(p - 0.3), "at the end of its range"),
        (lambda p: 1.0 * detrun.poisson(p, derivative="enumerate"), "finitely many outcomes"),
    ],
)
def test_what_has_no_known_density_is_refused(loss: Callable[[Any], Any], said: str) -> None:
    def main(params: Any) -> Any:
        return loss(params["p"]) + params["p"]

    with pytest.raises(detrun.NotDifferentiableError, match=said):
        detrun.gradient(main, {"p": 0.3}, kind="expected", samples=5)


def test_weights_of_the_scheduler_that_are_values_are_refused_where_it_looks_at_them() -> None:
    async def main(params: Any) -> Any:
        detrun.set_weight(params["p"])
        await trio.lowlevel.checkpoint()
        return params["p"] * 2.0

    with pytest.raises(detrun.NotDifferentiableError, match="weighs the choices of the scheduler"):
        detrun.gradient(main, {"p": 0.3}, kind="expected", samples=5)
    assert detrun.gradient(main, {"p": 0.3}, kind="expected", samples=5, strategy="fifo").grads == {"p": 2.0}


def test_a_pair_that_fails_says_which_draw_was_tried_how() -> None:
    def main(params: Any) -> Any:
        if detrun.bernoulli(params["p"]):
            raise ValueError("rare")
        return params["p"]

    with pytest.raises(ValueError, match="rare") as caught:
        detrun.gradient(main, {"p": 1e-6}, kind="expected", samples=2)
    assert any("force={('main', 0): True}" in note for note in caught.value.__notes__)


def test_draws_that_are_held_fixed_on_purpose_are_named() -> None:
    def main(params: Any) -> Any:
        return detrun.bernoulli(params["p"], derivative="stop") + 3.0 * params["p"]

    found = detrun.gradient(main, {"p": 0.3}, kind="expected", samples=5)
    assert found.grads == {"p": 3.0}
    assert "held fixed: bernoulli of main" in found.bias


def test_options_of_the_kind_are_checked() -> None:
    for wrong, said in (({"pairs": 0}, "pairs=0"), ({"on_unknown": "guess"}, "choose 'refuse' or 'report'")):
        with pytest.raises(detrun.UsageError, match=said):
            detrun.gradient(coins, {"p": 0.3}, kind="expected", samples=5, **wrong)  # type: ignore[arg-type]
    with pytest.raises(detrun.UsageError, match="pairs=1 goes with kind='expected'"):
        detrun.gradient(coins, {"p": 0.3}, samples=5, pairs=1)


def test_the_result_is_the_same_in_any_number_of_processes() -> None:
    alone = detrun.gradient(retry, {"tau": 0.5, "mu": 1.0, "c": 0.3}, kind="expected", samples=8)
    shared = detrun.gradient(retry, {"tau": 0.5, "mu": 1.0, "c": 0.3}, kind="expected", samples=8, workers=2)
    assert alone.grads == shared.grads
    assert alone.std_error == shared.std_error
