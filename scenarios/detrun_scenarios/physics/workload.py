"""How much is simulated: a small box of falling bodies, the scene of one loss, or a large box and every scene.

A *small* run is for campaigns: six bodies in a box, stepped by workers that are pre-empted anywhere, in a thousand
steps; or, with the variant of the planted bugs, three discs that meet. A *medium* one is a sample of a loss: its scene.
A *large* one is a pile of eighty bodies, and all scenes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detrun_scenarios.frame.declaration import Losses, Program, Setting
from detrun_scenarios.physics.bugs.table import BUGS
from detrun_scenarios.physics.dynamics.settings import Settings
from detrun_scenarios.physics.dynamics.simulation import RIGHT
from detrun_scenarios.physics.losses import SCENES
from detrun_scenarios.physics.scenes.box import Box
from detrun_scenarios.physics.scenes.squeeze import squeeze

SQUEEZE = "squeeze"  # in which a bug is looked for
FEW = Box(columns=3, rows=2, steps=12)
MANY = Box(columns=10, rows=8, steps=60)
FEW_WORKERS = Settings(workers=2, split_at=4)  # so that few constraints are shared out as many are
MANY_WORKERS = Settings(workers=4, looks=10)


def program(setting: Setting) -> Program:
    """The simulation for a setting."""
    parts = RIGHT if setting.bug is None else BUGS[setting.bug]

    async def main(params: Mapping[str, Any]) -> Losses:
        if setting.loss is not None:
            return {setting.loss: await SCENES[setting.loss](params)}
        if setting.variant == SQUEEZE:
            return {"pile_height": await squeeze(params, parts)}
        if setting.size == "small":
            return {"pile_height": await FEW.fill(params, parts, FEW_WORKERS)}
        found = {name: await scene(params) for name, scene in SCENES.items() if name != "pile_height"}
        pile = {} if setting.size == "medium" else {"pile_height": await MANY.fill(params, parts, MANY_WORKERS)}
        return {**found, **pile}

    return main
