"""`Browsers`: unmodified httpx clients, what they ask, and what they found.

An order whose answer did not come is sent again, under the same number: whether the first one arrived is unknown.
Items and quotes are asked for once. A browser has patience for so many seconds for a request, its repetitions included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import trio

import detrun
from detrun.checkers.transactions import Place
from detrun_scenarios.frame.requirement import about, require
from detrun_scenarios.web_server.addresses import WEB, WEB_PORT
from detrun_scenarios.web_server.invariants import OWN_ANSWER

URL = f"http://{WEB}:{WEB_PORT}"
AGAIN_SECONDS = 0.05  # before an order is sent again


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request.

    Attributes:
        kind: ``"item"``, ``"quote"`` or ``"order"``.
        began: when it was made.
        seconds: until its last answer, or until it was given up.
        status: of the answer; 0 if there was none.
        error: the type of the last exception, if there was no answer.
    """

    kind: str
    began: Any
    seconds: Any
    status: int
    error: str = ""


class Browsers:
    """See the module.

    Attributes:
        outcomes: in the order in which they came.
        confirmed: orders that were answered with 200, with their item and count.
        sent: orders that were sent at least once, likewise.
        mixed: operations that the invariant of answers names, see `Site.mixed`.
    """

    def __init__(self, patience: float, items: int) -> None:
        self.mixed: Callable[[], tuple[tuple[str, Place | None], ...]] = tuple
        self.patience = patience
        self.items = items
        self.outcomes: list[Outcome] = []
        self.confirmed: dict[str, tuple[str, int]] = {}
        self.sent: dict[str, tuple[str, int]] = {}

    def client(self) -> httpx.AsyncClient:
        """A client with as many connections as it needs; it asks no environment and speaks no TLS."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)  # httpx's default keeps 20, too
        return httpx.AsyncClient(base_url=URL, timeout=self.patience, limits=limits, trust_env=False, verify=False)

    async def ask(self, client: httpx.AsyncClient, number: int, mix: Mapping[str, float]) -> Outcome:
        """Make request number ``number``, of a kind drawn from the mix, and note what becomes of it.

        Nothing is noted of a request whose user leaves.
        """
        kind = detrun.choice(list(mix), list(mix.values()), key=f"kind {number}")
        item = str(min(int(self.items * float(detrun.uniform(0.0, 1.0, key=f"item {number}")) ** 3), self.items - 1))
        began = trio.current_time()
        status, error = 0, ""
        with trio.move_on_after(self.patience) as scope:
            if kind == "order":
                status, error = await self._order(client, f"order{number}", item, 1 + number % 3)
            else:
                status, error = await self._get(client, kind, item)
        if scope.cancelled_caught:
            error = "Impatience"
        found = Outcome(kind, began, trio.current_time() - began, status, error)
        self.outcomes.append(found)
        return found

    async def _get(self, client: httpx.AsyncClient, kind: str, item: str) -> tuple[int, str]:
        try:
            answer = await client.get(f"/{kind}/{item}")
        except httpx.HTTPError as error:
            return 0, type(error).__name__
        if answer.status_code == 200:
            said = answer.json()
            own = said.get("item" if kind == "item" else "symbol") == item
            if kind == "item":
                own = own and said["text"].startswith(f"item {item} ")
            require(about(own, *self.mixed()), OWN_ANSWER, f"for {kind} {item} came {said}")
        return answer.status_code, ""

    async def _order(self, client: httpx.AsyncClient, order: str, item: str, count: int) -> tuple[int, str]:
        self.sent[order] = item, count
        while True:  # until patience ends
            status, error = 0, ""
            try:
                answer = await client.post("/order", json={"order": order, "item": item, "count": count})
            except httpx.HTTPError as caught:
                error = type(caught).__name__
            else:
                status = answer.status_code
            if status == 200:
                said = answer.json()
                own = said.get("order") == order
                require(about(own, *self.mixed()), OWN_ANSWER, f"for {order} came {said}")
                self.confirmed[order] = item, count
            if status not in (0, 502, 503, 504):
                return status, error
            await trio.sleep(AGAIN_SECONDS)
