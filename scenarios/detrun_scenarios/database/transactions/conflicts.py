"""`Conflicts`: serializable snapshot isolation, by the two dependencies that every anomaly has.

Under snapshot isolation a history that is not serializable has a transaction, the *pivot*, with a concurrent one that
it must follow and a concurrent one that it must precede, both because one read what the other one wrote later. So each
transaction keeps two marks, *in* (another one read what it has written) and *out* (it has read what another one wrote),
and none with both may commit. That refuses some histories that are serializable, and lets through none that is not.

What was read is remembered by resources (a table, or keys of an index, as for locks) until all that were concurrent
have ended, for a dependency can arise after the reader has committed.

Source: Cahill, Röhm and Fekete, "Serializable isolation for snapshot databases", SIGMOD 2008, figures 4 to 8; the
theorem is Fekete et al., ACM TODS 2005.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field


class SerializationError(Exception):
    """A transaction cannot be put into an order with the others; it has to be rolled back, and may be tried again."""


@dataclass(slots=True, eq=False)
class Marks:
    """One transaction.

    Attributes:
        began, committed: moments; None if it is not committed.
        is_read_by_other, has_read_other: the marks *in* and *out*.
        is_doomed: it has to abort.
        is_prepared: its commitment is in the log, so that it can abort no more.
    """

    number: int
    began: int
    committed: int | None = None
    is_read_by_other: bool = False
    has_read_other: bool = False
    is_doomed: bool = False
    is_prepared: bool = False
    reads: dict[Hashable, None] = field(default_factory=dict)

    @property
    def is_pivot(self) -> bool:
        """Whether it has both marks."""
        return self.is_read_by_other and self.has_read_other


class Conflicts:
    """See the module.

    Attributes:
        marks: number -> transactions that go on, or that one that goes on is concurrent with.
    """

    def __init__(self) -> None:
        self.marks: dict[int, Marks] = {}
        self._readers: dict[Hashable, dict[Marks, None]] = {}
        self._moment = 0

    def begin(self, number: int) -> Marks:
        """A transaction takes its snapshot."""
        self._moment += 1
        one = self.marks[number] = Marks(number, self._moment)
        return one

    def reads(self, reader: Marks, resource: Hashable) -> None:
        """What a transaction is about to read."""
        reader.reads[resource] = None
        self._readers.setdefault(resource, {})[reader] = None

    def ignores(self, reader: Marks, writer: int) -> None:
        """A reader has passed over what a transaction has done that its snapshot does not know.

        Raises:
            SerializationError: the reader has to abort.
        """
        other = self.marks.get(writer)
        if other is not None:
            self.depends(reader, other, acting=reader)

    def writes(self, writer: Marks, resource: Hashable) -> None:
        """What a transaction writes; after the change is made, so that a reader finds the one or the other.

        Raises:
            SerializationError: the writer has to abort.
        """
        for reader in list(self._readers.get(resource, ())):
            if reader is not writer and (reader.committed is None or reader.committed > writer.began):
                self.depends(reader, writer, acting=writer)

    def depends(self, reader: Marks, writer: Marks, acting: Marks) -> None:
        """A reader comes before a concurrent writer.

        Raises:
            SerializationError: the acting one has to abort.
        """
        if reader.is_doomed or writer.is_doomed:
            return
        makes_reader_pivot, makes_writer_pivot = reader.is_read_by_other, writer.has_read_other
        if acting is reader:
            other, is_pivot, makes_other_pivot = writer, makes_reader_pivot, makes_writer_pivot
        else:
            other, is_pivot, makes_other_pivot = reader, makes_writer_pivot, makes_reader_pivot
        if is_pivot or (makes_other_pivot and other.is_prepared):
            acting.is_doomed = True  # and the other one, which it leaves without a mark, may commit
        else:
            reader.has_read_other = writer.is_read_by_other = True
            other.is_doomed = makes_other_pivot
        self.check(acting)

    def check(self, one: Marks) -> None:
        """Before a step, and after it.

        Raises:
            SerializationError: it has to abort.
        """
        if one.is_doomed or one.is_pivot:
            one.is_doomed = True
            raise SerializationError(f"transaction {one.number} was read by one and has read another, both concurrent")

    def prepare(self, one: Marks) -> None:
        """A transaction is about to commit.

        Raises:
            SerializationError: it has to abort.
        """
        self.check(one)
        one.is_prepared = True

    def commit(self, one: Marks) -> None:
        """A transaction is committed: others see it from now on."""
        self._moment += 1
        one.committed = self._moment
        self._forget_old()

    def abort(self, one: Marks) -> None:
        """A transaction is taken back."""
        self._forget(one)
        self._forget_old()

    def _forget_old(self) -> None:
        oldest = min((one.began for one in self.marks.values() if one.committed is None), default=self._moment + 1)
        for one in [one for one in self.marks.values() if one.committed is not None and one.committed < oldest]:
            self._forget(one)

    def _forget(self, one: Marks) -> None:
        del self.marks[one.number]
        for resource in one.reads:
            readers = self._readers[resource]
            del readers[one]
            if not readers:
                del self._readers[resource]
