"""Each property of figure 3.2 fails when servers do what it forbids: they are moved there by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import detrun
from detrun_scenarios.consensus.core.entries import Command, Entry
from detrun_scenarios.consensus.core.raft import Raft
from detrun_scenarios.consensus.core.server import Role
from detrun_scenarios.consensus.invariants import (
    APPEND_ONLY,
    COMPLETENESS,
    ELECTION_SAFETY,
    LOG_MATCHING,
    STATE_MACHINE_SAFETY,
    Invariants,
)
from tests.scenarios.consensus.by_hand import Hand


def watched(**logs: tuple[int, ...]) -> tuple[dict[str, Raft], Invariants]:
    """Servers with logs of entries of these terms, watched from here on."""
    servers = Hand(dict(logs)).servers
    invariants = Invariants()
    for server in servers.values():
        server.witness = invariants
    return servers, invariants


def two_leaders() -> None:
    servers, invariants = watched(a=(1,), b=(1,))
    for server in servers.values():
        server.role = Role.LEADER
        invariants.elected(server)


def leader_that_drops() -> None:
    servers, _ = watched(a=(1, 1), b=(1, 1))
    servers["a"].role = Role.LEADER
    servers["a"].truncate_from(2)


def entries_that_differ() -> None:
    servers, _ = watched(a=(1,), b=(1,))
    servers["a"].append([Entry(2, Command("s", 1, "put", "k", 1))])
    servers["b"].append([Entry(2, Command("s", 1, "put", "k", 2))])


def entries_before_that_differ() -> None:
    servers, _ = watched(a=(1, 1), b=(1, 2))
    for server in servers.values():
        server.append([Entry(3, None)])


def leader_that_lacks() -> None:
    servers, invariants = watched(a=(1, 1), b=(1,))
    servers["a"].commit_to(2)
    servers["b"].term = 2
    invariants.elected(servers["b"])


def two_that_commit() -> None:
    servers, _ = watched(a=(1, 1), b=(1, 2))
    servers["a"].commit_to(2)
    servers["b"].commit_to(2)


def promised_entry_that_goes() -> None:
    servers, _ = watched(a=(1, 1), b=(1,))
    servers["a"].commit_to(2)
    servers["a"].truncate_from(2)


def machines_that_differ() -> None:
    _, invariants = watched(a=(1,))
    invariants.applied("a", 1, 7)
    invariants.applied("b", 1, 8)


@pytest.mark.parametrize(
    ("happens", "name", "says"),
    [
        (two_leaders, ELECTION_SAFETY, "term 1 has the leaders a and b"),
        (leader_that_drops, APPEND_ONLY, "a leads term 1 and drops entry 2"),
        (entries_that_differ, LOG_MATCHING, "entry 2 of term 2 is"),
        (entries_before_that_differ, LOG_MATCHING, "after term 2 on b, and was None after term 1"),
        (leader_that_lacks, COMPLETENESS, "b, leader of term 2, lacks entry 2 of term 1"),
        (two_that_commit, STATE_MACHINE_SAFETY, "and Entry(term=1, content=None) was committed there"),
        (promised_entry_that_goes, STATE_MACHINE_SAFETY, "a drops entry 2, and knows that 2 are committed"),
        (machines_that_differ, STATE_MACHINE_SAFETY, "entry 1 gives 8 on b, and gave 7"),
    ],
)
def test_a_property_fails_when_servers_do_what_it_forbids(happens: Callable[[], None], name: str, says: str) -> None:
    async def main() -> None:
        happens()

    with pytest.raises(AssertionError, match=f"always '{name}' was false") as caught:
        detrun.record(main)
    assert says in "".join(caught.value.__notes__)
