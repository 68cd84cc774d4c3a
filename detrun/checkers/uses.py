"""What tasks use, and what takes it away meanwhile: a page that leaves memory, a connection that is closed.

``uses.begins(page)`` and ``uses.ends(page)`` say who works with something. ``uses.may_go(page)``, before it is taken
away, is false while a task works with it. An end without a beginning is passed over: only some uses need to be told.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from dataclasses import dataclass, field

from detrun.checkers.noted import Noted, noted, running_task


@dataclass(frozen=True, slots=True)
class Taken:
    """What `Uses.may_go` found; false if something is taken away while it is used.

    Attributes:
        taken: where it is taken away.
        users: where those began who use it, the first first.
    """

    resource: Hashable
    taken: Noted
    users: tuple[Noted, ...] = ()

    def __bool__(self) -> bool:
        return not self.users

    def __str__(self) -> str:
        users = ", ".join(dict.fromkeys(one.task for one in self.users))
        return f"{self.taken.task} takes {self.resource} away" + (f", which {users} uses" if users else "")


@dataclass(slots=True)
class Uses:
    """Who uses what; for one run. Resources are named by anything hashable."""

    _users: dict[Hashable, list[Noted]] = field(default_factory=dict)

    def begins(self, resource: Hashable) -> None:
        """The running task uses a resource from now on, once more if it does so already."""
        self._users.setdefault(resource, []).append(noted(sys._getframe(1), "Uses"))

    def ends(self, resource: Hashable) -> None:
        """It uses the resource no more, or once less."""
        users = self._users.get(resource, [])
        number = running_task("Uses")
        last = next((one for one in reversed(users) if one.number == number), None)
        if last is not None:
            users.remove(last)

    def may_go(self, resource: Hashable) -> Taken:
        """The running task takes the resource away."""
        return Taken(resource, noted(sys._getframe(1), "Uses"), tuple(self._users.get(resource, ())))
