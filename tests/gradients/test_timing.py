"""Time is differentiable through ordinary trio code."""

from __future__ import annotations

import itertools
import logging
import math
import queue
import statistics
import sys
import threading
import time
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import trio
from hypothesis import assume, given
from hypothesis import strategies as st

import detrun
from detrun.ad import state
from detrun.ad.validity import validity
from detrun.ad.value import Value
from detrun.gradients.timing import TimingSites


def single_server(customers: int, sleep: Any = trio.sleep) -> Any:
    """A queue with one server in plain trio: mean time in system."""

    async def main(params: dict[str, Any]) -> Any:
        send, receive = trio.open_memory_channel[Any](math.inf)
        times: list[Any] = []

        async def arrivals() -> None:
            async with send:
                for _ in range(customers):
                    await sleep(detrun.exponential(1.0))
                    await send.send(trio.current_time())

        async def server() -> None:
            async for arrived in receive:
                await sleep(detrun.exponential(params["mean"]))
                times.append(trio.current_time() - arrived)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(arrivals)
            nursery.start_soon(server)
        return detrun.mean(times)

    return main


@pytest.mark.parametrize("sleep", [trio.sleep, detrun.sleep], ids=["trio.sleep", "detrun.sleep"])
def test_a_queue_in_plain_trio_agrees_with_its_common_random_numbers_difference(sleep: Any) -> None:
    """The loss is piecewise linear in the mean service time, so inside the validity radius a difference is exact."""
    program = single_server(1000, sleep)
    found = detrun.gradient(program, {"mean": 0.5}, seed=3)
    step = min(1e-7, found.validity["mean"].radius / 2)
    up = detrun.record(program, {"mean": 0.5 + step}, seed=3).result
    down = detrun.record(program, {"mean": 0.5 - step}, seed=3).result
    # Rounding of the two losses, about 1 each, over the step bounds what the difference can show.
    assert abs(found.grads["mean"] - (up - down) / (2 * step)) <= 1e-6 * abs(found.grads["mean"]) + 4e-16 / step


def test_the_queue_gradient_is_lindley_s_recursion_on_the_same_draws() -> None:
    """W' = max(0, W + S - A): dW'/dm = [W + S > A]·(dW/dm + S/m), with sojourn W + S; summed over the path."""
    customers, mean = 300, 0.7
    drawn: dict[str, list[float]] = {"gaps": [], "services": []}

    async def main(params: dict[str, Any]) -> Any:
        send, receive = trio.open_memory_channel[Any](math.inf)
        times: list[Any] = []

        async def arrivals() -> None:
            async with send:
                for _ in range(customers):
                    gap = detrun.exponential(1.0)
                    drawn["gaps"].append(gap)
                    await trio.sleep(gap)
                    await send.send(trio.current_time())

        async def server() -> None:
            async for arrived in receive:
                service = detrun.exponential(1.0)
                drawn["services"].append(service)
                await trio.sleep(params["mean"] * service)
                times.append(trio.current_time() - arrived)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(arrivals)
            nursery.start_soon(server)
        return detrun.mean(times)

    found = detrun.gradient(main, {"mean": mean}, seed=11)
    waiting = slope = total = total_slope = 0.0
    for index, unit in enumerate(drawn["services"]):
        if index:
            waiting -= drawn["gaps"][index]
            if waiting <= 0:
                waiting = slope = 0.0
        total += waiting + mean * unit
        total_slope += slope + unit
        waiting, slope = waiting + mean * unit, slope + unit
    assert found.value == pytest.approx(total / customers, rel=1e-9)
    assert found.grads["mean"] == pytest.approx(total_slope / customers, rel=1e-9)


