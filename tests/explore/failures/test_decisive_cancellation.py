"""A task that is cancelled at a bad place: the place is named, and that the run passes where it gets further."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import trio

from detrun.execution.options import Options
from detrun.execution.schedules import unpacked
from detrun.explore.campaign.program import Program
from detrun.explore.failures.decisive_cancellation import decisive_cancellation
from detrun.explore.failures.explanation import Explanation
from detrun.explore.failures.narration import narrate
from detrun.explore.failures.reversal import Reversals
from detrun.explore.failures.trials import TrialRunner


class Ledger:
    """Two entries that belong together."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.undone = False


async def of_asyncio() -> None:
    ledger = Ledger()

    async def transfer() -> None:
        ledger.entries.append("debit")
        await asyncio.sleep(0)  # a cancellation that comes here leaves half a transfer
        try:
            await asyncio.sleep(0)
            ledger.entries.append("credit")
        except asyncio.CancelledError:
            ledger.entries.remove("debit")
            raise

    task = asyncio.create_task(transfer())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(ledger.entries) != 1


async def of_trio() -> None:
    ledger = Ledger()

    async def transfer() -> None:
        ledger.entries.append("debit")
        await trio.lowlevel.checkpoint()
        try:
            await trio.lowlevel.checkpoint()
            ledger.entries.append("credit")
        except trio.Cancelled:
            ledger.entries.remove("debit")
            raise

    async with trio.open_nursery() as nursery:
        nursery.start_soon(transfer)
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert len(ledger.entries) != 1


async def fails_wherever_it_is_cancelled() -> None:
    async def works() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    task = asyncio.create_task(works())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    raise ValueError("always")


def explanation_of(program: Callable[[], Any], backend: str, tasks: list[str]) -> Explanation | None:
    """What the strategy by itself says of the failure that comes of this order of steps."""
    runner = TrialRunner(Program(program, (), Options(backend=backend)), 0)
    failing = runner.try_order(tasks)
    assert failing.error is not None
    narration = narrate(runner.program, 0, unpacked(failing.schedule))
    return decisive_cancellation(Reversals(runner, failing, 60, 20.0), narration)


@pytest.mark.parametrize(
    ("program", "backend", "main", "waits"),
    [
        (of_asyncio, "asyncio", "main/of_asyncio", "await asyncio.sleep(0)  # a cancellation"),
        (of_trio, "trio", "main", "await trio.lowlevel.checkpoint()"),
    ],
)
def test_the_place_is_named_and_verified(program: Callable[[], Any], backend: str, main: str, waits: str) -> None:
    path = f"{main}/transfer"
    found = explanation_of(program, backend, ["main", main, path, main, path] if main != "main" else [main, path, main])
    assert found is not None
    assert found.verified
    assert f"What matters is where {path} is when it is cancelled:" in found.text
    assert waits in str(found.places[0])
    assert "cancel()" in str(found.places[1])
    assert f"Verified: the run passes where {path} goes on first, and is cancelled at " in found.text


def test_a_failure_that_comes_wherever_it_is_cancelled_is_not_explained_by_it() -> None:
    main = "main/fails_wherever_it_is_cancelled"
    assert explanation_of(fails_wherever_it_is_cancelled, "asyncio", ["main", main, f"{main}/works", main]) is None
