"""A log of a million events, and what an early decision is worth at its end: sparse slices and bounded windows.

Items are published, so that a user's past is its own events (`model.learn_user`). The log is a bare one: no tasks and
no clock, twenty thousand users with a skew, and clicks that are drawn by `random` with a seed. At its end the loss is
the logarithmic loss of one more visit of the observed user. Its derivative by ``weight`` of an event says what it was
worth that the event is in the log, and by ``clicked`` what the click was.

Two ways lead there. The *slice* applies again what the loss can depend on, the observed user's own events. The
*windows* apply all events again from kept states, one window on the tape at a time, and have the derivatives by the
rates as well. Both have the same bits. Brute force holds them to account: the log is folded again with one number
changed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import detrun
from detrun_scenarios.studies.recommender.model import (
    FACTORS,
    Event,
    State,
    initial_state,
    item_key,
    learn_user,
    log_loss,
    score,
    user_key,
)

USERS, ITEMS = 20_000, 500
OBSERVED = 7  # a user who comes once in 20,000 visits, as any other
REGULAR = 0.5  # share of the visits that a hundred regular users make
REGULARS = range(100, 200)
EARLY = 1_000  # the visit of the observed user whose worth is asked for
LAST_ITEM = 3
SNAPSHOTS = 30
STEP = 1e-4  # of a number that is changed: truncation of 1e-8 of the derivative, rounding of 1e-12 over the step
PARAMS: Mapping[str, float] = {"user_rate": 0.1, "item_rate": 0.0, "decay": 0.02}


@dataclass(frozen=True, slots=True)
class Change:
    """One number of one event that is other than it was: by how much."""

    event: int
    number: int  # of the event: 2 is ``clicked``, 3 is ``weight``
    by: float


def visits(events: int, seed: int = 1, change: Change | None = None) -> Iterator[Event]:
    """The log; the observed user is there at `EARLY`, too."""
    draws = random.Random(seed)
    for number in range(events):
        at, regular, place, luck = draws.random(), draws.random(), draws.random(), draws.random()
        user = REGULARS[int(at * len(REGULARS))] if regular < REGULAR else int(at * USERS)
        event: Event = (OBSERVED if number == EARLY else user, int(place * ITEMS), float(luck < 0.3), 1.0)
        if change is not None and number == change.event:
            changed = list(event)
            changed[change.number] += change.by
            event = (event[0], event[1], changed[2], changed[3])
        yield event


def guesses(seed: int = 2) -> list[list[float]]:
    """The published items."""
    draws = random.Random(seed)
    return [[draws.gauss(0.0, 0.9) for _ in range(FACTORS)] for _ in range(ITEMS)]


def machine_of(events: int, params: Mapping[str, float] = PARAMS) -> detrun.StateMachine[State]:
    """The fold of the log, with an index of what each event touched."""
    machine = detrun.StateMachine(learn_user, initial_state(USERS, guesses()), params=params, keys="observed")
    machine.dispatch_all(visits(events))
    return machine


def last_loss(state: Mapping[str, Any]) -> Any:
    """Of a click of the observed user at the end of the log."""
    return log_loss(score(state[user_key(OBSERVED)], state[item_key(LAST_ITEM)]), 1.0)


def folded_loss(events: int, params: Mapping[str, float] = PARAMS, change: Change | None = None) -> float:
    """The loss of the log that is folded on plain dicts, with one number changed: nothing of a machine is in it."""
    state: dict[str, Any] = initial_state(USERS, guesses())
    for event in visits(events, change=change):
        learn_user(state, event, params)
    return float(last_loss(state))


def difference(events: int, number: int) -> float:
    """Brute force: of the loss by a number of the early event, from two folds of the whole log."""
    above, below = (folded_loss(events, change=Change(EARLY, number, sign * STEP)) for sign in (1, -1))
    return (above - below) / (2 * STEP)
