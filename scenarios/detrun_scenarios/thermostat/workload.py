"""How long the room is watched: thirty turns of each task, three thousand, or a million steps in all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detrun_scenarios.frame.declaration import Program, Setting, Size
from detrun_scenarios.thermostat.bugs import BUGS
from detrun_scenarios.thermostat.losses import COSTS
from detrun_scenarios.thermostat.room import Room

TURNS: Mapping[Size, int] = {"small": 30, "medium": 2_000, "large": 250_000}


def program(setting: Setting) -> Program:
    """The room for a setting."""
    made = Room if setting.bug is None else BUGS[setting.bug]
    measured = tuple(COSTS) if setting.loss is None else (setting.loss,)

    async def main(params: Mapping[str, Any]) -> dict[str, Any]:
        return await made(params, TURNS[setting.size], measured).run()

    return main
