"""Rooms that are wrong, each in one method."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from detrun_scenarios.thermostat.room import Room


class TornTurn(Room):
    """The room reads its temperature in one step and writes it in the next: a door that opens between is forgotten."""

    async def cool(self) -> None:
        """See `Room`."""
        for _ in range(self.turns):
            await trio.lowlevel.checkpoint()
            now = self.temperature.load()
            change = self.change_in(now)
            await trio.lowlevel.checkpoint()
            self.temperature.store(now + change)
            self.heat.fetch_add(change)


BUGS: Mapping[str, type[Room]] = {"torn_turn": TornTurn}
