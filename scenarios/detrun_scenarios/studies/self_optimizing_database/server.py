"""The server of the scenario `database` under readers, with the layout, buffers and costs of some parameters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from detrun_scenarios.database.checks.watch import Watch
from detrun_scenarios.database.database import Database, database
from detrun_scenarios.database.server.machine import Hardware
from detrun_scenarios.database.settings import Settings
from detrun_scenarios.database.workload.terminals import Habits
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.studies.self_optimizing_database.layout import Laid

ANSWERED = "answers do not depend on the layout"
PLAN_TEMPERATURE = 0.1
THINK_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Load:
    """How much is read, of how many rows, through how many frames; `phase` as of `Laid`."""

    rows: int
    frames: int
    readers: int
    reads: int
    phase: int

    @property
    def total(self) -> int:
        """Reads of all readers."""
        return self.readers * self.reads


@asynccontextmanager
async def served(
    params: Mapping[str, Any], load: Load, watch: Watch | None = None, cost_share: float | None = None
) -> AsyncIterator[Database]:
    """A database whose readers have ended, and were told what is in the table.

    Args:
        watch: that looks at the run; None for none.
        cost_share: as of `Observed`.
    """
    laid = Laid(rows=load.rows, by_key=params["by_key"], by_heat=params["by_heat"], phase=load.phase)
    settings = Settings(
        page_bytes=512,
        frames=load.frames,
        sessions_max=load.readers,
        plan_temperature=PLAN_TEMPERATURE,
        buffer_split=params["buffer_split"],
        read_ahead=params["read_ahead"],
        random_page_cost=params["random_page_cost"],
    )
    async with database(Hardware(), settings, laid.application(), watch=watch) as found:
        await found.ready()
        found.observed.cost_share = cost_share
        habits = Habits(transactions=load.reads, think_seconds=THINK_SECONDS)
        for client in found.start_clients(load.readers, laid.ask(), habits):
            await client.ended()
        check_answers(found, laid)
        yield found


def check_answers(found: Database, laid: Laid) -> None:
    """Fail the run unless each client was told what is in the table."""
    for done in found.observed.done:
        wanted = laid.answer(done.name, done.arguments)
        require(done.answer == wanted, ANSWERED, f"{done.name} {done.arguments} gave {done.answer}, not {wanted}")
