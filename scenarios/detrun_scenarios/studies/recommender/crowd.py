"""Who visits and what they like: tastes that no model sees, and which wander.

A user's true taste and an item's true character are vectors; a click is a Bernoulli draw with the logistic function of
their product. Tastes turn slowly in the plane of their first two numbers, so that what was learned long ago goes stale
and a rate of learning that falls to 0 would be wrong. Users come with a skew, as on any site.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import detrun
from detrun_scenarios.studies.recommender.model import FACTORS, USUAL_LOGIT

CHARACTER = 0.9  # standard deviation of each number of an item
TASTE = 1.1  # of a user
GUESSED = 0.3  # standard deviation of an item's first guess about the true character


@dataclass(frozen=True, slots=True)
class Crowd:
    """All users and items.

    Attributes:
        tastes, characters: true vectors.
        guesses: of the characters, from what items say of themselves; where a model begins.
        turn: radians by which tastes turn in a second.
    """

    tastes: Sequence[Sequence[float]]
    characters: Sequence[Sequence[float]]
    guesses: Sequence[Sequence[float]]
    turn: float

    def click_probability(self, user: int, item: int, seconds: float) -> float:
        """That this user clicks this item then."""
        taste, character = self.tastes[user], self.characters[item]
        cosine, sine = math.cos(self.turn * seconds), math.sin(self.turn * seconds)
        turned = (cosine * taste[0] - sine * taste[1], sine * taste[0] + cosine * taste[1], *taste[2:])
        logit = USUAL_LOGIT + sum(one * other for one, other in zip(turned, character, strict=True))
        return 1.0 / (1.0 + math.exp(-logit))


def drawn(users: int, items: int, turn: float) -> Crowd:
    """A crowd of this run's seed."""

    def vectors(count: int, deviation: float, what: str) -> list[list[float]]:
        return [
            [float(detrun.normal(0.0, deviation, key=(what, at, number))) for number in range(FACTORS)]
            for at in range(count)
        ]

    characters = vectors(items, CHARACTER, "character")
    noise = vectors(items, GUESSED, "guess")
    guesses = [[a + b for a, b in zip(one, other, strict=True)] for one, other in zip(characters, noise, strict=True)]
    return Crowd(vectors(users, TASTE, "taste"), characters, guesses, turn)
