"""Shrinking the faults of a failing run: planned faults and `buggify` sites are left out, then shortened.

The schedule is kept as its turns (`trials.py`), and what others draw does not depend on a fault that is left out, so
most of what is irrelevant goes in the first few trials: all faults, halves, quarters, …, single ones (delta debugging,
as ``shrink_plan.py`` does it with a plan in hand). Then what lasts is halved as often as the failure stays.
A candidate counts only if the program fails in the same way with no more preemptions. Where the turns of the failing
schedule do not show the failure without a fault, the simplest schedule, with no turn at all, is tried too.

What is left out is written into the recording (`Options.fault_lengths`), so its replay leaves out the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from detrun.checkers.ddmin import ddmin
from detrun.explore.campaign.program import Program
from detrun.explore.failures.time_limit import TimeLimit
from detrun.explore.failures.trials import LimitedTrials, Trial, TrialRunner

SHARE_LEAST = 1 / 64  # of its time that a fault is shortened to


@dataclass(slots=True)
class FewerFaults:
    """The fewest and shortest faults found.

    Attributes:
        trial: the run with them.
        lengths: 0 for each fault that is left out, else the share of its time that it lasts.
        trials: runs made.
    """

    trial: Trial
    lengths: dict[str, float] = field(default_factory=dict)
    trials: int = 0


def shrink_faults(program: Program, seed: int, best: Trial, trials: int, limit: TimeLimit | None = None) -> FewerFaults:
    """Leave out and shorten what can be of the faults that begin in ``best``.

    Args:
        trials: at most so many.
        limit: no further one is run when it is over.
    """
    found = FewerFaults(best, dict(program.options.fault_lengths or {}))

    def still_fails(changed: Mapping[str, float]) -> bool:
        lengths = {**found.lengths, **changed}
        limited = LimitedTrials(TrialRunner(program.with_faults(lengths), seed), trials - found.trials, limit)
        for turns in (found.trial.turns, ()):
            trial = limited.try_turns(turns)
            if trial is not None and trial.signature == best.signature and trial.cost[0] <= found.trial.cost[0]:
                found.trial, found.lengths = trial, lengths
                break
        else:
            trial = None
        found.trials += limited.used
        return trial is not None

    ddmin(
        lambda: list(found.trial.faults),  # a fault that begins only because others do not is looked at, too
        lambda names: still_fails(dict.fromkeys(names, 0.0)),
        first_size=len(best.faults),
    )
    for name in [name for name, lasts in found.trial.faults.items() if lasts]:
        while (share := found.lengths.get(name, 1.0)) > SHARE_LEAST:
            if not still_fails({name: share / 2}):
                break
    return found
