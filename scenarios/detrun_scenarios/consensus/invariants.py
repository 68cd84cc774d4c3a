"""The five properties of figure 3.2, checked across all servers while the run goes.

`Invariants` sees all servers at once, which no server can. It is told of every election, append, truncation, commitment
and application, and fails the run at the first that breaks a property:

- *election safety*: a term has at most one leader;
- *leader append-only*: a leader drops none of its entries;
- *log matching*: entries of one index and term have one content, and one term before them;
- *leader completeness*: a new leader has every entry that was committed before its term began;
- *state-machine safety*: no two servers take different entries for committed at one index, none drops one, and their
  state machines give equal answers.

Every check is of constant cost, except that of a new leader, which looks at all committed entries that it should have.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Final

import trio

import detrun
from detrun.checkers.transactions import Place, noted_place
from detrun_scenarios.consensus.core.entries import Content, Entry
from detrun_scenarios.consensus.core.mechanisms import Mechanism
from detrun_scenarios.consensus.core.server import Role, Server
from detrun_scenarios.frame.requirement import about, require

ELECTION_SAFETY: Final = "election safety"
APPEND_ONLY: Final = "leader append-only"
LOG_MATCHING: Final = "log matching"
COMPLETENESS: Final = "leader completeness"
STATE_MACHINE_SAFETY: Final = "state-machine safety"


class Invariants:
    """All that has happened on all servers of one cluster.

    Attributes:
        leaders: term -> the server that leads it, as an object: one that crashed and came back is another one.
        committed_entries: index -> (entry, the term in which it was first known to be committed).
        elections: how many there were.
        leader_is_elected: set when there is a new leader, and then replaced by a new one.
        leader_is_ready: the same when it commits the first entry of its term.
    """

    def __init__(self) -> None:
        self.leaders: dict[int, Server] = {}
        self.committed_entries: dict[int, tuple[Entry, int]] = {}
        self.elections = 0
        self.leader_is_elected = trio.Event()
        self.leader_is_ready = trio.Event()
        self._ready_term = 0
        self._entries: dict[tuple[int, int], tuple[Content, int]] = {}  # (index, term) -> content, the term before
        self._answers: dict[int, int | str | None] = {}
        # For explanations: where an entry was first taken for committed, by index, and a leader elected, by term.
        self._committed_at: dict[int, Place | None] = {}
        self._elected_at: dict[int, Place | None] = {}

    @property
    def commits(self) -> int:
        """How many entries are committed."""
        return len(self.committed_entries)

    def elected(self, server: Server) -> None:
        """A server has become leader."""
        self.elections += 1
        name, term = server.name, server.term
        other = self.leaders.setdefault(term, server)
        place = noted_place(sys._getframe(1), is_done_here=True)
        is_only = about(other is server, ("elected in", self._elected_at.get(term)), ("and again in", place))
        self._elected_at[term] = place
        require(is_only, ELECTION_SAFETY, f"term {term} has the leaders {other.name} and {name}")
        for index in range(server.log.base_index + 1, self.commits + 1):
            entry, committed_in = self.committed_entries[index]
            has_it = committed_in >= term or server.log.term_at(index) == entry.term
            require(
                has_it or about(False, ("committed in", self._committed_at[index]), ("elected in", place)),
                COMPLETENESS,
                f"{name}, leader of term {term}, lacks entry {index} of term {entry.term}, which was committed in "
                f"term {committed_in}",
            )

        self.leader_is_elected.set()
        self.leader_is_elected = trio.Event()

    def appended(self, server: Server, index: int) -> None:
        """A server has a new entry."""
        entry = server.log[index]
        term_before = server.log.term_at(index - 1)
        assert term_before is not None
        known = self._entries.setdefault((index, entry.term), (entry.content, term_before))
        detail = ""
        if known != (entry.content, term_before):
            detail = (
                f"entry {index} of term {entry.term} is {entry.content} after term {term_before} on {server.name}, "
                f"and was {known[0]} after term {known[1]}"
            )
        require(not detail, LOG_MATCHING, detail)

    def truncating(self, server: Server, index: int) -> None:
        """A server is about to drop entries."""
        name = server.name
        is_leader = server.role is Role.LEADER
        require(not is_leader, APPEND_ONLY, f"{name} leads term {server.term} and drops entry {index}")
        detail = f"{name} drops entry {index}, and knows that {server.commit_index} are committed"
        require(index > server.commit_index, STATE_MACHINE_SAFETY, detail)

    def committed(self, server: Server, before: int) -> None:
        """A server takes the entries after ``before`` for committed, up to its commit index."""
        place = noted_place(_before("commit_to"), is_done_here=True)
        for index in range(max(before, server.log.base_index) + 1, server.commit_index + 1):
            entry = server.log[index]
            known, _ = self.committed_entries.setdefault(index, (entry, server.term))
            self._committed_at.setdefault(index, place)
            detail = ""
            if known != entry:
                detail = f"{server.name} takes {entry} for entry {index}, and {known} was committed there"
            require(not detail, STATE_MACHINE_SAFETY, detail)
        if server.role is Role.LEADER and server.term > self._ready_term:
            self._ready_term = server.term
            self.leader_is_ready.set()
            self.leader_is_ready = trio.Event()

    def used(self, mechanism: Mechanism) -> None:
        """A server has used a mechanism: the run can say how often."""
        detrun.reachable(mechanism)

    def applied(self, name: str, index: int, answer: int | str | None) -> None:
        """A server has applied the entry at ``index``, and its state machine has given ``answer``."""
        known = self._answers.setdefault(index, answer)
        if known != answer:
            require(False, STATE_MACHINE_SAFETY, f"entry {index} gives {answer} on {name}, and gave {known}")


def _before(name: str) -> FrameType | None:
    """Who called the methods of this name that call what calls this: one overrides another."""
    frame = sys._getframe(2)
    while frame.f_code.co_name == name and frame.f_back is not None:
        frame = frame.f_back
    return frame
