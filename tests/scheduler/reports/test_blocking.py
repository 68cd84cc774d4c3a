"""Reports of deadlocks and livelocks, word for word, and equal in a second run."""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import hypothesis
import pytest
import trio

import detrun_scheduler
from detrun_scheduler.errors import DeadlockError, StepLimitError
from detrun_scheduler.footprints.marks import innermost_user_line_of_call
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.reports import blocking
from detrun_scheduler.reports.blocking import BlockedTask, wait_cycle
from detrun_scheduler.strategies import make
from detrun_scheduler.user_code import is_user_file

Program = Callable[[], Awaitable[object]]


def report(program: Program, strategy: str = "fifo") -> str:
    """The deadlock report, with this file's path and line numbers taken out."""
    with pytest.raises(DeadlockError) as caught:
        RunLoop(make(strategy)).run(program)
    return re.sub(re.escape(__file__) + r":\d+", "FILE:LINE", str(caught.value))


async def takes_both(first: trio.Lock, second: trio.Lock, has: trio.Event, other_has: trio.Event) -> None:
    async with first:
        has.set()
        await other_has.wait()
        async with second:
            raise AssertionError("unreachable")


async def crossed_locks() -> None:
    a, b, has_a, has_b = trio.Lock(), trio.Lock(), trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(takes_both, a, b, has_a, has_b, name="left")
        nursery.start_soon(takes_both, b, a, has_b, has_a, name="right")


def test_crossed_locks_are_reported_with_owners_stacks_and_the_cycle() -> None:
    assert report(crossed_locks) == (
        "deadlock at step 8, virtual time 0 s: 3 tasks blocked, none can run, no timer is set\n"
        "  task 1 (main) waits for the end of its nursery, where 2 tasks still live: main/left, main/right\n"
        "    at FILE:LINE in crossed_locks\n"
        "  task 2 (main/left) waits for Lock held by main/right\n"
        "    at FILE:LINE in takes_both\n"
        "  task 3 (main/right) waits for Lock held by main/left\n"
        "    at FILE:LINE in takes_both\n"
        "  cycle: main/left waits for main/right waits for main/left"
    )


def test_equal_runs_give_equal_reports() -> None:
    first = report(crossed_locks, "random")
    assert report(crossed_locks, "random") == first
    assert " at 0x" not in first


async def _on_receive() -> None:
    send, receive = trio.open_memory_channel[int](0)
    await receive.receive()
    send.close()


async def _on_iteration() -> None:
    send, receive = trio.open_memory_channel[int](0)
    async for _ in receive:
        send.close()


async def _on_send() -> None:
    send, receive = trio.open_memory_channel[int](1)
    await send.send(1)
    await send.send(2)
    receive.close()


async def _on_rendezvous() -> None:
    send, receive = trio.open_memory_channel[int](0)
    await send.send(1)
    receive.close()


async def _on_event() -> None:
    await trio.Event().wait()


async def _on_semaphore() -> None:
    await trio.Semaphore(0).acquire()


async def _on_a_condition() -> None:
    condition = trio.Condition()
    async with condition:
        await condition.wait()


async def _on_limiter() -> None:
    limiter = trio.CapacityLimiter(2)
    await limiter.acquire()
    await limiter.acquire_on_behalf_of("someone else")
    await limiter.acquire_on_behalf_of("a third")


async def _on_own_lock_elsewhere() -> None:
    lock = trio.Lock()

    async def other() -> None:
        await lock.acquire()

    await lock.acquire()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)


async def _on_start() -> None:
    async def silent(task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        await nursery.start(silent)


async def _on_sleep() -> None:
    await trio.sleep_forever()


async def _on_infinite_sleep() -> None:
    await trio.sleep(float("inf"))


async def _on_nothing_known() -> None:
    await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)


async def _on_parking_lot() -> None:
    await trio.lowlevel.ParkingLot().park()


