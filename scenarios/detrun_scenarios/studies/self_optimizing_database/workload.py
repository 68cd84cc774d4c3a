"""The server of the scenario `database` under readers, with the layout that parameters stand for.

Each read is a `detrun.cost` where the loss is wanted, so that the draw of a plan does not answer for the reads before
it. A small run is watched by the checks of that scenario.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detrun_scenarios.database.checks.watch import Watch
from detrun_scenarios.database.database import Database, database
from detrun_scenarios.database.invariants import check
from detrun_scenarios.database.server.machine import Hardware
from detrun_scenarios.database.settings import Settings
from detrun_scenarios.database.workload.terminals import Habits
from detrun_scenarios.frame.declaration import Program, Setting, Size
from detrun_scenarios.frame.measured import mean
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.studies.self_optimizing_database.layout import Laid

ANSWERED = "answers do not depend on the layout"
PLAN_TEMPERATURE = 0.1
THINK_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Load:
    """How much is read, of how many rows, through how many frames."""

    rows: int
    frames: int
    readers: int
    reads: int
    phase: int


LOADS: Mapping[Size, Load] = {
    "small": Load(60, 40, 2, 16, 8),
    "medium": Load(300, 40, 2, 60, 30),
    "large": Load(600, 64, 4, 1_500, 100),
}


def program(setting: Setting) -> Program:
    """The database for a setting."""
    load = LOADS[setting.size]
    is_alone = setting.loss is not None

    async def main(params: Mapping[str, Any]) -> dict[str, Any]:
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
        watch = Watch() if setting.size == "small" else None
        async with database(Hardware(), settings, laid.application(), watch=watch) as found:
            await found.ready()
            if is_alone:
                found.observed.cost_share = 1.0 / (load.readers * load.reads)
            habits = Habits(transactions=load.reads, think_seconds=THINK_SECONDS)
            for client in found.start_clients(load.readers, laid.ask(), habits):
                await client.ended()
            check_answers(found, laid)
            if watch is not None:
                await check(found.server.store, found.observed)
            return {"latency": 0.0 if is_alone else mean(found.observed.latencies)}

    return main


def check_answers(found: Database, laid: Laid) -> None:
    """Fail the run unless each client was told what is in the table."""
    for done in found.observed.done:
        wanted = laid.answer(done.name, done.arguments)
        require(done.answer == wanted, ANSWERED, f"{done.name} {done.arguments} gave {done.answer}, not {wanted}")
