"""What segments and resets do where they arrive and where they get lost, between two ends that only write it down."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

import pytest

from detrun.world.network.tcp_segments import Reset, Segment, WindowUpdate


class End:
    """One end of a connection: what it was told, in order."""

    def __init__(self, *, delivers: bool = True, has_peer: bool = True) -> None:
        self.told: list[Any] = []
        self.link: Any = SimpleNamespace(arrive=lambda packet: delivers, send=self._sent)
        self.local, self.remote = ("10.0.0.1", 40_000), ("10.0.0.2", 80)
        self.peer = End(has_peer=False) if has_peer else None
        self.retrying: dict[Any, None] = {}

    def _sent(self, packet: Any) -> None:
        self.told.append(("sent", packet))

    def arrived(self, segment: Any) -> None:
        self.told.append(("arrived", segment))

    def fail(self, number: int) -> None:
        self.told.append(("fail", number))

    def tear_down(self) -> None:
        self.told.append("tear down")

    def advertise(self, attempt: int) -> None:
        self.told.append(("advertise", attempt))


def segment(end: Any, data: bytes = b"abc", *, fin: bool = False) -> Segment:
    return Segment(end, 7, memoryview(data), fin)


def test_a_segment_is_its_bytes_and_forty_more_for_the_headers() -> None:
    end = End()
    one = segment(end)
    assert (one.size, one.number, one.data, one.fin) == (43, 7, b"abc", False)
    assert one.link is end.link


@pytest.mark.parametrize("delivers", [True, False])
def test_a_segment_is_given_to_the_other_end_if_the_link_delivers_it(delivers: bool) -> None:
    end = End(delivers=delivers)
    assert end.peer is not None
    one = segment(end)
    one.fire()
    assert end.peer.told == ([("arrived", one)] if delivers else [])
    assert end.told == []


def test_a_segment_to_an_end_that_is_no_more_comes_to_nothing() -> None:
    end = End(has_peer=False)
    segment(end).fire()
    assert end.told == []


@pytest.mark.parametrize(("failed", "expected"), [(15, "sent"), (16, "fail")])
def test_a_lost_segment_whose_time_is_over_is_sent_again_and_after_fifteen_repetitions_the_connection_fails(
    failed: int, expected: str
) -> None:
    end = End()
    one = segment(end)
    one.is_waiting, one.attempts = True, failed
    one.fire()
    assert end.told == [(expected, one if expected == "sent" else errno.ETIMEDOUT)]
    assert not one.is_waiting


def test_a_reset_on_the_way_tears_down_both_ends() -> None:
    end = End()
    segment(end).reset()
    assert end.told == ["tear down"]


def test_a_copy_of_a_segment_says_the_same_to_the_same_end() -> None:
    end = End()
    assert end.peer is not None
    one = segment(end, fin=True)
    twin: Any = one.copy()
    assert twin is not one
    assert (twin.number, twin.data, twin.fin, twin.size) == (7, b"abc", True, one.size)
    twin.fire()
    assert end.peer.told == [("arrived", twin)]


@pytest.mark.parametrize(("data", "fin", "what"), [(b"abc", False, "3 bytes"), (b"", False, "ACK"), (b"", True, "FIN")])
def test_a_segment_is_described_by_its_ports_its_place_and_what_it_carries(data: bytes, fin: bool, what: str) -> None:
    assert segment(End(), data, fin=fin).describe() == f"tcp 40000->80 #7 {what}"


@pytest.mark.parametrize("delivers", [True, False])
def test_a_reset_that_is_delivered_fails_the_end_it_is_for(delivers: bool) -> None:
    end: Any = End(delivers=delivers)
    one = Reset(end.link, end)
    assert (one.size, one.describe()) == (40, "tcp RST")
    for packet in (one, one.copy()):
        end.told.clear()
        packet.fire()
        assert end.told == ([("fail", errno.ECONNRESET)] if delivers else [])


def test_a_reset_for_an_end_that_is_no_more_still_travels() -> None:
    arrived: list[Any] = []
    link: Any = SimpleNamespace(arrive=lambda packet: arrived.append(packet) or True)
    one = Reset(link, None)
    one.fire()
    assert arrived == [one]


def test_word_of_room_is_tried_again_with_its_number() -> None:
    end: Any = End()
    WindowUpdate(end, 4).fire()
    assert end.told == [("advertise", 4)]
