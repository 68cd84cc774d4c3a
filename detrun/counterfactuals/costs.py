"""`Costs`: what branches cost by re-execution and by fork, measured as they are made.

With ``n`` branches of a run that takes ``T`` seconds, of which branch ``i`` leaves it at the share ``s_i`` of its
steps, re-execution costs ``n T``. Forks cost ``max(s) T`` for the base run, ``(1 - s_i) T`` for each branch, and ``F``
for each process. So one branch is never worth a fork, and the more branches there are and the later they part, the more
are. A fork copies page tables: ``F`` grows with the memory of the process, and is measured in this one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from time import perf_counter

from detrun_recorder.snapshots import in_fork

WORTH_MEASURING = 1e-3  # seconds that forks would have to save if they cost nothing


class Costs:
    """Measured and estimated costs of the branches of one run.

    Args:
        steps: of the run.
        draw_steps: by address, the step of a draw, as far as that is known; completed as branches fork there.
    """

    def __init__(self, steps: int, draw_steps: Mapping[tuple[str, int], int]) -> None:
        self.steps = max(steps, 1)
        self.draw_steps = dict(draw_steps)
        self.step_seconds: float | None = None  # the least seen
        self.fork_seconds: float | None = None

    def ran(self, steps: int, seconds: float) -> None:
        """A run of so many steps took so long."""
        self.step_seconds = min(seconds / max(steps, 1), self.step_seconds or math.inf)

    def saving(self, branches: Sequence[Sequence[tuple[str, int]]]) -> float:
        """Seconds that forks save in all, if a fork costs nothing; the branches are given by what they force."""
        assert self.step_seconds is not None
        run = self.step_seconds * self.steps
        # Where a draw is not known it may be anywhere, and the base run has to go to its end.
        parted = [
            min((self.draw_steps[one] / self.steps for one in force if one in self.draw_steps), default=0.5)
            for force in branches
        ]
        known = all(one in self.draw_steps for force in branches for one in force)
        last = max(parted, default=0.0) if known else 1.0
        return run * (math.fsum(parted) - last)

    def forks_are_cheaper(self, branches: Sequence[Sequence[tuple[str, int]]]) -> bool:
        """Whether to fork; a fork is tried out before the first time that it might be worth it."""
        if len(branches) < 2 or self.step_seconds is None:
            return False
        saving = self.saving(branches)
        if saving < WORTH_MEASURING:
            return False
        if self.fork_seconds is None:
            started = perf_counter()
            in_fork(_nothing)
            self.fork_seconds = perf_counter() - started
        return saving > self.fork_seconds * (len(branches) + 1)


def _nothing() -> None:
    return None
