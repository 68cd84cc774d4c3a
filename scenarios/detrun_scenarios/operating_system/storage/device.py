"""`BlockDevice`: a disk behind an elevator. One task moves the arm; those who ask wait for theirs.

What a read finds is what the disk holds when the transfer ends, and a write is there from that moment on. The device
keeps no order between two requests: who needs one waits for the first before it asks for the second.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import trio

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.operating_system.storage.deadline import DeadlineElevator
from detrun_scenarios.operating_system.storage.fairness import FairElevator
from detrun_scenarios.operating_system.storage.requests import Direction, Elevator, Request
from detrun_scenarios.operating_system.storage.settings import StorageSettings


def elevator_of(settings: StorageSettings) -> Elevator:
    """The one that is chosen."""
    if settings.elevator == "deadline":
        return DeadlineElevator(settings.deadlines)
    return FairElevator(settings.budgets)


class BlockDevice:
    """See the module.

    Attributes:
        pages: that were read and written.
        requests: of each direction that are over.
        head: the page that the arm is at.
    """

    def __init__(self, settings: StorageSettings) -> None:
        self.geometry = settings.geometry
        self.elevator = elevator_of(settings)
        self.pages: Counter[Direction] = Counter()
        self.requests: Counter[Direction] = Counter()
        self._contents: dict[int, int] = {}
        self._arrived = trio.lowlevel.ParkingLot()
        self._numbers = itertools.count()
        self.head = 0

    async def read(self, block: int, count: int, owner: str) -> list[int]:
        """What is on so many pages; 0 where none was written."""
        return (await self._ask("read", block, count, owner, [])).contents

    async def write(self, block: int, contents: Sequence[int], owner: str) -> None:
        """Return when the pages are on the disk."""
        await self._ask("write", block, len(contents), owner, list(contents))

    def on_disk(self, block: int) -> int:
        """What is there now, for checks."""
        return self._contents.get(block, 0)

    async def run(self) -> None:
        """Serve requests, until cancelled."""
        while True:
            now = trio.current_time()
            request = self.elevator.next(self.head, plain(now))
            if request is None:
                await self._rest(plain(now))
                continue
            end = self.geometry.end(now, self.geometry.track(self.head), request.block, request.count)
            await detrun.sleep(end - now)
            self._finish(request)

    async def _ask(self, direction: Direction, block: int, count: int, owner: str, contents: list[int]) -> Request:
        request = Request(next(self._numbers), direction, block, count, owner, plain(trio.current_time()), contents)
        self.elevator.add(request)
        self._arrived.unpark_all()
        await request.done.wait()
        return request

    async def _rest(self, now: float) -> None:
        patience = self.elevator.patience(now)
        if patience is None:
            await self._arrived.park()
            return
        with trio.move_on_after(patience):
            await self._arrived.park()

    def _finish(self, request: Request) -> None:
        blocks = range(request.block, request.end)
        if request.direction == "read":
            request.contents = [self._contents.get(block, 0) for block in blocks]
        else:
            self._contents.update(zip(blocks, request.contents, strict=True))
        self.head = request.end
        self.pages[request.direction] += request.count
        self.requests[request.direction] += 1
        self.elevator.served(request, plain(trio.current_time()))
        request.done.set()