@pytest.mark.slow
def test_the_queue_gradient_is_unbiased_for_the_closed_form() -> None:
    """M/M/1 with arrival rate 1: E[time in system] = m/(1-m), derivative 1/(1-m)² = 4 at m = 0.5.

    Infinitesimal perturbation analysis is unbiased here (Suri and Zazanis 1988). Runs start empty, which biases a mean
    over 2,000 customers by less than one standard error of 40 runs. Fails by chance with probability 0.3 %.
    """
    program = single_server(2000)
    slopes = [detrun.gradient(program, {"mean": 0.5}, seed=seed).grads["mean"] for seed in range(40)]
    error = statistics.stdev(slopes) / math.sqrt(len(slopes))
    assert abs(statistics.mean(slopes) - 4.0) <= 3 * error + 0.02


@given(st.lists(st.floats(0.1, 5.0), min_size=1, max_size=6), st.integers(0, 5), st.integers(0, 2**32))
def test_waiting_for_the_first_k_is_an_order_statistic(delays: list[float], k: int, seed: int) -> None:
    """The time of the k-th acknowledgement is the k-th smallest delay: derivative 1 for it, 0 for the others."""
    k = min(k, len(delays) - 1)
    distinct = [delay + index * 1e-3 for index, delay in enumerate(delays)]
    assume(len(set(distinct)) == len(distinct))

    async def main(params: dict[str, Any]) -> Any:
        acknowledged = 0
        enough = trio.Event()

        async def replica(delay: Any) -> None:
            nonlocal acknowledged
            await trio.sleep(delay)
            acknowledged += 1
            if acknowledged == k + 1:
                enough.set()

        async with trio.open_nursery() as nursery:
            for delay in params.values():
                nursery.start_soon(replica, delay)
            await enough.wait()
            latency = trio.current_time()
            nursery.cancel_scope.cancel()
        return latency

    params = {f"d{index}": delay for index, delay in enumerate(distinct)}
    found = detrun.gradient(main, params, seed=seed)
    kth = sorted(params, key=params.__getitem__)[k]
    assert found.value == pytest.approx(params[kth])
    assert found.grads == {name: 1.0 if name == kth else 0.0 for name in params}


def test_a_timeout_carries_the_derivative_of_its_deadline() -> None:
    async def main(params: dict[str, Any]) -> Any:
        for _ in range(3):
            with trio.move_on_after(params["timeout"]):
                await trio.sleep_forever()
        with trio.move_on_at(trio.current_time() + params["timeout"] * 2):
            await trio.sleep(100)
        return trio.current_time()

    found = detrun.gradient(main, {"timeout": 0.25})
    assert (found.value, found.grads) == (1.25, {"timeout": 5.0})


async def prolonged(params: dict[str, Any], how: str) -> Any:
    """The clock when a deadline passes that was changed after it had been set, at 0.25 s."""
    with trio.CancelScope(deadline=1.0) as scope:
        await trio.sleep(0.25)
        match how:
            case "set":
                scope.deadline = trio.current_time() + params["x"]
            case "add":
                scope.deadline += params["x"]
            case "relative":
                scope.relative_deadline = params["x"] * 3.0
            case "the same number":
                scope.deadline = params["x"] + 0.5
            case "the same number twice":
                scope.deadline = params["x"] + 0.5
                scope.deadline = 1.0
            case "earlier":
                scope.deadline = params["x"] * 0.75
        await trio.sleep_forever()
    return trio.current_time()


@pytest.mark.parametrize(
    ("how", "value", "slope"),
    [
        ("set", 0.75, 1.0),
        ("add", 1.5, 1.0),
        ("relative", 1.75, 3.0),
        ("the same number", 1.0, 1.0),
        ("the same number twice", 1.0, 0.0),
        ("earlier", 0.375, 0.75),
    ],
)
@pytest.mark.parametrize("world", [False, True])
def test_a_deadline_that_is_changed_keeps_the_history_of_the_new_one(
    how: str, value: float, slope: float, world: bool
) -> None:
    """trio stores ``float(deadline)``, which would drop the derivative. On a node with a clock of its own, too."""

    async def on_a_node(params: dict[str, Any], how: str) -> Any:
        ended = []

        async def body() -> None:
            detrun.this_node().clock.step(0.0)
            ended.append(await prolonged(params, how))

        async with detrun.World() as one:
            one.node("a").start(body)
            await trio.sleep(5.0)
        return ended[0]

    found = detrun.gradient(partial(on_a_node if world else prolonged, how=how), {"x": 0.5})
    assert found.value == value
    assert found.grads == {"x": slope}


