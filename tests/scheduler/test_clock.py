"""Virtual time: jumps, ties, deadlines that move, and a heap that does not keep what was taken back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import trio
from hypothesis import given
from hypothesis import strategies as st

from detrun_scheduler.clock import PRUNE_THRESHOLD, TimerHeap, VirtualClock
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.strategies import make


def run(program: Any, strategy: str = "fifo") -> Any:
    return RunLoop(make(strategy)).run(program).unwrap()


@given(
    actions=st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 9), st.integers(0, 20)),
            st.tuples(st.just("remove"), st.integers(0, 9), st.just(0)),
            st.tuples(st.just("advance"), st.integers(0, 5), st.just(0)),
            st.tuples(st.just("jump"), st.just(0), st.just(0)),
        ),
        max_size=60,
    )
)
def test_the_heap_agrees_with_a_sorted_list(actions: list[tuple[str, int, int]]) -> None:
    """The oracle is a plain list of (deadline, setting order, key), sorted anew each time."""
    clock = VirtualClock()
    heap = clock.timers
    model: dict[int, tuple[int, int]] = {}
    deadlines: dict[int, int] = {}
    for order, (action, key, delay) in enumerate(actions):
        if action == "add":
            if key in model:
                heap.remove(deadlines[key], key)
            deadlines[key] = int(clock.now) + delay
            heap.add(deadlines[key], key)
            model[key] = (deadlines[key], order)
        elif action == "remove" and key in model:
            heap.remove(deadlines[key], key)
            del model[key]
        elif action == "advance":
            clock.advance(key)
        fired = heap.jump() if action == "jump" else None
        due = [one for one in sorted(model, key=model.__getitem__) if model[one][0] <= clock.now]
        assert clock.time == clock.now
        heap._check()
        if action == "jump":
            assert fired == (due or None)
            assert not heap.due
        else:
            assert not due or heap.due
            assert heap.pop_due(clock.now) == due
        for one in due:
            del model[one]
        assert heap.next_time() == min((time for time, _ in model.values()), default=math.inf)
        assert heap.next_deadline() == heap.next_time()


def test_a_hundred_thousand_timers_taken_back_do_not_stay() -> None:
    clock = VirtualClock()
    heap = TimerHeap(clock)
    for key in range(100_000):
        heap.add(float(key), key)
        if key % 100:
            heap.remove(float(key), key)
    assert len(heap.live) == 1000
    assert len(heap.heap) <= 2 * len(heap.live) + PRUNE_THRESHOLD + 1
    assert heap.pop_due(math.inf) == list(range(0, 100_000, 100))


def test_one_scope_whose_deadline_moves_for_ever_takes_bounded_memory() -> None:
    async def program() -> int:
        with trio.CancelScope(deadline=1) as scope:
            for _ in range(20_000):
                scope.deadline += 1
        return len(trio.lowlevel.current_task()._runner.deadlines.heap)  # type: ignore[attr-defined]

    assert run(program) <= PRUNE_THRESHOLD + 4


def test_equal_deadlines_fire_in_the_order_in_which_they_were_set() -> None:
    """trio orders them by address. Setting a deadline anew, to the same value or back, does not change its place."""
    fired: list[int] = []

    async def program() -> None:
        async def waiter(index: int) -> None:
            def abort(_: object) -> trio.lowlevel.Abort:
                fired.append(index)
                return trio.lowlevel.Abort.SUCCEEDED

            with trio.CancelScope(deadline=10 if index != 3 else 20) as scope:
                scopes[index] = scope
                await trio.lowlevel.wait_task_rescheduled(abort)

        scopes: dict[int, trio.CancelScope] = {}
        async with trio.open_nursery() as nursery:
            for index in range(6):
                nursery.start_soon(waiter, index)
            await trio.sleep(1)
            scopes[2].deadline = 10  # the same value: keeps its place
            scopes[3].deadline = 10  # set last: fires last

    run(program)
    assert fired == [0, 1, 2, 4, 5, 3]


def test_a_deadline_in_the_past_cancels_at_once_and_time_stands_still() -> None:
    async def program() -> float:
        await trio.sleep(5)
        with trio.CancelScope(deadline=3) as scope:
            await trio.sleep_forever()
        assert scope.cancelled_caught
        with trio.move_on_after(100) as scope:
            scope.deadline = 1
            await trio.sleep_forever()
        assert scope.cancelled_caught
        return trio.current_time()

    assert run(program) == 5.0


def test_a_postponed_deadline_fires_late_and_an_advanced_one_early() -> None:
    async def program() -> list[float]:
        times = []
        for new in (3.0, 20.0):
            start = trio.current_time()
            with trio.move_on_after(10) as scope:
                scope.deadline = start + new
                await trio.sleep_forever()
            times.append(trio.current_time() - start)
        return times

    assert run(program) == [3.0, 20.0]


def test_a_past_deadline_fires_while_other_tasks_keep_running() -> None:
    """A run that never goes idle must still look at deadlines that are due."""

    async def spins(until: list[bool]) -> None:
        while not until:
            await trio.lowlevel.checkpoint()

    async def program() -> None:
        done: list[bool] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(spins, done)
            with trio.CancelScope() as scope:
                scope.deadline = -1
                await trio.sleep_forever()
            done.append(True)

    run(program)


def test_time_does_not_move_while_a_task_can_run() -> None:
    async def program() -> tuple[float, float]:
        for _ in range(100):
            await trio.lowlevel.checkpoint()
        before = trio.current_time()
        await trio.sleep(0.25)
        return before, trio.current_time()

    assert run(program) == (0.0, 0.25)


@dataclass(frozen=True)
class Number:
    """A stand-in for a differentiable number: what the clock may rely on is `primal` and addition."""

    primal: float
    history: str

    def __add__(self, other: Any) -> Number:
        return Number(self.primal + getattr(other, "primal", other), f"({self.history}+{other})")

    def __radd__(self, other: Any) -> Number:
        return Number(other + self.primal, f"({other}+{self.history})")


def test_the_clock_takes_on_the_very_deadline_it_jumped_to() -> None:
    clock = VirtualClock()
    deadline = Number(2.0, "d")
    clock.timers.add(deadline, "key")
    assert clock.timers.jump() == ["key"]
    assert clock.now is deadline


def test_an_observer_hears_of_every_jump_and_of_every_timer_taken_back() -> None:
    heard: list[tuple[Any, ...]] = []

    class Observer:
        def advanced(self, deadline: Any, previous: Any | None, key: Any, sequence: int) -> None:
            heard.append(("advanced", deadline, previous, key, sequence))

        def overdue(self, deadline: Any, now: Any, key: Any) -> None:
            heard.append(("overdue", deadline, now, key))

        def disarmed(self, deadline: Any, now: Any, sequence: int) -> None:
            heard.append(("disarmed", deadline, now, sequence))

    clock = VirtualClock()
    heap = clock.timers
    heap.observer = Observer()
    for deadline in (3.0, 1.0, 2.0):
        heap.add(deadline, f"timer {deadline}")
    heap.jump()
    heap.remove(2.0, "timer 2.0")
    heap.jump()
    heap.add(4.0, "timer 4.0")  # it was not waiting when the one before it fired
    heap.jump()
    assert heard == [
        ("advanced", 1.0, None, "timer 1.0", 2),
        ("disarmed", 2.0, 1.0, 3),
        ("advanced", 3.0, 1.0, "timer 3.0", 1),
        ("advanced", 4.0, None, "timer 4.0", 4),
    ]


def test_a_heap_of_timers_that_were_taken_back_is_cleared_beyond_the_threshold() -> None:
    heap = VirtualClock().timers
    for key in range(PRUNE_THRESHOLD):
        heap.add(1.0, key)
    for key in range(PRUNE_THRESHOLD):
        heap.remove(1.0, key)
    assert len(heap.heap) == PRUNE_THRESHOLD
    heap.add(1.0, "one more")
    heap.add(1.0, "another")
    heap.remove(1.0, "another")
    assert len(heap.heap) == PRUNE_THRESHOLD + 2  # one is alive
    heap.remove(1.0, "one more")
    assert heap.heap == []


def test_a_renewed_timer_keeps_its_time_and_turn_and_has_the_new_history() -> None:
    clock = VirtualClock()
    heap, renewed = clock.timers, Number(2.0, "renewed")
    for key in ("first", "second", "third"):
        heap.add(2.0, key)
    heap.renew(renewed, "first")
    assert [entry[3] is renewed for entry in sorted(heap.heap)] == [True, False, False]
    assert heap.jump() == ["first", "second", "third"]
    assert clock.now is renewed


def test_forgotten_timers_are_gone_and_the_others_stay() -> None:
    heap = VirtualClock().timers
    for key in range(4):
        heap.add(float(key + 1), key)
    heap.remove(2.0, 1)
    heap.forget([0, 3])
    assert list(heap.live) == [2]
    assert [entry[2] for entry in heap.heap] == [2]
    assert heap.next_time() == 3.0


def test_a_timer_at_the_present_gives_the_clock_its_history_and_a_plain_one_takes_none_away() -> None:
    clock = VirtualClock()
    heap, there, again, late = clock.timers, Number(2.0, "there"), Number(2.0, "again"), Number(2.0, "late")
    heap.add(there, "there")
    heap.jump()
    heap.add(2.0, "plain")
    assert heap.due
    assert heap.pop_due(2.0) == ["plain"]
    assert clock.now is there
    heap.add(again, "again")
    heap.add(late, "late")
    assert heap.pop_due(2.0) == ["again", "late"]
    assert clock.now is again
    heap.add(Number(1.0, "past"), "past")
    assert heap.pop_due(2.0) == ["past"]
    assert clock.now is again
    assert not heap.due
