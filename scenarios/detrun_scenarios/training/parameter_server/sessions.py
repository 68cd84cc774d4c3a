"""`Sessions`: which workers a parameter server knows, what they have pushed, and who may go on.

A worker has one session at a time. A push counts if its session is the present one of its worker and its number is the
next: a push that comes again, because its answer was lost or late, is answered again and not applied again. What an
earlier process of the worker had sent is refused.

Staleness is bounded: the clock of a session counts its pushes, and a worker may go on while it is at most so far
ahead of the slowest. A session begins at the clock of the slowest, and ends when its worker has not been heard of for a
while, so that no one waits for the dead. A bound that is not whole is drawn for each push: of 2.3, it is 3 in three of
ten. In a softened run (`detrun.relaxed`) a push from near the bound counts in part, and from beyond it hardly.

Source: Ho and others, more effective distributed machine learning via a stale synchronous parallel parameter server,
NeurIPS 2013.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import trio

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.training.messages import Push

SILENT_SECONDS = 0.12  # until a worker counts as dead


@dataclass(slots=True)
class Session:
    """Of one worker.

    Attributes:
        pushed: number of the last push that was applied.
        clock: pushes, on top of the clock at which the session began.
        heard: when there was last a sign of life, in virtual seconds.
    """

    number: int
    clock: int
    heard: float
    pushed: int = 0


class Sessions:
    """Of one process of the server.

    Attributes:
        open: by the worker's name.
        batches: of each worker, how many have been applied; kept in checkpoints.
    """

    def __init__(self, boot: int, batches: Mapping[str, int], bound: Any) -> None:
        self.open: dict[str, Session] = {}
        self.batches = dict(batches)
        self._next = boot * 1_000_000  # no two processes give the same number
        self._bound = bound

    def begin(self, worker: str) -> Session:
        """A new session in place of the worker's last."""
        self.open.pop(worker, None)
        self._next += 1
        self.open[worker] = Session(self._next, self.slowest(), plain(trio.current_time()))
        return self.open[worker]

    def session_of(self, worker: str, number: int) -> Session | None:
        """The worker's session, if it has that number; the worker is alive then."""
        session = self.open.get(worker)
        if session is None or session.number != number:
            return None
        session.heard = plain(trio.current_time())
        return session

    def is_new(self, session: Session, push: Push) -> bool:
        """Whether a push has not been applied yet."""
        return push.number == session.pushed + 1

    def count(self, worker: str, session: Session, push: Push) -> None:
        """A push has been applied."""
        session.pushed = push.number
        session.clock += 1
        self.batches[worker] = self.batches.get(worker, 0) + 1

    def slowest(self) -> int:
        """The clock of the slowest; 0 if there is no session."""
        return min((one.clock for one in self.open.values()), default=0)

    def drawn_bound(self) -> int:
        """The bound for one push."""
        whole = math.floor(plain(self._bound))
        rest = self._bound - whole
        return whole + int(plain(rest) > 0.0 and detrun.bernoulli(rest))

    def share(self, session: Session) -> Any:
        """By how much the next push counts, by how far its worker is within the bound: 1, unless that is softened."""
        return detrun.relaxed.threshold(self._bound + 1 - (session.clock - self.slowest()), 0.0)

    def may_go_on(self, session: Session, bound: int) -> bool:
        """Whether a worker that has pushed is not too far ahead."""
        return session.clock - self.slowest() <= bound

    def end_the_silent(self) -> None:
        """End sessions of workers that are not heard of."""
        now = plain(trio.current_time())
        for worker, session in list(self.open.items()):
            if now - session.heard > SILENT_SECONDS:
                del self.open[worker]
