"""Listings have every line that ran, whole, and what happened to the tasks."""

from __future__ import annotations

import threading

import pytest
import trio

import detrun
from detrun import explore
from detrun.explore.failures.listing import Listing


def overdrawn() -> None:
    class Bank:
        balance = 100
        is_done = False

        def transfer(self) -> None:
            if self.balance >= 60:
                self.balance -= 60  # written here
                self.is_done = True  # a line after it

    bank = Bank()
    threads = [threading.Thread(target=bank.transfer) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bank.balance >= 0, "the failing line, which is too long to stand in a column beside those of the others"


@pytest.mark.parametrize("preemption", ["line", "opcode"])
def test_every_line_that_a_thread_ran_is_listed_and_the_failing_one(preemption: str) -> None:
    failure = explore(overdrawn, preemption=preemption, schedules=300, directory=None).failure
    assert failure is not None
    assert failure.explanation is not None
    text = str(Listing(failure.explanation.failing, failure.explanation.first_difference))
    assert text.count("self.balance -= 60  # written here") == 2
    assert text.count("self.is_done = True  # a line after it") == 2
    assert "which is too long to stand in a column beside those of the others" in text
    assert "…" not in text


@pytest.mark.parametrize("width", [20, 60, 80, 120, 400])
def test_no_line_is_cut_at_any_width(width: int) -> None:
    failure = explore(overdrawn, preemption="line", schedules=300, directory=None, shrink=False).failure
    assert failure is not None
    assert failure.explanation is not None
    listing = Listing(failure.explanation.failing)
    lines = [line for row in listing.rows for line in row.lines]
    shown = listing.plain(width)
    assert all(line in shown for line in lines)
    if listing.column_widths(width) is not None:
        assert max(map(len, shown.splitlines())) <= width


def test_a_sleep_reads_as_trios_and_a_fault_is_listed() -> None:
    async def main() -> None:
        async with detrun.World() as world:
            server = world.node("server")

            async def serve() -> None:
                await trio.sleep(10)

            server.start(serve)
            plan = detrun.world.FaultPlan([detrun.world.Crash(node="server", at=1.0, down_seconds=0.5)])
            async with detrun.world.inject(plan, world):
                await trio.sleep(2)
                raise ValueError

    failure = explore(main, schedules=2, directory=None, shrink=False).failure
    assert failure is not None
    assert failure.explanation is not None
    text = str(Listing(failure.explanation.failing))
    assert "→ waits in trio.sleep" in text
    assert "⚡ " in text
    assert "crash" in text
