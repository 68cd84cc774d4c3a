"""A machine whose power goes again and again, and clients that write until it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detrun_scenarios.frame.declaration import Program, Setting, Size
from detrun_scenarios.write_ahead_log.crashes import main

LIVES: Mapping[Size, int] = {"small": 4, "medium": 20, "large": 400}


def program(setting: Setting) -> Program:
    """The machine for a setting."""

    async def run(params: Mapping[str, Any]) -> dict[str, Any]:
        acknowledged = await main(lives=LIVES[setting.size])
        return {"unacknowledged": 1.0 / (1.0 + sum(acknowledged.values()))}

    return run
