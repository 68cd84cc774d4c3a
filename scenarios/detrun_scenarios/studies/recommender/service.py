"""The service: front ends show items, clicks come back late, and one learner folds them into the model.

Each front end is a task that takes one visit after the other. It looks at the model as it is now, shows one of a few
candidates, and goes on; whether there is a click is known after a while. So the model that predicted is older than the
model that learns, by whatever was learned in between, as in every real one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.studies.recommender.crowd import Crowd
from detrun_scenarios.studies.recommender.model import (
    Event,
    State,
    initial_state,
    item_key,
    learn,
    log_loss,
    score,
    user_key,
)

LEARNED_ONCE = "each visit is learned from once"
FOLD = "the model is the fold of its log"
CANDIDATES = 5
BETWEEN_SECONDS = 1.0  # mean time between two visits to a front end
CLICK_SECONDS = 3.0  # mean time until it is known whether there was a click


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """How much comes.

    Attributes:
        visits: to each front end.
        turn: radians by which tastes turn in a second.
    """

    fronts: int = 4
    visits: int = 10
    users: int = 8
    items: int = 12
    turn: float = 0.002


@dataclass(slots=True)
class Seen:
    """What a run has measured; numbers may be Values.

    Attributes:
        log_losses: of each prediction at the moment when the item was shown, before anything was learned from it.
        missed: how much more probable a click on the best candidate was.
    """

    log_losses: list[Any] = field(default_factory=list)
    missed: list[float] = field(default_factory=list)


class Service:
    """One service with a model of its own.

    Args:
        is_serving: items are drawn by the model's scores; otherwise evenly, as on the slice of traffic by which models
            are compared (Li et al., WSDM 2011): what is shown then does not depend on the model.
        cost_share: with which each missed click is a `detrun.cost`; 0 for none.
    """

    def __init__(
        self, traffic: Traffic, crowd: Crowd, params: Mapping[str, Any], is_serving: bool, cost_share: float = 0.0
    ) -> None:
        self.traffic, self.crowd, self.params = traffic, crowd, params
        self.is_serving, self.cost_share = is_serving, cost_share
        self.name = "serving" if is_serving else "logged"
        self.machine: detrun.StateMachine[State] = detrun.StateMachine(
            learn, initial_state(traffic.users, crowd.guesses), params=params, keys="observed"
        )
        self.seen = Seen()
        self.popularity = [1.0 / (1 + user) for user in range(traffic.users)]
        self._send, self._clicks = trio.open_memory_channel[Event](0)

    async def run(self) -> None:
        """Serve all visits, and learn from them until the last click is known."""
        async with trio.open_nursery() as learning:
            learning.start_soon(self.learn, name="learner")
            async with self._send, trio.open_nursery() as fronts:
                for front in range(self.traffic.fronts):
                    fronts.start_soon(self.front, front, fronts, name=f"front{front}")

    async def front(self, front: int, clicks: trio.Nursery) -> None:
        """Take visits, one after the other."""
        for visit in range(self.traffic.visits):
            at = (self.name, front, visit)
            await trio.sleep(detrun.exponential(BETWEEN_SECONDS, key=("between", *at)))
            user = detrun.choice(self.traffic.users, self.popularity, key=("user", *at))
            first = detrun.choice(self.traffic.items, key=("candidates", *at))
            candidates = [(first + 1 + number * number) % self.traffic.items for number in range(CANDIDATES)]
            item, clicked = self.show(user, candidates, at)
            clicks.start_soon(self.wait_for_click, (user, item, clicked, 1.0), at, name="visitor")

    def show(self, user: int, candidates: Sequence[int], at: tuple[Any, ...]) -> tuple[int, float]:
        """The item that is shown, and 1 if it will be clicked; the prediction for it is kept."""
        taste = self.machine.value_of(user_key(user))
        logits = [score(taste, self.machine.value_of(item_key(item))) for item in candidates]
        weights: list[Any] = [1.0] * len(candidates)
        if self.is_serving:
            best = max(plain(logit) for logit in logits)
            weights = [detrun.exp((logit - best) / self.params["temperature"]) for logit in logits]
        place = detrun.choice(len(candidates), weights, key=("shown", *at))
        now = trio.current_time()
        chances = [self.crowd.click_probability(user, item, plain(now)) for item in candidates]
        clicked = float(detrun.bernoulli(chances[place], key=("click", *at)))
        missed = max(chances) - chances[place]
        self.seen.missed.append(missed)
        self.seen.log_losses.append(log_loss(logits[place], clicked))
        if self.cost_share:
            detrun.cost(missed * self.cost_share, "missed click")
        return candidates[place], clicked

    async def wait_for_click(self, event: Event, at: tuple[Any, ...]) -> None:
        """Tell the learner, when it is known."""
        await trio.sleep(detrun.exponential(CLICK_SECONDS, key=("known", *at)))
        async with self._send.clone() as send:
            await send.send(event)

    async def learn(self) -> None:
        """Fold events into the model as they come."""
        async with self._clicks:
            async for event in self._clicks:
                self.machine.dispatch(event)

    def check(self) -> None:
        """Fail the run unless the model is what its log says, and the log has each visit once."""
        visits, events = self.traffic.fronts * self.traffic.visits, self.machine.events
        require(len(events) == visits, LEARNED_ONCE, f"{len(events)} events of {visits} visits")
        check_fold(self.machine, self.traffic, self.crowd, self.params)


def check_fold(machine: detrun.StateMachine[State], traffic: Traffic, crowd: Crowd, params: Mapping[str, Any]) -> None:
    """Fail the run unless the events, applied again to a new model, make the present one."""
    numbers = {name: plain(number) for name, number in params.items()}
    again = detrun.StateMachine(learn, initial_state(traffic.users, crowd.guesses), params=numbers, keys="observed")
    again.dispatch_all(machine.events)
    now, then = plain_state(machine.state), again.state
    different = [key for key in now if now[key] != then[key]]
    require(not different, FOLD, f"{', '.join(different[:3])} differ from the log, applied again")


def plain_state(state: Mapping[str, Sequence[Any]]) -> dict[str, tuple[float, ...]]:
    """The numbers of a state."""
    return {key: tuple(plain(number) for number in vector) for key, vector in state.items()}
