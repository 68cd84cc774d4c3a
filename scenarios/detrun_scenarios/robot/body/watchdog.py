"""`Watchdog`: stops the actuators if no command has been carried out for a while.

It looks every 20 ms, as the most urgent job of the processor, so that it is late by no more than one job of another.
"""

from __future__ import annotations

from typing import Any

from detrun.world.nodes.node import Node
from detrun_scenarios.robot.body.actuators import Actuators
from detrun_scenarios.robot.body.processor import Processor, Urgency
from detrun_scenarios.robot.invariants import Monitor

PERIOD_SECONDS = 0.02
LOOK_SECONDS = 0.0001


class Watchdog:
    """Of one set of actuators.

    Attributes:
        timeout: seconds by the clock of the base.
    """

    def __init__(self, node: Node, cpu: Processor, actuators: Actuators, timeout: Any, monitor: Monitor) -> None:
        self.timeout = timeout
        self._node, self._cpu, self._actuators, self._monitor = node, cpu, actuators, monitor

    def urgency(self) -> Urgency:
        """Of its looks."""
        return Urgency.WATCHDOG

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            await self._node.clock.sleep(PERIOD_SECONDS)
            urgency = self.urgency()
            self._monitor.watchdog_waits()
            await self._cpu.run(urgency, LOOK_SECONDS)
            waited = self._node.clock.wall_since_start() - self._actuators.fed_at
            if not self._actuators.is_stopped and waited > self.timeout:
                self._actuators.stop()
