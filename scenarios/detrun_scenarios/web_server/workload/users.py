"""Users who ask, wait for what they asked for, think, and ask again: a closed workload.

A page is several requests at once. Its user leaves it when the first of them is answered: a browser cancels what it is
still loading when its user follows a link, and so most cancellations of real servers come about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import trio

import detrun
from detrun_scenarios.web_server.workload.browsers import Browsers

USER_STRIDE = 1_000_000  # between the numbers of two users' requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What each user does.

    Attributes:
        pages: that a user opens, one after the other.
        page: requests of one page.
        think: mean seconds before each page; 0 for none.
    """

    pages: int
    page: int = 1
    think: float = 0.1


async def browse(browsers: Browsers, user: int, habits: Habits, mix: Mapping[str, float]) -> None:
    """One user."""
    async with browsers.client() as client:
        for page in range(habits.pages):
            if habits.think:
                await trio.sleep(float(detrun.exponential(habits.think, key=f"thinks {user}")))
            first = (user + 1) * USER_STRIDE + page * habits.page
            async with trio.open_nursery() as nursery:
                for number in range(first, first + habits.page):
                    nursery.start_soon(_load, browsers, client, number, mix, nursery.cancel_scope)


async def _load(
    browsers: Browsers, client: httpx.AsyncClient, number: int, mix: Mapping[str, float], page: trio.CancelScope
) -> None:
    await browsers.ask(client, number, mix)
    page.cancel()
