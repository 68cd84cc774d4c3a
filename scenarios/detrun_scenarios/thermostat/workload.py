"""How long the room is watched: a thousand turns of each task, twenty thousand, or a million steps in all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detrun_scenarios.frame.declaration import Program, Setting, Size
from detrun_scenarios.thermostat.losses import COSTS
from detrun_scenarios.thermostat.room import keep_warm

TURNS: Mapping[Size, int] = {"small": 1_000, "medium": 3_000, "large": 333_333}


def program(setting: Setting) -> Program:
    """The room for a setting."""
    measured = tuple(COSTS) if setting.loss is None else (setting.loss,)

    async def main(params: Mapping[str, Any]) -> dict[str, Any]:
        return await keep_warm(params, TURNS[setting.size], measured)

    return main