@pytest.mark.parametrize(
    ("program", "waits_for"),
    [
        (_on_receive, "task 1 (main) waits for MemoryReceiveChannel.receive (no message; 1 open send channel)"),
        (_on_iteration, "task 1 (main) waits for MemoryReceiveChannel.receive (no message; 1 open send channel)"),
        (
            _on_send,
            "task 1 (main) waits for MemorySendChannel.send "
            "(no task receives, its buffer of 1 full; 1 open receive channel)",
        ),
        (
            _on_rendezvous,
            "task 1 (main) waits for MemorySendChannel.send (no task receives, no buffer; 1 open receive channel)",
        ),
        (_on_event, "task 1 (main) waits for Event.wait (not set)"),
        (_on_semaphore, "task 1 (main) waits for Semaphore at 0 (not released)"),
        (_on_a_condition, "task 1 (main) waits for Condition.wait (not notified)"),
        (_on_limiter, "task 1 (main) waits for CapacityLimiter, all of its 2 tokens borrowed by main"),
        (_on_own_lock_elsewhere, "task 2 (main/other) waits for Lock held by main"),
        (
            _on_start,
            "task 1 (main) waits for Nursery.start, until task_status.started() is called by main/silent",
        ),
        (_on_sleep, "task 1 (main) waits for sleep_forever (not woken)"),
        (_on_infinite_sleep, "task 1 (main) waits for sleep (not woken)"),
        (_on_nothing_known, "task 1 (main) waits for wait_task_rescheduled (not woken)"),
        (_on_parking_lot, "task 1 (main) waits for ParkingLot.park (not woken)"),
    ],
)
def test_each_wait_is_named_with_what_would_end_it(program: Program, waits_for: str) -> None:
    assert f"  {waits_for}\n    at FILE:LINE in " in report(program)


def test_a_task_that_is_library_code_alone_is_reported_too() -> None:
    async def program() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)

    assert report(program).endswith("  task 2 (main/sleep_forever) waits for sleep_forever (not woken)")


def test_a_parent_and_the_child_that_waits_for_it_are_a_cycle() -> None:
    assert report(_on_own_lock_elsewhere).endswith("  cycle: main waits for main/other waits for main")


def test_a_long_list_of_children_is_cut() -> None:
    async def program() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(trio.sleep_forever)

    assert "main/sleep_forever[7], 4 more\n" in report(program)


@hypothesis.given(
    waits=hypothesis.strategies.dictionaries(
        hypothesis.strategies.integers(1, 7),
        hypothesis.strategies.sets(hypothesis.strategies.integers(1, 7)),
        max_size=7,
    )
)
def test_a_cycle_is_named_exactly_when_there_is_one(waits: dict[int, set[int]]) -> None:
    blocked = [BlockedTask(str(n), n, "", tuple(sorted(holders))) for n, holders in sorted(waits.items())]
    cycle = [int(path) for path in wait_cycle(blocked)]
    reachable = {n: {holder for holder in holders if holder in waits} for n, holders in waits.items()}
    for _ in waits:  # an independent oracle: transitive closure
        reachable = {n: found.union(*(reachable[one] for one in found)) for n, found in reachable.items()}
    assert bool(cycle) == any(n in found for n, found in reachable.items())
    if cycle:
        assert cycle[0] == cycle[-1] == min(cycle)
        assert all(holder in waits[waiter] for waiter, holder in pairwise(cycle))


def test_a_livelock_names_the_busiest_tasks_and_where_they_spin() -> None:
    async def spins() -> None:
        while True:
            await trio.sleep(1)

    async def program() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(spins)

    with pytest.raises(StepLimitError) as caught:
        RunLoop(make("fifo"), max_steps=50).run(program)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("the run took more than max_steps=50 steps (virtual time 48 s)")
    assert lines[2] == "          48 steps  task 2 (main/spins), resuming from sleep"
    assert lines[3].endswith("in test_a_livelock_names_the_busiest_tasks_and_where_they_spin.<locals>.spins")
    assert "task 1 (main), resuming from Nursery.__aexit__" in lines[4]


def test_a_pending_operation_is_what_the_task_resumes_from() -> None:
    seen: dict[str, str] = {}

    async def yields() -> None:
        await trio.lowlevel.checkpoint()

    async def program() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(yields)
            nursery.start_soon(trio.sleep, 5)
            (unstarted, _) = sorted(nursery.child_tasks, key=lambda task: task.name)
            seen["unstarted"] = blocking.pending_operation(unstarted)
            await trio.lowlevel.checkpoint()
            for task in nursery.child_tasks:
                seen[task.name.rpartition(".")[2]] = blocking.pending_operation(task)
                if task.name.endswith("yields"):
                    seen["line"] = blocking.innermost_user_line(task)

    RunLoop(make("fifo")).run(program).unwrap()
    assert seen["unstarted"] == "start"
    assert (seen["yields"], seen["sleep"]) == ("checkpoint", "sleep")
    assert seen["line"].startswith(f"{__file__}:")


