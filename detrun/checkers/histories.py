"""Histories: the operations that clients called on one object, their results, and their order.

A `History` numbers calls and returns in the order in which they happen. A run steps one task at a time, so that this
order is a function of the schedule, equal in every replay; no clock is read. An operation that left its block by an
exception, or never left it, is *pending*: its client crashed or was cancelled, and it is not known whether the
operation took effect.

The rule a checker relies on: if one operation returned before another was called, its position says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from threading import get_ident
from types import TracebackType
from typing import Any

from detrun_scheduler import current
from detrun_scheduler.errors import UsageError


class _Pending:
    """The result of an operation that has not returned; `PENDING` is the only one."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "PENDING"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "PENDING"


PENDING: Any = _Pending()


@dataclass(slots=True, eq=False)
class Operation:
    """One operation of one client.

    Attributes:
        name: what was called, ``"write"``.
        arguments: with what.
        result: what came back; `PENDING` if nothing has.
        process: who called: the path of a task, or a name given to `History.call`.
        called: position of the call in its history.
        returned: position of the return; None while there is none.
        step_called, step_returned: step of the run at the call and at the return, for reports; None outside a run.
    """

    name: str
    arguments: tuple[Any, ...]
    process: str
    called: int
    result: Any = PENDING
    returned: int | None = None
    step_called: int | None = None
    step_returned: int | None = None

    def __str__(self) -> str:
        call = f"{self.name}({', '.join(map(repr, self.arguments))})"
        return call if self.result is PENDING or self.result is None else f"{call} → {self.result!r}"


class Call:
    """An operation that is going on: a context manager which its client leaves when it knows the result."""

    __slots__ = ("_history", "_result", "operation")

    def __init__(self, history: History, operation: Operation) -> None:
        self._history = history
        self._result: Any = None
        self.operation = operation

    def result(self, value: Any) -> Any:
        """Say what came back, and return it; an operation of which nothing is said came back with None."""
        self._result = value
        return value

    def did_nothing(self) -> None:
        """The operation is known not to have taken effect, now or later: it leaves the history."""
        operations = self._history.operations
        for at in range(len(operations) - 1, -1, -1):  # from the end, where it nearly always is
            if operations[at] is self.operation:
                del operations[at]
                return

    def __enter__(self) -> Call:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._history.returned(self.operation, self._result)


@dataclass(slots=True)
class History:
    """The operations on one object, recorded by its clients.

    A history that outlives a run, a global one for instance, begins anew in the next run.

    Attributes:
        operations: in the order of their calls.
    """

    operations: list[Operation] = field(default_factory=list)
    _position: int = 0
    _serial: int = -1

    def call(self, name: str, *arguments: Any, process: object = None) -> Call:
        """An operation begins; leave the returned block when it has ended.

        Args:
            process: who calls, a name or a number; the path of the running task by default. Only pictures show it, and
                models that care who calls, like `Mutex`.
        """
        run = current.run
        step = None
        if run is not None:
            if self._serial != run.serial:
                self.operations, self._position, self._serial = [], 0, run.serial
            step = run.step_index
            process = process if process is not None else run.path_of(run.current)
        who = f"thread {get_ident()}" if process is None else str(process)
        operation = Operation(name, arguments, who, self._next(), step_called=step)
        self.operations.append(operation)
        return Call(self, operation)

    def returned(self, operation: Operation, result: Any) -> None:
        """``operation`` has returned ``result``."""
        if operation.returned is not None:
            raise UsageError(f"{operation} has returned already; every operation needs a History.call of its own")
        operation.result = result
        operation.returned = self._next()
        operation.step_returned = None if current.run is None else current.run.step_index

    def _next(self) -> int:
        self._position += 1
        return self._position

    @classmethod
    def of(cls, events: Iterable[tuple[Any, ...]]) -> History:
        """A history from elsewhere, a log for instance.

        Args:
            events: in order, ``(process, "call", name, *arguments)`` and ``(process, "return", result)``. A process has
                one operation at a time.

        Raises:
            UsageError: a process returns from nothing, or calls while it has not returned.
        """
        history = cls()
        going_on: dict[Any, Operation] = {}
        for process, kind, *rest in events:
            if kind == "call" and process not in going_on:
                going_on[process] = history.call(rest[0], *rest[1:], process=process).operation
            elif kind == "return" and process in going_on:
                history.returned(going_on.pop(process), rest[0] if rest else None)
            else:
                raise UsageError(
                    f"history: {process!r} has the event {kind!r}, but it has "
                    f"{'not returned' if process in going_on else 'called nothing'}; events are 'call' and 'return' "
                    "in turn for each process"
                )
        return history

    def __len__(self) -> int:
        return len(self.operations)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    def __str__(self) -> str:
        return timeline(self.operations)


def until(operations: Iterable[Operation], end: int) -> list[Operation]:
    """The operations that were called up to the moment ``end``, as they were then: what returned later is pending."""
    return [
        one
        if one.returned is None or one.returned <= end
        else Operation(one.name, one.arguments, one.process, one.called, step_called=one.step_called)
        for one in operations
        if one.called <= end
    ]


WIDTH_MAX = 160  # characters; wider pictures become lists


def timeline(operations: Iterable[Operation]) -> str:
    """Operations as a picture: time goes right, one line for each process, ``|--write(1)--|``.

    Bars overlap where the operations do; a pending one ends in ``…``. What is wider than 160 characters comes as a list
    of calls and returns instead.
    """
    shown = sorted(operations, key=lambda one: one.called)
    events = sorted(
        [(one.called, one, False) for one in shown]
        + [(one.returned, one, True) for one in shown if one.returned is not None],
        key=lambda event: event[0],
    )
    columns: dict[tuple[int, bool], int] = {}
    column = 0
    for index, (_, operation, returns) in enumerate(events):
        if index:
            column += 1
        if returns:
            column = max(column, columns[operation.called, False] + len(str(operation)) + 5)
        columns[operation.called, returns] = column
    processes = list(dict.fromkeys(one.process for one in shown))
    margin = max((len(process) for process in processes), default=0) + 2
    lines = [_lane([one for one in shown if one.process == process], columns) for process in processes]
    if margin + max((len(line) for line in lines), default=0) > WIDTH_MAX:
        return "\n".join(
            f"{operation.process:<{margin}}{'return' if returns else 'call  '} {operation}"
            for _, operation, returns in events
        )
    return "\n".join(f"{process:<{margin}}{line}" for process, line in zip(processes, lines, strict=True))


def _lane(operations: list[Operation], columns: dict[tuple[int, bool], int]) -> str:
    line = ""
    for operation in operations:
        start = columns[operation.called, False]
        # A process may call again while an earlier operation of its is pending: the later bar moves right.
        line = line.ljust(start) if len(line) <= start else line + " "
        if operation.returned is None:
            line += f"|--{operation}-- …"
        else:
            width = max(columns[operation.called, True] - len(line) - 1, 0)
            line += f"|{f'--{operation}--':-<{width}}|"
    return line
