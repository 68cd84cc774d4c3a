"""From documents to a plan: four stages, each of which declares how a gradient crosses it.

- `retrieve` is ``policy``: candidates are drawn without replacement, and the probability of each draw moves.
- `rank` is ``local``: a smooth model, taped as it runs. It may as well be a module of torch.
- `judge` is ``finite``: a rule engine takes plain numbers, caps them and rounds them to points, as rule engines do.
- `plan` is ``policy``: a knapsack whose value of each plan has Gumbel noise, so that the best plan is a draw with
  weights that are exponential in the values (Papandreou and Yuille, ICCV 2011). Its derivative is that of a perturbed
  optimizer (Berthet et al., NeurIPS 2020); without the noise it would be 0 almost everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, TypeAlias

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.studies.one_gradient.requests import Document

FITS = "a plan fits into its slots"
CANDIDATES = 5
CAPACITY = 5  # slots
POINT = 0.05  # to which the rules round
CAP = 0.9  # of a score
FRESH, FRESH_POINTS = 0.15, 0.1  # what is younger gets more
TEMPERATURE = 0.15  # of the noise of a planner, in the worth of one slot

Ranker: TypeAlias = Callable[[Sequence[Document]], list[Any]]
"""Scores between 0 and 1, numbers or Values."""


@detrun.stage(derivative="policy", name="retrieval")
def retrieve(documents: Sequence[Document], focus: Any, request: int) -> list[int]:
    """Numbers of the candidates: drawn one after the other, by how well they match."""
    left = list(range(len(documents)))
    found = []
    for place in range(CANDIDATES):
        weights = [detrun.exp(focus * documents[one].match) for one in left]
        found.append(left.pop(detrun.choice(len(left), weights, key=("retrieve", request, place))))
    return sorted(found)


@detrun.stage(derivative="local", name="ranking")
def rank(ranker: Ranker, documents: Sequence[Document]) -> list[Any]:
    """The score of each candidate."""
    return ranker(documents)


@detrun.stage(derivative="finite", step=2 * POINT, name="rules")
def judge(score: Any, age: float) -> float:
    """The score after the rules, in whole points: capped, and more for what is fresh."""
    judged = min(float(score), CAP) + (FRESH_POINTS if age < FRESH else 0.0)
    return round(judged / POINT) * POINT


@detrun.stage(derivative="policy", name="planner")
def plan(values: Sequence[Any], sizes: Sequence[int], request: int) -> tuple[int, ...]:
    """Places of the candidates that are carried out, by the values of a slot of each."""
    plans = fitting(sizes, CAPACITY)
    totals: list[Any] = [detrun.sum(values[place] * sizes[place] for place in one) for one in plans]
    best = max(plain(total) for total in totals)
    weights: list[Any] = [detrun.exp((total - best) * (1.0 / TEMPERATURE)) for total in totals]
    place: int = detrun.choice(len(plans), weights, key=("planner", request))
    return plans[place]


def fitting(sizes: Sequence[int], capacity: int) -> list[tuple[int, ...]]:
    """Plans that fit and into which nothing more would fit."""
    plans = [
        one
        for count in range(len(sizes) + 1)
        for one in combinations(range(len(sizes)), count)
        if sum(sizes[place] for place in one) <= capacity
    ]
    full = []
    for one in plans:
        room = capacity - sum(sizes[place] for place in one)
        if all(place in one or size > room for place, size in enumerate(sizes)):
            full.append(one)
    return full


def planned(documents: Sequence[Document], ranker: Ranker, focus: Any, request: int) -> list[Document]:
    """All stages, one after the other: the documents that are carried out for a request."""
    candidates = [documents[one] for one in retrieve(documents, focus, request)]
    scores = rank(ranker, candidates)
    values = [judge(score, one.age) for score, one in zip(scores, candidates, strict=True)]
    chosen = [candidates[place] for place in plan(values, [one.size for one in candidates], request)]
    require(sum(one.size for one in chosen) <= CAPACITY, FITS, f"{[one.size for one in chosen]} in {CAPACITY}")
    return chosen
