"""Who holds what and waits for what, of locks that a program has made itself: whether tasks wait in a circle.

A deadlock is reported where nothing can run any more. Where other tasks go on, or timers, those that wait for each
other in a circle are not missed. ``holders.asks(page)`` before a lock is waited for is false if that closes a circle;
``takes`` and ``releases`` say who holds it. A lock may have several holders, and one task may hold several.

Source: the graph of waits is Holt's ("Some deadlock properties of computer systems", ACM Computing Surveys 1972).
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from dataclasses import dataclass, field

from detrun.checkers.noted import Noted, noted, running_task


@dataclass(frozen=True, slots=True)
class Link:
    """One task has taken what another one asks for.

    Attributes:
        taken: where it had asked for it.
    """

    resource: Hashable
    taken: Noted
    asked: Noted

    def __str__(self) -> str:
        return f"{self.asked.task} waits for {self.resource} of {self.taken.task}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What `Holders.asks` found; false if tasks wait for each other in a circle.

    Attributes:
        circle: each is asked for by the task that has taken the one before.
    """

    circle: tuple[Link, ...] = ()

    def __bool__(self) -> bool:
        return not self.circle

    def __str__(self) -> str:
        return "; ".join(map(str, self.circle)) or "no circle"


@dataclass(slots=True)
class Holders:
    """Who holds what; for one run. Resources are named by anything hashable."""

    _holders: dict[Hashable, list[Noted]] = field(default_factory=dict)
    _wanted: dict[int, tuple[Hashable, Noted]] = field(default_factory=dict)

    def asks(self, resource: Hashable) -> Asked:
        """The running task is about to wait for a resource."""
        asked = noted(sys._getframe(1), "Holders")
        self._wanted[asked.number] = resource, asked
        paths: list[tuple[Link, ...]] = [()]
        reached: set[int] = set()
        while paths:
            path = paths.pop()
            wanted = self._wanted.get(path[-1].taken.number if path else asked.number)
            if wanted is None:
                continue
            for taken in self._holders.get(wanted[0], ()):
                longer = (*path, Link(wanted[0], taken, wanted[1]))
                if taken.number == asked.number:
                    return Asked(longer)
                if taken.number not in reached:
                    reached.add(taken.number)
                    paths.append(longer)
        return Asked()

    def takes(self, resource: Hashable) -> None:
        """It has the resource that it has asked for, and waits no more."""
        _, asked = self._wanted.pop(running_task("Holders"))
        self._holders.setdefault(resource, []).append(asked)

    def gives_up(self) -> None:
        """It waits no more, and has nothing."""
        self._wanted.pop(running_task("Holders"), None)

    def releases(self, resource: Hashable) -> None:
        """A holder has it no more: the running task, or the first one if that is none."""
        holders = self._holders[resource]
        number = running_task("Holders")
        holders.remove(next((one for one in holders if one.number == number), holders[0]))
        if not holders:
            del self._holders[resource]
