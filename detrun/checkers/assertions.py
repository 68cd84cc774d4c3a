"""Assertions about a whole campaign: conditions that always hold, and conditions that hold at least once.

``always(condition, name)`` and ``unreachable(name)`` fail the schedule in which they are violated, there and then, even
if the program catches every exception. ``sometimes(condition, name)`` and ``reachable(name)`` fail no schedule: they
say what a campaign has to show before its silence means anything. One that never happened is reported, also if no
schedule came near it, because the names are looked up in the source of the program (`assertion_catalogue.py`).

What was seen is a `Tally`, which adds up over pieces of a campaign in their order, so it is the same for any number of
workers. Outside a campaign the four work too: the first two raise, the others are counted where `tallying` is entered.

The four words and their meaning are those of Antithesis' test properties. Departure: ``always`` ends the run, since a
run here is cheap to repeat and everything after a violation is noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from detrun_scheduler import current
from detrun_scheduler.endings import exception_leaves
from detrun_scheduler.errors import DetrunError, UsageError

ALWAYS, SOMETIMES, REACHABLE, UNREACHABLE = "always", "sometimes", "reachable", "unreachable"


class AssertionViolatedError(DetrunError, AssertionError):
    """An `always` was false or an `unreachable` was reached; ``name`` and ``kind`` say which.

    Attributes:
        condition: what was false, by which a failure is explained if it is what a check of a history has found.
    """

    def __init__(self, kind: str, name: str, details: str = "", condition: object = False) -> None:
        violation = "was reached" if kind == UNREACHABLE else "was false"
        super().__init__(f"{kind} {name!r} {violation}" + (f": {details}" if details else ""))
        self.kind = kind
        self.name = name
        self.condition = condition


class UnmetAssertionError(DetrunError, AssertionError):
    """A `sometimes` or `reachable` never happened; ``names`` are those that did not."""

    def __init__(self, unmet: list[Tallied]) -> None:
        super().__init__("; ".join(str(one) for one in unmet))
        self.names = [one.name for one in unmet]


@dataclass(slots=True)
class Tallied:
    """One assertion and what became of it.

    Attributes:
        looked_at: how often it was evaluated.
        held: how often its condition was true, or it was reached.
        schedules: in how many schedules that was so at least once.
        first: the first of these schedules, None if there is none.
    """

    kind: str
    name: str
    looked_at: int = 0
    held: int = 0
    schedules: int = 0
    first: int | None = None

    @property
    def is_unmet(self) -> bool:
        """Whether it should have happened and did not."""
        return self.kind in (SOMETIMES, REACHABLE) and not self.held

    @property
    def is_violated(self) -> bool:
        """Whether it should never have happened and did."""
        return self.held != self.looked_at if self.kind == ALWAYS else self.kind == UNREACHABLE and self.held > 0

    def __str__(self) -> str:
        if self.is_unmet:
            reason = f"was false all {self.looked_at:,} times" if self.looked_at else "was never looked at"
            return f"{self.kind} {self.name!r} never happened" + (f": it {reason}" if self.kind == SOMETIMES else "")
        if self.is_violated:
            return f"{self.kind} {self.name!r} was violated"
        return f"{self.kind} {self.name!r}: {self.held:,} of {self.looked_at:,} times, in {self.schedules:,} schedules"


@dataclass(slots=True)
class Tally:
    """What became of the assertions of a program, by kind and name."""

    entries: dict[tuple[str, str], Tallied] = field(default_factory=dict)
    schedule: int = 0  # that is running
    _met_now: set[tuple[str, str]] = field(default_factory=set)  # in the running schedule

    def begin(self, schedule: int) -> None:
        """Schedule number ``schedule`` begins."""
        self.schedule = schedule
        self._met_now.clear()

    def count(self, kind: str, name: str, held: bool) -> None:
        """An assertion was evaluated."""
        key = (kind, name)
        entry = self.entries.get(key)
        if entry is None:
            entry = self.entries[key] = Tallied(kind, name)
        entry.looked_at += 1
        if held:
            entry.held += 1
            if key not in self._met_now:
                self._met_now.add(key)
                entry.schedules += 1
                if entry.first is None:
                    entry.first = self.schedule

    def declare(self, assertions: Iterable[tuple[str, str]]) -> None:
        """These exist, by kind and name, whether or not they are ever looked at."""
        for kind, name in assertions:
            self.entries.setdefault((kind, name), Tallied(kind, name))

    def include(self, later: Tally) -> None:
        """Add what schedules after those counted here showed."""
        for key, entry in later.entries.items():
            mine = self.entries.get(key)
            if mine is None:
                mine = self.entries[key] = Tallied(*key)
            mine.looked_at += entry.looked_at
            mine.held += entry.held
            mine.schedules += entry.schedules
            if mine.first is None:
                mine.first = entry.first

    def pack(self) -> list[tuple[str, str, int, int, int, int | None]]:
        """Plain values, for a file."""
        return [(one.kind, one.name, one.looked_at, one.held, one.schedules, one.first) for one in self]

    @classmethod
    def unpack(cls, packed: Iterable[tuple[str, str, int, int, int, int | None]]) -> Tally:
        """What `pack` made.

        Raises:
            ValueError, TypeError: it made no such thing.
        """
        entries = [
            Tallied(
                str(kind), str(name), int(looked_at), int(held), int(schedules), None if first is None else int(first)
            )
            for kind, name, looked_at, held, schedules, first in packed
        ]
        return cls({(one.kind, one.name): one for one in entries})

    def __iter__(self) -> Iterator[Tallied]:
        return iter([self.entries[key] for key in sorted(self.entries)])

    def __getitem__(self, name: str) -> Tallied:
        for entry in self.entries.values():
            if entry.name == name:
                return entry
        raise KeyError(name)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def unmet(self) -> list[Tallied]:
        """Each `sometimes` and `reachable` that never happened, by kind and name."""
        return [entry for entry in self if entry.is_unmet]

    def raise_if_unmet(self) -> None:
        """Raise `UnmetAssertionError` if something that should have happened did not."""
        unmet = self.unmet
        if unmet:
            raise UnmetAssertionError(unmet)

    def __str__(self) -> str:
        return "\n".join(str(entry) for entry in self)


_active: Tally | None = None


class tallying:
    """Count the assertions of this process in ``tally``, or in a new one, for the length of a block."""

    __slots__ = ("_before", "_tally")

    def __init__(self, tally: Tally | None = None) -> None:
        self._tally = tally if tally is not None else Tally()

    def __enter__(self) -> Tally:
        global _active
        self._before, _active = _active, self._tally
        return self._tally

    def __exit__(self, *_: object) -> None:
        global _active
        _active = self._before


def _count(kind: str, name: str, held: bool) -> None:
    if type(name) is not str:
        raise UsageError(f"{kind}: name={name!r} must be a string that says what is asserted")
    if _active is not None:
        _active.count(kind, name, held)


def always(condition: object, name: str, details: str | Callable[[], str] = "") -> None:
    """``condition`` is true whenever this is evaluated; otherwise the schedule fails.

    Args:
        condition: anything; what `serializable` or `linearizable` found is explained by the operations of its history.
        details: what was found instead, for the message; a function is called only then.

    Raises:
        AssertionViolatedError: it is not. Inside a run catching it does not help: the run ends with this step.
    """
    held = bool(condition)
    _count(ALWAYS, name, held)
    if not held:
        said = details if isinstance(details, str) else details()
        _violated(AssertionViolatedError(ALWAYS, name, said, condition))


def violated_always(error: BaseException | None) -> AssertionViolatedError | None:
    """The `always` by which a run failed, None if it failed by something else, or by more than one thing."""
    leaves = [] if error is None else exception_leaves(error)
    if len(leaves) == 1 and isinstance(leaves[0], AssertionViolatedError) and leaves[0].kind == ALWAYS:
        return leaves[0]
    return None


def unreachable(name: str) -> None:
    """No schedule comes here; one that does fails.

    Raises:
        AssertionViolatedError: always.
    """
    _count(UNREACHABLE, name, True)
    _violated(AssertionViolatedError(UNREACHABLE, name))


def _violated(error: AssertionViolatedError) -> None:
    run = current.run
    if run is not None:
        run.fail(error)
    raise error


def sometimes(condition: object, name: str) -> None:
    """``condition`` is true at least once in a campaign, which reports if it is not."""
    _count(SOMETIMES, name, bool(condition))


def reachable(name: str) -> None:
    """Some schedule of a campaign comes here; it is reported if none does."""
    _count(REACHABLE, name, True)
