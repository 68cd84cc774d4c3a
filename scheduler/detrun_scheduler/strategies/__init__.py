"""Strategies: oracles that answer from a seed. One algorithm a file; `make` finds one by the name the CLI takes."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import UsageError


@dataclass(frozen=True, slots=True)
class Strategy:
    """An oracle that has a name; its file is imported when it is first made.

    Attributes:
        module: the file in this package.
        oracle: the class in it.
        arguments: what the class is made with where the name stands alone.
        number_min: a name may be followed by a number, ``pct:5``: the depth, or the bound. The smallest one that this
            strategy takes; None if it takes none.
    """

    module: str
    oracle: str
    arguments: tuple[object, ...] = ()
    number_min: int | None = None

    def make(self, *arguments: object) -> Oracle:
        """A new oracle."""
        made: Oracle = getattr(import_module(f"{__name__}.{self.module}"), self.oracle)(*arguments)
        return made


STRATEGIES = {
    "fifo": Strategy("fifo", "Fifo"),
    "random": Strategy("random_walk", "RandomWalk"),
    "pct": Strategy("pct", "ProbabilisticConcurrencyTesting", number_min=1),
    "pos": Strategy("pos", "PartialOrderSampling"),
    "urw": Strategy("urw", "UniformRandomWalk"),
    "subset": Strategy("subset", "SubsetWalk"),
    "weighted": Strategy("weighted", "Weighted"),
    "bounded": Strategy("bounded", "PreemptionBounded", number_min=0),
    "dfs": Strategy("bounded", "PreemptionBounded", (None,)),
    "dpor": Strategy("dpor", "PartialOrderReduction"),
    "portfolio": Strategy("portfolio", "Portfolio"),
}
OLD_NAMES = {"few": "subset"}  # accepted, because recordings and kept failures of before carry them


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
    found = STRATEGIES[name]
    if not colon:
        return found.make(*found.arguments)
    if found.number_min is None or not number.isdecimal() or int(number) < found.number_min:
        numbered = {one: other.number_min for one, other in STRATEGIES.items() if other.number_min is not None}
        takes = " and ".join(f"{one}:N with N >= {least}" for one, least in numbered.items())
        raise UsageError(f"strategy {strategy!r}: of all strategies only {takes} take a number")
    return found.make(int(number))


def name_of(strategy: str | Oracle) -> str:
    """The name to write in a recording's header."""
    return strategy if isinstance(strategy, str) else type(strategy).__name__
