"""The planted bugs by name, each as the parts of a training that has it."""

from __future__ import annotations

from collections.abc import Mapping

from detrun_scenarios.training.bugs.applied_twice import AppliedTwice
from detrun_scenarios.training.bugs.hanging_barrier import HangingBarrier
from detrun_scenarios.training.bugs.lost_update import LostUpdate
from detrun_scenarios.training.bugs.repeated_batch import RepeatedBatch
from detrun_scenarios.training.bugs.stale_moments import StaleMoments
from detrun_scenarios.training.parts import Parts

BUGS: Mapping[str, Parts] = {
    "applied_twice": Parts(sessions=AppliedTwice),
    "stale_moments": Parts(checkpoints=StaleMoments),
    "lost_update": Parts(cells=LostUpdate),
    "repeated_batch": Parts(loader=RepeatedBatch),
    "hanging_barrier": Parts(barrier=HangingBarrier),
}
