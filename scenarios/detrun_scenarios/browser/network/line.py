"""`Line`: the bandwidth of a server, shared by all answers that are on their way in proportion to their weights.

Whenever an answer begins or ends, the pace of all others changes at that moment. So the time of every answer is a
continuous function of weights, bandwidth and of when the others came, with derivatives that are right where two of
them change their order, too.

Source: generalized processor sharing (Parekh and Gallager, IEEE/ACM Transactions on Networking 1, 1993); weights as in
RFC 7540, 5.3.
"""

from __future__ import annotations

from typing import Any

import trio

import detrun
from detrun_scenarios.frame.news import News
from detrun_scenarios.frame.plain import plain

SENT = 1e-6  # bytes that may be left by rounding


class Line:
    """See the module.

    Args:
        bandwidth: bytes a second, of all answers together.
    """

    def __init__(self, bandwidth: Any) -> None:
        self._bandwidth = bandwidth
        self._weights: dict[int, Any] = {}
        self._news = News()

    def join(self, answer: int, weight: Any) -> None:
        """An answer begins."""
        self._weights[answer] = weight
        self._news.tell()

    def leave(self, answer: int) -> None:
        """An answer has ended."""
        del self._weights[answer]
        self._news.tell()

    async def send(self, answer: int, count: int) -> None:
        """Let the time pass in which so many bytes of an answer go over the line."""
        left: Any = count
        while plain(left) > SENT:
            pace = self._bandwidth * self._weights[answer] / detrun.sum(self._weights.values())
            began = trio.current_time()
            with trio.move_on_after(left / pace) as until_all_is_sent:
                await self._news.wait()
            if until_all_is_sent.cancelled_caught:
                return
            left = left - pace * (trio.current_time() - began)
