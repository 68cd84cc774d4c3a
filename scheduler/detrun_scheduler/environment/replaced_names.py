"""Names of modules and methods of classes that stand for something else during a run; the originals come back after it.

The rule: `install` changes nothing unless it can change everything, and `restore` puts back the very objects that
`install` found, whatever the program assigned in between. Between the two, `originals` is what other OS threads must
be sent to; a replacement decides by thread and falls through to it, so a program that kept a replacement under a name
of its own (``from time import sleep`` in a module first imported inside a run) still has a working function after it.

For the same reason a group may stay replaced between the runs of a campaign (`staying`), if it has nothing of one run
in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from types import ModuleType
from typing import Any, Protocol

from detrun_scheduler.environment.staying import STAYING


class Replaced(Protocol):
    """What `ReplacedTogether` holds."""

    @property
    def stays(self) -> bool:
        """Whether it has been left replaced until the campaign is over, so that runs have nothing to do until then."""

    def install(self) -> None:
        """Replace it."""

    def restore(self) -> None:
        """Put it back, unless it stays."""


_NOTHING: dict[str, Callable[[], object]] = {}


class ReplacedNames:
    """The names of one module that are replaced together. One per module and process; half a µs to install.

    Args:
        fresh: gives what further names stand for in the run that begins.
        also: names that are as they were, and are put back with the others.
        may_stay: whether they can be left replaced between the runs of a campaign.
    """

    __slots__ = ("_find", "_found", "_fresh", "_may_stay", "_namespace", "originals", "owner", "replacements", "stays")

    def __init__(
        self,
        module: ModuleType,
        replacements: Mapping[str, object],
        *,
        fresh: Mapping[str, Callable[[], object]] = _NOTHING,
        also: Iterable[str] = (),
        may_stay: bool = False,
    ) -> None:
        # A name that this platform or Python lacks stays absent: a program must not find time.clock_gettime on Windows.
        self.owner = module
        self._namespace = vars(module)
        self.replacements = {name: value for name, value in replacements.items() if name in self._namespace}
        put_back = (*self.replacements, *fresh, *(name for name in also if name in self._namespace))
        self.originals: dict[str, Any] = {name: self._namespace[name] for name in put_back}
        # The first name twice, since for a single one itemgetter would give no tuple.
        self._find: Any = itemgetter(*put_back[:1], *put_back) if put_back else tuple
        self._found = self._find(self._namespace)
        self._fresh = tuple(fresh.items())
        self._may_stay = may_stay
        self.stays = False

    def install(self) -> None:
        """Replace the names. The caller makes sure that no run is active for which they are replaced."""
        if self.stays:
            return
        # A dict update and not setattr by name: the keys stay the same, so that caches on the module stay valid.
        namespace = self._namespace
        found = self._find(namespace)
        if found != self._found:
            self.originals, self._found = {name: namespace[name] for name in self.originals}, found
        for name, make in self._fresh:
            namespace[name] = make()
        namespace.update(self.replacements)
        if self._may_stay and STAYING.campaigns:
            self.stays = True
            STAYING.add_names(self)

    def restore(self) -> None:
        """Put the originals back, if they may not wait."""
        if not self.stays:
            self._namespace.update(self.originals)

    def put(self) -> None:
        """Put the replacements there once more, in place of what the program has assigned."""
        self._namespace.update(self.replacements)

    def leave(self) -> None:
        """Put the originals back after the last run of a campaign."""
        self.stays = False
        self._namespace.update(self.originals)


class ReplacedMethods:
    """Methods of a class that are replaced together. One per class and process. They may stay.

    A method that the class has inherited is deleted afterwards. Assigning a method makes the interpreter forget what it
    has cached about the class, for several µs.
    """

    __slots__ = ("_inherited", "originals", "owner", "replacements", "stays")

    def __init__(self, owner: type, replacements: Mapping[str, Callable[..., Any]]) -> None:
        self.owner = owner
        self.replacements = dict(replacements)
        self.stays = False
        own = vars(owner)
        self._inherited = [name for name in replacements if name not in own]
        self.originals: dict[str, Any] = {
            name: own[name] if name in own else getattr(owner, name) for name in replacements
        }
        for name, function in replacements.items():
            function.__name__ = name
            function.__qualname__ = f"{owner.__qualname__}.{name}"

    def install(self) -> None:
        """Replace them."""
        if not self.stays:
            self.put()
            if STAYING.campaigns:
                self.stays = True
                STAYING.add_names(self)

    def restore(self) -> None:
        """Put the originals back, if they may not wait."""
        if not self.stays:
            self.leave()

    def put(self) -> None:
        """Put the replacements there, unless they are."""
        present = vars(self.owner)
        for name, function in self.replacements.items():
            if present.get(name) is not function:
                setattr(self.owner, name, function)

    def leave(self) -> None:
        """Put the originals back after the last run of a campaign."""
        self.stays = False
        for name, function in self.originals.items():
            if name not in self._inherited:
                setattr(self.owner, name, function)
            elif name in vars(self.owner):
                delattr(self.owner, name)


class ReplacedTogether:
    """Groups that are replaced and put back together, the last first.

    Within a campaign those that stay are passed over. What is replaced first in a run is put back last, and then has
    `STAYING` look at what stays.
    """

    __slots__ = ("_is_divided", "_moving", "_moving_reversed", "groups")

    def __init__(self, *groups: Replaced | ReplacedTogether) -> None:
        self.groups: tuple[Replaced, ...] = ()
        for group in groups:
            self.groups += group.groups if isinstance(group, ReplacedTogether) else (group,)
        self.leave()

    def install(self) -> None:
        """Replace them."""
        if STAYING.outermost is None:
            STAYING.begin(self)
        for group in self._moving:
            group.install()

    def restore(self) -> None:
        """Put everything back that does not stay."""
        for group in self._moving_reversed:
            group.restore()
        if STAYING.campaigns and not self._is_divided:
            self._divide()
        if STAYING.outermost is self:
            STAYING.look()

    def _divide(self) -> None:
        """From now on, pass over those that stay, until the campaign is over."""
        self._is_divided = True
        self._moving = tuple(one for one in self.groups if not one.stays)
        self._moving_reversed = self._moving[::-1]
        STAYING.add_divided(self)

    def leave(self) -> None:
        """From now on, ask all of them."""
        self._is_divided = False
        self._moving, self._moving_reversed = self.groups, self.groups[::-1]
