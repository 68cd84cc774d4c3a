"""What a log holds: entries, and the configurations that say who counts.

A configuration is an entry like any other. A joint one has two sets of voters, and whatever needs a majority needs one
of each. Learners get the log and do not count.

Source: Ongaro, "Consensus: bridging theory and practice", 2014, figure 2 and section 4.3.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Command:
    """One operation of a client on the state machine.

    Attributes:
        session, number: which request of which client; a repetition has both in common with the first attempt.
        operation, key, value: ``"put"`` sets, ``"add"`` adds and answers with the sum, ``"open"`` opens the session.
    """

    session: str
    number: int
    operation: str
    key: str = ""
    value: int = 0


@dataclass(frozen=True, slots=True)
class Configuration:
    """The servers of a cluster.

    Attributes:
        voters: whose majority decides.
        old_voters: whose majority has to agree, too, while one set gives way to another; else empty.
        learners: get the log, do not count.
    """

    voters: tuple[str, ...]
    old_voters: tuple[str, ...] = ()
    learners: tuple[str, ...] = ()

    @property
    def is_joint(self) -> bool:
        """Whether one set of voters is giving way to another."""
        return bool(self.old_voters)

    @property
    def members(self) -> tuple[str, ...]:
        """All that get the log, each once."""
        return tuple(dict.fromkeys((*self.voters, *self.old_voters, *self.learners)))

    def may_vote(self, name: str) -> bool:
        """Whether a server counts."""
        return name in self.voters or name in self.old_voters

    def has_quorum(self, names: Collection[str]) -> bool:
        """Whether ``names`` hold a majority of each set of voters."""
        return all(
            2 * sum(name in names for name in group) > len(group) for group in (self.voters, self.old_voters) if group
        )

    def agreed(self, reached: Mapping[str, int]) -> int:
        """The highest number that a quorum has reached; a server that is not in ``reached`` has reached 0."""
        return min(
            sorted(reached.get(name, 0) for name in group)[(len(group) - 1) // 2]
            for group in (self.voters, self.old_voters)
            if group
        )


Content: TypeAlias = Command | Configuration | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One place of a log. Its content is None for the entry with which a leader begins its term (section 6.4)."""

    term: int
    content: Content


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state machine after the entry ``last_index``, which stands for all entries up to there (section 5.1)."""

    last_index: int
    last_term: int
    configuration: Configuration
    state: bytes