def test_user_code_is_what_is_neither_library_nor_plumbing() -> None:
    packages = Path(sysconfig.get_path("purelib"))
    for plumbing in (
        trio.__file__,
        detrun_scheduler.__file__,
        blocking.__file__,
        re.__file__,
        str(packages / "outcome" / "_impl.py"),
        str(packages / "_pytest" / "python.py"),
        hypothesis.__file__,
        "<frozen importlib._bootstrap>",
    ):
        assert not is_user_file(str(plumbing)), plumbing
    for user in (
        __file__,
        str(packages / "somebodys_service" / "main.py"),
        str(packages / "somebodys_script.py"),
        str(packages / "trio_websocket" / "_impl.py"),
        str(packages / "detrunner" / "main.py"),
        "/somewhere/detrun_user/program.py",
        "<stdin>",
        "<string>",
    ):
        assert is_user_file(user), user


def test_the_nearest_user_line_of_a_call_skips_plumbing() -> None:
    found: list[str] = []
    # The key function is called through re and not directly: re's frame stands between.
    re.sub("a", lambda _: found.append(innermost_user_line_of_call(sys._getframe())) or "", "a")
    assert found[0].startswith(f"{__file__}:")
    assert innermost_user_line_of_call(None) == ""


def deadlock_of(program: Program) -> DeadlockError:
    with pytest.raises(DeadlockError) as caught:
        RunLoop(make("fifo")).run(program)
    return caught.value


def test_the_error_carries_every_blocked_task_and_the_cycle_as_data() -> None:
    async def waits(lock: trio.Lock) -> None:
        async with lock:
            pass

    async def main() -> None:
        lock = trio.Lock()
        async with lock, trio.open_nursery() as nursery:
            nursery.start_soon(waits, lock)

    error = deadlock_of(main)
    assert [(one.number, one.path) for one in error.blocked] == [(1, "main"), (2, "main/waits")]
    assert [one.holders for one in error.blocked] == [(2,), (1,)]
    assert error.blocked[1].waits_for == "Lock held by main"
    assert error.blocked[1].stack[0].startswith(__file__)
    assert error.cycle == ("main", "main/waits", "main")


def test_a_report_of_very_many_tasks_stays_readable_and_keeps_the_one_that_is_different() -> None:
    async def main() -> None:
        event, lock = trio.Event(), trio.Lock()
        async with lock, trio.open_nursery() as nursery:
            for _ in range(1000):
                nursery.start_soon(event.wait)
            nursery.start_soon(lock.acquire)

    error = deadlock_of(main)
    assert len(error.blocked) == 1002
    lines = str(error).splitlines()
    assert lines[0].endswith("1,002 tasks blocked, none can run, no timer is set")
    assert sum("waits for Event.wait" in line for line in lines) == blocking.TASKS_ALIKE_LISTED_MAX
    assert any("task 1002 (main/acquire) waits for Lock held by main" in line for line in lines)
    rest = 1000 - blocking.TASKS_ALIKE_LISTED_MAX
    assert lines[-2] == f"  and {rest} more; all are in the error's attribute `blocked`"
    assert lines[-1] == "  cycle: main waits for main/acquire waits for main"


def test_a_ring_of_very_many_tasks_is_named_by_both_its_ends() -> None:
    async def main() -> None:
        locks = [trio.Lock() for _ in range(100)]

        async def takes_two(index: int) -> None:
            async with locks[index]:
                await trio.sleep(1)
                async with locks[(index + 1) % len(locks)]:
                    raise AssertionError("unreachable")

        async with trio.open_nursery() as nursery:
            for index in range(len(locks)):
                nursery.start_soon(takes_two, index)

    error = deadlock_of(main)
    assert len(error.cycle) == 101
    text = str(error)
    assert len(text.splitlines()) < 3 * blocking.TASKS_LISTED_MAX
    assert text.splitlines()[-1] == (
        "  cycle: main/takes_two waits for main/takes_two[1] waits for main/takes_two[2] waits for main/takes_two[3] "
        "waits for … (92 more) … waits for main/takes_two[96] waits for main/takes_two[97] "
        "waits for main/takes_two[98] waits for main/takes_two[99] waits for main/takes_two"
    )
