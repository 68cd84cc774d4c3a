"""Oracles, which decide runs: an oracle says which task steps next and what a random draw is.

Everything a run could do differently passes through one `Oracle`. A strategy answers from a seed, a replayer from a
recording, an explorer from a search tree; wrapping an oracle is how one watches or overrides another. The loop asks
`next_task` only where there is a choice, with the runnable task numbers in ascending (spawn) order, so that equal
runs ask equal questions.

The shape follows shuttle's scheduler trait (new execution, next task, next random number). Departure: draws are
keyed by a stream and an index instead of taken from one sequence, so that a rescheduled run keeps its random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from detrun_scheduler.randomness import draw_bits


class RunView(Protocol):
    """What an oracle may ask about the run it decides."""

    @property
    def seed(self) -> int:
        """The run's seed."""

    @property
    def step_index(self) -> int:
        """Steps taken so far."""

    @property
    def current(self) -> int:
        """The number of the task being stepped, or stepped last; -1 before the first step."""

    def path_of(self, task: int) -> str:
        """The stable path of a task, ``main/worker[2]``."""

    def pending_of(self, task: int) -> str:
        """What the task will resume from: ``start``, ``checkpoint`` or a wait kind such as ``Event.wait``."""


class Oracle(Protocol):
    """Decides a run. One oracle may decide many runs, one after the other."""

    def new_run(self, run: RunView) -> None:
        """A run begins; everything seeded is seeded from ``run.seed``."""

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The index in ``runnable`` of the task to step.

        Args:
            runnable: two or more task numbers, ascending. The loop's own list: read it, do not keep it.
            current: the task stepped last, runnable or not; -1 before the first step.
        """

    def draw(self, stream: bytes, index: int) -> int:
        """64 uniform random bits, draw ``index`` of the stream with the 32-byte key ``stream``."""


class KeyedDraws:
    """The ordinary answer to `Oracle.draw`: a function of the stream and the index alone."""

    def draw(self, stream: bytes, index: int) -> int:
        """64 uniform bits; see `detrun_scheduler.randomness.draw_bits`."""
        return draw_bits(stream, index)
