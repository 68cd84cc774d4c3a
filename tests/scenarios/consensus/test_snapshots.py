"""Snapshots on their way: in pieces, each once unless it is lost, put together whole or not at all."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from detrun_scenarios.consensus.core.entries import Command, Configuration, Snapshot
from detrun_scenarios.consensus.core.messages import Appended, InstallSnapshot, Message, PieceReceived
from detrun_scenarios.consensus.core.raft import Raft
from tests.scenarios.consensus.by_hand import NAMES, Hand

STATE = b"a state of 24 characters"
PIECE = 7  # bytes: 7 + 7 + 7 + 3


def lagging() -> tuple[Hand, Raft, Raft]:
    """A leader whose log is gone up to 11, and a follower that has nothing."""
    hand = Hand(dict.fromkeys(NAMES, ()), snapshot_piece_bytes=PIECE)
    leader = hand.elect("a", without=("c",))
    leader.propose([Command("s", number, "put", "k", number) for number in range(10)])
    hand.settle(without=("c",))
    leader.take_snapshot(leader.commit_index, STATE, 0)
    assert leader.log.base_index == 11
    hand.sent("a")
    return hand, leader, hand.servers["c"]


def offer(leader: Raft) -> list[InstallSnapshot]:
    """The pieces that the leader would send to the follower now: one at a time."""
    found = []
    while leader.has_work_for("c"):
        message = leader.next_append("c")
        if not isinstance(message, InstallSnapshot):
            break
        found.append(message)
    return found


def test_a_follower_that_lags_behind_the_log_gets_the_snapshot_and_each_byte_once() -> None:
    hand, leader, follower = lagging()
    pieces: list[InstallSnapshot] = []
    while follower.commit_index < 11:
        leader.heartbeat()  # one between any two pieces, which must repeat none
        (piece,) = offer(leader)
        pieces.append(piece)
        leader.heartbeat()
        assert offer(leader) == []
        follower.step(piece)
        for _, answer in hand.sent("c"):
            leader.step(answer)
    assert [piece.offset for piece in pieces] == [0, 7, 14, 21]
    assert [piece.is_done for piece in pieces] == [False, False, False, True]
    assert b"".join(piece.data for piece in pieces) == STATE
    assert follower.snapshot == leader.snapshot
    hand.settle()
    assert (follower.commit_index, follower.log.last_index, follower.durable_index) == (11, 11, 11)


def test_a_piece_that_is_not_answered_is_sent_again_after_half_a_time_out_and_no_other() -> None:
    hand, leader, follower = lagging()
    leader.heartbeat()
    (first,) = offer(leader)
    follower.step(first)
    ((_, answer),) = [one for one in hand.sent("c") if isinstance(one[1], PieceReceived)]
    assert isinstance(answer, PieceReceived)
    assert (answer.offset, answer.wanted) == (0, 7)
    leader.step(answer)
    (second,) = offer(leader)
    hand.time += 0.07  # the time-out is 0.15
    leader.heartbeat()
    assert offer(leader) == []
    hand.time += 0.01
    leader.heartbeat()
    (again,) = offer(leader)
    assert (again.offset, again.data) == (second.offset, second.data)
    leader.step(answer)  # an answer that comes late, or twice, moves nothing
    assert offer(leader) == []


def test_a_follower_that_has_forgotten_its_pieces_is_sent_the_newest_snapshot_from_its_beginning() -> None:
    hand, leader, follower = lagging()
    leader.heartbeat()
    (first,) = offer(leader)
    follower.step(first)
    for _, answer in hand.sent("c"):
        leader.step(answer)
    (second,) = offer(leader)
    assert leader.snapshot is not None
    leader.snapshot = Snapshot(11, 1, leader.snapshot.configuration, b"newer")
    follower.receiving = None  # it has crashed
    follower.step(second)
    for _, answer in hand.sent("c"):
        leader.step(answer)
    (third,) = offer(leader)
    assert (third.offset, third.data) == (0, b"newer")


def test_pieces_of_two_leaders_are_not_put_together() -> None:
    hand = Hand(dict.fromkeys(NAMES, ()))
    follower = hand.servers["c"]

    def piece(term: int, offset: int, data: bytes, is_done: bool) -> InstallSnapshot:
        return InstallSnapshot(term, "a", 9, 1, Configuration(NAMES), offset, data, is_done, 1)

    follower.step(piece(1, 0, b"old", False))
    follower.step(piece(2, 3, b"new", True))
    assert follower.snapshot is None
    assert hand.sent("c")[-1][1] == PieceReceived(2, "c", 9, 3, 0, 1)
    follower.step(piece(2, 0, b"new", True))
    assert follower.snapshot is not None
    assert follower.snapshot.state == b"new"
    assert hand.sent("c")[-1][1] == Appended(2, "c", True, 9, 0, 1)


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["deliver", "lose", "double", "swap"]), max_size=40))
def test_whatever_the_network_does_the_follower_has_the_snapshot_whole_in_the_end(turns: list[str]) -> None:
    hand, leader, follower = lagging()
    network: list[tuple[str, Message]] = []
    for turn in [*turns, *["deliver"] * 60]:
        hand.time += 0.03
        leader.heartbeat()
        while leader.has_work_for("c"):
            network.append(("c", leader.next_append("c")))
        network += [one for name in ("a", "c") for one in hand.sent(name) if one[0] in ("a", "c")]
        if turn == "swap":
            network.reverse()
        for at, (to, message) in enumerate(network):
            if turn != "lose" or at % 2:
                hand.servers[to].step(message)
            if turn == "double":
                hand.servers[to].step(message)
        network.clear()
        assert follower.snapshot in (None, leader.snapshot)
    assert follower.snapshot == leader.snapshot
    assert follower.log.last_index == leader.log.last_index
