"""The send buffer by itself: what goes into a segment, what a window allows, and what acknowledgements free."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from detrun.world.network.tcp_outgoing import Outgoing

MOST = 1460
BUFFER = 262_144
WINDOW = 131_072


def buffer(*pieces: bytes, window: int = WINDOW) -> Outgoing:
    """With these pieces written to it."""
    outgoing = Outgoing()
    outgoing.window_edge = window
    for piece in pieces:
        outgoing.queue.append(memoryview(piece))
        outgoing.queued_bytes += len(piece)
    return outgoing


def segments(outgoing: Outgoing) -> list[bytes]:
    """All that go out until the window is closed."""
    found = []
    while outgoing.queue and outgoing.sent_bytes < outgoing.window_edge:
        found.append(bytes(outgoing.next_segment()))
        outgoing._check()
    return found


def test_a_new_buffer_is_empty_and_the_window_is_that_of_linux() -> None:
    outgoing = Outgoing()
    assert (outgoing.room, outgoing.window_edge, outgoing.next_arrival) == (BUFFER, WINDOW, None)
    assert (outgoing.sent_bytes, outgoing.acknowledged_bytes, outgoing.queued_bytes) == (0, 0, 0)
    outgoing._check()


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ([10], [10]),
        ([MOST], [MOST]),
        ([MOST + 1], [MOST, 1]),
        ([3 * MOST], [MOST, MOST, MOST]),
        ([10, 20, 30], [60]),  # small pieces go out together
        ([1000, 460, 5], [MOST, 5]),
        ([1000, 1000], [MOST, 540]),
        ([MOST - 1, 5], [MOST, 4]),
        ([MOST, 7], [MOST, 7]),
        ([MOST + 1, 7, 2000], [MOST, MOST, 548]),
    ],
)
def test_pieces_are_cut_and_joined_to_segments_of_1460_bytes(written: list[int], sent: list[int]) -> None:
    content = bytes(number % 251 for number in range(sum(written)))
    starts = [sum(written[:index]) for index in range(len(written))]
    outgoing = buffer(*(content[at : at + size] for at, size in zip(starts, written, strict=True)))
    found = segments(outgoing)
    assert [len(one) for one in found] == sent
    assert b"".join(found) == content
    assert (outgoing.sent_bytes, outgoing.queued_bytes) == (len(content), 0)


@pytest.mark.parametrize(
    ("window", "sent", "left"), [(1500, [MOST, 40], 1500), (100, [100], 2900), (2999, [MOST, MOST, 79], 1)]
)
def test_no_more_goes_out_than_the_window_allows(window: int, sent: list[int], left: int) -> None:
    outgoing = buffer(b"x" * 3000, window=window)
    assert [len(one) for one in segments(outgoing)] == sent
    assert outgoing.queued_bytes == left
    joined = buffer(b"x" * 30, b"y" * 30, b"z" * 30, window=70)
    assert segments(joined) == [b"x" * 30 + b"y" * 30 + b"z" * 10]
    assert joined.queued_bytes == 20
    later = buffer(b"w" * MOST, b"x" * 30, b"y" * 30, b"z" * 30, window=MOST + 70)
    assert [len(one) for one in segments(later)] == [MOST, 70]


def test_room_is_what_is_neither_queued_nor_on_its_way() -> None:
    outgoing = buffer(b"x" * 5000)
    assert outgoing.room == BUFFER - 5000
    outgoing.next_segment()
    assert outgoing.room == BUFFER - 5000
    outgoing.acknowledged(1.0, 1000, WINDOW)
    outgoing.see_acknowledgements(1.0)
    assert outgoing.room == BUFFER - 4000


def test_acknowledgements_are_taken_in_when_they_have_arrived_and_the_earliest_is_known() -> None:
    outgoing = buffer(b"x" * 900)
    outgoing.next_segment()
    moments = [SimpleNamespace(primal=seconds) for seconds in (3.0, 2.0, 2.0, 5.0)]
    nexts = []
    for number, moment in enumerate(moments):
        outgoing.acknowledged(moment, 100 * (number + 1), WINDOW + number)
        nexts.append(outgoing.next_arrival)
        outgoing._check()
    assert nexts == [moments[0], *[moments[1]] * 3]  # the first of several at one time

    seen = []
    for now in (1.9, 2.0, 4.0, 5.0):
        outgoing.see_acknowledgements(now)
        outgoing._check()
        seen.append((outgoing.acknowledged_bytes, outgoing.window_edge - WINDOW, outgoing.next_arrival))
    # The one that was sent first arrives third, and says less than is known by then.
    assert seen == [(0, 0, moments[1]), (300, 2, moments[0]), (300, 2, moments[3]), (400, 3, None)]


def test_of_a_connection_that_is_gone_nothing_is_left_to_be_sent() -> None:
    outgoing = buffer(b"x" * 3000)
    outgoing.next_segment()
    outgoing.acknowledged(1.0, 1000, WINDOW)
    outgoing.forget()
    outgoing._check()
    assert (list(outgoing.queue), outgoing.queued_bytes, outgoing.acknowledgements) == ([], 0, [])
    assert outgoing.next_arrival is None
