"""Twins: the second run of a sample, with the same seed, in which the scored draws come out anew.

All that no parameter moves is the same in both: what is asked for, how long messages take, in which order tasks step as
long as they do the same. So the loss of one is a good baseline for the other, whose decisions it does not depend on:
what remains is what the decisions have done, and not what both were given to do. It costs two runs a sample.

Where a decision of one run has drawn, the other draws anew, too, whatever for: the number of a draw in its stream moves
with the decisions before it, and what is a request in one may be a decision in the other.

Only draws can be made anew. A program whose scored decisions include choices of the scheduler, or effects, is refused.

Source: Mao et al., "Variance reduction for reinforcement learning in input-driven environments", ICLR 2019, whose
baseline is learned for each input; two runs of one input are the least that this takes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from detrun.gradients.policy.baselines import LEAVE_ONE_OUT, TWIN
from detrun.gradients.policy.returns_to_go import rewarded, whole
from detrun.gradients.policy.scored_run import ScoredRun
from detrun.gradients.policy.scores import ScoredDraws, Scores, is_scored
from detrun.primitives.draws import COUNTERFACTUAL
from detrun.primitives.forcing import Address, Forces
from detrun.primitives.laws import DiscreteLaw, Law
from detrun_scheduler.errors import UsageError
from detrun_scheduler.randomness import draw_bits, stream_key
from detrun_scheduler.run import ActiveRun

WAY_OUT = "choose another baseline, such as 'leave-one-out'"


class TwinRun(ScoredRun):
    """A scored run whose scored draws are made again.

    Args:
        seed: of both runs.
        decided: addresses of the draws that the first run has scored.
    """

    def __init__(self, seed: int, decided: Collection[Address], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seed = seed
        self.decided = decided

    def draws_for(self, scores: Scores) -> ScoredDraws:
        """See `ScoredRun`."""
        return AnewDraws(scores, self.continuous, Anew(self.continuous, self.seed, self.decided))


class Anew(Forces):
    """Other bits for the draws that are scored here or there, from the seed and the address."""

    def __init__(self, continuous: bool, seed: int, decided: Collection[Address]) -> None:
        super().__init__({})
        self.continuous = continuous
        self.seed = seed
        self.decided = decided
        self.derivative: str | None = None  # of the draw that is about to be made
        self.made: set[Address] = set()  # of those that are scored here

    def bits(self, run: ActiveRun, address: Address, law: Law | None, bits: int) -> int:
        """See `Forces`."""
        if law is not None and is_scored(law, self.derivative, self.continuous):
            self.made.add(address)
        elif address not in self.decided:
            return bits
        stream, index = address
        return draw_bits(stream_key(self.seed, f"twin of {stream}"), index)


class AnewDraws(ScoredDraws):
    """Draws that are made anew exactly where they are scored: else the twin would be of another program, or no twin."""

    __slots__ = ("_anew",)

    def __init__(self, scores: Scores, continuous: bool, anew: Anew) -> None:
        super().__init__(scores, continuous)
        self.forces = self._anew = anew

    def drawn(self, run: ActiveRun, stream: str, index: int, bits: int) -> int:
        """See `DrawWatcher`."""
        self._anew.derivative = self.derivative
        return super().drawn(run, stream, index, bits)

    def forced_bits(self, run: ActiveRun, address: Address, law: Law) -> int | None:
        """See `WatchedDraws`; of numbers of `random`, which declare no derivative."""
        self._anew.derivative = COUNTERFACTUAL if isinstance(law, DiscreteLaw) else None
        return super().forced_bits(run, address, law)

    def came_out(self, outcome: Any) -> Any:
        """See `ScoredDraws`."""
        one = self._open
        assert one is not None
        found = super().came_out(outcome)
        address = (one.stream, one.place)
        if self.scores.is_wanted != (address in self._anew.made):
            error = UsageError(
                f"gradient: baseline={TWIN!r} makes the draws that are scored anew, and cannot do so with {address!r}, "
                f"a {one.law.kind if one.law is not None else 'draw of bits'} draw; {WAY_OUT}"
            )
            one.run.fail(error)
            raise error
        return found


def terms_of(runs: Sequence[ScoredRun], losses: Sequence[float], names: Sequence[str]) -> Mapping[str, float]:
    """What a pair of runs says of each derivative: the mean of both, each with the other for its baseline.

    Raises:
        UsageError: they have scored decisions that are no draws.
    """
    for one in runs:
        if one.scores.choices or one.scores.effects:
            what = "choices of the scheduler" if one.scores.choices else "results of effects"
            raise UsageError(f"gradient: baseline={TWIN!r} is for draws, and here {what} are scored, too; {WAY_OUT}")
    decisions = [
        whole(loss, one.score) if one.apart is None else one.apart for one, loss in zip(runs, losses, strict=True)
    ]
    found = {}
    for name in names:
        both = rewarded(LEAVE_ONE_OUT, [one.along_path[name] for one in runs], decisions, losses, name)
        found[name] = sum(both) / len(both)
    return found
