"""`Monitor`: watches one training from outside, and says what must always be true.

It sees all nodes at once, as no node can, and computes with plain numbers.

- *each batch is applied once, in order*: of every worker, counting from what was restored.
- *a push is applied once*: however often it comes.
- *weights are the updates one after the other*: what a server holds is computed a second time from its updates.
- *staleness is bounded*: no worker is further ahead of the slowest than the bound and one.
- *what is restored was checkpointed*: weights and moments are those of one checkpoint, to the last bit.
- *what is sent and what is kept is the gradient*: compression loses nothing.
- *a reduced gradient is the sum*: of those of all members, in one round.
- *replicas are equal after a round*: weights and moments, to the last bit.
- *a barrier ends*: within a time in which a dead member is noticed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import trio

from detrun.checkers.serializability import serializable
from detrun.checkers.transactions import Place, Transactions, noted_place
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.frame.requirement import about, require
from detrun_scenarios.training.messages import Push, View
from detrun_scenarios.training.model.optimizer import optimizer_of
from detrun_scenarios.training.model.tensors import same_bits, torch
from detrun_scenarios.training.settings import Settings

if TYPE_CHECKING:
    from detrun_scenarios.training.model.compression import Compressed
    from detrun_scenarios.training.parameter_server.cells import Cells
    from detrun_scenarios.training.parameter_server.checkpoints import Checkpoint

ONCE: Final = "each batch is applied once, in order"
PUSHED_ONCE: Final = "a push is applied once"
SERIAL: Final = "weights are the updates one after the other"
BOUNDED: Final = "staleness is bounded"
RESTORED: Final = "what is restored was checkpointed"
CONSERVED: Final = "what is sent and what is kept is the gradient"
REDUCED: Final = "a reduced gradient is the sum"
REPLICAS: Final = "replicas are equal after a round"
BARRIERS: Final = "a barrier ends"

BARRIER_SECONDS = 0.6  # a round, and what it takes to notice a dead member
KEPT = 8  # rounds and checkpoints that are remembered
ROUNDING = 1e-12


class Monitor:
    """Of one training.

    Attributes:
        weights, moments: of the server after its last update, computed here.
        held: the same weights as the server has them, with their derivatives.
        replica: weights and moments of a ring after the last round that counts.
        applied_pushes: worker, batch and version of each push that was applied, in order; restarts take none back.
    """

    def __init__(self, settings: Settings) -> None:
        self._optimizer = optimizer_of(settings)
        self._bound = math.ceil(plain(settings.staleness))
        self.weights: Any = None
        self.moments: Any = None
        self.held: Any = None
        self.applied_pushes: list[tuple[str, int, int]] = []
        self._batches: dict[str, int] = {}
        self._taken: dict[tuple[int, int], Place | None] = {}
        self._began: dict[str, Place | None] = {}
        self._done: dict[str, Place | None] = {}
        self._clocks: dict[str, int] = {}
        self._checkpoints: dict[int, Checkpoint] = {}
        self.replica: tuple[Any, Any] | None = None
        self._replicas: dict[int, tuple[Any, Any]] = {}
        self._contributions: dict[tuple[int, int], dict[str, Any]] = {}
        self._barrier_began: float | None = None
        self._barrier: list[tuple[str, Place | None]] = []

    # Batches.

    def begins(self, worker: str) -> None:
        """A worker has decided at which batch to go on."""
        self._began[worker] = noted_place(sys._getframe(1), is_done_here=True)

    def is_done(self, worker: str) -> None:
        """A worker knows that a batch has counted, and has said so to its bookmark."""
        self._done[worker] = noted_place(sys._getframe(1), is_done_here=True)

    def batch_counts(self, worker: str, number: int) -> None:
        """The gradient of a batch has become part of the weights."""
        expected = self._batches.get(worker, 0)
        places = ("its bookmark is from", self._done.get(worker)), ("goes on in", self._began.get(worker))
        require(
            about(number == expected, *places), ONCE, f"{worker} is at batch {expected}, and batch {number} is applied"
        )
        self._batches[worker] = expected + 1

    # A parameter server.

    def restored(self, found: Checkpoint) -> None:
        """The server begins with this."""
        saved = self._checkpoints.get(found.number)
        if saved is not None:
            same = same_bits(saved.weights, found.weights) and same_bits(saved.moments, found.moments)
            require(same, RESTORED, f"checkpoint {found.number} is restored as something else")
        else:
            require(found.version == 0, RESTORED, f"checkpoint {found.number} was never saved")
        self.weights, self.moments, self.held = found.weights, found.moments, found.weights
        self._batches, self._clocks = dict(found.batches), {}

    def checkpointed(self, checkpoint: Checkpoint) -> None:
        """The server begins to save this."""
        self._checkpoints[checkpoint.number] = checkpoint
        self._checkpoints.pop(checkpoint.number - KEPT, None)

    def joined(self, worker: str, clock: int) -> None:
        """A worker has a new session, which begins at a clock."""
        self._clocks[worker] = clock

    def takes(self, worker: str, push: Push) -> None:
        """A server has decided to apply a push."""
        request, here = (push.session, push.number), noted_place(sys._getframe(1), is_done_here=True)
        places = ("is first taken in", self._taken.get(request)), ("is taken again in", here)
        require(
            about(request not in self._taken, *places), PUSHED_ONCE, f"push {push.number} of {worker} is applied again"
        )
        self._taken[request] = here

    def applied(
        self, worker: str, push: Push, gradient: Any, staleness: int, cells: Cells, workers: Iterable[str]
    ) -> None:
        """A push has been applied.

        Args:
            cells: that the server has now.
            workers: those with a session.
        """
        self.held = held = cells.weights()
        self.applied_pushes.append((worker, push.batch, push.version))
        with torch().no_grad():
            self.weights, self.moments = self._optimizer.step(self.weights, self.moments, gradient, staleness)
        serial = same_bits(self.weights, held) or _contradiction(cells.history)
        require(serial, SERIAL, f"behind push {push.number} of {worker}")
        self.batch_counts(worker, push.batch)
        self._clocks[worker] += 1
        lead = self._clocks[worker] - min(self._clocks[one] for one in workers)
        require(lead <= self._bound + 1, BOUNDED, f"{worker} is {lead} ahead, with a bound of {self._bound}")

    def compressed(self, gradient: Any, kept: Any, sent: Compressed) -> None:
        """A gradient and what was kept of those before have been cut into two."""
        with torch().no_grad():
            together = sent.kept.index_add(0, sent.indices, sent.values)
            same = torch().allclose(together, gradient + kept, rtol=ROUNDING, atol=ROUNDING)
        require(same, CONSERVED, f"{len(sent.indices)} entries are sent")

    # A ring.

    def contributes(self, view: View, number: int, worker: str, gradient: Any) -> None:
        """A member has a gradient for a round."""
        self._contributions.setdefault((view.generation, number), {})[worker] = gradient
        for old in [one for one in self._contributions if one[1] < number - KEPT]:
            del self._contributions[old]

    def is_reduced(self, view: View, number: int, total: Any) -> None:
        """A member has the sum of a round."""
        given = self._contributions[(view.generation, number)]
        with torch().no_grad():
            expected = sum(given[one] for one in view.members if one in given)
            same = torch().allclose(total, expected, rtol=ROUNDING, atol=ROUNDING)
        require(same and len(given) == len(view.members), REDUCED, f"round {number} of {view}")

    def has_committed(self, rounds: int, weights: Any, moments: Any) -> None:
        """A member has the state after so many rounds."""
        first = self._replicas.setdefault(rounds, (weights, moments))
        same = same_bits(first[0], weights) and same_bits(first[1], moments)
        require(same, REPLICAS, f"after {rounds} rounds")
        self.replica = self._replicas[max(self._replicas)]
        self._replicas.pop(rounds - KEPT, None)

    def barrier_begins(self) -> None:
        """A coordinator waits for all members from now on."""
        self._barrier_began = plain(trio.current_time())
        self._barrier = [("begins in", noted_place(sys._getframe(1), is_done_here=True))]

    def leaves(self, member: str) -> None:
        """A coordinator takes a member for dead, and says so to the barrier."""
        self._barrier.append((f"{member} leaves in", noted_place(sys._getframe(1), is_done_here=True)))

    def barrier_ends(self) -> None:
        """It has all of them, or has given up."""
        self._barrier_began = None

    def look(self) -> None:
        """At what lasts, now."""
        if self._barrier_began is not None:
            waited = plain(trio.current_time()) - self._barrier_began
            ends = about(waited < BARRIER_SECONDS, *self._barrier)
            require(ends, BARRIERS, f"the coordinator has waited for {waited:.2f} s")


def _contradiction(history: Transactions) -> object:
    """What is false, and says which updates have read and written at the same time, if any have."""
    found = serializable(history)
    return False if found else found
