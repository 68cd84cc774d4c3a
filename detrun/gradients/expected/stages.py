"""Stages in runs of the expected gradient: each crosses its boundary by its rule, also in the other runs of a sample.

A finite stage has its differences in taped runs, and is a plain call where only the loss is wanted. Discrete draws of a
policy stage have a score in place of a pair; its continuous draws move as others do. A relaxed stage has its
temperature in every run, so that all losses are those of the softened program.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from detrun.effects.stage_calls import StageCalls
from detrun.primitives.draw_log import WatchedDraws
from detrun.primitives.forcing import Address
from detrun_scheduler.run import ActiveRun


class StagesOfRun:
    """What stages find in one run.

    Args:
        takes_slopes: the run is taped.

    Attributes:
        stages: what they have done.
        scored: addresses of the draws of policy stages.
    """

    def __init__(self, takes_slopes: bool) -> None:
        self.stages = StageCalls(takes_slopes=takes_slopes)
        self.scored: set[Address] = set()
        self._run: Any = None

    def stand_before(self, run: ActiveRun) -> None:
        """The draws of the run keep their watcher; see `stage_calls.watcher`."""
        self._run = run

    @contextmanager
    def scoring(self, name: str) -> Iterator[None]:
        """The draws in this block are decisions of a stage."""
        watched = self._run.draws
        log = watched.log if isinstance(watched, WatchedDraws) else None
        before = len(log) if log is not None else 0
        try:
            yield
        finally:
            if log is not None:
                self.scored.update(log[place].address for place in range(before, len(log)))

    @property
    def rules(self) -> list[str]:
        """For the bias statement: each stage and its rule."""
        return [
            f"{name} {one.derivative}" + (f" (step {one.setting:g})" if one.derivative == "finite" else "")
            for name, one in self.stages.stages.items()
        ]

    @property
    def softens(self) -> bool:
        """Whether the loss is that of a softened program."""
        return any(one.derivative == "relaxed" for one in self.stages.stages.values())
