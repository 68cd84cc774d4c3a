"""Reports of deadlocks name a lost wake-up exactly where it is the reason."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio

import detrun
from detrun.explore.campaign.signatures import signature_of


async def checks_then_waits() -> None:
    """The waiter looks at the flag before it takes the lock: the notification can come in between."""
    condition = trio.Condition()
    ready = detrun.Shared(False)

    async def waiter() -> None:
        if not ready.value:
            await trio.lowlevel.checkpoint()
            async with condition:
                await condition.wait()

    async def notifier() -> None:
        ready.value = True
        async with condition:
            condition.notify()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiter)
        nursery.start_soon(notifier)


def threads_check_then_wait() -> None:
    condition = threading.Condition()
    ready = detrun.Shared(False)

    def waiter() -> None:
        if not ready.value:
            with condition:
                condition.wait()

    def notifier() -> None:
        ready.value = True
        with condition:
            condition.notify_all()

    threads = [threading.Thread(target=one) for one in (waiter, notifier)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def clears_an_event_too_early() -> None:
    event = threading.Event()

    def waiter() -> None:
        event.clear()
        event.wait()

    thread = threading.Thread(target=waiter)
    thread.start()
    event.set()
    thread.join()


@pytest.mark.parametrize(
    ("program", "notifier"),
    [
        (checks_then_waits, "main/notifier"),
        (threads_check_then_wait, "main/notifier"),
        (clears_an_event_too_early, "main"),
    ],
)
def test_a_deadlock_behind_a_lost_wakeup_says_who_notified_in_vain(program: Callable[[], Any], notifier: str) -> None:
    exploration = detrun.explore(program, schedules=300, directory=None)
    assert exploration.failure is not None
    error = exploration.failure.exception
    assert isinstance(error, detrun.DeadlockError)
    assert f"a lost wake-up: the last notify, by {notifier} at step" in str(error)
    # When it was notified belongs to the schedule, not to the bug: shrinking must not take it for another failure.
    later = detrun.DeadlockError(re.sub(r"at step \d+, came", "at step 4711, came", str(error)))
    later.blocked = [
        one._replace(waits_for=re.sub(r"at step \d+", "at step 4711", one.waits_for)) for one in error.blocked
    ]
    assert signature_of(later) == signature_of(error)


def test_a_condition_that_was_never_notified_is_no_lost_wakeup() -> None:
    async def main() -> None:
        condition = trio.Condition()
        async with condition:
            await condition.wait()

    with pytest.raises(detrun.DeadlockError, match=r"Condition.wait \(not notified\)"):
        detrun.record(main)


def test_a_later_notification_that_woke_a_task_takes_back_the_earlier_one() -> None:
    async def main() -> None:
        condition = trio.Condition()

        async def waiter() -> None:
            async with condition:
                await condition.wait()

        async with condition:
            condition.notify()  # in vain
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiter)
            nursery.start_soon(waiter)
            await trio.sleep(1)
            async with condition:
                condition.notify()  # one of two

    with pytest.raises(detrun.DeadlockError) as raised:
        detrun.record(main)
    assert "lost wake-up" not in str(raised.value)


def test_what_was_notified_in_vain_in_one_run_is_forgotten_in_the_next() -> None:
    condition = trio.Condition()

    async def notify() -> None:
        async with condition:
            condition.notify_all()

    async def wait() -> None:
        async with condition:
            await condition.wait()

    detrun.record(notify)
    with pytest.raises(detrun.DeadlockError, match=r"Condition.wait \(not notified\)"):
        detrun.record(wait)


def test_outside_a_run_conditions_are_as_they_were() -> None:
    condition = threading.Condition()
    with pytest.raises(RuntimeError, match="un-acquired"):
        condition.notify()
    with condition:
        condition.notify_all()
