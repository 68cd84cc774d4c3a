"""`Retries`: a call is made again when it fails, as often as the budget and a maximum allow.

Before each further attempt there is a wait with jitter (`backoff`). Where every attempt fails with probability p by
itself, a call makes ``(1 - p**n) / (1 - p)`` attempts of at most n on average; the budget bounds what that may come to
when p is near 1.

Source: Brooker, "Timeouts, retries and backoff with jitter", Amazon Builders' Library, 2019; Beyer et al., *Site
Reliability Engineering* (2016), chapter 22, for budgets against failures that cascade.
"""

from __future__ import annotations

import detrun
from detrun.checkers.transactions import Place, noted_place
from detrun_scenarios.web_server.errors import BackendError, BackendTimeoutError
from detrun_scenarios.web_server.resilience.attempt import Answer, Attempt
from detrun_scenarios.web_server.resilience.backoff import Backoff
from detrun_scenarios.web_server.resilience.retry_budget import RetryBudget
from detrun_scenarios.web_server.settings import Settings


class Retries:
    """See the module.

    Args:
        settings: `attempts_max` and `backoff`.

    Attributes:
        calls, attempts: how many were made; their quotient is by how much retries amplify the load.
        allowed_in: where the last retry was allowed.
    """

    def __init__(self, settings: Settings, budget: RetryBudget) -> None:
        self.settings = settings
        self.budget = budget
        self.backoff = Backoff(settings.backoff)
        self.calls = 0
        self.attempts = 0
        self.allowed_in: Place | None = None

    async def call(self, attempt: Attempt[Answer]) -> Answer:
        """The answer of the first attempt that succeeds; the error of the last that failed.

        Errors other than `BackendError` and `BackendTimeoutError` end the call: another attempt would not help.
        """
        self.calls += 1
        self.budget.deposit()
        for number in range(self.settings.attempts_max - 1):
            self.attempts += 1
            try:
                return await attempt(number)
            except (BackendError, BackendTimeoutError):
                if not self.may_retry():
                    raise
                self.allowed_in = noted_place(is_done_here=True)
            await detrun.sleep(self.backoff.draw(number + 1))
        self.attempts += 1
        return await attempt(self.settings.attempts_max - 1)

    def may_retry(self) -> bool:
        """Whether a call that has failed may be made again."""
        return self.budget.withdraw()
