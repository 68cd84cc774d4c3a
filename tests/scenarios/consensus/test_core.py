"""Raft's transitions by themselves: figures and rules of the dissertation, without tasks, disks or a network."""

from __future__ import annotations

from detrun_scenarios.consensus.core.entries import Command, Configuration, Content, Entry
from detrun_scenarios.consensus.core.messages import Appended, AppendEntries, RequestVote, Vote
from detrun_scenarios.consensus.core.server import Role
from tests.scenarios.consensus.by_hand import NAMES, Hand, terms_of


def test_a_server_with_a_log_that_is_behind_is_not_elected() -> None:
    hand = Hand({"a": (1,), "b": (1, 1), "c": (1, 1)})
    assert hand.elect("a").role is Role.PRE_CANDIDATE
    assert hand.servers["a"].term == 1  # a trial changes no term
    assert hand.elect("b").role is Role.LEADER
    assert [terms_of(server) for server in hand.servers.values()] == [[1, 1, 2]] * 3


def test_a_vote_is_given_once_in_a_term_and_again_to_the_same_candidate() -> None:
    hand = Hand(dict.fromkeys(NAMES, ()))
    hand.time += 1.0
    voter = hand.servers["c"]
    for candidate, is_granted in (("a", True), ("b", False), ("a", True)):
        voter.step(RequestVote(1, candidate, 0, 0))
        assert hand.sent("c") == [(candidate, Vote(1, "c", is_granted, False))]


def test_a_voter_that_hears_a_leader_is_loyal_unless_the_leader_wants_another() -> None:
    hand = Hand(dict.fromkeys(NAMES, ()))
    hand.elect("a")
    for is_transfer in (False, True):
        hand.servers["b"].step(RequestVote(2, "c", 1, 1, is_transfer=is_transfer))
        assert bool(hand.sent("b")) is is_transfer


def test_an_entry_of_an_older_term_is_not_committed_by_counting() -> None:
    """Figure 3.7: entry 2 of term 2 is on a majority, and a later leader may still overwrite it."""
    hand = Hand({"a": (1, 2), "b": (1,), "c": (1,)}, terms={"a": 3, "b": 3, "c": 3})
    leader = hand.elect("a", without=("c",))
    assert leader.commit_index == 3  # of its own term, and with it all before it
    again = Hand({"a": (1, 2), "b": (1,), "c": (1,)}, terms={"a": 3, "b": 3, "c": 3})
    leader = again.servers["a"]
    leader.set_term(4, "a")
    leader.become_leader()
    again.sent("a")
    leader.step(Appended(4, "b", True, 2, 0, 1))
    assert (leader.matched["b"], leader.commit_index) == (2, 0)
    leader.step(Appended(4, "b", True, 3, 0, 1))
    assert leader.commit_index == 3


def test_followers_of_figure_3_6_get_the_leaders_log() -> None:
    leader_log = (1, 1, 1, 4, 4, 5, 5, 6, 6, 6)
    for follower in (
        (1, 1, 1, 4, 4, 5, 5, 6, 6),
        (1, 1, 1, 4),
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
        (1, 1, 1, 4, 4, 4, 4),
        (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
    ):
        hand = Hand({"a": leader_log, "b": follower, "c": leader_log}, terms=dict.fromkeys(NAMES, 7))
        hand.servers["a"].set_term(8, "a")
        hand.servers["a"].become_leader()
        hand.settle()
        assert terms_of(hand.servers["b"]) == [*leader_log, 8]
        hand.servers["b"]._check()


def test_an_append_that_was_overtaken_shortens_no_log() -> None:
    hand = Hand(dict.fromkeys(NAMES, ()))
    follower = hand.servers["b"]
    entries = tuple(Entry(1, Command("s", number, "put", "k", number)) for number in range(3))
    for count in (3, 1):
        follower.step(AppendEntries(1, "a", 0, 0, entries[:count], 0, 1))
    assert follower.log.slice(1, 3) == entries
    follower.step(AppendEntries(2, "c", 1, 1, (Entry(2, None),), 0, 1))
    assert terms_of(follower) == [1, 2]


def test_a_leader_that_is_cut_off_loses_its_lease_and_steps_down() -> None:
    hand = Hand(dict.fromkeys(NAMES, ()))
    leader = hand.elect("a")
    leader.heartbeat()
    hand.settle()
    assert leader.has_lease()
    assert leader.read("at once")
    assert leader.admitted_reads == [(1, "at once")]
    hand.time += 0.11  # the time-out less the margin is 0.1
    assert not leader.has_lease()
    assert leader.read("after a round")
    assert len(leader.admitted_reads) == 1
    hand.settle()
    assert leader.admitted_reads[1:] == [(1, "after a round")]
    hand.time += 0.31
    leader.heartbeat()
    assert leader.role is Role.FOLLOWER


def test_a_leader_hands_over_and_has_no_lease_from_then_on() -> None:
    hand = Hand(dict.fromkeys(NAMES, ()))
    leader = hand.elect("a")
    leader.heartbeat()
    hand.settle()
    assert leader.transfer_to("b")
    assert not leader.takes_requests
    assert not leader.has_lease()
    hand.settle()
    assert [server.role for server in hand.servers.values()] == [Role.FOLLOWER, Role.LEADER, Role.FOLLOWER]


def test_members_change_by_a_joint_configuration_and_a_leader_that_is_left_out_steps_down() -> None:
    hand = Hand(dict.fromkeys("abcd", ()))
    for server in hand.servers.values():
        server.configurations = [(0, Configuration(NAMES))]
    leader = hand.elect("a")
    assert leader.change_members(("b", "c", "d"))
    hand.settle()
    contents: list[Content] = [entry.content for _, entry in hand.servers["d"].log.numbered()]
    assert contents[1:] == [
        Configuration(NAMES, learners=("d",)),
        Configuration(("b", "c", "d"), old_voters=NAMES),
        Configuration(("b", "c", "d")),
    ]
    assert leader.role is Role.FOLLOWER
    assert hand.elect("d", without=("a",)).role is Role.LEADER


def test_both_majorities_are_needed_while_configurations_are_joint() -> None:
    joint = Configuration(("c", "d", "e"), old_voters=("a", "b", "c"))
    assert not joint.has_quorum({"a", "b"})
    assert not joint.has_quorum({"d", "e", "a"})
    assert joint.has_quorum({"a", "c", "d"})
    assert joint.agreed({"a": 5, "b": 1, "c": 4, "d": 9, "e": 2}) == 4
