"""`Barrier`: the end of a round, at which all members of a generation meet.

It ends when all have arrived, and it is broken as soon as one of them is known to be dead: the others are then told to
go back to the last round that counts. Like `threading.Barrier`, it is broken for all of them or for none.
"""

from __future__ import annotations

from collections.abc import Iterable

from detrun_scenarios.frame.news import News


class Barrier:
    """Of one round.

    Attributes:
        awaited: members that have not arrived.
        is_broken: one of them never will.
    """

    def __init__(self, members: Iterable[str]) -> None:
        self.awaited = set(members)
        self.is_broken = False
        self._news = News()

    def arrive(self, member: str) -> None:
        """A member has arrived; it may say so more than once."""
        self.awaited.discard(member)
        self._news.tell()

    def leave(self, member: str) -> None:
        """A member is dead."""
        self.is_broken = True
        self._news.tell()

    async def wait(self) -> bool:
        """Wait for the end; whether all have arrived."""
        while self.awaited and not self.is_broken:
            await self._news.wait()
        return not self.is_broken