def woken_in_vain(wait: str) -> Any:
    """A thread waits from 0.1x on for at most 5x + 5 seconds, and is woken at x, where it finds nothing."""

    async def main(params: dict[str, Any]) -> Any:
        condition, elements = threading.Condition(), queue.Queue[None]()
        ended: list[Any] = []

        def waiter() -> None:
            time.sleep(params["x"] * 0.1)
            seconds = params["x"] * 5.0 + 5.0
            if wait == "condition":
                with condition:
                    condition.wait_for(lambda: False, timeout=seconds)
            elif wait == "queue":
                with pytest.raises(queue.Empty):
                    elements.get(timeout=seconds)
            else:
                with pytest.raises(threading.BrokenBarrierError):
                    threading.Barrier(2).wait(seconds)
            ended.append(time.monotonic())

        def waker() -> None:
            time.sleep(params["x"])
            with condition:
                condition.notify()
            with elements.mutex:
                elements.not_empty.notify()

        threads = [threading.Thread(target=one) for one in (waiter, waker)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        return ended[0]

    return main


@pytest.mark.parametrize("wait", ["condition", "queue", "barrier"])
def test_a_thread_that_is_woken_in_vain_waits_on_for_what_is_left_of_its_timeout(wait: str) -> None:
    """It ends at 0.1x + 5x + 5, whenever it was woken: what is left is the deadline minus a present that moves, too."""
    found = detrun.gradient(woken_in_vain(wait), {"x": 0.75})
    assert found.value == pytest.approx(0.75 * 5.1 + 5.0)
    assert found.grads["x"] == pytest.approx(5.1, rel=1e-12)


def test_a_clock_read_as_an_integer_or_a_date_is_listed_as_a_detachment_and_a_log_line_is_not() -> None:
    async def main(params: dict[str, Any]) -> Any:
        await trio.sleep(params["x"])
        logging.getLogger("test").warning("slept")
        return params["x"] + time.monotonic_ns() * 1e-9 + datetime.now(UTC).timestamp() * 0.0

    line = main.__code__.co_firstlineno + 3
    found = detrun.gradient(main, {"x": 0.5})
    assert found.grads == {"x": 1.0}
    assert found.diagnostics.detachments == [(__file__, line, 2)]
    assert "the bare number was taken out of a Value at" in found.warnings[0]


def test_an_answer_in_time_says_how_near_the_timeout_was() -> None:
    async def main(params: dict[str, Any]) -> Any:
        with trio.move_on_after(1.0):
            await trio.sleep(params["answer"])
        return trio.current_time()

    found = detrun.gradient(main, {"answer": 0.75})
    assert found.grads == {"answer": 1.0}
    assert found.validity["answer"].up == pytest.approx(0.25)


def test_a_sleep_of_zero_has_the_derivative_of_a_slightly_longer_one() -> None:
    """A duration moves upward only, so the right derivative is the one that exists; the tie is reported as well."""

    async def main(params: dict[str, Any]) -> Any:
        await trio.sleep(1.0)
        for _ in range(3):
            await detrun.sleep(params["pause"])
        return trio.current_time()

    found = detrun.gradient(main, {"pause": 0.0})
    assert (found.value, found.grads) == (1.0, {"pause": 3.0})
    assert found.validity["pause"].radius == 0.0
    assert found.diagnostics.nearest_margins[0].where.startswith(__file__)
    assert any("pause is exactly where this run is decided" in warning for warning in found.warnings)
    longer = detrun.gradient(main, {"pause": 0.25})
    assert (longer.value, longer.grads) == (1.75, {"pause": 3.0})


def test_a_message_without_latency_has_the_derivative_of_a_slightly_later_one() -> None:
    async def main(params: dict[str, Any]) -> Any:
        async with detrun.World(latency=params["latency"]) as world:

            async def echo() -> None:
                detrun.this_node().send("driver", await detrun.this_node().receive())

            world.node("server").start(echo)
            world.driver.send("server", "ping")
            await world.driver.receive()
            return trio.current_time()

    for latency in (0.0, 0.25):
        found = detrun.gradient(main, {"latency": latency})
        assert (found.value, found.grads) == (2 * latency, {"latency": 2.0})
        assert (found.validity["latency"].radius == 0.0) == (latency == 0.0)


@pytest.mark.parametrize("wait", [trio.sleep_until, trio.sleep], ids=["sleep_until", "sleep"])
def test_a_tie_that_trio_decides_by_itself_is_reported_instead_of_its_derivative(wait: Any) -> None:
    """trio sets no timer for what is due at once, so nothing carries a derivative; the result says that it may jump."""

    async def main(params: dict[str, Any]) -> Any:
        await wait(params["when"])
        return trio.current_time()

    found = detrun.gradient(main, {"when": 0.0})
    assert found.grads == {"when": 0.0}
    assert found.validity["when"].radius == 0.0
    assert any("when is exactly where this run is decided" in warning for warning in found.warnings)


def test_a_deadline_in_the_past_says_how_far_it_is_from_the_present() -> None:
    async def main(params: dict[str, Any]) -> Any:
        await trio.sleep(1.0)
        await trio.sleep_until(params["when"])
        return trio.current_time()

    found = detrun.gradient(main, {"when": 0.75})
    assert found.grads == {"when": 0.0}
    assert (found.validity["when"].down, found.validity["when"].up) == (math.inf, 0.25)
    assert detrun.gradient(main, {"when": 1.25}).grads == {"when": 1.0}


def test_the_last_of_several_timers_at_one_instant_is_compared_with_the_next() -> None:
    async def main(params: dict[str, Any]) -> Any:
        async with trio.open_nursery() as nursery:
            for seconds in (1.0, 1.0, 1.0, params["later"]):
                nursery.start_soon(trio.sleep, seconds)
        return trio.current_time()

    found = detrun.gradient(main, {"later": 1.5})
    assert found.grads == {"later": 1.0}
    assert found.validity["later"].down == 0.5


def test_only_the_critical_path_carries_adjoint() -> None:
    async def main(params: dict[str, Any]) -> Any:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, params["fast"])
            nursery.start_soon(trio.sleep, params["slow"])
        return trio.current_time()

    found = detrun.gradient(main, {"fast": 1.0, "slow": 3.0})
    assert found.grads == {"fast": 0.0, "slow": 1.0}
    assert found.validity["slow"].down == pytest.approx(2.0)


