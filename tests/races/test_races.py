"""Race detection: each synchronization with its unsynchronized twin, and the detector against a reachability
search over all edges.
"""

from __future__ import annotations

import contextlib
import queue
import random
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trio
import trio.testing

import detrun
from detrun.checkers.find_races import find_races
from detrun.races.detector import Clock, DataRaceError, RaceDetector

checkpoint = trio.lowlevel.checkpoint
SEEDS = range(6)


def races_in_any_schedule(main: Callable[..., Any], **options: Any) -> set[str]:
    """The variables on which some of a few schedules show a race."""
    return {race.variable for seed in SEEDS for race in find_races(main, seed=seed, **options)}


def races_in_every_schedule(main: Callable[..., Any], **options: Any) -> set[str]:
    shown = [{race.variable for race in find_races(main, seed=seed, **options)} for seed in SEEDS]
    return set.intersection(*shown)


# The detector by itself.


def reachable_from(start: int, edges: dict[int, list[int]]) -> set[int]:
    seen, todo = set(), [start]
    while todo:
        one = todo.pop()
        if one not in seen:
            seen.add(one)
            todo += edges.get(one, [])
    return seen


def test_the_detector_agrees_with_a_search_over_all_edges() -> None:
    """Random runs of four tasks over three variables and three objects; the oracle draws every edge and searches.

    FastTrack promises a report on a variable exactly if it has a race; it may leave out some of the variable's pairs.
    """
    source = random.Random(5)
    with_races = 0
    for _ in range(2000):
        detector = RaceDetector(lambda task: f"task {task}", lambda: 0)
        published: dict[int, Clock] = {}
        releases: dict[int, list[int]] = {0: [], 1: [], 2: []}
        last: dict[int, int] = {}
        edges: dict[int, list[int]] = {}
        accesses: list[tuple[int, int, int, bool]] = []
        for moment in range(source.randint(4, 24)):
            task = source.randrange(4)
            if task in last:
                edges.setdefault(last[task], []).append(moment)
            last[task] = moment
            what, which = source.choice(["read", "write", "acquire", "release", "acquire"]), source.randrange(3)
            if what == "acquire":
                detector.acquire(task, published.get(which))
                for one in releases[which]:
                    edges.setdefault(one, []).append(moment)
            elif what == "release":
                published[which] = detector.release(task, published.get(which), "released it")
                releases[which].append(moment)
            else:
                detector.access(task, which, f"variable {which}", what == "write", f"line {moment}")
                accesses.append((moment, task, which, what == "write"))
        racy = {
            f"variable {which}"
            for first, one, which, writes in accesses
            for second, other, the_same, also_writes in accesses
            if first < second and one != other and which == the_same and (writes or also_writes)
            if second not in reachable_from(first, edges)
        }
        assert {race.variable for race in detector.races} == racy
        with_races += bool(racy)
    assert 300 < with_races < 1900


# Tasks.


