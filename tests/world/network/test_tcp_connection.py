"""The two ends of one connection over two links, with a clock that the test moves, and bells in place of tasks.

What programs see of it is in `tests/world/sockets`, against the sockets of this machine.
"""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

import pytest

from detrun.world.fault_counts import FaultCounts
from detrun.world.network.link import Link
from detrun.world.network.listener import Listener
from detrun.world.network.settings import LinkSettings
from detrun.world.network.tcp import Connection
from detrun.world.network.tcp_segments import Reset, Segment
from detrun_scheduler.clock import VirtualClock

SEND_BUFFER, RECEIVE_BUFFER = 262_144, 131_072
LATENCY = 0.01


class Bell:
    """Stands for the task that waits at a socket, if one does."""

    def __init__(self) -> None:
        self.rung = 0
        self.waits = False

    def wake(self) -> None:
        self.rung += 1

    def __bool__(self) -> bool:
        return self.waits


class Pair:
    """A client on ``a`` and a server on ``b``, from the moment that the server has answered the handshake."""

    def __init__(self, *, backlog: int = 2) -> None:
        self.clock = VirtualClock()
        self.entered: list[Any] = []
        self.left: list[Any] = []
        self.names: list[Any] = []
        run = SimpleNamespace(
            virtual_clock=self.clock,
            timers=self.clock.timers,
            serial=5,
            register=lambda kind, name: self.names.append((kind, name)) or len(self.names) - 1,
            message_entered=self.entered.append,
            message_left=self.left.append,
        )
        services: Any = SimpleNamespace(run=run, faults=FaultCounts(), retransmission_seconds=0.25)
        self.a, self.b = (SimpleNamespace(name=name, is_powered=True, connections={}) for name in "ab")
        settings = LinkSettings(latency=LATENCY)
        self.there, self.back = (
            Link(services, (), one, other, settings)  # type: ignore[arg-type]
            for one, other in ((self.a, self.b), (self.b, self.a))
        )
        self.client = Connection(
            self.a, services, self.there, self.back, ("10.0.0.1", 40_000), ("10.0.0.2", 80)  # type: ignore[arg-type]
        )  # fmt: skip
        self.a.connections[self.client] = None
        self.client.connecting = True
        self.accepts = Bell()
        self.listener: Any = Listener(self.accepts, backlog)  # type: ignore[arg-type]
        self.server = self.client.accepted_by(self.b, self.listener)  # type: ignore[arg-type]
        self.bells: dict[str, Bell] = {name: Bell() for name in ("cr", "cw", "sr", "sw")}
        self.client.attach(self.bells["cr"], self.bells["cw"])  # type: ignore[arg-type]

    def until(self, seconds: float) -> Pair:
        """Fire what is due by then."""
        while (due := self.clock.timers.next_time()) <= seconds:
            self.clock.now = self.clock.time = due
            for key in self.clock.timers.pop_due(due):
                key.fire()
        self.clock.now = self.clock.time = seconds
        for end in (self.client, self.server):
            end._check()
        return self

    def sent(self) -> list[Any]:
        """What is on its way to the server."""
        return list(self.there.in_flight)


def established() -> Pair:
    """At second 1, with nothing on its way."""
    pair = Pair()
    pair.client.established()
    pair.until(1.0)
    pair.server.attach(pair.bells["sr"], pair.bells["sw"])  # type: ignore[arg-type]
    for bell in pair.bells.values():
        bell.rung = 0
    return pair


def received(end: Connection) -> bytes:
    return end.read(1 << 30)


# --- beginning -------------------------------------------------------------------------------------------------------


def test_a_handshake_is_complete_when_the_client_has_answered() -> None:
    pair = Pair()
    assert (pair.listener.half_open, list(pair.b.connections)) == (1, [pair.server])
    assert (pair.server.peer, pair.client.peer) == (pair.client, pair.server)
    assert (pair.server.local, pair.server.remote) == (pair.client.remote, pair.client.local)
    assert pair.client.connecting
    pair.client.established()
    assert (pair.client.connecting, pair.bells["cw"].rung) == (False, 1)
    assert [one.describe() for one in pair.sent()] == ["tcp 40000->80 #0 ACK"]
    pair.until(1.0)
    assert (pair.listener.half_open, list(pair.listener.accepted), pair.accepts.rung) == (0, [pair.server], 1)
    assert (pair.server.listener, pair.server.alarm_due) == (None, None)
    assert (pair.names, pair.entered, pair.left) == (
        [("connection", "tcp a:40000->b:80")],
        [pair.client],
        [pair.client],
    )
    assert (pair.client.serial, pair.client.number, pair.server.number) == (5, 0, -1)
    assert repr(pair.client) == "<Connection 10.0.0.1:40000 to 10.0.0.2:80 on a>"


