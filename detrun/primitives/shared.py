"""Shared memory whose every operation a run sees: `Atomic`, and `Shared`, which is racy on purpose.

Operations are synchronous and keep to their place in the total order of the run: in a task each is atomic between
awaits, as in life; in a simulated thread each is a schedule point, before it takes effect. Each is written to the
run's journal with its value, so that a replay that computes something else is found out.

Cells hold plain numbers, `Value`s, or anything else that needs no arithmetic. With `Value`s the adjoint rules of the
operations follow from what is stored: a cell holds the very `Value` that was written, a load returns it, so both are
one variable on the tape, and only arithmetic makes new entries. `tests/gradients/test_atomic_rules.py` checks this
against the rules written out one by one (docs/architecture.md has the table).
"""

from __future__ import annotations

from numbers import Real
from typing import Any, Generic, TypeVar

from detrun.ad.outer_sites import site
from detrun.ad.value import Value
from detrun_recorder.canonical import canonical
from detrun_scheduler import current
from detrun_scheduler.clock import primal_of
from detrun_scheduler.journal import OPERATIONS
from detrun_scheduler.threads.calling import schedule_point

T = TypeVar("T")

(LOAD, STORE, EXCHANGE, FETCH_ADD, FETCH_SUB, FETCH_MUL, FETCH_MAX, FETCH_MIN, SWAPPED, NOT_SWAPPED, READ, WRITE) = (
    OPERATIONS.index(name)
    for name in (
        "load",
        "store",
        "exchange",
        "fetch_add",
        "fetch_sub",
        "fetch_mul",
        "fetch_max",
        "fetch_min",
        "compare_exchange",
        "compare_exchange_failed",
        "read",
        "write",
    )
)


class _Cell(Generic[T]):
    """One mutable place and its number in the active run."""

    __slots__ = ("_content", "_name", "_number", "_serial")

    def __init__(self, value: T, *, name: str | None = None) -> None:
        self._content = value
        self._name = name
        self._serial = -1  # the run in which `_number` was given
        self._number = -1

    def _note(self, operation: int, value: Any) -> None:
        run = current.run
        if run is None:
            return
        if self._serial != run.serial:
            self._serial, self._number = run.serial, run.register(type(self).__name__, self._name)
        kind = type(value)
        if kind is float:
            run.operation(self._number, operation, value)
        elif issubclass(kind, Value):
            run.operation(self._number, operation, value.primal)
        else:
            run.operation_on(self._number, operation, canonical(value))

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        # To the digest, to copy and to pickle, a cell is its content, without the number that it has in some run.
        return type(self), (self._content,)

    def __repr__(self) -> str:
        # Shows the content without an operation: printing must not change a schedule.
        name = f", name={self._name!r}" if self._name is not None else ""
        return f"{type(self).__name__}({self._content!r}{name})"


class Atomic(_Cell[T]):
    """A cell with the atomic operations of C++'s ``std::atomic``, each sequentially consistent.

    Args:
        value: the initial content.
        name: what reports call the cell; ``Atomic[0]``, ``Atomic[1]``, … by first use otherwise.

    Every operation that returns a number returns the content before it, as C++ does.
    """

    __slots__ = ()

    def load(self) -> T:
        """The content."""
        schedule_point()
        content = self._content
        self._note(LOAD, content)
        return content

    def store(self, value: T) -> None:
        """Replace the content."""
        schedule_point()
        self._content = value
        self._note(STORE, value)

    def exchange(self, value: T) -> T:
        """Replace the content and return the old one."""
        schedule_point()
        old, self._content = self._content, value
        self._note(EXCHANGE, value)
        return old

    def fetch_add(self, value: Any) -> Any:
        """Add ``value``; return the old content."""
        schedule_point()
        old: Any = self._content
        self._content = old + value
        self._note(FETCH_ADD, self._content)
        return old

    def fetch_sub(self, value: Any) -> Any:
        """Subtract ``value``; return the old content."""
        schedule_point()
        old: Any = self._content
        self._content = old - value
        self._note(FETCH_SUB, self._content)
        return old

    def fetch_mul(self, value: Any) -> Any:
        """Multiply by ``value``; return the old content."""
        schedule_point()
        old: Any = self._content
        self._content = old * value
        self._note(FETCH_MUL, self._content)
        return old

    def fetch_max(self, value: Any) -> Any:
        """Keep the larger of content and ``value``; return the old content. A tie keeps the content.

        A discontinuity site: the derivative goes to the winner.
        """
        schedule_point()
        old: Any = self._content
        self._site("fetch_max", old, value)
        if primal_of(value) > primal_of(old):
            self._content = value
        self._note(FETCH_MAX, self._content)
        return old

    def fetch_min(self, value: Any) -> Any:
        """Keep the smaller of content and ``value``; return the old content. A tie keeps the content.

        A discontinuity site: the derivative goes to the winner.
        """
        schedule_point()
        old: Any = self._content
        self._site("fetch_min", old, value)
        if primal_of(value) < primal_of(old):
            self._content = value
        self._note(FETCH_MIN, self._content)
        return old

    def compare_exchange(self, expected: Any, desired: T) -> tuple[bool, T]:
        """If the content equals ``expected``, replace it by ``desired``; return whether it did, and the old content.

        Numbers are compared by value, anything else by ``==``. A discontinuity site: ``expected`` gets no derivative.
        """
        schedule_point()
        old = self._content
        self._site("compare_exchange", old, expected)
        swapped = bool(primal_of(old) == primal_of(expected))
        if swapped:
            self._content = desired
        self._note(SWAPPED if swapped else NOT_SWAPPED, self._content)
        return swapped, old

    def _site(self, operation: str, old: Any, other: Any) -> None:
        # Between two plain numbers the margin is constant; from None or a string there is none.
        numbers = isinstance(old, Value | Real) and isinstance(other, Value | Real)
        if numbers and (isinstance(old, Value) or isinstance(other, Value)):
            site(operation, self._name, old, other)


class Shared(_Cell[T]):
    """A racy variable: reading and writing ``value`` are two operations, so an update can be lost.

    Args:
        value: the initial content.
        name: what reports call the variable; ``Shared[0]``, … by first use otherwise.
    """

    __slots__ = ()

    @property
    def value(self) -> T:
        """The content; reading and assigning are an operation each."""
        schedule_point()
        content = self._content
        self._note(READ, content)
        return content

    @value.setter
    def value(self, value: T) -> None:
        schedule_point()
        self._content = value
        self._note(WRITE, value)
