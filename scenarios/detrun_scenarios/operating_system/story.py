"""Three tenths of a second of a machine with two cores: what the picture of the scenario shows.

Everything is looked at again and again: which thread runs where, what the others wait for, memory, and the disk's arm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import trio

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.operating_system.cpu.threads import State
from detrun_scenarios.operating_system.machine import Machine, machine
from detrun_scenarios.operating_system.process import Process
from detrun_scenarios.operating_system.workload.programs import Observed
from detrun_scenarios.operating_system.workload.runs import settings_of, start
from detrun_scenarios.operating_system.workload.sizes import WORKLOADS

WORKLOAD = replace(WORKLOADS["medium"], users=3, batches=2, sharers=2, memory={"frames": 64})
LOOK_SECONDS = 0.0002  # between two samples
BEGIN, END = 0.1, 0.4

Does = Literal["core 0", "core 1", "is queued", "waits for the disk", "waits for another", "sleeps", "is over"]


@dataclass(slots=True)
class Story:
    """See the module. `tell` is its program.

    Attributes:
        does: by process, one for each of `times`.
        free, dirty: frames.
        head: where the arm of the disk is, as a page.
        watermarks: frames, low and high.
    """

    times: list[float] = field(default_factory=list)
    does: dict[str, list[Does]] = field(default_factory=dict)
    free: list[int] = field(default_factory=list)
    dirty: list[int] = field(default_factory=list)
    head: list[int] = field(default_factory=list)
    watermarks: tuple[int, int] = (0, 0)

    async def tell(self, params: Mapping[str, Any]) -> None:
        """Let it happen. The program, for `detrun.record`."""
        async with machine(settings_of(params, WORKLOAD)) as found:
            self.watermarks = found.settings.memory.low_frames, found.settings.memory.high_frames
            start(found, WORKLOAD, params, Observed())
            await trio.sleep_until(BEGIN)
            while trio.current_time() < END:
                self.look(found)
                await trio.sleep(LOOK_SECONDS)

    def look(self, found: Machine) -> None:
        """One sample."""
        self.times.append(plain(trio.current_time()))
        for process in found.processes:
            self.does.setdefault(process.owner, []).append(_does(process))
        self.free.append(found.memory.frames.free)
        self.dirty.append(sum(frame.is_dirty for frame in found.memory.frames.all))
        self.head.append(found.device.head)


def _does(process: Process) -> Does:
    thread = process.thread
    if thread.state is State.RUNNING:
        return "core 1" if thread.core else "core 0"
    if thread.state is State.QUEUED:
        return "is queued"
    if thread.state is State.ENDED:
        return "is over"
    if thread.why == "time to pass":
        return "sleeps"
    return "waits for another" if "pipe" in thread.why or "mutex" in thread.why else "waits for the disk"
