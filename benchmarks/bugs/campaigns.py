"""Campaigns against known bugs: the number of schedules that a strategy needs until a bug shows, over several seeds.

A *cell* is one bug under one strategy. A sampling strategy is started from each seed with nothing learnt; a search does
not depend on the seed, so it is run once. A campaign ends at the first failure, at the cap of schedules, or when the
cell's seconds are used up; such a cell is *cut*, and seeds that had not come to an end by then are not counted, so that
its mean, over the quicker ones, is too small. Nothing is shrunk, explained or kept. Schedules a CPU-second are those of
the campaigns alone, and include what a strategy learns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import detrun
from benchmarks.bugs.catalogue import Bug, Deadlock, bug
from detrun.explore.verdicts import Exploration
from detrun_scheduler.endings import exception_leaves

SEARCHES = ("bounded", "dfs", "dpor")
STRATEGIES = ("random", "pct", "pos", "urw", "subset", "portfolio", "bounded", "dpor")


def options_of(one: Bug, strategy: str = "") -> dict[str, Any]:
    """The options with which `detrun.explore` and `detrun.record` interrupt the program's threads."""
    preemption = one.preemption
    if strategy == "dpor" and one.kind != "tasks":
        preemption = "opcode"  # it needs to see what threads access
    if preemption == "sync":
        return {}
    return {"preemption": preemption, "include": [str(one.file)]}


def explored(
    one: Bug,
    strategy: str = "portfolio",
    *,
    main: Callable[[], Any] | None = None,
    schedules: int = 5_000,
    seed: int = 0,
    **options: Any,
) -> Exploration:
    """Explore the program of ``one``, or ``main`` in its place; by default nothing is shrunk, explained or kept."""
    quick: dict[str, Any] = {"shrink": False, "explain": False, "directory": None}
    return detrun.explore(
        one.main if main is None else main,
        strategy=strategy,
        schedules=schedules,
        seed=seed,
        **{**quick, **options_of(one, strategy), **options},
    )


def is_expected(one: Bug, error: BaseException) -> bool:
    """True if the program failed with the failure that it is known for."""
    expected = detrun.DeadlockError if one.expected is Deadlock else one.expected
    found = exception_leaves(error)
    return bool(found) and all(type(leaf) is expected for leaf in found)


@dataclass(frozen=True, slots=True)
class Cell:
    """The measurement of one bug under one strategy.

    Attributes:
        found: for each seed the schedule that failed, counted from 1; None if none did up to the cap.
        verdict: of the last campaign: a search may have come to its end.
        schedules: run in all campaigns together, redundant ones of a search too.
        cap: of schedules in one campaign.
        is_cut: time ran out before all seeds had come to an end.
    """

    bug: str
    strategy: str
    found: tuple[int | None, ...]
    verdict: str
    schedules: int
    cpu_seconds: float
    cap: int
    is_cut: bool = False

    @property
    def mean(self) -> float | None:
        """Schedules to the first failure, over the seeds that had one."""
        found = [count for count in self.found if count is not None]
        return statistics.fmean(found) if found else None

    @property
    def missed(self) -> int:
        """Seeds without a failure."""
        return self.found.count(None)

    @property
    def rate(self) -> float:
        """Schedules a CPU-second."""
        return self.schedules / self.cpu_seconds if self.cpu_seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @staticmethod
    def of_json(data: dict[str, Any]) -> Cell:
        """A cell from plain data."""
        return Cell(**{**data, "found": tuple(data["found"])})


def applies(one: Bug, strategy: str) -> bool:
    """True if the strategy can see the accesses that the bug depends on.

    ``dpor`` sees no plain attribute that tasks share, so it is used on programs with threads, and on those of tasks
    whose state lies in trio's own objects.
    """
    return strategy != "dpor" or one.declared


BEGAN = time.monotonic(), time.process_time()


def slowness() -> float:
    """Real seconds for each CPU-second that this process has got so far, at least 1: others use the machine, too."""
    used = time.process_time() - BEGAN[1]
    return max(1.0, (time.monotonic() - BEGAN[0]) / used) if used > 0 else 1.0


def measured(name: str, strategy: str, seeds: Sequence[int], cap: int, seconds: float) -> Cell:
    """Measure one cell.

    Args:
        name: of the bug.
        seconds: CPU seconds after which no new campaign begins and a running one is cut short; roughly, since what is
            limited are real seconds, more of them the less this process gets of the machine.

    Raises:
        AssertionError: the program failed in another way than it is known to.
    """
    one = bug(name)
    end = time.process_time() + seconds
    found: list[int | None] = []
    schedules, cpu_seconds, verdict, is_cut = 0, 0.0, "", False
    for seed in seeds[:1] if strategy in SEARCHES else seeds:
        left = end - time.process_time()
        if left <= 0:
            is_cut = True
            break
        result = explored(one, strategy, schedules=cap, seed=seed, time_limit=left * slowness())
        run = result.schedules + result.statistics.redundant
        schedules += run
        cpu_seconds += result.statistics.cpu_seconds
        verdict = result.verdict
        if result.failure is not None:
            error = result.failure.exception
            assert is_expected(one, error), f"{name} under {strategy}, seed {seed}: {error!r}"
            found.append(run)
        elif verdict == "inconclusive":
            is_cut = True
        else:
            found.append(None)
    return Cell(name, strategy, tuple(found), verdict, schedules, cpu_seconds, cap, is_cut)
