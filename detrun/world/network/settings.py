"""`LinkSettings`: the latency and bandwidth of a link, and the probabilities of its faults.

One frozen value with a unit for each field, checked when it is made. A world has one for all its links; assigning to an
attribute of a `Link` replaces that link's own. Numbers may be `Value`s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from detrun.world.network.latency import Latency, distribution_of
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import UsageError

PROBABILITIES = ("loss", "duplication", "reset", "reordering", "slow_tail")
DELAYS = ("reordering_delay", "slow_tail_delay")


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """The settings of one link.

    Raises:
        UsageError: a value is not valid; the message says what is.
    """

    latency: Latency = 0.0
    """Seconds that a message travels: a number, a distribution of `detrun.world`, or a function without arguments."""
    bandwidth: Any = None
    """Bytes per second; None for no limit."""
    queue_bytes_max: float = math.inf
    """Bytes that may wait for the bandwidth; a message that would not fit is lost."""
    loss: Any = 0.0
    """Probability that a message is lost."""
    duplication: Any = 0.0
    """Probability that a datagram or mailbox message arrives twice."""
    reset: Any = 0.0
    """Probability that a TCP segment tears its connection down."""
    reordering_delay: Latency = None
    """Extra seconds of a message that others overtake, as ``latency``; None for four journeys."""
    reordering: Any = 0.0
    """Probability that a datagram or mailbox message takes ``reordering_delay`` more."""
    slow_tail_delay: Latency = None
    """Extra seconds of a message in the slow tail, as ``latency``; None for four journeys."""
    slow_tail: Any = 0.0
    """Probability that a message takes ``slow_tail_delay`` more."""

    def __post_init__(self) -> None:
        distribution_of(self.latency)
        if self.bandwidth is not None and not is_number(self.bandwidth, above=0.0):
            raise UsageError(
                f"bandwidth={self.bandwidth!r} is not valid; give a positive number of bytes per second, or None for "
                "no limit"
            )
        if not (is_number(self.queue_bytes_max, above=0.0) or self.queue_bytes_max == 0):
            raise UsageError(
                f"queue_bytes_max={self.queue_bytes_max!r} is not valid; give a number of bytes, at least 0, or "
                "math.inf for no limit"
            )
        for name in DELAYS:
            delay = getattr(self, name)
            if delay is not None:
                distribution_of(delay, name)
        for name in PROBABILITIES:
            primal = primal_of(getattr(self, name))
            if not isinstance(primal, int | float) or not 0 <= primal <= 1:
                raise UsageError(f"{name}={primal!r} is not a probability; give a number from 0 to 1")

    def changed(self, settings: Mapping[str, Any]) -> LinkSettings:
        """These with some replaced.

        Raises:
            UsageError: there is no such setting, or a value is not valid.
        """
        for name in settings:
            if name not in NAMES:
                raise UsageError(f"a link has no setting {name!r}; it has {', '.join(NAMES)}")
        return replace(self, **settings)

    def faults(self, names: Iterable[str]) -> Iterator[str]:
        """The faults among the settings ``names`` that have a chance to strike, in that order."""
        for name in names:
            if name in PROBABILITIES and primal_of(getattr(self, name)) > 0:
                yield name.replace("_", " ")


NAMES = tuple(one.name for one in fields(LinkSettings))


def is_number(value: Any, above: float) -> bool:
    """Whether ``value`` is a number, or a `Value`, greater than ``above``."""
    primal = primal_of(value)
    return isinstance(primal, int | float) and not isinstance(primal, bool) and primal > above
