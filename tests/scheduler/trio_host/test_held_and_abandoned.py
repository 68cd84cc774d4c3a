"""Tasks that are held and dropped at random moments: the host's invariants, and nothing of theirs runs meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from detrun_scheduler import current
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.run import RunHooks
from detrun_scheduler.strategies import make
from tests.examples import examples

WORKERS = 4
# What the main task does next: to one of the workers, or nothing for so many turns.
actions = st.lists(
    st.tuples(st.sampled_from(["hold", "release", "abandon", "wake", "cancel", "pass"]), st.integers(0, WORKERS - 1)),
    max_size=20,
)


@examples(40)
@given(script=actions, strategy=st.sampled_from(["fifo", "random", "pct"]), seed=st.integers(0, 2**32 - 1))
def test_random_holds_and_drops_keep_the_invariants(script: list[tuple[str, int]], strategy: str, seed: int) -> None:
    held: set[int] = set()
    dropped: set[int] = set()
    steps = 0

    async def worker(index: int, events: list[trio.Event], lock: trio.Lock, tasks: dict[int, Any]) -> None:
        tasks[index] = trio.lowlevel.current_task()

        def looks() -> None:
            assert index not in held | dropped

        try:
            while not events[index].is_set():
                async with lock:
                    looks()
                    await trio.sleep(0.5)
                    looks()
                with trio.move_on_after(1):
                    await events[index].wait()
                looks()
        except trio.BrokenResourceError:  # a dropped task held the lock
            looks()
        finally:
            looks()

    async def main() -> None:
        assert current.run is not None
        host = current.run.host
        tasks: dict[int, Any] = {}
        events = [trio.Event() for _ in range(WORKERS)]
        scopes = [trio.CancelScope() for _ in range(WORKERS)]
        lock = trio.Lock()

        async def scoped(index: int) -> None:
            with scopes[index]:
                await worker(index, events, lock, tasks)

        def is_held(task: Any) -> bool:
            return any(tasks.get(index) is task for index in held)

        async with trio.open_nursery() as nursery:
            for index in range(WORKERS):
                nursery.start_soon(scoped, index)
            while len(tasks) < WORKERS:
                await trio.lowlevel.checkpoint()
            for action, index in script:
                match action:
                    case "hold":
                        held.add(index)
                        host.hold([tasks[index]], is_held)
                    case "release":
                        held.discard(index)
                        host.release([tasks[index]], bool(held))
                    case "abandon":
                        if tasks[index] in host.numbers:
                            dropped.add(index)
                        held.discard(index)
                        host.abandon([tasks[index]])
                    case "wake":
                        events[index].set()
                    case "cancel":
                        scopes[index].cancel()
                    case "pass":
                        await trio.sleep(index / 2)
            held.clear()
            host.release(list(tasks.values()), False)
            for event in events:
                event.set()

    def check(run: Any) -> None:
        nonlocal steps
        steps += 1
        run.host._check()

    RunLoop(make(strategy), seed=seed, hooks=RunHooks(after_step=[check])).run(main).unwrap()
    assert steps > WORKERS


def test_a_host_that_lost_a_runnable_task_is_found() -> None:
    """The negative twin: a check that sees nothing would pass everything."""

    found = 0

    def spoil(run: Any) -> None:
        nonlocal found
        numbers = run.host.queue.numbers
        if numbers:
            lost = numbers.pop()
            with pytest.raises(AssertionError):
                run.host._check()
            numbers.append(lost)
            found += 1

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.checkpoint)
            await trio.lowlevel.checkpoint()

    RunLoop(make("fifo"), hooks=RunHooks(after_step=[spoil])).run(main).unwrap()
    assert found
