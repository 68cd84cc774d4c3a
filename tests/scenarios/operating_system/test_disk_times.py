"""The disk's times in closed form, and the order in which elevators serve it, against every other order."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Mapping
from typing import Any

import pytest
import trio

import detrun
from detrun_scenarios.operating_system.storage.deadline import DeadlineElevator, Deadlines
from detrun_scenarios.operating_system.storage.device import BlockDevice
from detrun_scenarios.operating_system.storage.fairness import Budgets, FairElevator
from detrun_scenarios.operating_system.storage.geometry import Geometry
from detrun_scenarios.operating_system.storage.requests import Direction, Elevator, Request
from detrun_scenarios.operating_system.storage.settings import ElevatorName, StorageSettings
from tests.scenarios.operating_system.alone import Parts, on_parts

pytestmark = pytest.mark.one_python

DISK = Geometry()


def request(number: int, block: int, direction: Direction = "read", owner: str = "a", arrived: float = 0.0) -> Request:
    return Request(number, direction, block, 1, owner, arrived)


def served(elevator: Elevator, requests: list[Request], head: int = 0) -> list[Request]:
    """All of them, in the order in which an elevator serves them."""
    for one in requests:
        elevator.add(one)
    order: list[Request] = []
    while (found := elevator.next(head, 0.0)) is not None:
        order.append(found)
        head = found.end
        elevator.served(found, 0.0)
    return order


# Times.


def test_seeks_take_their_mean_over_all_pairs_of_tracks() -> None:
    tracks = DISK.tracks
    total = sum(2 * (tracks - distance) * DISK.seek(distance) for distance in range(1, tracks))
    assert total / tracks**2 == pytest.approx(DISK.seek_mean, rel=1e-3)
    assert DISK.seek(0) == 0.0


def test_a_random_page_takes_a_mean_seek_half_a_turn_and_its_transfer() -> None:
    numbers, now, arm, times = random.Random(1), 0.0, 0, []
    for _ in range(4_000):
        block = numbers.randrange(DISK.pages)
        end = DISK.end(now, arm, block, 1)
        times.append(end - now)
        now, arm = end + numbers.random(), DISK.track(block)
    expected = DISK.seek_mean + DISK.rotation / 2 + DISK.rotation / DISK.track_pages
    assert statistics.mean(times) == pytest.approx(expected, abs=6 * statistics.stdev(times) / math.sqrt(len(times)))


def test_reading_page_after_page_takes_no_longer_than_reading_them_at_once() -> None:
    at_once = DISK.end(0.003, 0, 100, 600)
    now, arm = 0.003, 0
    for block in range(100, 700):
        now, arm = DISK.end(now, arm, block, 1), DISK.track(block)
    assert now == pytest.approx(at_once, abs=1e-9)
    crossings = 2 * DISK.skew_pages * DISK.rotation / DISK.track_pages
    assert DISK.transfer(100, 600) == pytest.approx(600 / 256 * DISK.rotation + crossings)


def test_a_small_delay_is_lost_in_the_turn_and_a_larger_one_costs_a_whole_turn() -> None:
    block = DISK.track_pages // 2
    assert DISK.end(0.0, 0, block, 1) == DISK.end(0.004, 0, block, 1) == DISK.rotation * (0.5 + 1 / DISK.track_pages)
    assert DISK.end(0.0042, 0, block, 1) == pytest.approx(DISK.end(0.0, 0, block, 1) + DISK.rotation)


def test_a_local_derivative_sees_no_delay_before_a_disk_and_a_flip_says_what_a_lost_turn_costs() -> None:
    block = DISK.track_pages // 2

    async def main(params: Mapping[str, Any]) -> Any:
        device = BlockDevice(StorageSettings())
        async with trio.open_nursery() as kernel:
            kernel.start_soon(device.run)
            await detrun.sleep(params["think"])
            await device.read(block, 1, "a")
            kernel.cancel_scope.cancel()
        return trio.current_time()

    found = detrun.gradient(main, {"think": 0.003})
    lost = found.flips(0.002)["think"].nearest[0]
    assert found.grads["think"] == 0.0
    assert lost.move == pytest.approx(DISK.rotation / 2 - 0.003, abs=1e-8)
    assert lost.jump == pytest.approx(DISK.rotation)
    # Over all moments of a turn the mean moves as the delay does.
    moments = [DISK.rotation * place / 1_000 for place in range(1_000)]
    later = [DISK.end(one + 0.001, 0, block, 1) - DISK.end(one, 0, block, 1) for one in moments]
    assert statistics.mean(later) == pytest.approx(0.001)


# Orders.


@pytest.mark.parametrize("elevator", [DeadlineElevator, FairElevator])
def test_from_below_no_order_moves_the_arm_less(elevator: type[Elevator]) -> None:
    numbers = random.Random(2)
    for _ in range(40):
        blocks = numbers.sample(range(1_000), 6)
        order = [one.block for one in served(elevator(), [request(*one) for one in enumerate(blocks)])]
        travels = [sum(abs(b - a) for a, b in itertools.pairwise((0, *one))) for one in itertools.permutations(blocks)]
        assert sum(abs(b - a) for a, b in itertools.pairwise((0, *order))) == min(travels)


@pytest.mark.parametrize(
    ("elevator", "order"), [(DeadlineElevator, [600, 900, 300, 400, 100]), (FairElevator, [600, 900, 100, 300, 400])]
)
def test_past_the_last_place_it_begins_with_the_oldest_request_or_with_the_first_place(
    elevator: type[Elevator], order: list[int]
) -> None:
    requests = [request(number, block) for number, block in enumerate((300, 900, 100, 600, 400))]
    assert [one.block for one in served(elevator(), requests, head=500)] == order


def test_reads_go_first_and_writes_stand_back_for_so_many_batches() -> None:
    elevator = DeadlineElevator(Deadlines(batch=4, starved=2))
    requests = [request(number, 10 * number) for number in range(20)]
    requests.append(request(20, 5, "write"))
    assert [one.direction for one in served(elevator, requests)].index("write") == 2 * 4


def test_a_request_that_waits_too_long_is_the_first_of_the_next_batch() -> None:
    elevator = DeadlineElevator(Deadlines(batch=2, read_seconds=0.5))
    elevator.add(request(0, 10, arrived=0.0))  # behind the head
    for number in range(1, 9):
        elevator.add(request(number, 500 + number, arrived=0.4))
    blocks = [found.block for now in (0.1, 0.2, 0.3, 0.6, 0.7) if (found := elevator.next(500, now)) is not None]
    assert blocks == [501, 502, 503, 504, 10]


def test_processes_that_always_have_work_get_equal_shares_within_two_budgets() -> None:
    elevator, pages = FairElevator(Budgets(pages=16)), {"a": 0, "b": 0, "c": 0}
    sizes = {"a": 1, "b": 4, "c": 8}
    numbers = itertools.count()

    def ask(owner: str) -> None:
        number = next(numbers)
        elevator.add(Request(number, "read", 97 * number % 10_000, sizes[owner], owner, 0.0))

    for owner in 3 * list(sizes):
        ask(owner)
    for _ in range(1_000):
        found = elevator.next(0, 0.0)
        assert found is not None
        pages[found.owner] += found.count
        ask(found.owner)
        assert max(pages.values()) - min(pages.values()) <= 2 * 16 + max(sizes.values())


@pytest.mark.parametrize(("elevator", "alternates"), [("deadline", True), ("fair", False)])
def test_the_arm_waits_for_one_who_reads_on_where_requests_are_shared_fairly(
    elevator: ElevatorName, alternates: bool
) -> None:
    async def main(parts: Parts) -> list[str]:
        ended: list[str] = []

        async def read(owner: str, first: int) -> None:
            for block in range(first, first + 12):
                await parts.device.read(block, 1, owner)
                ended.append(owner)
                await trio.sleep(0.0001)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, "a", 10_000)
            nursery.start_soon(read, "b", 400_000)
        return ended

    ended = on_parts(main, storage=StorageSettings(elevator=elevator))
    changes = sum(a != b for a, b in itertools.pairwise(ended))
    assert changes > 12 if alternates else changes == 1
