"""Machines that serve one queue, first come, first served, and that can be started and stopped.

A machine takes a while to start, and costs from the moment when it is asked for. One that is stopped ends what it is
doing. A request takes an exponential time, drawn by its own number, so that it takes as long wherever it is served.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import trio

import detrun
from detrun_scenarios.frame.requirement import require

WORK_CONSERVED = "no machine idles while a request waits"
SERVED_ONCE = "every request is served once"
WITHIN_LIMITS = "the number of machines is within its limits"
LEAST, MOST = 1, 60


@dataclass(slots=True, eq=False)
class Request:
    """Attributes: number, arrived in virtual seconds, served: how often."""

    number: int
    arrived: Any
    served: int = 0


@dataclass(slots=True, eq=False)
class Machine:
    """One machine.

    Attributes:
        since: when it was asked for.
        stopping: it ends when it is idle.
        work: told when there is a request for it.
    """

    number: int
    since: Any
    stopping: bool = False
    request: Request | None = None
    work: trio.Event | None = None


class Cluster:
    """See the module.

    Args:
        service_seconds: mean time of a request.
        cold_seconds: mean time of a start.
        nursery: for the machines.
    """

    def __init__(self, service_seconds: Any, cold_seconds: Any, nursery: trio.Nursery) -> None:
        self.service_seconds = service_seconds
        self.cold_seconds = cold_seconds
        self.nursery = nursery
        self.queue: deque[Request] = deque()
        self.ready: list[Machine] = []  # those that stop are not among them
        self.starting: list[Machine] = []
        self.idle: list[Machine] = []
        self.waits: list[Any] = []  # by the order of service
        self.numbers: list[int] = []  # of the requests that waited so
        self.arrivals: list[Any] = []  # by the number of the request
        self.machine_seconds: Any = 0.0  # of machines that are gone
        self.served = 0
        self._made = 0
        self._stopping: list[Machine] = []

    @property
    def size(self) -> int:
        """Machines that are ready or about to be."""
        return len(self.ready) + len(self.starting)

    def start(self, count: int, warm: bool = False) -> None:
        """Ask for machines, as far as the limit allows."""
        for _ in range(min(count, MOST - self.size)):
            machine = Machine(self._made, trio.current_time())
            self._made += 1
            self.starting.append(machine)
            self.nursery.start_soon(self.run, machine, warm, name=f"machine {machine.number}")
        self.check()

    def stop(self, count: int) -> None:
        """Let go of machines that are ready, the latest first, as far as the limit allows."""
        for _ in range(min(count, self.size - LEAST, len(self.ready))):
            machine = self.ready.pop()
            machine.stopping = True
            self._stopping.append(machine)
            if machine.work is not None:
                self.idle.remove(machine)
                machine.work.set()
        self.check()

    def submit(self, request: Request) -> None:
        """A request comes."""
        self.queue.append(request)
        self.arrivals.append(request.arrived)
        if self.idle:
            machine = self.idle.pop(0)
            assert machine.work is not None
            machine.request = self.take()
            machine.work.set()
        self.check_work()

    def take(self) -> Request:
        """The next request, whose waiting is over."""
        request = self.queue.popleft()
        self.waits.append(trio.current_time() - request.arrived)
        self.numbers.append(request.number)
        return request

    async def run(self, machine: Machine, warm: bool) -> None:
        """The machine's task."""
        if not warm:
            await detrun.sleep(detrun.exponential(self.cold_seconds, key=("start", machine.number)))
        self.starting.remove(machine)
        self.ready.append(machine)
        while not machine.stopping:
            if machine.request is None:
                if self.queue:
                    machine.request = self.take()
                else:
                    await self.wait_for_work(machine)
                    continue
            self.check_work()
            await self.serve(machine)
        self._stopping.remove(machine)
        self.machine_seconds = self.machine_seconds + trio.current_time() - machine.since

    async def wait_for_work(self, machine: Machine) -> None:
        """Until there is a request, or the machine is stopped."""
        machine.work = trio.Event()
        self.idle.append(machine)
        await machine.work.wait()
        machine.work = None

    async def serve(self, machine: Machine) -> None:
        """One request."""
        request = machine.request
        assert request is not None
        await detrun.sleep(detrun.exponential(self.service_seconds, key=("service", request.number)))
        request.served += 1
        require(request.served == 1, SERVED_ONCE, f"request {request.number}: {request.served} times")
        self.served += 1
        machine.request = None

    def paid(self) -> Any:
        """Machine-seconds until now, of those that are gone and those that are there."""
        now = trio.current_time()
        there = [*self.ready, *self.starting, *self._stopping]
        return self.machine_seconds + detrun.sum(now - one.since for one in there)

    def check(self) -> None:
        """After a change of the number."""
        require(LEAST <= self.size <= MOST, WITHIN_LIMITS, f"{self.size} machines")

    def check_work(self) -> None:
        """After requests have come or gone."""
        require(not (self.queue and self.idle), WORK_CONSERVED, f"{len(self.queue)} wait, {len(self.idle)} are idle")
