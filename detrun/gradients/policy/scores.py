"""Scores of a run: the derivative of the logarithm of how likely its random decisions were.

A decision whose distribution a parameter moves adds ``d log p`` of what came out. Decisions are draws (`ScoredDraws`),
choices of a scheduler whose weights are `Value`s (`ScoredChoices`), and results of external effects that declare their
log-probability. What came out counts as fixed: a continuous draw is handed to the program as a plain number, so that
the score holds the whole of what its parameters do. A draw that declares ``derivative="pathwise"`` or ``"stop"`` is
left alone, and so is a draw without a density that is smooth in its parameters: a uniform draw, whose ends move, and
some of `random`. So is what comes from a generator that the program has seeded itself, since that is fixed.

Source: Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", Machine
Learning 8 (1992); Glynn, "Likelihood ratio gradient estimation for stochastic systems", CACM 33 (1990).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from detrun.ad.value import Value
from detrun.counterfactuals.choice_log import Choice, ChoiceLog
from detrun.gradients.policy.decisions import DecisionLog
from detrun.primitives.draw_log import WatchedDraws
from detrun.primitives.forcing import Address, Forces
from detrun.primitives.laws import Law
from detrun.primitives.score_terms import ScoreTerms
from detrun_scheduler.choices import Oracle
from detrun_scheduler.clock import primal_of
from detrun_scheduler.run import ActiveRun

LEFT_ALONE = ("pathwise", "stop")
PROBABILITIES = ("bernoulli", "binomial", "geometric")  # whose parameter is one


class Scores(ScoreTerms):
    """The score of one run, as what a reverse sweep starts from.

    Attributes:
        seeds: by id of a `Value`, the derivative of the log-probability of all decisions with respect to it.
        draws, choices, effects: how many decisions have added something.
        unscored: how many draws have a distribution that a parameter moves, and add nothing.
        edges: how many draws have outcomes of probability 0 that a parameter would make possible.
        log_probability: of all these decisions together.
        outcomes: of the scored draws, by address, if they are kept.
        log: the decisions one by one, if they are kept.
    """

    takes_scores = True

    def __init__(self, keeps_outcomes: bool = False) -> None:
        super().__init__({})
        self.keeps_outcomes = keeps_outcomes
        self.outcomes: dict[Address, Any] = {}
        self.seeds: dict[int, float] = {}
        self.draws = self.choices = self.effects = self.unscored = self.edges = 0
        self.log_probability = 0.0
        self.is_wanted = False  # of the draw that comes out now
        self.log: DecisionLog | None = None

    def add(self, weight: float, quantity: Any) -> None:
        """A log-probability, times a weight."""
        self.log_probability += weight * primal_of(quantity)
        if isinstance(quantity, Value):
            self.seeds[quantity.id] = self.seeds.get(quantity.id, 0.0) + weight

    def add_effect(self, log_probability: Any) -> None:
        """That of the result of an external effect."""
        self.effects += 1
        self.add(1.0, log_probability)
        if self.log is not None and isinstance(log_probability, Value):
            self.log.add(f"effects of {self.log.path}", None, [(log_probability.id, 1.0)])

    def met(self, address: Address, law: Law, drawn: Any) -> None:
        """A draw has been made; `ScoredDraws` says which count."""
        if not self.is_wanted:
            return
        self.draws += 1
        outcome = primal_of(drawn) if isinstance(drawn, Value) else drawn
        if self.keeps_outcomes:
            self.outcomes[address] = outcome
        log_probability = law.log_probability(outcome)
        self.add(1.0, log_probability)
        if self.log is not None and isinstance(log_probability, Value):
            self.log.add(address[0], address[1], [(log_probability.id, 1.0)])

    def chosen(self, choice: Choice) -> None:
        """The scheduler has chosen among tasks of which some have a `Value` for a weight."""
        weights = choice.weights
        if not any(isinstance(weight, Value) for weight in weights):
            return
        self.choices += 1
        total = sum(primal_of(weight) for weight in weights)
        seeds = []
        for task, weight in zip(choice.runnable, weights, strict=True):
            number = primal_of(weight)
            if task == choice.task:
                self.log_probability += math.log(number / total)
            if isinstance(weight, Value):
                share = (1.0 / number if task == choice.task else 0.0) - 1.0 / total
                self.seeds[weight.id] = self.seeds.get(weight.id, 0.0) + share
                seeds.append((weight.id, share))
        if self.log is not None:
            self.log.add_choice(seeds)


class ScoredDraws(WatchedDraws):
    """Between a run and its draws: those that a parameter moves are scored.

    Args:
        scores: where to.
        continuous: continuous draws, too; otherwise their outcomes move with the parameters.
        force: outcomes of draws, by address.
    """

    __slots__ = ("continuous", "scores")

    def __init__(self, scores: Scores, continuous: bool = True, force: Mapping[Address, Any] | None = None) -> None:
        super().__init__(terms=scores, forces=Forces(force) if force else None)
        self.scores = scores
        self.continuous = continuous

    def came_out(self, outcome: Any) -> Any:
        """See `DrawWatcher`."""
        assert self._open is not None
        law, derivative, is_constant = self._open.law, self._open.derivative, self._open.is_constant
        is_wanted = False
        if law is not None and _moves(law):
            if derivative in LEFT_ALONE or is_constant or not law.has_density:
                self.scores.unscored += 1
            is_wanted = not is_constant and is_scored(law, derivative, self.continuous)
        self.scores.is_wanted = is_wanted
        if is_wanted and derivative is not None and _is_at_edge(law):
            self.scores.edges += 1
        outcome = super().came_out(outcome)
        return primal_of(outcome) if is_wanted and isinstance(outcome, Value) else outcome


def _is_at_edge(law: Any) -> bool:
    """Whether a discrete law is as certain as it can be: what it never gives has a derivative, and no score."""
    for one in law.parameters.values():
        parts = one if isinstance(one, list | tuple) else (one,)
        numbers = [part.primal for part in parts if isinstance(part, Value)]
        if 0.0 in numbers or (1.0 in numbers and law.kind in PROBABILITIES):
            return True
    return False


def is_scored(law: Law, derivative: str | None, continuous: bool) -> bool:
    """Whether a draw that the program has not fixed is a decision.

    Args:
        derivative: as the draw declares it.
        continuous: continuous draws are decisions, too.
    """
    return _moves(law) and derivative not in LEFT_ALONE and law.has_density and (derivative is not None or continuous)


def _moves(law: Law) -> bool:
    """Whether a parameter moves the distribution."""
    for one in law.parameters.values():
        if isinstance(one, Value):
            return True
        if isinstance(one, list | tuple) and any(isinstance(part, Value) for part in one):
            return True
    return False


class ScoredChoices(ChoiceLog):
    """A strategy whose choices are scored, and not kept."""

    def __init__(self, distribution: str | Oracle, scores: Scores) -> None:
        super().__init__(distribution)
        self.scores = scores

    def noted(self, choice: Choice) -> None:
        """Score it."""
        self.scores.chosen(choice)

    def step_taken(self, run: ActiveRun) -> None:
        """See `ChoiceLog`."""
        super().step_taken(run)
        if self.scores.log is not None:
            self.scores.log.step_over()
