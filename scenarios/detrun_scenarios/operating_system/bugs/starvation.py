"""A fair queue whose least virtual runtime stands still: who wakes from a long sleep may run until it has caught up."""

from __future__ import annotations

import detrun
from detrun_scenarios.operating_system.cpu.fair import FairQueue
from detrun_scenarios.operating_system.cpu.threads import Thread


class Starvation(FairQueue):
    """Places sleepers beside a virtual runtime of long ago."""

    def advance(self, running: Thread) -> None:
        """See `FairQueue.advance`."""
        self.min_vruntime = detrun.minimum(self.min_vruntime, running.vruntime)  # right: it rises to the least of all
