"""What the application wants of the parts around it. The rooms `resilience`, `caching` and `backend` have the parts.

Times are virtual seconds, and may be Values. A method without ``async`` never gives up the turn.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol, TypeVar

Answer = TypeVar("Answer")
Attempt = Callable[[int], Awaitable[Answer]]  # called with 0, and with 1, 2, ... for retries or hedges

BreakerState = Literal["closed", "open", "half-open"]


class Connection(Protocol):
    """One TCP connection to the database; it carries one question at a time.

    Attributes:
        is_usable: whether the next question would get its own answer: false once closed, or while an answer is due.
    """

    is_usable: bool

    async def ask(self, line: str) -> str:
        """Send a line without its newline, and return the line that answers.

        Raises:
            BackendError: the connection broke.
        """

    async def close(self) -> None:
        """Close it at once, without waiting for the peer."""


class Pool(Protocol):
    """At most ``size`` connections, each lent to one borrower at a time, in the order of asking.

    Attributes:
        lent: connections that borrowers have now.
        waiting: borrowers in the queue.
        waits: how long each borrower waited.
    """

    lent: int
    waiting: int
    waits: list[Any]

    def borrow(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a usable connection for the block; one that is not usable afterwards is closed and replaced.

        Raises:
            PoolTimeoutError: none came free within the pool's wait time.
        """


class Database(Protocol):
    """What routes ask of the database, through the pool and within ``database_timeout``.

    Raises (all methods):
        PoolTimeoutError, BackendTimeoutError, BackendError: a 503 or 504 of the route.
    """

    async def read(self, item: str) -> str | None:
        """The text of an item; None where there is none."""

    async def order(self, order: str, item: str, count: int) -> int:
        """Book an order and return how many of the item are sold then. The same order again changes nothing."""


class Cache(Protocol):
    """Items by key: at most ``cache_size`` of them, each for ``ttl`` seconds; fetches of one key are coalesced."""

    async def get(self, key: str, fetch: Callable[[], Awaitable[str | None]]) -> str | None:
        """What is kept for the key, or what a fetch of it gives; the exception of a fetch goes to all who wait."""

    def forget(self, key: str) -> None:
        """Drop what is kept for a key, because it has changed."""


class Upstream(Protocol):
    """The upstream service through breaker, hedges, retries and time-outs (`resilience.guarded_call` or the like).

    Attributes:
        attempts: HTTP requests sent to the upstream so far: its load.
    """

    attempts: int

    async def quote(self, symbol: str) -> str:
        """The quote of a symbol.

        Raises:
            BreakerOpenError: refused without an attempt.
            BackendTimeoutError, BackendError: the last attempt failed.
        """


class Breaker(Protocol):
    """Closed, open after ``breaker_threshold`` failures, half-open after ``breaker_seconds``."""

    state: BreakerState

    def allow(self) -> None:
        """Take note that a call begins.

        Raises:
            BreakerOpenError: it must not.
        """

    def succeeded(self) -> None:
        """The call went well."""

    def failed(self) -> None:
        """It did not; a call that was cancelled is neither."""


class RetryBudget(Protocol):
    """Retries as a share of requests (Finagle's RetryBudget)."""

    def deposit(self) -> None:
        """A request was made."""

    def withdraw(self) -> bool:
        """Whether a retry may be made; takes its cost."""


class Retries(Protocol):
    """A call repeated after failures, with backoff and full jitter, as long as the budget has something."""

    async def call(self, attempt: Attempt[Answer]) -> Answer:
        """The answer of the first attempt that succeeds; the exception of the last that failed."""


class Hedges(Protocol):
    """A second attempt beside one that takes longer than ``hedge_delay``; the first answer counts."""

    async def call(self, attempt: Attempt[Answer]) -> Answer:
        """The first answer; the other attempt is cancelled."""


class Admission(Protocol):
    """Who may come in: a token bucket of ``admission_rate``, a limit of those inside, a bounded queue before it.

    Attributes:
        limit: requests inside at once, as the adaptive limit stands now.
        inside: requests that were admitted and have not left.
    """

    limit: Any
    inside: int

    async def enter(self) -> None:
        """Return when the request may go on.

        Raises:
            OverloadedError: it may not; ``retry_after`` has seconds for the header of the 503.
        """

    def leave(self, seconds: Any, succeeded: bool) -> None:
        """The request that entered is over; its seconds inside teach the limit."""
