"""History of transactions: the reads and writes of each, its beginning and end, and whether it was committed."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import NamedTuple

from detrun_scheduler import current
from detrun_scheduler.user_code import is_user_file

COMMITTED, ABORTED, UNDECIDED = "committed", "aborted", "undecided"


class Place(NamedTuple):
    """Where an operation was noted: the step of the run, and the line of the program.

    Of functions of one file that call each other and the last of which notes it, the line of the first one: the others
    are taken to be what notes.
    """

    step: int
    file: str
    line: int


def _running_step() -> int | None:
    return None if current.run is None else current.run.step_index


def noted_place(caller: FrameType | None = None, *, is_done_here: bool = False) -> Place | None:
    """The place of an operation that this frame has noted, the calling one by default; None outside a run.

    Args:
        is_done_here: the frame does what it notes, so that its own line is the place (see `Place`).
    """
    caller = caller or sys._getframe(1)
    step = _running_step()
    if step is None:
        return None
    if is_done_here:
        return Place(step, caller.f_code.co_filename, caller.f_lineno)
    file, first = caller.f_code.co_filename, caller
    while (around := first.f_back) is not None and around.f_code.co_filename == file:
        first = around
    # A program in one file has no part that only notes.
    noting = first if around is not None and is_user_file(around.f_code.co_filename) else caller
    return Place(step, file, noting.f_lineno)


@dataclass(slots=True, eq=False)
class Transaction:
    """What one transaction did.

    Attributes:
        name: what reports call it.
        operations: ``("read" or "write", key, version)`` in order. Version None of a read: never written before.
        began, ended: positions in the history; ``ended`` is None while it is going on.
        outcome: ``"committed"``, ``"aborted"`` or ``"undecided"``.
        step_began: of the run, for reports; None outside of one.
        places: where each operation was noted, for reports.
    """

    name: str
    began: int
    operations: list[tuple[str, Hashable, Hashable]] = field(default_factory=list)
    ended: int | None = None
    outcome: str = UNDECIDED
    step_began: int | None = field(default_factory=_running_step)
    places: list[Place | None] = field(default_factory=list)
    _history: Transactions | None = field(default=None, repr=False)

    def read(self, key: Hashable, version: Hashable) -> None:
        """The transaction has read ``version`` of ``key``."""
        self.operations.append(("read", key, version))
        self.places.append(noted_place(sys._getframe(1)))

    def write(self, key: Hashable, version: Hashable) -> None:
        """The transaction has made ``version`` of ``key``; no other write makes the same one."""
        self.operations.append(("write", key, version))
        self.places.append(noted_place(sys._getframe(1)))

    def place_of(self, kind: str, key: Hashable, version: Hashable) -> Place | None:
        """Where this operation was noted, the first time; None where that is not known."""
        noted = zip(self.operations, self.places, strict=False)
        return next((place for operation, place in noted if operation == (kind, key, version)), None)

    def abort(self) -> None:
        """The transaction is known to have been rolled back."""
        self._end(ABORTED)

    def undecided(self) -> None:
        """It is not known how the transaction ended, as after a time-out."""
        self._end(UNDECIDED)

    def _end(self, outcome: str) -> None:
        if self.ended is None and self._history is not None:
            self.outcome, self.ended = outcome, self._history._next()

    def __enter__(self) -> Transaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A client that fails with an ordinary exception has rolled back; one that is cancelled or killed says nothing.
        self._end(COMMITTED if kind is None else ABORTED if issubclass(kind, Exception) else UNDECIDED)

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True)
class Transactions:
    """A history of transactions, recorded by the code that runs them; begins anew in each run."""

    transactions: list[Transaction] = field(default_factory=list)
    _position: int = 0
    _serial: int = -1

    def transaction(self, name: str | None = None) -> Transaction:
        """A transaction begins; leaving its block commits it, an exception aborts it, cancellation leaves it open.

        Args:
            name: what reports call it; the path of the running task and a number by default.
        """
        run = current.run
        if run is not None and self._serial != run.serial:
            self.transactions, self._position, self._serial = [], 0, run.serial
        if name is None:
            name = f"T{len(self.transactions) + 1}" + (f" ({run.path_of(run.current)})" if run is not None else "")
        one = Transaction(name, self._next(), _history=self)
        self.transactions.append(one)
        return one

    def _next(self) -> int:
        self._position += 1
        return self._position

    def __iter__(self) -> Iterator[Transaction]:
        return iter(self.transactions)

    def __len__(self) -> int:
        return len(self.transactions)


Writers = dict[tuple[Hashable, Hashable], Transaction]
"""(key, version) -> the transaction that made it."""
