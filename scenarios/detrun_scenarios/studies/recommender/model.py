"""The model: users and items as vectors, learned from one click after the other. A pure fold: the events are the truth.

A prediction is the logistic function of the biases and the product of two vectors. Each event moves both sides by a
step of stochastic gradient descent on the logarithmic loss, with weight decay (Koren, Bell and Volinsky, Computer 42,
2009, for ratings; the logistic form as in McMahan et al., KDD 2013).

An event is ``(user, item, clicked, weight)``. The weight is 1; the derivative by it is the influence of the event: what
it was worth that this item was shown to this user (Koh and Liang, ICML 2017, "Understanding black-box predictions").

Where items are *published*, their vectors come from elsewhere and events move the users alone. A user's past is then
its own events, and what the loss depends on is a thin slice of the log. Where items are learned, all depends on all.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, TypeAlias

import detrun

Vector: TypeAlias = tuple[Any, ...]  # bias first
Event: TypeAlias = tuple[int, int, float, float]
State: TypeAlias = dict[str, Vector]

FACTORS = 3
USUAL_LOGIT = -1.0  # of a click, with which users begin


def user_key(user: int) -> str:
    """Where a user's vector is in the state."""
    return f"user {user}"


def item_key(item: int) -> str:
    """Where an item's vector is in the state."""
    return f"item {item}"


def initial_state(users: int, guesses: Sequence[Sequence[float]]) -> State:
    """Users of whom nothing is known, and items as they are guessed to be."""
    new_user = (USUAL_LOGIT, *(0.0,) * FACTORS)
    return {
        **{user_key(user): new_user for user in range(users)},
        **{item_key(item): (0.0, *guess) for item, guess in enumerate(guesses)},
    }


def score(user: Vector, item: Vector) -> Any:
    """The logit of a click."""
    found = user[0] + item[0]
    for one, other in zip(user[1:], item[1:], strict=True):
        found = found + one * other
    return found


def log_loss(logit: Any, clicked: float) -> Any:
    """Of a prediction, in nats: minus the logarithm of the probability of what happened."""
    return detrun.softplus(logit) - clicked * logit


def learn(state: MutableMapping[str, Any], event: Event, params: Mapping[str, Any]) -> Any:
    """One event: both vectors move; both steps begin where the vectors were."""
    user, item = _both(state, event)
    error = _error(user, item, event)
    state[user_key(event[0])] = _moved(user, item, error, params["user_rate"], params["decay"])
    state[item_key(event[1])] = _moved(item, user, error, params["item_rate"], params["decay"])
    return state


def learn_user(state: MutableMapping[str, Any], event: Event, params: Mapping[str, Any]) -> Any:
    """One event where items are published: the user's vector moves."""
    user, item = _both(state, event)
    state[user_key(event[0])] = _moved(user, item, _error(user, item, event), params["user_rate"], params["decay"])
    return state


def _both(state: Mapping[str, Any], event: Event) -> tuple[Vector, Vector]:
    return state[user_key(event[0])], state[item_key(event[1])]


def _error(user: Vector, item: Vector, event: Event) -> Any:
    return (event[2] - detrun.sigmoid(score(user, item))) * event[3]


def _moved(own: Vector, other: Vector, error: Any, rate: Any, decay: Any) -> Vector:
    step, kept = rate * error, 1.0 - rate * decay
    return (own[0] + step, *(kept * one + step * two for one, two in zip(own[1:], other[1:], strict=True)))
