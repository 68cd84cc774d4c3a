"""Probabilities of a run's choices: what a strategy that is a distribution gives to what was chosen.

`ChoiceLog` stands before the strategy of a run, or of a replay, and asks it for its weights at every choice. Whatever
chooses, a recording, a search or the strategy itself, the log says how likely the choice is under that strategy. The
probability of a schedule is the product over its choices, and the ratio of two such products is its importance weight.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.execution.replayed_run import recorded_strategy
from detrun.races.watch import replayed_run
from detrun_recorder.recording import Recording, open_recording
from detrun_scheduler.choices import Oracle
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import UsageError
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.strategies import STRATEGIES, make, name_of


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a run.

    Attributes:
        step: that followed from it.
        task: number of the task that was chosen.
        runnable: numbers of the tasks that could step, ascending.
        weights: of these, as the strategy gave them: numbers, or `Value`s of the program.
    """

    step: int
    task: int
    runnable: tuple[int, ...]
    weights: tuple[Any, ...]

    @property
    def probability(self) -> float:
        """Of this choice, as it stood."""
        weights = [primal_of(weight) for weight in self.weights]
        return weights[self.runnable.index(self.task)] / math.fsum(weights)


class ChoiceLog:
    """An oracle that notes the choices of a run with their weights.

    Args:
        distribution: what weighs them; a strategy, or its name.
        chooser: what chooses; None: the distribution itself.

    Raises:
        UsageError: ``distribution`` cannot say the probabilities of its choices.
    """

    def __init__(self, distribution: str | Oracle, chooser: Oracle | None = None) -> None:
        made: Any = make(distribution)
        if not callable(getattr(made, "weights", None)):
            able = [name for name in STRATEGIES if callable(getattr(make(name), "weights", None))]
            raise UsageError(
                f"strategy {name_of(distribution)} does not say how likely its choices are; use one of "
                f"{', '.join(able)}, or an oracle with a method weights (see detrun_scheduler.choices.Distribution)"
            )
        self.distribution = made
        self.chooser: Any = made if chooser is None else chooser
        self.choices: list[Choice] = []
        self.differs: int | None = None  # the first step at which the chooser was overruled
        self._told = [
            told
            for one in dict.fromkeys((made, self.chooser))
            if (told := getattr(one, "step_taken", None)) is not None
        ]
        self._asked: tuple[tuple[int, ...], tuple[Any, ...], int] | None = None
        self._arrived: list[int] = []
        self._lists: list[list[int]] = []

    def new_run(self, run: Any) -> None:
        """A run begins."""
        self.choices, self.differs, self._asked = [], None, None
        for one in dict.fromkeys((self.distribution, self.chooser)):
            one.new_run(run)

    def arrivals(self) -> list[int]:
        """A list that is handed on to both."""
        asking = [getattr(one, "arrivals", None) for one in dict.fromkeys((self.distribution, self.chooser))]
        self._lists = [found for ask in asking if ask is not None and (found := ask()) is not None]
        self._arrived = []
        return self._arrived

    def _hand_on(self) -> None:
        for one in self._lists:
            one += self._arrived
        self._arrived.clear()

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """What the chooser says, once the distribution has weighed."""
        self._hand_on()
        weights = tuple(self.distribution.weights(runnable))
        index: int = self.chooser.next_task(runnable, current)
        self._asked = tuple(runnable), weights, index
        return index

    def draw(self, stream: bytes, index: int) -> int:
        """The chooser's."""
        bits: int = self.chooser.draw(stream, index)
        return bits

    def step_taken(self, run: ActiveRun) -> None:
        """Note the choice that this step followed from."""
        self._hand_on()
        if self._asked is not None:
            runnable, weights, index = self._asked
            self._asked = None
            if run.current in runnable:
                self.noted(Choice(run.step_index, run.current, runnable, weights))
                if runnable[index] != run.current and self.differs is None:
                    self.differs = run.step_index
        for told in self._told:
            told(run)

    def noted(self, choice: Choice) -> None:
        """Keep a choice."""
        self.choices.append(choice)

    @property
    def log_probability(self) -> float:
        """Of all choices together."""
        return math.fsum(math.log(choice.probability) for choice in self.choices)


def log_probability(
    main: Main,
    *args: object,
    recording: Recording | str | os.PathLike[str] | bytes,
    strategy: str | Oracle | None = None,
    **options: Any,
) -> float:
    """The logarithm of the probability with which a strategy makes the choices of a recorded run, its draws given.

    The program is replayed. Where every choice was forced it is 0. For two strategies, ``exp`` of the difference is the
    importance weight of the run.

    Args:
        main, args: the recorded program, as for `detrun.replay`.
        strategy: ``"random"``, ``"urw"``, ``"weighted"``, ``Weighted({...})``, or another oracle that weighs; None: the
            one that made the recording.
        options: as for `detrun.replay`.

    Raises:
        UsageError: the strategy does not say probabilities; or with ``strategy=None`` it would have chosen otherwise,
            since a campaign told it of other runs.
        DivergenceError: as for `detrun.replay`.
    """
    opened = recording if isinstance(recording, Recording) else open_recording(recording)
    log = ChoiceLog(strategy if strategy is not None else recorded_strategy(opened))
    finished = replayed_run(opened, strategy=log).execute(main, args, Options(**options))
    if strategy is None and log.differs is not None:
        raise UsageError(
            f"the recording's own strategy, {recorded_strategy(opened)}, chooses otherwise at step {log.differs:,}: "
            "it knew of earlier runs, or was another oracle; say which strategy is meant, strategy=..."
        )
    assert finished.steps == opened.steps or opened.truncated
    return log.log_probability
