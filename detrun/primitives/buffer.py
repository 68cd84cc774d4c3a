"""`Buffer`: a mutable array of numbers and `Value`s, with views that share its memory.

A read gives what numpy gives:

- an index for every axis: the number or `Value` in that cell; writing it elsewhere makes no copy of its history;
- fewer indices, or slices with any step, or ``...``: a *view*, which has no cells of its own;
- a list or array of positions on one axis, or a mask (of one axis, or of the whole shape): a *copy*, a new `Buffer`.

Assignment takes a number, which goes to every cell, or something of exactly the same shape: nothing else is broadcast.
It reads all of the source before it writes, so overlapping views are safe. ``b[i] += v`` is a read and then a write;
``fetch_add`` is one operation. Repeated positions in a list are written in turn, the last one stays.

Values follow the functional view of reverse mode: a cell is a variable of the program, and storing to it or reading it
makes no entry on the tape (see `detrun.primitives.cells`). Operations are synchronous, as those of `Atomic` are, and
each is in the journal with offset and value. Cost is per cell touched, whatever the size of the buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any, Self

from detrun.primitives.cells import Mark, Memory
from detrun.primitives.contents import items_for, like, memory_of, nested
from detrun.primitives.indexing import Copy, Layout, resolve
from detrun_scheduler.errors import UsageError


class Buffer:
    """An array of any shape over one memory.

    Args:
        values: nested sequences of numbers and `Value`s (kept as float64), a numpy array or a torch tensor (whose
            number type is kept, rounding included), or another buffer. The numbers are copied. A tensor that requires
            grad gives its elements as `Value`s.
        name: what reports call the buffer; ``Buffer[0]``, ``Buffer[1]``, … by first use otherwise.

    Raises:
        UsageError: ragged rows, no axis at all, or something that holds no real numbers.
    """

    __slots__ = ("_layout", "_memory")

    def __init__(self, values: Any, *, name: str | None = None) -> None:
        shape, self._memory = memory_of(values, name)
        self._layout = Layout.dense(shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of positions on each axis."""
        return self._layout.shape

    @property
    def size(self) -> int:
        """The number of cells."""
        return prod(self._layout.shape)

    @property
    def T(self) -> Buffer:
        """The view with its axes in the other order."""
        return self._view(self._layout.reversed_axes)

    def __len__(self) -> int:
        return self._layout.shape[0]

    def __iter__(self) -> Iterator[Any]:
        """Numbers, or views of rows; each is read when its turn comes."""
        return (self[position] for position in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        layout = self._layout
        if type(index) is int and len(layout.shape) == 1:
            return self._memory.read(layout.cell(index))
        named = resolve(index, layout)
        if isinstance(named, Copy):
            return self._copied(named)
        return self._view(named) if named.shape else self._memory.read(named.offset)

    def __setitem__(self, index: Any, content: Any) -> None:
        layout = self._layout
        if type(index) is int and len(layout.shape) == 1:
            self._memory.write(layout.cell(index), content)
            return
        named = resolve(index, layout)
        if isinstance(named, Copy):
            offsets = named.offsets
        elif not named.shape:
            self._memory.write(named.offset, content)
            return
        elif isinstance(content, Buffer) and content._memory is self._memory and content._layout == named:
            return  # the second half of ``b[1:3] += v``, whose first half wrote the cells
        else:
            offsets = named.offsets()
        self._memory.write_all(offsets, items_for(content, named.shape, "write"))

    def view(self, *index: Any) -> Buffer:
        """``b[index]``, which must be a view: neither one cell nor a copy. ``view()`` is the whole."""
        named = resolve(index, self._layout)
        if isinstance(named, Copy) or not named.shape:
            raise UsageError(f"view{index!r} of shape {self.shape} is not a view; b[index] reads a copy or a cell")
        return self._view(named)

    def fetch_add(self, index: Any, value: Any) -> Any:
        """Add ``value`` to one cell as one operation; return its old content."""
        layout = self._layout
        if type(index) is int and len(layout.shape) == 1:
            return self._memory.fetch_add(layout.cell(index), value)
        named = resolve(index, layout)
        if isinstance(named, Copy) or named.shape:
            raise UsageError(f"fetch_add: index {index!r} of shape {self.shape} names more than one cell")
        return self._memory.fetch_add(named.offset, value)

    def tolist(self) -> list[Any]:
        """The contents as nested lists, read as one operation."""
        return nested(self.read_flat(), self.shape)

    def read_flat(self) -> list[Any]:
        """The contents as one list, last axis fastest, read as one operation."""
        return self._memory.read_all(self._layout.offsets())

    def copy(self, *, name: str | None = None) -> Buffer:
        """A buffer with the same contents and number type and its own memory."""
        made = self._copied(Copy(self.shape, self._layout.offsets()))
        made._memory.name = name
        return made

    def __iadd__(self, other: Any) -> Self:
        return self._update(other, lambda mine, theirs: mine + theirs)

    def __isub__(self, other: Any) -> Self:
        return self._update(other, lambda mine, theirs: mine - theirs)

    def __imul__(self, other: Any) -> Self:
        return self._update(other, lambda mine, theirs: mine * theirs)

    def __itruediv__(self, other: Any) -> Self:
        return self._update(other, lambda mine, theirs: mine / theirs)

    def mark(self) -> Mark:
        """Begin to log the writes to this memory, through whatever view; the moment to `roll_back` to.

        The log grows by one item for each write and is freed when its first mark is forgotten. Without a mark
        nothing is logged.
        """
        return self._memory.mark()

    def roll_back(self, mark: Mark) -> None:
        """Make the memory what it was at ``mark``, which stays; marks made later are gone.

        One write of all cells concerned. Values that the cells held come back as they were, so derivatives go to
        those. Cost: the number of writes taken back.

        Raises:
            UsageError: the mark was forgotten, is another buffer's, or lies behind an earlier `roll_back`.
        """
        self._memory.roll_back(mark)

    def forget(self, mark: Mark) -> None:
        """Keep all writes and drop ``mark`` and later ones, with the log if none is left."""
        self._memory.forget(mark)

    @contextmanager
    def rolled_back(self) -> Iterator[Mark]:
        """Whatever the block writes is taken back at its end, also when it raises."""
        mark = self.mark()
        try:
            yield mark
        finally:
            self.roll_back(mark)
            self.forget(mark)

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        # To the digest, to copy and to pickle, a buffer is its contents, without its number in a run and its log.
        peek = self._memory.peek
        return Buffer, (nested([peek(offset) for offset in self._layout.offsets()], self.shape),)

    def __deepcopy__(self, memo: object) -> Buffer:
        return self.copy()

    __copy__ = copy
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        # Shows the contents without an operation: printing must not change a run.
        shown = repr(self.__reduce_ex__(4)[1][0]) if self.size <= 100 else f"shape {self.shape}"
        name = f", name={self._memory.name!r}" if self._memory.name is not None else ""
        return f"Buffer({shown}{name})"

    def _view(self, layout: Layout) -> Buffer:
        return _made(self._memory, layout)

    def _copied(self, copy: Copy) -> Buffer:
        return _made(like(self._memory, self._memory.read_all(copy.offsets)), Layout.dense(copy.shape))

    def _update(self, other: Any, operator: Callable[[Any, Any], Any]) -> Self:
        offsets = self._layout.offsets()
        theirs = items_for(other, self.shape, "combine")
        mine = self._memory.read_all(offsets)
        self._memory.write_all(offsets, [operator(one, two) for one, two in zip(mine, theirs, strict=True)])
        return self


def _made(memory: Memory, layout: Layout) -> Buffer:
    buffer = Buffer.__new__(Buffer)
    buffer._memory, buffer._layout = memory, layout
    return buffer