def test_a_client_that_never_comes_back_is_waited_for_for_63_seconds() -> None:
    pair = Pair().until(62.9)
    assert not pair.server.gone
    pair.until(63.1)
    assert (pair.server.gone, pair.listener.half_open, pair.b.connections) == (True, 0, {})


def test_a_server_whose_socket_was_closed_meanwhile_answers_with_a_reset() -> None:
    pair = Pair()
    pair.listener.is_closed = True
    pair.client.established()
    pair.until(1.0)
    assert pair.server.gone
    assert (pair.client.gone, pair.client.error, pair.listener.half_open) == (True, errno.ECONNRESET, 0)
    assert (pair.left, pair.a.connections, pair.b.connections) == ([], {}, {})


# --- bytes -----------------------------------------------------------------------------------------------------------


def test_bytes_arrive_after_the_latency_and_wake_the_reader() -> None:
    pair = established()
    assert pair.client.send(b"hello") == 5
    assert pair.server.send(memoryview(b"back")) == 4
    pair.until(1.009)
    assert pair.bells["sr"].rung == 0
    pair.until(1.011)
    assert (pair.bells["sr"].rung, pair.bells["sw"].rung) == (1, 0)
    assert (pair.server.read(3), pair.server.read(9), pair.server.read(9)) == (b"hel", b"lo", b"")
    assert received(pair.client) == b"back"
    assert [name for _, name in pair.names] == ["tcp a:40000->b:80", "tcp b:80->a:40000"]
    assert pair.entered == [pair.client, pair.client, pair.server]
    pair.client.outgoing.queued_bytes += 1
    with pytest.raises(AssertionError, match="queued_bytes"):
        pair.client._check()


def test_what_was_given_to_send_may_be_changed_at_once() -> None:
    pair = established()
    data = bytearray(b"hello")
    pair.client.send(data)
    data[:] = b"?????"
    pair.until(2.0)
    assert received(pair.server) == b"hello"


def test_segments_that_overtake_others_wait_for_them_and_late_copies_are_acknowledged_only() -> None:
    pair = established()
    for text in (b"one ", b"two ", b"three"):
        pair.client.send(text)
    one, two, three = pair.sent()
    pair.there.forget_messages()
    pair.server.arrived(three)
    assert (pair.bells["sr"].rung, bytes(pair.server.inbox), list(pair.server.early)) == (0, b"", [3])
    pair.server.arrived(one)
    assert (pair.bells["sr"].rung, bytes(pair.server.inbox)) == (1, b"one ")
    pair.server.arrived(two)
    assert (pair.bells["sr"].rung, bytes(pair.server.inbox), pair.server.early) == (2, b"one two three", {})
    before = len(pair.client.outgoing.acknowledgements)
    pair.server.arrived(two)
    assert (pair.bells["sr"].rung, bytes(pair.server.inbox)) == (2, b"one two three")
    assert len(pair.client.outgoing.acknowledgements) == before + 1
    assert pair.left == [pair.client] * 4  # with the end of the handshake


def filled() -> Pair:
    """The client has written as much as there is room for, and the server has read nothing."""
    pair = established()
    assert pair.client.send(bytes(300_000)) == SEND_BUFFER
    pair.until(2.0)
    assert pair.client.send(bytes(300_000)) == RECEIVE_BUFFER
    assert pair.client.send(b"x") == 0
    return pair.until(3.0)


def test_a_sender_has_as_much_on_its_way_as_the_receiver_has_room() -> None:
    pair = filled()
    assert len(pair.server.inbox) == RECEIVE_BUFFER == pair.client.outgoing.sent_bytes
    assert pair.client.outgoing.room == 0
    assert not pair.client.has_room()


