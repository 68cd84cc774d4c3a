"""`Waits`: which transaction waits for which, so that none waits in a circle.

A wait that would close a circle is refused: the transaction that asks is the victim, for it is the one that is awake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


class DeadlockError(Exception):
    """Transactions would wait for each other; the one that gets this has to be rolled back, and may be tried again."""


class Waits:
    """The graph. Whom a transaction waits for is asked when it matters, for it changes while it waits."""

    def __init__(self) -> None:
        self._for: dict[int, Callable[[], Iterable[int]]] = {}

    def begin(self, waiter: int, others: Callable[[], Iterable[int]]) -> None:
        """A transaction is about to wait for the end of others.

        Raises:
            DeadlockError: one of them waits for it, directly or not.
        """
        todo, reached = [*others()], set[int]()
        while todo:
            one = todo.pop()
            if one == waiter:
                raise DeadlockError(f"transaction {waiter} would wait for {[*others()]}, of which one waits for it")
            if one not in reached:
                reached.add(one)
                todo += self._for[one]() if one in self._for else ()
        self._for[waiter] = others

    def end(self, waiter: int) -> None:
        """It waits no longer."""
        self._for.pop(waiter, None)