def test_tandem_queues_add_up_along_the_busy_path() -> None:
    """Departures: D2 = max(D1, D2_before) + s2 with D1 = max(A, D1_before) + s1 (Lindley in tandem)."""
    arrivals = [0.0, 0.5, 1.2, 4.0]

    async def main(params: dict[str, Any]) -> Any:
        to_first, first = trio.open_memory_channel[None](math.inf)
        to_second, second = trio.open_memory_channel[None](math.inf)
        departures: list[Any] = []

        async def source() -> None:
            async with to_first:
                for moment in arrivals:
                    await trio.sleep_until(moment)
                    await to_first.send(None)

        async def station(queue: Any, onward: Any, service: Any) -> None:
            async with onward:
                async for _ in queue:
                    await trio.sleep(service)
                    await onward.send(None)

        async def sink(queue: Any) -> None:
            async for _ in queue:
                departures.append(trio.current_time())

        last_send, last_receive = trio.open_memory_channel[None](math.inf)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(source)
            nursery.start_soon(station, first, to_second, params["s1"])
            nursery.start_soon(station, second, last_send, params["s2"])
            nursery.start_soon(sink, last_receive)
        return detrun.sum(departures)

    s1, s2 = 0.9, 0.7
    found = detrun.gradient(main, {"s1": s1, "s2": s2})
    first_done = second_done = (0.0, 0.0, 0.0)  # time, d/ds1, d/ds2
    total = [0.0, 0.0, 0.0]
    for moment in arrivals:
        start = max((moment, 0.0, 0.0), first_done)
        first_done = (start[0] + s1, start[1] + 1, start[2])
        start = max(first_done, second_done)
        second_done = (start[0] + s2, start[1], start[2] + 1)
        total = [one + other for one, other in zip(total, second_done, strict=True)]
    assert found.value == pytest.approx(total[0])
    assert found.grads == pytest.approx({"s1": total[1], "s2": total[2]})


