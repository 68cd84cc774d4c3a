"""`Parts`: what a machine is made of. A planted bug is a subclass of one of them that differs in one method."""

from __future__ import annotations

from dataclasses import dataclass

from detrun_scenarios.operating_system.cpu.fair import FairQueue
from detrun_scenarios.operating_system.cpu.idle import Idle
from detrun_scenarios.operating_system.cpu.mutex import Mutex
from detrun_scenarios.operating_system.files.write_back import WriteBack
from detrun_scenarios.operating_system.memory.address_space import PagedSpace


@dataclass(frozen=True, slots=True)
class Parts:
    """The classes. Methods that bugs replace: `FairQueue.advance`, `Idle.prepare`, `Mutex.donate`,
    `PagedSpace.swap_out`, `WriteBack.write_run`.
    """

    fair: type[FairQueue] = FairQueue
    idle: type[Idle] = Idle
    mutex: type[Mutex] = Mutex
    space: type[PagedSpace] = PagedSpace
    write_back: type[WriteBack] = WriteBack


RIGHT = Parts()