async def both(first: Callable[[], Awaitable[None]], second: Callable[[], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        nursery.start_soon(second)


async def lost_update() -> None:
    counter = detrun.Shared(0, name="counter")

    async def increment() -> None:
        seen = counter.value
        await checkpoint()
        counter.value = seen + 1

    await both(increment, increment)


def test_a_race_is_seen_in_schedules_that_do_not_suffer_from_it() -> None:
    assert races_in_every_schedule(lost_update) == {"counter"}
    assert {race.variable for race in find_races(lost_update, strategy="fifo")} == {"counter"}


def test_reports_name_tasks_lines_locks_and_what_is_missing() -> None:
    lock = trio.Lock()

    async def main() -> None:
        counter = detrun.Shared(0, name="counter")

        async def careful() -> None:
            async with lock:
                counter.value = 1

        async def careless() -> None:
            counter.value = 2

        await both(careful, careless)

    (race,) = find_races(main, seed=1)
    text = str(race)
    for expected in ("data race on counter:", "main/careful wrote it", "main/careless wrote it", "holding Lock[0]"):
        assert expected in text
    assert "holding no lock" in text
    assert "has seen nothing of" in text
    assert text.count("test_races.py:") == 2


def with_lock(lock_of: Callable[[], Any]) -> Callable[[], Awaitable[None]]:
    async def main() -> None:
        counter, lock = detrun.Shared(0, name="counter"), lock_of()

        async def increment() -> None:
            async with lock:
                seen = counter.value
                await checkpoint()
                counter.value = seen + 1

        counter.value = 0  # before the children begin
        await both(increment, increment)
        assert counter.value == 2  # after they have ended

    return main


@pytest.mark.parametrize(
    "lock_of", [trio.Lock, trio.StrictFIFOLock, lambda: trio.Semaphore(1), lambda: trio.CapacityLimiter(1)]
)
def test_locks_order_and_so_do_start_and_end_of_a_nursery(lock_of: Callable[[], Any]) -> None:
    assert races_in_any_schedule(with_lock(lock_of)) == set()


def test_two_locks_order_nothing() -> None:
    async def main() -> None:
        counter = detrun.Shared(0, name="counter")

        async def increment() -> None:
            async with trio.Lock():
                counter.value += 1

        await both(increment, increment)

    assert races_in_every_schedule(main) == {"counter"}


def test_a_semaphore_for_two_orders_nothing_between_the_two() -> None:
    assert races_in_any_schedule(with_two_tokens) == {"counter"}


async def with_two_tokens() -> None:
    counter, tokens, going_on = detrun.Shared(0, name="counter"), trio.Semaphore(2), trio.Event()

    async def first() -> None:
        async with tokens:
            await going_on.wait()
            counter.value = 1

    async def second() -> None:
        async with tokens:
            going_on.set()
            counter.value = 2

    await both(first, second)


@pytest.mark.parametrize("polls", [False, True])
@pytest.mark.parametrize("late", [False, True])
def test_an_event_orders_whether_or_not_a_task_had_to_wait(polls: bool, late: bool) -> None:
    async def main() -> None:
        content, event = detrun.Shared(0, name="content"), trio.Event()

        async def writer() -> None:
            content.value = 1
            event.set()

        async def reader() -> None:
            if late:
                await trio.sleep(1)
            while polls and not event.is_set():
                await checkpoint()
            if not polls:
                await event.wait()
            assert content.value == 1

        await both(writer, reader)

    assert races_in_any_schedule(main) == set()


def test_what_comes_after_the_event_was_set_is_not_ordered() -> None:
    async def main() -> None:
        content, event = detrun.Shared(0, name="content"), trio.Event()

        async def writer() -> None:
            event.set()
            content.value = 1

        async def reader() -> None:
            await event.wait()
            assert content.value in (0, 1)

        await both(writer, reader)

    assert races_in_every_schedule(main) == {"content"}


def test_time_orders_nothing() -> None:
    async def main() -> None:
        content = detrun.Shared(0, name="content")

        async def writer() -> None:
            content.value = 1

        async def reader() -> None:
            await trio.sleep(5)
            assert content.value == 1

        await both(writer, reader)

    assert races_in_every_schedule(main) == {"content"}


def test_waiting_until_all_tasks_are_blocked_orders() -> None:
    async def main() -> None:
        content = detrun.Shared(0, name="content")

        async def writer() -> None:
            await checkpoint()
            content.value = 1
            await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer)
            await trio.testing.wait_all_tasks_blocked()
            content.value = 2
            nursery.cancel_scope.cancel()

    assert races_in_any_schedule(main) == set()


@pytest.mark.parametrize("capacity", [0, 1, 3])
def test_a_message_orders_what_came_before_it_with_what_comes_after_its_receipt(capacity: int) -> None:
    async def main() -> None:
        cells = [detrun.Shared(0, name=f"cell {i}") for i in range(4)]
        sender, receiver = trio.open_memory_channel[int](capacity)

        async def producer() -> None:
            async with sender:
                for i, cell in enumerate(cells):
                    cell.value = i
                    await sender.send(i)

        async def consumer() -> None:
            async for i in receiver:
                assert cells[i].value == i

        await both(producer, consumer)

    assert races_in_any_schedule(main) == set()


def test_a_message_does_not_order_what_its_sender_does_after_sending_it() -> None:
    async def main() -> None:
        cell = detrun.Shared(0, name="cell")
        sender, receiver = trio.open_memory_channel[int](2)

        async def producer() -> None:
            await sender.send(1)
            cell.value = 1
            await sender.send(2)

        async def consumer() -> None:
            await receiver.receive()
            assert cell.value in (0, 1)

        await both(producer, consumer)

    assert races_in_every_schedule(main) == {"cell"}


def test_the_end_of_a_channel_orders() -> None:
    async def main() -> None:
        cell = detrun.Shared(0, name="cell")
        sender, receiver = trio.open_memory_channel[int](2)

        async def producer() -> None:
            await checkpoint()
            cell.value = 1
            sender.close()

        async def consumer() -> None:
            with contextlib.suppress(trio.EndOfChannel):
                await receiver.receive()
            assert cell.value == 1

        await both(producer, consumer)

    assert races_in_any_schedule(main) == set()


def test_cancelling_orders_with_the_clean_up_of_who_is_cancelled() -> None:
    async def main() -> None:
        reason = detrun.Shared("", name="reason")
        async with trio.open_nursery() as nursery:

            async def worker() -> None:
                try:
                    while True:
                        await checkpoint()
                finally:
                    assert reason.value == "enough"

            nursery.start_soon(worker)
            await checkpoint()
            reason.value = "enough"
            nursery.cancel_scope.cancel()

    assert races_in_any_schedule(main) == set()


@pytest.mark.parametrize("notify_all", [False, True])
def test_a_condition_orders(notify_all: bool) -> None:
    async def main() -> None:
        content, condition = detrun.Shared(0, name="content"), trio.Condition()

        async def writer() -> None:
            async with condition:
                content.value = 1
                if notify_all:
                    condition.notify_all()
                else:
                    condition.notify()

        async def reader() -> None:
            async with condition:
                while content.value == 0:
                    await condition.wait()

        await both(writer, reader)

    assert races_in_any_schedule(main) == set()


def test_atomics_order_and_plain_elements_of_a_buffer_do_not() -> None:
    async def published(by_atomic: bool) -> None:
        content, ready = detrun.Shared(0, name="content"), detrun.Atomic(0) if by_atomic else detrun.Buffer([0.0])

        async def writer() -> None:
            content.value = 1
            if isinstance(ready, detrun.Atomic):
                ready.store(1)
            else:
                ready[0] = 1.0

        async def reader() -> None:
            for _ in range(20):
                if ready.load() if isinstance(ready, detrun.Atomic) else ready[0]:
                    assert content.value == 1
                    return
                await checkpoint()

        await both(writer, reader)

    assert races_in_any_schedule(published_by(published, True)) == set()
    assert races_in_any_schedule(published_by(published, False)) >= {"Buffer[0][0]", "content"}


def published_by(program: Callable[[bool], Awaitable[None]], by_atomic: bool) -> Callable[[], Awaitable[None]]:
    async def main() -> None:
        await program(by_atomic)

    return main


def test_elements_of_a_buffer_are_variables_of_their_own_and_additions_are_atomic() -> None:
    async def main() -> None:
        buffer = detrun.Buffer([0.0, 0.0, 0.0], name="buffer")

        async def first() -> None:
            buffer[0] = 1.0
            buffer.fetch_add(2, 1.0)

        async def second() -> None:
            buffer[1] = 1.0
            buffer.fetch_add(2, 1.0)

        await both(first, second)

    assert races_in_any_schedule(main) == set()

    async def mixed() -> None:
        buffer = detrun.Buffer([0.0, 0.0, 0.0], name="buffer")

        async def first() -> None:
            buffer.fetch_add(2, 1.0)

        async def second() -> None:
            buffer[2] = 1.0

        await both(first, second)

    assert races_in_every_schedule(mixed) == {"buffer[2]"}


def test_a_lock_free_stack_with_aba_has_no_data_race_on_its_atomics() -> None:
    """ABA is a bug, but no race: every access is atomic. It takes an assertion or a linearizability check to see it."""

    async def main() -> None:
        top = detrun.Atomic("a", name="top")

        async def slow_pop() -> None:
            seen = top.load()
            await checkpoint()
            top.compare_exchange(seen, "b")

        async def meddler() -> None:
            top.store("b")
            await checkpoint()
            top.store("a")

        await both(slow_pop, meddler)

    assert races_in_any_schedule(main) == set()


# Threads.


def in_two_threads(body: Callable[[], None]) -> None:
    threads = [threading.Thread(target=body) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("lock_of", [threading.Lock, threading.RLock, threading.Semaphore, threading.Condition])
def test_locks_of_threads_order_and_so_do_start_and_join(lock_of: Callable[[], Any]) -> None:
    def main() -> None:
        counter, lock = detrun.Shared(0, name="counter"), lock_of()

        def body() -> None:
            with lock:
                counter.value += 1

        counter.value = 0
        in_two_threads(body)
        assert counter.value == 2

    assert races_in_any_schedule(main) == set()


def test_threads_without_a_lock_race() -> None:
    def main() -> None:
        counter = detrun.Shared(0, name="counter")

        def body() -> None:
            counter.value += 1

        in_two_threads(body)

    assert races_in_every_schedule(main) == {"counter"}


def test_a_thread_that_was_not_joined_races_with_who_started_it() -> None:
    def main() -> None:
        content = detrun.Shared(0, name="content")

        def body() -> None:
            content.value = 1

        content.value = 2
        thread = threading.Thread(target=body)
        thread.start()
        assert content.value in (1, 2)
        thread.join()

    assert races_in_every_schedule(main) == {"content"}


def test_a_join_that_timed_out_orders_nothing() -> None:
    def main() -> None:
        content, event = detrun.Shared(0, name="content"), threading.Event()

        def body() -> None:
            content.value = 1
            event.wait()

        thread = threading.Thread(target=body)
        thread.start()
        thread.join(1.0)
        assert content.value in (0, 1)
        event.set()
        thread.join()

    assert races_in_every_schedule(main) == {"content"}


@pytest.mark.parametrize("queue_of", [queue.Queue, queue.SimpleQueue, queue.LifoQueue])
def test_queues_order(queue_of: Callable[[], Any]) -> None:
    def main() -> None:
        cells, work = [detrun.Shared(0, name=f"cell {i}") for i in range(3)], queue_of()

        def producer() -> None:
            for i, cell in enumerate(cells):
                cell.value = i
                work.put(i)

        thread = threading.Thread(target=producer)
        thread.start()
        for _ in cells:
            i = work.get()
            assert cells[i].value == i
        thread.join()

    assert races_in_any_schedule(main) == set()


@pytest.mark.parametrize("polls", [False, True])
def test_events_and_barriers_of_threads_order(polls: bool) -> None:
    def main() -> None:
        content, event, barrier = detrun.Shared(0, name="content"), threading.Event(), threading.Barrier(2)

        def writer() -> None:
            content.value = 1
            event.set()
            barrier.wait()
            assert content.value == 2

        thread = threading.Thread(target=writer)
        thread.start()
        while polls and not event.is_set():
            pass
        event.wait()
        content.value = 2
        barrier.wait()
        thread.join()

    assert races_in_any_schedule(main) == set()


def test_futures_and_calls_between_tasks_and_threads_order() -> None:
    async def main() -> None:
        content = detrun.Shared(0, name="content")

        def in_thread() -> None:
            content.value += 1
            trio.from_thread.run_sync(in_task)
            content.value += 1

        def in_task() -> None:
            content.value += 1

        def pooled() -> None:
            content.value += 1

        content.value = 0
        await trio.to_thread.run_sync(in_thread)
        content.value += 1
        with ThreadPoolExecutor(1) as executor:
            executor.submit(pooled).result()
        assert content.value == 5

    assert races_in_any_schedule(main) == set()


class Account:
    def __init__(self) -> None:
        self.balance = 0


def deposits_without_lock() -> None:
    account = Account()

    def deposit() -> None:
        account.balance += 1

    in_two_threads(deposit)


def deposits_with_lock() -> None:
    account, lock = Account(), threading.Lock()

    def deposit() -> None:
        with lock:
            account.balance += 1

    in_two_threads(deposit)


def test_plain_attributes_of_watched_code_are_variables_too() -> None:
    races = [race for seed in SEEDS for race in find_races(deposits_without_lock, seed=seed, preemption="opcode")]
    assert {race.variable for race in races} == {"Account[0].balance"}
    assert all("test_races.py:" in race.first.line for race in races)
    assert races_in_any_schedule(deposits_with_lock, preemption="opcode") == set()


# Runs and campaigns.


def test_looking_for_races_changes_nothing_else() -> None:
    methods = [vars(trio.Event)["set"], vars(trio.Nursery)["_child_finished"]]
    run = detrun.record(lost_update, seed=4)
    races = find_races(lost_update, recording=run.recording)  # which replays it strictly
    assert races == find_races(lost_update, seed=4)
    assert races == find_races(lost_update, recording=run.recording)
    assert [vars(trio.Event)["set"], vars(trio.Nursery)["_child_finished"]] == methods


def test_exploring_with_races_fails_on_one_and_its_recording_fails_again(tmp_path: Any) -> None:
    assert detrun.explore(lost_update, schedules=20, directory=None).verdict == "passed"
    exploration = detrun.explore(lost_update, schedules=20, races=True, directory=tmp_path, confirm=False)
    assert exploration.failure is not None
    error = exploration.failure.exception
    assert isinstance(error, DataRaceError)
    assert error.races[0].variable == "counter"
    with pytest.raises(DataRaceError, match="data race on counter"):
        detrun.replay(lost_update, recording=exploration.failure.recording)
    assert exploration.failure.path is not None
    with pytest.raises(DataRaceError):
        detrun.replay(lost_update, recording=exploration.failure.path)


def test_exploring_a_program_without_races_passes() -> None:
    exploration = detrun.explore(with_lock(trio.Lock), schedules=100, races=True, directory=None)
    assert exploration.verdict == "passed"


def test_a_program_that_fails_by_itself_keeps_its_failure_and_gets_the_race_as_a_note() -> None:
    async def main() -> None:
        await lost_update()
        raise ValueError("its own")

    exploration = detrun.explore(main, schedules=20, races=True, directory=None)
    assert exploration.failure is not None
    assert isinstance(exploration.failure.exception, ValueError)
    assert any("data race on counter" in note for note in exploration.failure.exception.__notes__)


def test_an_enumerating_campaign_can_look_for_races_too() -> None:
    exploration = detrun.explore(with_lock(trio.Lock), strategy="dpor", races=True, directory=None)
    assert exploration.verdict == "holds"


@pytest.mark.parametrize("strategy", ["random", "dpor"])
def test_a_campaign_at_opcodes_sees_races_on_attributes(strategy: str) -> None:
    options: dict[str, Any] = {"strategy": strategy, "preemption": "opcode", "races": True, "directory": None}
    racy = detrun.explore(deposits_without_lock, schedules=20, **options)
    assert racy.failure is not None
    assert isinstance(racy.failure.exception, DataRaceError)
    assert racy.failure.exception.races[0].variable == "Account[0].balance"
    assert not detrun.explore(deposits_with_lock, schedules=20, **options).failed
