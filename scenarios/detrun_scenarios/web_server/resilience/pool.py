"""`ConnectionPool`: connections to one service, a bounded number of them, lent to one borrower at a time.

A borrower waits for a seat (`seats`), takes the connection that came back last, or opens one where none is idle. The
last one first: in quiet times few are used, and their peers may close the others. There are never more connections than
seats.

Invariants. Every connection is idle or lent. However a borrower leaves, by a result, an error or a cancellation, also
one that strikes while a connection is being opened, the seat is free again afterwards. A connection on which an answer
is due is closed and not lent again, since the next borrower would read the answer to the question before.

Source: the size, the bounded wait and last in, first out are those of SQLAlchemy's `QueuePool` and of HikariCP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from detrun.checkers.transactions import Place, noted_place
from detrun_scenarios.frame.requirement import about, require
from detrun_scenarios.web_server.backend.connection import DatabaseConnection, connect
from detrun_scenarios.web_server.errors import BackendError, PoolTimeoutError
from detrun_scenarios.web_server.invariants import LENT
from detrun_scenarios.web_server.resilience.seats import Seats
from detrun_scenarios.web_server.settings import Settings


class ConnectionPool:
    """See the module.

    Args:
        settings: `pool_size` and `pool_seconds`.
        seats: the class of `seats`.

    Attributes:
        idle: connections that are not lent; the last is lent next.
        opened: all that were ever opened.
        borrowers: those who have a connection, open one or wait.
    """

    def __init__(self, settings: Settings, seats: type[Seats] = Seats) -> None:
        self.settings = settings
        self.seats = seats(settings.pool_size)
        self.idle: list[DatabaseConnection] = []
        self.opened: list[DatabaseConnection] = []
        self.borrowers = 0

    @property
    def lent(self) -> int:
        """Connections that borrowers have now, and those that are being opened for one."""
        return self.seats.taken

    @property
    def waiting(self) -> int:
        """Borrowers in the queue."""
        return len(self.seats.waiting)

    @property
    def waits(self) -> list[Any]:
        """Seconds that each borrower has waited who got a connection."""
        return self.seats.waits

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[DatabaseConnection]:
        """Lend a connection for the block; one that is not usable afterwards is closed.

        Raises:
            PoolTimeoutError: none came free within `pool_seconds`.
            BackendError: a new one could not be opened.
        """
        self.borrowers += 1
        try:
            since = await self._sit_down()
            connection: DatabaseConnection | None = None
            try:
                connection = self._newest_idle() or await self._open()
                yield connection
            finally:
                if connection is not None:
                    self._take_back(connection)
                self.seats.give_back(since)
        finally:
            self.borrowers -= 1
            handed, gave_up = self.seats.raced
            all_are_there = about(self.lent <= self.borrowers, ("is handed over in", handed), ("gives up in", gave_up))
            require(all_are_there, LENT, f"{self.lent} are taken, {self.borrowers} are there")

    def may_lend_again(self, connection: DatabaseConnection) -> bool:
        """Whether a connection that comes back goes to another borrower."""
        return connection.is_usable

    @property
    def asked_with_an_answer_due(self) -> tuple[tuple[str, Place | None], ...]:
        """Of the last connection to which this happened, where it went back and where it was asked again."""
        for connection in reversed(self.opened):
            if connection.mixed is not None:
                went_back, asked = connection.mixed
                return ("goes back in", went_back), ("is asked again in", asked)
        return ()

    def close(self) -> None:
        """Close what is idle."""
        while self.idle:
            self.idle.pop().close()

    async def _sit_down(self) -> Any:
        with trio.move_on_after(self.settings.pool_seconds):
            return await self.seats.take()
        raise PoolTimeoutError(f"no connection came free within {self.settings.pool_seconds:g} s")

    def _newest_idle(self) -> DatabaseConnection | None:
        while self.idle:
            connection = self.idle.pop()
            if self.may_lend_again(connection):
                return connection
            connection.close()
        return None

    async def _open(self) -> DatabaseConnection:
        try:
            connection = await connect()
        except OSError as error:
            raise BackendError(f"no connection: {error}") from error
        self.opened.append(connection)
        return connection

    def _take_back(self, connection: DatabaseConnection) -> None:
        if self.may_lend_again(connection):
            connection.went_back_in = noted_place(is_done_here=True)
            self.idle.append(connection)
        else:
            connection.close()
