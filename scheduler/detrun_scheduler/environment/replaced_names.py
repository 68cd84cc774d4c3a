"""Names of modules and methods of classes that stand for something else during a run; the originals come back after it.

The rule: `install` changes nothing unless it can change everything, and `restore` puts back the very objects that
`install` found, whatever the program assigned in between. Between the two, `originals` is what other OS threads must
be sent to; a replacement decides by thread and falls through to it, so a program that kept a replacement under a name
of its own (``from time import sleep`` in a module first imported inside a run) still has a working function after it.

For the same reason a group may stay replaced between the runs of a campaign (`StayingReplaced`), which saves a tenth of
a small run. It may if it has nothing of one run in it and no other group replaces the same names on top of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from types import ModuleType, TracebackType
from typing import Any, Protocol

_staying = 0  # how many `StayingReplaced` are entered
_stayed: list[_Group] = []  # groups that are replaced between runs now


class _Group(Protocol):
    def leave(self) -> None:
        """The campaign is over: put the originals back."""


def is_staying() -> bool:
    """Whether what may stay replaced is left so when a run ends."""
    return _staying > 0


def leave_at_end(group: _Group) -> None:
    """Have ``group.leave()`` called when the campaign is over."""
    _stayed.append(group)


class Replaced(Protocol):
    """What `ReplacedTogether` holds."""

    def install(self) -> None:
        """Replace it."""

    def restore(self) -> None:
        """Put it back."""


class StayingReplaced:
    """Around many runs: what may stay replaced between them is put back once, at the end. May nest."""

    __slots__ = ()

    def __enter__(self) -> StayingReplaced:
        global _staying
        _staying += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _staying
        _staying -= 1
        if not _staying:
            while _stayed:
                _stayed.pop().leave()


def _finder(names: Iterable[str]) -> Callable[[Any], Any]:
    """Gives all values of ``names`` at once, to be compared as tuples, which look at identity first."""
    keys = tuple(names)
    # The first name twice, since for a single one itemgetter would give no tuple.
    return itemgetter(*keys[:1], *keys) if keys else tuple


class ReplacedNames:
    """The names of one module that are replaced together. One per module and process; half a µs to install.

    Args:
        may_stay: whether they can be left replaced between the runs of a campaign.
    """

    __slots__ = ("_find", "_found", "_may_stay", "_namespace", "_replaced", "originals", "replacements", "stays")

    def __init__(self, module: ModuleType, replacements: Mapping[str, object], *, may_stay: bool = False) -> None:
        # A name that this platform or Python lacks stays absent: a program must not find time.clock_gettime on Windows.
        self._namespace = vars(module)
        self.replacements = {name: value for name, value in replacements.items() if name in self._namespace}
        self.originals: dict[str, Any] = {name: self._namespace[name] for name in self.replacements}
        self._find = _finder(self.replacements)
        self._found = self._find(self._namespace)
        self._replaced = self._find(self.replacements)
        self._may_stay = may_stay
        self.stays = False

    def install(self, fresh: Mapping[str, object] | None = None) -> None:
        """Replace the names. The caller makes sure that no run is active for which they are replaced.

        Args:
            fresh: what some of the names stand for in this run, instead of what was given once for all.
        """
        if self.stays:
            return
        # A dict update and not setattr by name: the keys stay the same, so that caches on the module stay valid.
        namespace = self._namespace
        found = self._find(namespace)
        if found != self._found:
            self.originals, self._found = {name: namespace[name] for name in self.replacements}, found
        namespace.update(self.replacements)
        if fresh is not None:
            namespace.update(fresh)

    def restore(self) -> None:
        """Put the originals back, or what was put in their place if they may wait."""
        if _staying and self._may_stay:
            if not self.stays:
                self.stays = True
                _stayed.append(self)
            if self._find(self._namespace) != self._replaced:
                self._namespace.update(self.replacements)  # the program has assigned one
        else:
            self._namespace.update(self.originals)

    @property
    def place(self) -> tuple[Callable[[Any], Any], Mapping[str, Any]]:
        """How to find everything that is replaced, and where."""
        return self._find, self._namespace

    def leave(self) -> None:
        """Put the originals back after the last run of a campaign."""
        self.stays = False
        self._namespace.update(self.originals)


class ReplacedMethods:
    """Methods of a class that are replaced together. One per class and process.

    Assigning a method makes the interpreter forget what it has cached about the class, for several µs.
    """

    __slots__ = ("_owner", "_replacements", "originals", "stays")

    def __init__(self, owner: type, replacements: Mapping[str, Callable[..., Any]]) -> None:
        self._owner = owner
        self._replacements = dict(replacements)
        self.stays = False
        self.originals: dict[str, Any] = {name: vars(owner)[name] for name in replacements}
        for name, function in replacements.items():
            function.__name__ = name
            function.__qualname__ = f"{owner.__qualname__}.{name}"

    def install(self) -> None:
        """Replace them."""
        if not self.stays:
            for name, function in self._replacements.items():
                setattr(self._owner, name, function)

    def restore(self) -> None:
        """Put the originals back, or what was put in their place if they may wait."""
        if not _staying:
            self.leave()
            return
        if not self.stays:
            self.stays = True
            _stayed.append(self)
        present = vars(self._owner)
        for name, function in self._replacements.items():
            if present.get(name) is not function:
                setattr(self._owner, name, function)

    @property
    def place(self) -> tuple[Callable[[Any], Any], Mapping[str, Any]]:
        """How to find everything that is replaced, and where."""
        return _finder(self._replacements), vars(self._owner)

    def leave(self) -> None:
        """Put the originals back after the last run of a campaign."""
        self.stays = False
        for name, function in self.originals.items():
            setattr(self._owner, name, function)


class ReplacedTogether:
    """Groups that are replaced and put back together, the last first; their classes have `install` and `restore`.

    Between the runs of a campaign most of them stay. These are looked at together then, which is a third of the cost.
    """

    __slots__ = ("_finds", "_moving", "_replaced", "_staying", "groups", "reversed_groups")

    def __init__(self, *groups: Replaced) -> None:
        self.groups = groups
        self.reversed_groups = groups[::-1]
        self._moving = groups  # those to be replaced in each run
        self._staying: list[ReplacedNames | ReplacedMethods] = []
        # Of those that stay: how to find all that they replace, where, and what stands there.
        self._finds: list[tuple[Callable[[Any], Any], Mapping[str, Any]]] = []
        self._replaced: list[Any] = []

    def install(self, fresh: Mapping[Replaced, Mapping[str, object]] | None = None) -> None:
        """Replace them.

        Args:
            fresh: of some `ReplacedNames`, what a part of their names stands for in this run.
        """
        for group in self._moving:
            names = None if fresh is None else fresh.get(group)
            if names is None:
                group.install()
            else:
                assert isinstance(group, ReplacedNames)
                group.install(names)

    def restore(self) -> None:
        """Put everything back, or what was put in its place if it may wait."""
        if self._staying:
            for group in reversed(self._moving):
                group.restore()
            if [find(place) for find, place in self._finds] == self._replaced:
                return
            for group in self._staying:
                group.restore()  # the program has assigned one
            return
        for group in self.reversed_groups:
            group.restore()
        if _staying:
            self._divide()

    def _divide(self) -> None:
        """From now on, tell those that stay from the others, until the campaign is over."""
        moving: list[Replaced] = []
        for one in self.groups:
            if isinstance(one, ReplacedNames | ReplacedMethods) and one.stays:
                self._staying.append(one)
            elif isinstance(one, ReplacedTogether) and one._staying and not one._moving:
                self._staying += one._staying
            elif not getattr(one, "stays_unseen", False):
                moving.append(one)
        if self._staying:
            self._moving = tuple(moving)
            self._finds = [one.place for one in self._staying]
            self._replaced = [find(place) for find, place in self._finds]
            _stayed.append(self)

    def leave(self) -> None:
        """The campaign is over."""
        self._moving, self._staying, self._finds, self._replaced = self.groups, [], [], []