def test_a_timeout_that_was_not_needed_says_how_near_it_was_though_another_timer_is_nearer():
    async def main(params):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1.2)
            with trio.move_on_after(params["timeout"]):
                await trio.sleep(params["work"])
            return trio.current_time()

    found = detrun.gradient(main, {"timeout": 1.5, "work": 1.0})
    assert found.validity["timeout"].radius == pytest.approx(0.5, abs=1e-12)
    assert "timeout" in str(found.validity["timeout"].site)
    # Each is named by a line of the program: the statement that is left, or the one that sleeps.
    lines = {one.kind: one.code for one in found.diagnostics.nearest_margins}
    assert lines == {
        "timeout": 'with trio.move_on_after(params["timeout"]):',
        "timer order": 'await trio.sleep(params["work"])',
    }


@pytest.mark.parametrize("what", ["advanced", "overdue", "disarmed"])
@pytest.mark.parametrize(("later_moves", "earlier_moves"), list(itertools.product([False, True], repeat=2)))
def test_a_margin_between_two_moments_counts_for_each_that_moves(what, later_moves, earlier_moves):
    with state.taped() as tape:
        later, earlier = Value(3.0), Value(1.0)
        moments = (later if later_moves else 3.0, earlier if earlier_moves else 1.0)
        others = {"disarmed": (1,), "overdue": ("no timer of the program",), "advanced": ("no timer of the program", 1)}
        getattr(TimingSites(), what)(*moments, *others[what])
    found = validity(tape, {"later": later.id, "earlier": earlier.id})
    assert found["later"].radius == (2.0 if later_moves else math.inf)
    assert found["earlier"].radius == (2.0 if earlier_moves else math.inf)
    assert tape.sites.count == int(later_moves or earlier_moves)


def test_a_deadline_that_never_comes_has_no_margin():
    with state.taped() as tape:
        now = Value(1.0)
        TimingSites().advanced(now, None, "key", 1)
        TimingSites().disarmed(math.inf, now, 2)
    assert tape.sites.count == 0
    assert validity(tape, {"now": now.id})["now"].radius == math.inf


def test_a_timer_behind_one_that_is_taken_back_is_compared_with_what_fired_before_it(monkeypatch):
    """The timeout of 1.2b is next in the heap when b passes, and is taken back at once; 3.0 is the real neighbour."""

    monkeypatch.delitem(sys.modules, "torch", raising=False)

    async def main(params):
        order = detrun.Atomic(1.0)

        async def guarded():
            with trio.move_on_after(params["b"] * 1.2):
                await trio.sleep(params["b"])
            order.fetch_mul(3.0)

        async def fixed():
            await trio.sleep(3.0)
            order.fetch_add(params["b"] * 2.0)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(guarded)
            nursery.start_soon(fixed)
        return order.load()

    for how in ({}, {"mode": "forward"}, {"window": 3}):
        near = detrun.gradient(main, {"b": 2.0}, **how).validity["b"]
        assert (near.down, near.up) == (2.0, pytest.approx(1.0)), how


def test_a_message_that_would_still_have_come_in_time_is_a_margin():
    async def main(params):
        async with detrun.World(latency=params["latency"]) as world:
            world.node("server").start(trio.sleep_forever)
            world.driver.send("server", "ping")
            await trio.sleep(params["wait"])
            return trio.current_time()

    found = detrun.gradient(main, {"latency": 0.5, "wait": 0.25})
    assert found.validity["latency"].down == pytest.approx(0.25)
