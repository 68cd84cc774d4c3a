"""`Meter`: what a training costs, added up while it runs; numbers may be `Value`s.

Time is lost in two ways: while a checkpoint is written, in which no update is applied, and by a failure, which takes
back everything since the last checkpoint was written and lasts until the server is up again. Young's interval between
checkpoints, √(2 C M) for a checkpoint of C seconds and a failure every M seconds, makes the sum of both least, to first
order. Daly's counts that a failure may strike while a checkpoint is written, or while what was lost is computed again.

Source: Young (1974); Daly, a higher order estimate of the optimum checkpoint interval, 2006.
"""

from __future__ import annotations

import math
from typing import Any

import trio

from detrun_scenarios.training.model.digits import digits
from detrun_scenarios.training.model.network import mean_loss


class Meter:
    """Of one training.

    Attributes:
        bytes: of gradients and weights that were sent, counted for each attempt.
        lost_seconds: see the module.
        saving_seconds: of it, while checkpoints were written.
        updates, checkpoints, failures: how many.
    """

    def __init__(self) -> None:
        self.bytes: Any = 0.0
        self.lost_seconds: Any = 0.0
        self.saving_seconds: Any = 0.0
        self.updates = self.checkpoints = self.failures = 0
        self._back_to: dict[int, Any] = {}  # by checkpoint, from when on a failure takes everything back
        self._starts = 0

    def bytes_are_sent(self, size: Any) -> None:
        """A message goes out."""
        self.bytes = self.bytes + size

    def update_is_applied(self) -> None:
        """A server has applied a push."""
        self.updates += 1

    def checkpoint_begins(self, number: int) -> None:
        """From now on no update is applied."""
        self._back_to[number] = trio.current_time()

    def checkpoint_is_saved(self, number: int) -> None:
        """It is durable."""
        now = trio.current_time()
        took = now - self._back_to[number]
        self._back_to[number] = now
        self.checkpoints += 1
        self.saving_seconds = self.saving_seconds + took
        self.lost_seconds = self.lost_seconds + took

    def server_is_up(self, restored: int) -> None:
        """A server has begun with the checkpoint of that number; 0 for none."""
        now = trio.current_time()
        if self._starts:
            self.failures += 1
            self.lost_seconds = self.lost_seconds + (now - self._back_to[restored])
        else:
            self._back_to[0] = now
        self._starts += 1


def young_interval(checkpoint_seconds: float, failure_seconds: float) -> float:
    """Between checkpoints, for the mean time between failures."""
    return math.sqrt(2.0 * checkpoint_seconds * failure_seconds)


def young_share(interval: float, checkpoint_seconds: float, failure_seconds: float, down_seconds: float) -> float:
    """The share of the time that is lost, to first order: saving, what is computed again, and standing still."""
    again = (interval + checkpoint_seconds) / 2.0 + down_seconds
    return checkpoint_seconds / (interval + checkpoint_seconds) + again / failure_seconds


def daly_interval(checkpoint_seconds: float, failure_seconds: float) -> float:
    """Between checkpoints, to a higher order; for checkpoints of less than twice the time between failures."""
    part = checkpoint_seconds / (2.0 * failure_seconds)
    first_order = young_interval(checkpoint_seconds, failure_seconds)
    return first_order * (1.0 + math.sqrt(part) / 3.0 + part / 9.0) - checkpoint_seconds


def daly_share(interval: float, checkpoint_seconds: float, failure_seconds: float, down_seconds: float) -> float:
    """The share of the time that is lost, where the time between failures is exponential."""
    segment = math.expm1((interval + checkpoint_seconds) / failure_seconds)  # with all attempts at it
    return 1.0 - interval / (failure_seconds * math.exp(down_seconds / failure_seconds) * segment)


def validation_loss(weights: Any) -> Any:
    """The cross-entropy of the images that were kept for it."""
    return mean_loss(weights, digits()[1])
