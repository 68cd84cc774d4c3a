"""Where plans are carried out: workers on nodes with queues, and a client with a time-out, retries and a back-off.

A worker does one job after the other. Now and then a job takes ten times as long, for reasons of the worker's own, and
whoever stands behind it waits. So the client asks another worker when no answer comes in time. What it has given up is
still worked on, which is the price of an impatient client.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

import detrun
from detrun.world import Node
from detrun_scenarios.frame.requirement import require

ENDS_ONCE = "each job ends once"
OWN_ANSWER = "an answer is to a job that was asked for"
WORKERS = 3
LINK_SECONDS = 0.002
ATTEMPTS_MAX = 3
SLOW_SHARE, SLOWER = 0.15, 10.0  # of the jobs, and by how much
CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is asked for; the number is that of the job, whichever attempt it is."""

    number: int
    attempt: int
    work: float


@dataclass(frozen=True, slots=True)
class Done:
    """A worker's answer."""

    number: int


@dataclass(slots=True)
class Ended:
    """What became of a job: seconds since it was asked for first, which may be a Value, and attempts."""

    seconds: Any
    attempts: int
    is_done: bool


def worker_name(number: int) -> str:
    """Of a node."""
    return f"worker{number % WORKERS}"


async def work() -> None:
    """The program of a worker's node."""
    node = detrun.this_node()
    while True:
        job: Job = await node.receive(Job)
        slow = SLOWER if detrun.bernoulli(SLOW_SHARE, key=("slow", job.number, job.attempt)) else 1.0
        await trio.sleep(detrun.exponential(job.work * slow, key=("work", job.number, job.attempt)))
        node.send(CLIENT, Done(job.number))


@dataclass(slots=True)
class Client:
    """Asks for jobs from its node.

    Attributes:
        timeout: seconds of an attempt; a Value.
        backoff: mean seconds between two attempts; a Value.
        waiting: who waits for an answer, by the number of the job.
        asked: jobs so far.
    """

    node: Node
    timeout: Any
    backoff: Any
    waiting: dict[int, trio.Event] = field(default_factory=dict)
    asked: int = 0

    async def listen(self) -> None:
        """Wake those whose answers come; an answer to what was given up is late."""
        while True:
            answer: Done = await self.node.receive(Done)
            require(0 <= answer.number < self.asked, OWN_ANSWER, f"an answer to job {answer.number} of {self.asked}")
            if answer.number in self.waiting:
                self.waiting[answer.number].set()

    async def do_all(self, works: Sequence[float]) -> list[Ended]:
        """Have jobs done at the same time; what became of each."""
        ended: dict[int, list[Ended]] = {place: [] for place in range(len(works))}

        async def one(place: int, number: int) -> None:
            ended[place].append(await self._do(number, works[place]))

        async with trio.open_nursery() as nursery:
            for place in range(len(works)):
                nursery.start_soon(one, place, self.asked)
                self.asked += 1
        require(all(len(found) == 1 for found in ended.values()), ENDS_ONCE, f"{ended}")
        return [found[0] for found in ended.values()]

    async def _do(self, number: int, seconds: float) -> Ended:
        began = trio.current_time()
        answered = self.waiting[number] = trio.Event()
        try:
            for attempt in range(ATTEMPTS_MAX):
                self.node.send(worker_name(number + attempt), Job(number, attempt, seconds))
                with trio.move_on_after(self.timeout):
                    await answered.wait()
                    return Ended(trio.current_time() - began, attempt + 1, True)
                if attempt + 1 < ATTEMPTS_MAX:
                    await trio.sleep(detrun.exponential(self.backoff, key=("backoff", number, attempt)))
            return Ended(trio.current_time() - began, ATTEMPTS_MAX, False)
        finally:
            del self.waiting[number]
