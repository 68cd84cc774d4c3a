"""Strategies: oracles that answer from a seed. One algorithm a file; `make` finds one by the name the CLI takes."""

from __future__ import annotations

from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import UsageError
from detrun_scheduler.strategies.fifo import Fifo as Fifo
from detrun_scheduler.strategies.pct import ProbabilisticConcurrencyTesting as ProbabilisticConcurrencyTesting
from detrun_scheduler.strategies.random_walk import RandomWalk as RandomWalk

STRATEGIES: dict[str, type[Fifo] | type[RandomWalk] | type[ProbabilisticConcurrencyTesting]] = {
    "fifo": Fifo,
    "random": RandomWalk,
    "pct": ProbabilisticConcurrencyTesting,
}


def make(strategy: str | Oracle) -> Oracle:
    """The oracle called ``strategy``; an oracle is passed through.

    Raises:
        UsageError: no strategy has that name.
    """
    if not isinstance(strategy, str):
        return strategy
    try:
        return STRATEGIES[strategy]()
    except KeyError:
        raise UsageError(f"unknown strategy {strategy!r}; choose one of {', '.join(sorted(STRATEGIES))}") from None


def name_of(strategy: str | Oracle) -> str:
    """The name to write in a recording's header."""
    return strategy if isinstance(strategy, str) else type(strategy).__name__
