"""Sequential specifications: the answers that an object may give when its operations come one after the other.

A `Model` says it in three parts: the state before the first operation, the state after an operation if its result is
legal, and, if the object consists of independent ones, which of them an operation belongs to. States are never changed
in place. A `PENDING` result is legal whatever it would have been. Results are compared with ``==``. A model may also
name its *observers*, operations that never change any state: the search has less to try then.

The models here cover what concurrent programs share most: a register, with and without compare-and-swap, a queue, a
stack, a set, a counter, a map and a lock. Where a result of None is marked as accepted, it says nothing: Python's own
``set.add`` returns None as well.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Generic, Protocol, TypeVar

from detrun.checkers.histories import PENDING, Operation
from detrun_scheduler.errors import UsageError

S = TypeVar("S")


class Model(Protocol[S]):
    """What `linearizable` asks of a specification."""

    @property
    def initial(self) -> S:
        """The state before the first operation of each partition."""

    def step(self, state: S, operation: Operation, result: Any) -> tuple[bool, S]:
        """Whether ``operation`` may return ``result`` in ``state``, and the state after it."""

    def partition(self, operation: Operation) -> Hashable:
        """The independent part of the object that ``operation`` belongs to; None for the only one."""


class _Named(Generic[S]):
    """A model whose operations are methods ``_name(state, result, *arguments)``."""

    observers: frozenset[str] = frozenset()

    def __init__(self, initial: S) -> None:
        self.initial: S = initial

    def step(self, state: S, operation: Operation, result: Any) -> tuple[bool, S]:
        """See `Model.step`."""
        method = getattr(self, f"_{operation.name}", None)
        if method is None or operation.name.startswith("_"):
            names = [
                name[1:] for name in dir(self) if name[0] == "_" and name[1] != "_" and callable(getattr(self, name))
            ]
            raise UsageError(
                f"{type(self).__name__} has no operation {operation.name!r}; it has {', '.join(names)}: name the calls "
                "of the history so, or write a model of your own"
            )
        try:
            legal, after = method(state, result, *operation.arguments)
        except TypeError as error:
            raise UsageError(f"{type(self).__name__} cannot follow {operation}: {error}") from error
        return legal, after

    def partition(self, operation: Operation) -> Hashable:
        """See `Model.partition`."""
        return None


def _may_be(result: Any, expected: Any) -> bool:
    return result is PENDING or result is expected or bool(result == expected)


def _may_be_or_silent(result: Any, expected: Any) -> bool:
    return result is None or _may_be(result, expected)


class Register(_Named[Any]):
    """``write(value)`` and ``read() → value``."""

    observers = frozenset({"read"})

    def __init__(self, initial: Any = None) -> None:
        super().__init__(initial)

    def _write(self, state: Any, result: Any, value: Any) -> tuple[bool, Any]:
        return True, value

    def _read(self, state: Any, result: Any) -> tuple[bool, Any]:
        return _may_be(result, state), state


class CompareAndSwapRegister(Register):
    """A register that also has ``compare_and_swap(expected, desired) → whether it did``."""

    def _compare_and_swap(self, state: Any, result: Any, expected: Any, desired: Any) -> tuple[bool, Any]:
        swaps = _may_be(expected, state)
        return _may_be(result, swaps), desired if swaps else state


class Queue(_Named[tuple[Any, ...]]):
    """``put(value)`` and ``get() → the oldest value``, or ``empty`` if there is none."""

    def __init__(self, initial: tuple[Any, ...] = (), empty: Any = None) -> None:
        super().__init__(tuple(initial))
        self.empty = empty

    def _put(self, state: tuple[Any, ...], result: Any, value: Any) -> tuple[bool, tuple[Any, ...]]:
        return True, (*state, value)

    def _get(self, state: tuple[Any, ...], result: Any) -> tuple[bool, tuple[Any, ...]]:
        return _may_be(result, state[0] if state else self.empty), state[1:]


class Stack(_Named[tuple[Any, ...]]):
    """``push(value)`` and ``pop() → the newest value``, or ``empty`` if there is none."""

    def __init__(self, initial: tuple[Any, ...] = (), empty: Any = None) -> None:
        super().__init__(tuple(initial))
        self.empty = empty

    def _push(self, state: tuple[Any, ...], result: Any, value: Any) -> tuple[bool, tuple[Any, ...]]:
        return True, (*state, value)

    def _pop(self, state: tuple[Any, ...], result: Any) -> tuple[bool, tuple[Any, ...]]:
        return _may_be(result, state[-1] if state else self.empty), state[:-1]


class _Keyed(_Named[S]):
    """A model in which the first argument names an independent part."""

    def partition(self, operation: Operation) -> Hashable:
        """The first argument."""
        key: Hashable = operation.arguments[0] if operation.arguments else None
        return key


class Set(_Keyed[bool]):
    """``add(item) → whether it was new``, ``remove(item) → whether it was there``, ``contains(item) → bool``.

    None is accepted of ``add`` and ``remove``. Items are independent of each other.
    """

    observers = frozenset({"contains"})

    def __init__(self) -> None:
        super().__init__(False)

    def _add(self, state: bool, result: Any, item: Any) -> tuple[bool, bool]:
        return _may_be_or_silent(result, not state), True

    def _remove(self, state: bool, result: Any, item: Any) -> tuple[bool, bool]:
        return _may_be_or_silent(result, state), False

    def _contains(self, state: bool, result: Any, item: Any) -> tuple[bool, bool]:
        return _may_be(result, state), state


class Counter(_Named[Any]):
    """``add(amount)``, ``fetch_add(amount) → the number before``, ``read() → number``."""

    observers = frozenset({"read"})

    def __init__(self, initial: Any = 0) -> None:
        super().__init__(initial)

    def _add(self, state: Any, result: Any, amount: Any = 1) -> tuple[bool, Any]:
        return True, state + amount

    def _fetch_add(self, state: Any, result: Any, amount: Any = 1) -> tuple[bool, Any]:
        return _may_be(result, state), state + amount

    def _read(self, state: Any, result: Any) -> tuple[bool, Any]:
        return _may_be(result, state), state


class KeyValueMap(_Keyed[Any]):
    """``put(key, value)``, ``get(key) → value``, ``delete(key)``, ``compare_and_swap(key, expected, desired) → bool``.

    A key that is not there has the value ``missing``. Keys are independent of each other.
    """

    observers = frozenset({"get"})

    def __init__(self, missing: Any = None) -> None:
        super().__init__(missing)

    def _put(self, state: Any, result: Any, key: Any, value: Any) -> tuple[bool, Any]:
        return True, value

    def _get(self, state: Any, result: Any, key: Any) -> tuple[bool, Any]:
        return _may_be(result, state), state

    def _delete(self, state: Any, result: Any, key: Any) -> tuple[bool, Any]:
        return True, self.initial

    def _compare_and_swap(self, state: Any, result: Any, key: Any, expected: Any, desired: Any) -> tuple[bool, Any]:
        swaps = _may_be(expected, state)
        return _may_be(result, swaps), desired if swaps else state


class Mutex:
    """``acquire() → whether it got the lock`` (None: it did) and ``release()``, by the process that holds it."""

    initial: str | None = None

    def step(self, state: str | None, operation: Operation, result: Any) -> tuple[bool, str | None]:
        """The state is the process that holds the lock."""
        if operation.name == "acquire":
            if result is False:
                return state is not None, state
            return state is None, operation.process
        if operation.name == "release":
            return state == operation.process, None
        raise UsageError(f"Mutex has no operation {operation.name!r}; it has acquire, release")

    def partition(self, operation: Operation) -> Hashable:
        """Locks by name, if calls are ``acquire(name)``."""
        name: Hashable = operation.arguments[0] if operation.arguments else None
        return name
