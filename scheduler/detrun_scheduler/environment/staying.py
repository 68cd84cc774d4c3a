"""What stays replaced between the runs of a campaign, and when it is put back.

A replacement decides by who calls, so between two runs it acts as the original. A group of names that has nothing of
one run in it may therefore be replaced once, by the first run of a campaign, and be put back when the campaign is over:
the names of a small run are a tenth of its cost.

The invariant, which `StayingGroups.look` makes true whenever a run has ended: every name of the groups that stay is
what the group has put there, whatever the program has assigned since. Of two groups that replace one name, the later
one is on top, so that its replacement counts, and what it has found there is the other's; it is put back first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import CodeType, FunctionType, TracebackType
from typing import Any, Protocol


class Staying(Protocol):
    """What is left in place when a run ends."""

    def leave(self) -> None:
        """The campaign is over: put the originals back."""


class StayingNames(Staying, Protocol):
    """Names that are left in place: those of `replacements` in ``vars(owner)``."""

    @property
    def owner(self) -> Any:
        """A module or a class."""

    @property
    def replacements(self) -> Mapping[str, Any]:
        """What the names stand for."""

    def put(self) -> None:
        """Put the replacements there once more, in place of what the program has assigned."""


def reader(places: Sequence[tuple[Any, str]]) -> Callable[[], Any]:
    """Gives the attributes of modules and classes at once, to be compared as tuples, which look at identity first.

    It is a function that names them all, with modules and classes as defaults of its arguments. The interpreter
    remembers where it has found each attribute, so that this takes half the time of looking up as many keys.
    """
    owners = {owner: f"_{number}" for number, owner in enumerate(dict.fromkeys(owner for owner, _ in places))}
    names = [f"{owners[owner]}.{name}" for owner, name in places]
    return FunctionType(_reading(tuple(owners.values()), tuple(names)), {}, None, tuple(owners))


@lru_cache(maxsize=8)
def _reading(arguments: tuple[str, ...], names: tuple[str, ...]) -> CodeType:
    # Of a longer one the compiler would make a list first.
    parts = [f"({', '.join(names[first : first + 30])},)" for first in range(0, len(names), 30)]
    whole = compile(f"lambda {', '.join(arguments)}: ({''.join(part + ', ' for part in parts)})", __file__, "eval")
    return next(one for one in whole.co_consts if isinstance(one, CodeType))


class StayingGroups:
    """The groups that stay; one object for the process, `STAYING`.

    Attributes:
        campaigns: how many `StayingReplaced` are entered; groups stay while there is one.
        outermost: what the active run replaced first, and puts back last; None between runs.
    """

    __slots__ = ("_divided", "_groups", "_modules", "_names", "_read", "_wanted", "campaigns", "outermost")

    def __init__(self) -> None:
        self.campaigns = 0
        self.outermost: object = None
        self._groups: list[Staying] = []
        self._divided: list[Staying] = []  # these pass over the groups
        self._modules = 0  # how many had been imported when the last run ended
        self._names: list[StayingNames] = []
        self._read: Callable[[], Any] | None = None  # gives what stands for them all; None where some have come
        self._wanted: Any = None  # what it has to give

    def add(self, group: Staying) -> None:
        """``group`` has been replaced, and stays until the campaign is over, when its ``leave()`` is called."""
        self._groups.append(group)

    def add_names(self, group: StayingNames) -> None:
        """As `add`, and the names are looked at when a run ends."""
        self._groups.append(group)
        self._names.append(group)
        self._read = None

    def add_divided(self, groups: Staying) -> None:
        """``groups`` passes over those that stay, until its ``leave()`` is called."""
        self._divided.append(groups)

    def divide_anew(self) -> None:
        """Something may stay no longer: have all groups asked once more."""
        divided, self._divided = self._divided, []
        for one in divided:
            one.leave()

    def begin(self, outermost: object) -> None:
        """A run begins to replace names, the first of them by ``outermost``."""
        self.outermost = outermost
        if self._divided and len(sys.modules) != self._modules:
            self.divide_anew()  # some wait for the import of their module, which may have been between two runs

    def look(self) -> None:
        """A run has ended: put back what the program has put in the place of a replacement."""
        self.outermost = None
        self._modules = len(sys.modules)
        if self._read is None:
            self._put_all()
            places = {(group.owner, name): None for group in self._names for name in group.replacements}
            self._read = reader(tuple(places))
            self._wanted = self._read()
            return
        try:
            is_so = self._read() == self._wanted
        except AttributeError:  # the program has deleted one
            is_so = False
        if not is_so:
            self._put_all()

    def _put_all(self) -> None:
        for group in self._names:
            group.put()

    def leave(self) -> None:
        """The campaign is over."""
        self.divide_anew()
        groups, self._groups = self._groups, []
        self._names, self._read, self._wanted = [], None, None
        for group in reversed(groups):
            group.leave()


STAYING = StayingGroups()


class StayingReplaced:
    """Around many runs: what may stay replaced between them is put back once, at the end. May nest."""

    __slots__ = ()

    def __enter__(self) -> StayingReplaced:
        STAYING.campaigns += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        STAYING.campaigns -= 1
        if not STAYING.campaigns:
            STAYING.leave()
