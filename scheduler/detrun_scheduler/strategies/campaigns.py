"""Two optional protocols of oracles in a campaign of many runs: learning between runs, and systematic search.

The rule that makes a campaign's result independent of how many workers run it: schedule ``i`` of a campaign is a
function of the campaign's seed, of ``i``, and of what the strategy was *told* before the epoch to which ``i`` belongs.
What it learns meanwhile it hands over at the end of its piece of the epoch, the pieces are merged in order, and the
sum is told to all of them before the next epoch.

Oracles that offer neither are used as they are, one run after the other.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import DetrunError, NondeterminismError


def schedule_seed(seed: int, index: int) -> int:
    """The run seed of schedule ``index`` in a campaign: campaigns with different seeds share none.

    In the campaign with seed 0 it is the index itself, so that ``detrun record --seed 17`` repeats schedule 17.
    """
    return (seed << 32) + index


@runtime_checkable
class Learning(Oracle, Protocol):
    """A strategy that chooses better for what earlier runs showed. Knowledge is plain picklable data."""

    def tell(self, knowledge: Any) -> None:
        """Forget everything and go on from ``knowledge``, None for nothing. Until told again, choose by that alone."""

    def learnt(self) -> Any:
        """What the runs since `tell` showed."""

    def merged(self, first: Any, second: Any) -> Any:
        """The knowledge of two stretches of runs, ``first`` the earlier; None stands for nothing on either side."""


class Independent:
    """A `Learning` strategy with nothing to learn: each of its runs is a function of the run's seed."""

    def tell(self, knowledge: None) -> None:
        """There is nothing to tell."""

    def learnt(self) -> None:
        """Nothing."""

    def merged(self, first: None, second: None) -> None:
        """Nothing."""


@runtime_checkable
class Search(Oracle, Protocol):
    """A strategy that enumerates: it knows what it has covered, and when nothing is left."""

    redundant: int  # schedules run in vain, because they turned out equivalent to earlier ones

    def advance(self) -> bool:
        """Choose the next schedule; False if none is left. To be called before every run, also before the first."""

    def bound(self) -> str:
        """What is covered when `advance` has said False, to be read after "holds for": ``all interleavings``."""


class RedundantScheduleError(DetrunError):
    """Raised by a `Search` in mid-run: whatever follows was explored already. Never reaches a user."""


def unrepeatable(position: int) -> NondeterminismError:
    """What a `Search` raises when a program does not follow its own schedule."""
    return NondeterminismError(
        f"the program took another course under the same schedule, at choice {position}: something decides that the "
        "run does not control; detrun check finds where"
    )