def test_a_receiver_says_that_there_is_room_when_half_a_buffer_is_free() -> None:
    pair = filled()
    pair.server.read(RECEIVE_BUFFER // 2 - 1)
    pair.until(4.0)
    assert pair.client.outgoing.sent_bytes == RECEIVE_BUFFER
    pair.server.read(1)
    pair.until(5.0)
    assert pair.client.outgoing.sent_bytes == RECEIVE_BUFFER * 3 // 2
    assert len(pair.server.inbox) == RECEIVE_BUFFER
    pair.server.at_end = True  # nothing more will come
    pair.server.read(RECEIVE_BUFFER)
    assert not pair.client.outgoing.acknowledgements


def test_a_writer_is_told_when_a_third_of_the_buffer_is_free() -> None:
    pair = filled()
    pair.bells["cw"].waits = True
    pair.client.await_acknowledgement()
    pair.server.read(RECEIVE_BUFFER // 2)
    pair.until(4.0)
    # The second half of what was read is on its way, and half a receive buffer is a quarter of the send buffer.
    assert (pair.client.has_room(), pair.bells["cw"].rung) == (False, 0)
    pair.server.read(RECEIVE_BUFFER)
    pair.until(5.0)
    assert (pair.client.has_room(), pair.bells["cw"].rung > 0) == (True, True)


@pytest.mark.parametrize(("free", "has_room"), [(SEND_BUFFER // 3, False), (SEND_BUFFER // 3 + 1, True)])
def test_a_third_of_the_buffer_is_room(free: int, has_room: bool) -> None:
    pair = established()
    pair.client.outgoing.queued_bytes = SEND_BUFFER - free
    assert pair.client.has_room() is has_room
    pair.bells["cw"].waits = True
    pair.client.fire()
    assert pair.bells["cw"].rung == has_room
    pair.client.outgoing.queued_bytes = 0


def test_room_that_acknowledgements_have_made_is_seen_when_it_is_asked_for() -> None:
    pair = established()
    pair.client.send(bytes(60_000))
    pair.until(2.0)
    assert pair.client.has_room()
    assert pair.client.outgoing.room == SEND_BUFFER
    pair.client.send(bytes(60_000))
    pair.until(3.0)
    assert pair.client.send(bytes(SEND_BUFFER)) == SEND_BUFFER


def test_at_most_32_acknowledgements_are_kept_while_nothing_waits_for_them() -> None:
    pair = established()
    pair.back.latency = 0.0
    pair.client.outgoing.see_acknowledgements(1.0)
    for count in (*range(1, 33), 0, 1):
        pair.client.acknowledged(0, RECEIVE_BUFFER)
        assert len(pair.client.outgoing.acknowledgements) == count
    pair.bells["cw"].waits = True
    pair.client.acknowledged(0, RECEIVE_BUFFER)
    assert pair.client.alarm_due == 1.0


def test_the_alarm_is_set_for_the_earliest_acknowledgement() -> None:
    pair = established()
    pair.client.outgoing.see_acknowledgements(1.0)
    pair.client.await_acknowledgement()
    assert pair.client.alarm_due is None
    pair.bells["cw"].waits = True
    seen = []
    for latency in (0.5, 0.7, 0.25, 0.25):
        pair.back.latency = latency
        pair.client.acknowledged(0, RECEIVE_BUFFER)
        seen.append((pair.client.alarm_due, pair.clock.timers.next_time(), len(pair.clock.timers.live)))
    assert seen == [(1.5, 1.5, 1), (1.5, 1.5, 1), (1.25, 1.25, 1), (1.25, 1.25, 1)]
    pair.until(1.3)
    assert pair.client.alarm_due is None


# --- loss ------------------------------------------------------------------------------------------------------------


def test_what_is_lost_is_sent_again_and_arrives_once() -> None:
    pair = established()
    pair.there.partitioned = True
    pair.client.send(b"hello")
    pair.there.partitioned = False
    pair.until(1.24)
    assert (pair.server.inbox, len(pair.client.retrying)) == (b"", 1)
    pair.until(1.27)
    assert (pair.server.inbox, pair.client.retrying) == (b"hello", {})


def test_what_cannot_be_acknowledged_is_sent_again() -> None:
    pair = established()
    pair.back.partitioned = True
    pair.client.send(b"hello")
    pair.until(1.1)
    assert (bytes(pair.server.inbox), len(pair.client.retrying)) == (b"hello", 1)
    pair.back.partitioned = False
    pair.until(2.0)
    assert (bytes(pair.server.inbox), pair.client.retrying) == (b"hello", {})
    assert pair.client.has_room()
    assert pair.client.outgoing.acknowledged_bytes == 5


def test_a_sender_that_hears_nothing_gives_up_and_both_its_tasks_learn_of_it() -> None:
    pair = established()
    pair.there.partitioned = True
    pair.client.send(b"hello")
    pair.until(5_000.0)
    assert (pair.client.error, pair.client.gone, pair.client.retrying) == (errno.ETIMEDOUT, True, {})
    assert (pair.bells["cr"].rung, pair.bells["cw"].rung, pair.a.connections) == (1, 1, {})


def test_word_of_room_is_given_again_until_it_gets_through() -> None:
    pair = filled()
    pair.back.partitioned = True
    pair.server.read(RECEIVE_BUFFER)
    assert not pair.client.outgoing.acknowledgements
    pair.until(3.2)
    pair.back.partitioned = False
    pair.until(3.3)
    assert pair.client.outgoing.sent_bytes > RECEIVE_BUFFER
    for change in ({"peer": None}, {"gone": True}):
        end: Any = SimpleNamespace(peer=pair.client, gone=False, **{})
        vars(end).update(change)
        Connection.advertise(end, 0)
    pair.client.forget()
    before = dict(pair.clock.timers.live)
    pair.server.advertise(0)
    assert pair.clock.timers.live == before


# --- ending ----------------------------------------------------------------------------------------------------------


def test_the_end_of_what_is_sent_goes_behind_what_is_queued() -> None:
    pair = established()
    pair.client.send(bytes(SEND_BUFFER))
    pair.client.finish()
    pair.client.finish()
    assert (pair.client.finishing, pair.client.finished) == (True, False)
    pair.until(2.0)
    assert not pair.server.at_end
    received(pair.server)
    pair.until(3.0)
    received(pair.server)
    pair.until(4.0)
    assert (pair.client.finished, pair.server.at_end, pair.client.finish_seen) == (True, True, True)
    assert pair.client.segments == 1 + 2 * 90 + 1  # of the handshake, of two windows that each end in a part, and FIN
    assert not pair.client.has_ended
    assert pair.server.send(b"still") == 5
    pair.until(5.0)
    assert received(pair.client) == b"still"


def test_a_connection_that_both_have_closed_is_forgotten_by_both() -> None:
    pair = established()
    pair.client.close()
    pair.until(2.0)
    assert (pair.server.at_end, pair.server.is_over, pair.client.is_over) == (True, False, False)
    assert list(pair.a.connections) == [pair.client]
    pair.server.close()
    pair.until(3.0)
    assert (pair.client.is_over, pair.server.is_over) == (True, True)
    assert (pair.a.connections, pair.b.connections) == ({}, {})
    assert (pair.client.peer, pair.server.peer) == (None, None)
    assert (pair.client.alarm_due, pair.server.alarm_due) == (None, None)
    assert (pair.client.gone, pair.client.error) == (False, 0)
    assert pair.clock.timers.live == {}


def test_an_end_that_was_closed_waits_a_minute_for_the_other() -> None:
    pair = established()
    pair.client.close()
    pair.until(1.0 + 2 * LATENCY + 59.9)
    assert (pair.client.gone, pair.client.readers, pair.client.writers) == (False, None, None)
    pair.until(1.0 + 2 * LATENCY + 60.1)
    assert (pair.client.gone, pair.a.connections) == (True, {})


def test_an_end_that_only_says_that_it_will_send_no_more_waits_as_long_as_it_takes() -> None:
    pair = established()
    pair.client.finish()
    pair.until(500.0)
    assert not pair.client.gone


@pytest.mark.parametrize("unread", [True, False])
def test_closing_with_bytes_that_were_not_read_is_a_reset(unread: bool) -> None:
    pair = established()
    pair.server.send(b"hello")
    pair.until(2.0)
    if not unread:
        received(pair.client)
    pair.client.close()
    assert pair.client.gone is unread
    pair.until(3.0)
    assert (pair.server.error, pair.server.at_end) == ((errno.ECONNRESET, False) if unread else (0, True))
    pair.client.close()
    pair.until(4.0)


def test_closing_what_has_failed_or_has_ended_sends_nothing() -> None:
    pair = established()
    pair.client.error = errno.ETIMEDOUT  # which the process has not read
    pair.client.close()
    assert pair.client.gone
    ended = established()
    ended.client.finish()
    ended.server.send(b"last")
    ended.server.finish()
    ended.until(2.0)
    assert ended.client.has_ended
    ended.client.close()
    assert (ended.sent(), ended.client.gone, ended.a.connections) == ([], False, {})


def test_a_segment_for_an_end_that_is_gone_is_answered_with_a_reset() -> None:
    pair = established()
    pair.server.forget()
    pair.client.send(b"hello")
    pair.until(2.0)
    assert (pair.client.gone, pair.client.error, pair.bells["cr"].rung) == (True, errno.ECONNRESET, 1)


def test_bytes_for_a_socket_that_was_closed_are_answered_with_a_reset() -> None:
    pair = established()
    pair.server.close()
    pair.until(2.0)
    pair.client.send(b"hello")
    pair.until(3.0)
    # The client has seen the end of what the server sends: a reset is news to its writer only.
    assert (pair.server.gone, pair.client.gone, pair.client.error) == (True, True, errno.EPIPE)
    assert pair.left.count(pair.client) == 2


@pytest.mark.parametrize(("read_shut", "finishing"), [(True, True), (True, False), (False, True)])
def test_bytes_for_a_socket_that_was_shut_down_both_ways_are_answered_with_a_reset(
    read_shut: bool, finishing: bool
) -> None:
    pair = established()
    pair.server.read_shut = read_shut
    if finishing:
        pair.server.finish()
    pair.client.send(b"hello")
    pair.until(2.0)
    both = read_shut and finishing
    assert (pair.server.error, pair.server.gone) == ((errno.ECONNRESET, True) if both else (0, False))
    assert pair.client.gone is both
    assert bytes(pair.server.inbox) == (b"" if both else b"hello")


@pytest.mark.parametrize(
    ("number", "at_end", "error"),
    [
        (errno.ECONNRESET, False, errno.ECONNRESET),
        (errno.ECONNRESET, True, errno.EPIPE),
        (errno.ETIMEDOUT, True, errno.ETIMEDOUT),
        (errno.ETIMEDOUT, False, errno.ETIMEDOUT),
    ],
)
def test_a_failure_is_told_to_both_tasks_once(number: int, at_end: bool, error: int) -> None:
    pair = established()
    pair.client.at_end = at_end
    pair.client.fail(number)
    pair.client.fail(errno.ECONNREFUSED)
    assert (pair.client.error, pair.client.gone) == (error, True)
    assert (pair.bells["cr"].rung, pair.bells["cw"].rung) == (1, 1)
    closed = established()
    closed.client.close()
    closed.client.fail(number)
    assert (closed.client.error, closed.bells["cr"].rung) == (number, 0)


def test_a_connection_that_is_torn_down_fails_at_both_ends() -> None:
    pair = established()
    pair.client.tear_down()
    assert (pair.client.error, pair.server.error) == (errno.ECONNRESET, errno.ECONNRESET)
    alone = established()
    alone.client.peer = None
    alone.client.tear_down()
    assert (alone.client.error, alone.server.error) == (errno.ECONNRESET, 0)
    alone.client.peer = alone.server


def test_of_what_is_gone_nothing_is_kept_and_nothing_is_set() -> None:
    pair = established()
    pair.there.partitioned = True
    pair.client.send(bytes(SEND_BUFFER))
    pair.client.early[9] = Segment(pair.server, 9, memoryview(b""), False)
    pair.client.outgoing.acknowledged(2.0, 0, RECEIVE_BUFFER)
    pair.client.await_acknowledgement()
    assert pair.clock.timers.live
    pair.client.forget()
    assert (pair.clock.timers.live, pair.client.retrying, pair.client.early) == ({}, {}, {})
    assert (pair.client.outgoing.queued_bytes, pair.a.connections, pair.client.peer) == (0, {}, pair.server)
    pair.server.forget()
    assert (pair.client.peer, pair.server.peer) == (None, None)
    pair.client.abort()
    pair.client.finish()
    assert (pair.sent(), pair.client.finishing) == ([], False)


def test_a_handshake_that_is_forgotten_gives_its_place_back() -> None:
    pair = Pair()
    pair.server.forget()
    assert (pair.listener.half_open, pair.server.listener) == (0, None)


def test_giving_a_connection_up_sends_one_reset() -> None:
    pair = established()
    pair.client.abort()
    pair.client.abort()
    (one,) = pair.sent()
    assert isinstance(one, Reset)
    pair.until(2.0)
    assert (pair.server.error, pair.server.gone) == (errno.ECONNRESET, True)
