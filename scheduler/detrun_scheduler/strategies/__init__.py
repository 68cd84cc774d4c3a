"""Strategies: oracles that answer from a seed. One algorithm a file; `make` finds one by the name the CLI takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import UsageError
from detrun_scheduler.strategies.bounded import PreemptionBounded as PreemptionBounded
from detrun_scheduler.strategies.dpor import PartialOrderReduction as PartialOrderReduction
from detrun_scheduler.strategies.fifo import Fifo as Fifo
from detrun_scheduler.strategies.pct import ProbabilisticConcurrencyTesting as ProbabilisticConcurrencyTesting
from detrun_scheduler.strategies.portfolio import Portfolio as Portfolio
from detrun_scheduler.strategies.pos import PartialOrderSampling as PartialOrderSampling
from detrun_scheduler.strategies.random_walk import RandomWalk as RandomWalk
from detrun_scheduler.strategies.subset import SubsetWalk as SubsetWalk
from detrun_scheduler.strategies.urw import UniformRandomWalk as UniformRandomWalk

# A name may be followed by a number, ``pct:5``: the depth, or the bound.
STRATEGIES: dict[str, Callable[..., Oracle]] = {
    "fifo": Fifo,
    "random": RandomWalk,
    "pct": ProbabilisticConcurrencyTesting,
    "pos": PartialOrderSampling,
    "urw": UniformRandomWalk,
    "subset": SubsetWalk,
    "bounded": PreemptionBounded,
    "dfs": partial(PreemptionBounded, None),
    "dpor": PartialOrderReduction,
    "portfolio": Portfolio,
}
OLD_NAMES = {"few": "subset"}  # accepted, because recordings and kept failures of before carry them
NUMBERED = {"pct": 1, "bounded": 0}  # the smallest number that each takes


def make(strategy: str | Oracle) -> Oracle:
    """The oracle called ``strategy``, such as ``random`` or ``pct:5``; an oracle is passed through.

    Raises:
        UsageError: no strategy has that name, it takes no such number, or it is not an oracle.
    """
    if not isinstance(strategy, str):
        if not all(callable(getattr(strategy, name, None)) for name in ("new_run", "next_task", "draw")):
            raise UsageError(
                f"strategy={strategy!r} is neither a name ({', '.join(sorted(STRATEGIES))}) nor an oracle with the "
                "methods new_run, next_task and draw"
            )
        return strategy
    name, colon, number = strategy.partition(":")
    name = OLD_NAMES.get(name, name)
    if name not in STRATEGIES:
        raise UsageError(f"unknown strategy {strategy!r}; choose one of {', '.join(sorted(STRATEGIES))}")
    if not colon:
        return STRATEGIES[name]()
    if name not in NUMBERED or not number.isdecimal() or int(number) < NUMBERED[name]:
        takes = " and ".join(f"{one}:N with N >= {least}" for one, least in NUMBERED.items())
        raise UsageError(f"strategy {strategy!r}: of all strategies only {takes} take a number")
    return STRATEGIES[name](int(number))


def name_of(strategy: str | Oracle) -> str:
    """The name to write in a recording's header."""
    return strategy if isinstance(strategy, str) else type(strategy).__name__
