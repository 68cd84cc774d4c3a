"""The planted bugs by name, each as the parts of a machine that has it."""

from __future__ import annotations

from collections.abc import Mapping

from detrun_scenarios.operating_system.bugs.lost_dirty_bit import LostDirtyBit
from detrun_scenarios.operating_system.bugs.lost_wakeup import LostWakeup
from detrun_scenarios.operating_system.bugs.priority_inversion import PriorityInversion
from detrun_scenarios.operating_system.bugs.refault_race import RefaultRace
from detrun_scenarios.operating_system.bugs.starvation import Starvation
from detrun_scenarios.operating_system.parts import Parts

BUGS: Mapping[str, Parts] = {
    "priority_inversion": Parts(mutex=PriorityInversion),
    "lost_wakeup": Parts(idle=LostWakeup),
    "starvation": Parts(fair=Starvation),
    "refault_race": Parts(space=RefaultRace),
    "lost_dirty_bit": Parts(write_back=LostDirtyBit),
}
