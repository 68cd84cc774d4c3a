"""`Memory`: the cells behind a `Buffer` and all its views, and the log by which writes are taken back.

A cell holds the very `Value` that was stored, so storing and reading make no entry on the tape, and two views that
meet in a cell share its adjoint: what counts is the offset in this memory, never a name. Plain numbers lie in one
typed array; Values lie beside it, in a dict by offset, and their primals in the array too. A buffer of a million
floats therefore costs eight megabytes, and a `Value` stored in it one dict item.

Invariant: ``held[offset].primal`` equals ``cells[offset]``. Cells of a narrower type (float32, bfloat16) round what is
written, a `Value` as well as a float, so that a run computes the same numbers with and without gradients.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from struct import Struct
from typing import Any, Protocol

from detrun.ad.pullbacks import with_history_of
from detrun.ad.value import Value
from detrun_scheduler import current
from detrun_scheduler.errors import NotDifferentiableError, UsageError
from detrun_scheduler.journal import OPERATIONS
from detrun_scheduler.threads.calling import schedule_point

READ, WRITE, FETCH_ADD = (OPERATIONS.index(name) for name in ("read", "write", "fetch_add"))

_pack_cell = Struct("<qd").pack


class Cells(Protocol):
    """Numbers of one type by offset: ``array``, or one dimension of numpy or torch."""

    def __len__(self) -> int: ...
    def __getitem__(self, offset: int, /) -> Any: ...
    def __setitem__(self, offset: int, number: Any, /) -> None: ...


@dataclass(eq=False, slots=True)
class Mark:
    """A moment in the life of a memory, to which it can be rolled back."""

    index: int  # among the marks that still stand
    position: int  # in the log


class Memory:
    """Cells with numbers and `Value`s, written down in the journal of the active run.

    Args:
        cells: the numbers; owned by this memory from here on.
        kind: what the cells can hold: ``"float64"``, ``"narrow"`` (they round) or ``"integer"``.
        name: what reports call the buffer.
    """

    __slots__ = ("cells", "exact", "held", "integer", "kind", "log", "marks", "name", "number", "scalar", "serial")

    def __init__(self, cells: Cells, kind: str, name: str | None = None) -> None:
        self.cells = cells
        self.kind = kind
        self.exact = kind == "float64"
        self.integer = kind == "integer"
        self.scalar = not isinstance(cells, array)  # items are scalars of a library, whose ``item()`` is the number
        self.held: dict[int, Value] = {}
        self.log: list[tuple[int, float, Value | None]] = []  # (offset, number, Value) before each write
        self.marks: list[Mark] = []
        self.name = name
        self.serial = -1  # the run in which `number` was given
        self.number = -1

    # Without the journal.

    def peek(self, offset: int) -> Any:
        """The content of a cell, unseen by the run."""
        value = self.held.get(offset)
        if value is not None:
            return value
        number = self.cells[offset]
        return number.item() if self.scalar else number

    def put(self, offset: int, number: Any) -> Any:
        """Replace the content of a cell, unseen by the run; return what the cell holds now."""
        if self.marks:
            before = self.cells[offset]
            self.log.append((offset, before.item() if self.scalar else before, self.held.get(offset)))
        if isinstance(number, Value):
            return self._hold(offset, number)
        if not isinstance(number, Real):
            number = _number_of(number)
            if isinstance(number, Value):
                return self._hold(offset, number)
        if self.integer and not isinstance(number, Integral):
            raise UsageError(f"cannot write {number!r} into a buffer of integers; make the buffer from floats")
        self.cells[offset] = number
        if self.held:
            self.held.pop(offset, None)
        return number if self.exact else self.peek(offset)

    def _hold(self, offset: int, value: Value) -> Value:
        if self.integer:
            raise NotDifferentiableError(
                f"{value!r} written into a buffer of integers, which would cut its history; make the buffer from floats"
            )
        self.cells[offset] = value.primal
        if not self.exact:
            rounded = self.cells[offset].item()
            if rounded != value.primal:
                value = with_history_of(value, rounded, "rounding")
        self.held[offset] = value
        return value

    # What a run sees: one operation each, with offsets and values in the digest.

    def read(self, offset: int) -> Any:
        """The content of a cell."""
        schedule_point()
        content = self.peek(offset)
        if current.run is not None:
            self._note(READ, offset, content)
        return content

    def write(self, offset: int, number: Any) -> None:
        """Replace the content of a cell."""
        schedule_point()
        content = self.put(offset, number)
        if current.run is not None:
            self._note(WRITE, offset, content)

    def fetch_add(self, offset: int, number: Any) -> Any:
        """Add to a cell; return the content before."""
        schedule_point()
        old = self.peek(offset)
        content = self.put(offset, old + (number if isinstance(number, Real | Value) else _number_of(number)))
        if current.run is not None:
            self._note(FETCH_ADD, offset, content)
        return old

    def read_all(self, offsets: Sequence[int]) -> list[Any]:
        """The contents of some cells, as one operation."""
        schedule_point()
        peek = self.peek
        contents = [peek(offset) for offset in offsets]
        self._note_all(READ, offsets, contents)
        return contents

    def write_all(self, offsets: Sequence[int], numbers: Iterable[Any]) -> None:
        """Replace the contents of some cells in the order given, as one operation."""
        schedule_point()
        put = self.put
        contents = [put(offset, number) for offset, number in zip(offsets, numbers, strict=True)]
        self._note_all(WRITE, offsets, contents)

    def _note(self, operation: int, offset: int, content: Any) -> None:
        run = current.run
        assert run is not None
        if self.serial != run.serial:
            self._register(run)
        number = content.primal if isinstance(content, Value) else content
        run.operation_on(self.number, operation, _pack_cell(offset, number))

    def _note_all(self, operation: int, offsets: Sequence[int], contents: Sequence[Any]) -> None:
        run = current.run
        if run is None:
            return
        if self.serial != run.serial:
            self._register(run)
        numbers = [content.primal if isinstance(content, Value) else content for content in contents]
        run.operation_on(self.number, operation, array("q", offsets).tobytes() + array("d", numbers).tobytes())

    def _register(self, run: Any) -> None:
        self.serial, self.number = run.serial, run.register("Buffer", self.name)

    # Taking writes back.

    def mark(self) -> Mark:
        """Keep a log of writes from here on."""
        one = Mark(len(self.marks), len(self.log))
        self.marks.append(one)
        return one

    def roll_back(self, mark: Mark) -> None:
        """Take back all writes since ``mark``, newest first, as one operation; later marks fall, this one stands."""
        self._check_stands(mark)
        undone = self.log[mark.position :][::-1]
        del self.log[mark.position :], self.marks[mark.index + 1 :]
        for offset, number, value in undone:
            self.cells[offset] = number
            if value is None:
                self.held.pop(offset, None)
            else:
                self.held[offset] = value
        offsets = list(dict.fromkeys(offset for offset, _, _ in undone))
        self._note_all(WRITE, offsets, [self.peek(offset) for offset in offsets])

    def forget(self, mark: Mark) -> None:
        """Let ``mark`` and later marks fall; the log is freed with the last one."""
        self._check_stands(mark)
        del self.marks[mark.index :]
        if not self.marks:
            self.log.clear()

    def _check_stands(self, mark: Mark) -> None:
        if mark.index >= len(self.marks) or self.marks[mark.index] is not mark:
            raise UsageError(
                "this mark stands no longer: it belongs to another buffer, was forgotten, or the buffer was rolled "
                "back to an earlier one"
            )

    def _check(self) -> None:
        """Every structural invariant; called by stress tests, never in production."""
        for offset, value in self.held.items():
            number = self.cells[offset]
            assert value.primal == (number.item() if self.scalar else number), (offset, value)
        assert [mark.index for mark in self.marks] == list(range(len(self.marks)))
        positions = [mark.position for mark in self.marks]
        assert positions == sorted(positions)
        assert all(position <= len(self.log) for position in positions)
        assert self.marks or not self.log


def _number_of(content: Any) -> Any:
    """Something that is neither a number nor a `Value`: a tensor with one element has a `Value` to give."""
    if hasattr(type(content), "detach"):
        from detrun.ad.torch_bridge import from_tensor

        return from_tensor(content)
    raise UsageError(f"a buffer holds numbers and Values, not {type(content).__name__} {content!r}")
