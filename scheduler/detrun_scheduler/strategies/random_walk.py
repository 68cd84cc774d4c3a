"""Random walk: each choice is uniform over the runnable tasks.

Every interleaving of a terminating program has positive probability. The draw is one float of a Mersenne twister
seeded with the run's seed, apart from the program's own randomness, so that the schedule does not change when the
program draws more numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from detrun_scheduler.choices import KeyedDraws, RunView
from detrun_scheduler.randomness import seed_again
from detrun_scheduler.strategies.campaigns import Independent


class RandomWalk(KeyedDraws, Independent):
    """A uniform choice at every step."""

    def __init__(self) -> None:
        self._generator = Random(0)
        self.random = self._generator.random

    def new_run(self, run: RunView) -> None:
        """Reseed."""
        seed_again(self._generator, run.seed)

    def weights(self, runnable: Sequence[int]) -> list[float]:
        """See `Distribution`."""
        return [1.0] * len(runnable)

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """A uniform index."""
        return int(self.random() * len(runnable))
