"""Actions of a run at random steps: a plan that goes with any strategy.

As PCT places its few priority changes, so few steps are drawn among those that a run is thought to have, and before
each the next timer fires early, or the collector runs. The number of steps is log-uniform between the fewest and the
most seen in earlier runs; where nothing is known each step is log-uniform itself, up to ``FIRST_HORIZON``, so that
short and long programs both meet some. A timer that is to fire early where none is set waits until one is, and then a
log-uniform number of steps, up to ``WAIT_MAX``: programs set timers where they matter.
"""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush
from random import Random

from detrun_scheduler.choices import COLLECT, FIRE, NO_ACTION, RunView

FIRST_HORIZON = 10_000
WAIT_MAX = 256


class PlannedActions:
    """So many actions of each kind at random steps of each run; an `Actor`.

    Args:
        early_timers: how often the next timer fires although tasks can run, at most.
        collections: how often the collector runs.
        seconds_max: a timer that is further off than so many virtual seconds does not fire early.
    """

    def __init__(self, early_timers: int = 0, collections: int = 0, seconds_max: float = math.inf) -> None:
        self.early_timers = early_timers
        self.counts = early_timers, collections
        self.seconds_max = seconds_max
        self.horizons = (0, 0)  # fewest and most steps of a run, as far as is known
        self.attends, self.collects = early_timers > 0, collections > 0
        self.points: list[tuple[int, int, bool]] = []  # a heap of (step, kind, whether a timer was waited for)
        self.run: RunView | None = None

    def new_run(self, run: RunView) -> None:
        """Draw the steps."""
        self.run = run
        if self.counts == (0, 0):
            self.points = []
            return
        random = self.random = Random(f"{run.seed} actions")
        least, most = self.horizons
        horizon = int(least * (most / least) ** random.random()) if least else 0
        self.points = [
            (1 + (random.randrange(horizon) if horizon else int(FIRST_HORIZON ** random.random()) - 1), kind, False)
            for kind, count in zip((FIRE, COLLECT), self.counts, strict=True)
            for _ in range(count)
        ]
        heapify(self.points)

    def next_action(self, steps: int) -> float:
        """The first step that is left."""
        return self.points[0][0] if self.points else math.inf

    def action(self, steps: int, has_timers: bool) -> int:
        """What was drawn for it, if it can be; else it is put off."""
        _, kind, has_waited = heappop(self.points)
        if kind == COLLECT:
            return COLLECT
        if not (has_timers and self._is_near()):
            heappush(self.points, (steps + 1, FIRE, True))
            return NO_ACTION
        if has_waited:
            heappush(self.points, (steps + int(WAIT_MAX ** self.random.random()), FIRE, False))
            return NO_ACTION
        return FIRE

    def _is_near(self) -> bool:
        run = self.run
        timers = getattr(run, "timers", None)
        return timers is None or bool(timers.next_time() - timers.clock.time <= self.seconds_max)
