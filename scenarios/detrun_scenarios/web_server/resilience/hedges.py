"""`Hedges`: a call that has not been answered after a while is made a second time, and the first answer counts.

The other attempt is cancelled. Where answers take independent times X and Y and the second attempt is made after d
seconds, an answer comes after ``min(X, d + Y)``: with d at the 95th percentile of X one call in twenty is made twice,
and a slow answer becomes about as rare as two slow ones at once.

A hedge is paid from the budget of retries: a service that is slow because it has too much to do is not to get more.

Source: Dean and Barroso, "The tail at scale", Communications of the ACM 56(2), 2013, hedged requests; gRPC proposal A6.
"""

from __future__ import annotations

import trio

from detrun_scenarios.web_server.errors import ServiceError
from detrun_scenarios.web_server.resilience.attempt import Answer, Attempt
from detrun_scenarios.web_server.resilience.retry_budget import RetryBudget
from detrun_scenarios.web_server.settings import Settings


class Hedges:
    """See the module.

    Args:
        settings: `hedge_delay`.

    Attributes:
        hedged: how many calls were made a second time.
    """

    def __init__(self, settings: Settings, budget: RetryBudget) -> None:
        self.settings = settings
        self.budget = budget
        self.hedged = 0

    async def call(self, attempt: Attempt[Answer]) -> Answer:
        """The first answer of one attempt, or of two.

        An attempt that fails before the delay ends the call with its error. Of two that fail, the later error counts.
        """
        answers: list[Answer] = []
        errors: list[ServiceError] = []
        one_ended = trio.Event()

        async with trio.open_nursery() as nursery:

            async def run(number: int) -> None:
                try:
                    answers.append(await attempt(number))
                except ServiceError as error:
                    errors.append(error)
                else:
                    nursery.cancel_scope.cancel()
                one_ended.set()

            nursery.start_soon(run, 0)
            with trio.move_on_after(self.settings.hedge_delay):
                await one_ended.wait()
            if not one_ended.is_set() and self.budget.withdraw():
                self.hedged += 1
                nursery.start_soon(run, 1)
        if answers:
            return answers[0]
        raise errors[-1]
