"""Clients that write while their time is taken, then a machine whose power goes again and again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detrun_scenarios.frame.declaration import Losses, Program, Setting, Size
from detrun_scenarios.write_ahead_log.bugs import BUGS
from detrun_scenarios.write_ahead_log.crashes import main, power_losses
from detrun_scenarios.write_ahead_log.losses import write_and_measure
from detrun_scenarios.write_ahead_log.store import CORRECT

LIVES = 4
FAULTS = power_losses(LIVES)


@dataclass(frozen=True, slots=True)
class Workload:
    """One size: clients that are measured, and the writes of each."""

    clients: int
    writes: int


WORKLOADS: Mapping[Size, Workload] = {
    "small": Workload(2, 2),
    "medium": Workload(6, 25),
    "large": Workload(8, 1_200),
}


def program(setting: Setting) -> Program:
    """The store for a setting: the measured part, and after it the faults, if there are any."""
    discipline = CORRECT if setting.bug is None else BUGS[setting.bug]
    workload = WORKLOADS[setting.size]

    async def run(params: Mapping[str, Any]) -> Losses:
        losses = await write_and_measure(params, workload.clients, workload.writes)
        if setting.faults is not None:
            await main(discipline, LIVES, faults=setting.faults)
        return losses

    return run
