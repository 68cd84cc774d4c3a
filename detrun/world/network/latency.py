"""Travel times of messages: distributions whose parameters may be `Value`s and may change while the run goes on.

A distribution is an object with ``sample(key)``, which draws from the run's stream ``key``: the n-th message of a link
gets the n-th number of that link's stream whatever happens elsewhere, so runs that differ in a parameter keep common
random numbers. Each sample is a smooth function of the parameters, so that delivery times are differentiable.
A parameter is read when a message is sent; assign to it, or to ``link.latency``, and the next message feels it.

A plain number is a `Constant`, and any callable without arguments is called for each message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

from detrun.primitives import draws
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import UsageError


@runtime_checkable
class Distribution(Protocol):
    """Anything that can be asked for a number of seconds."""

    def sample(self, key: str) -> Any:
        """Seconds, a float or a `Value`, drawn from the stream ``key`` of the run."""


# What a link accepts for a latency: see the module's opening.
Latency: TypeAlias = Any


@dataclass(slots=True)
class Constant:
    """Always ``seconds``."""

    seconds: Any

    def sample(self, key: str) -> Any:
        """``seconds``; draws nothing."""
        return self.seconds


@dataclass(slots=True)
class Uniform:
    """Uniform between ``low`` and ``high`` seconds."""

    low: Any
    high: Any

    def sample(self, key: str) -> Any:
        """One number; differentiable in both ends."""
        return draws.uniform(self.low, self.high, key=key)


@dataclass(slots=True)
class Exponential:
    """``minimum`` seconds and on top of it an exponential of mean ``mean`` seconds.

    Raises:
        UsageError: the mean is not above 0, or the minimum is below 0.
    """

    mean: Any
    minimum: Any = 0.0

    def __post_init__(self) -> None:
        # When made, and not at the first message, which may come late or in few runs.
        if not primal_of(self.mean) > 0:
            raise UsageError(
                f"Exponential(mean={primal_of(self.mean)!r}) is not valid; give a mean above 0 seconds, or a plain "
                "number as latency for one that does not vary"
            )
        if not primal_of(self.minimum) >= 0:
            raise UsageError(
                f"Exponential(minimum={primal_of(self.minimum)!r}) is not valid; give seconds of at least 0: a message "
                "cannot arrive before it was sent"
            )

    def sample(self, key: str) -> Any:
        """One number; differentiable in both parameters."""
        drawn = draws.exponential(self.mean, key=key)
        return drawn if type(self.minimum) is float and not self.minimum else self.minimum + drawn


@dataclass(slots=True)
class LogNormal:
    """``exp`` of a normal: ``log_mean`` is the logarithm of the median seconds, ``log_std`` that logarithm's spread.

    The usual fit to measured round trips: a body around the median and a tail to the right.
    """

    log_mean: Any
    log_std: Any

    def sample(self, key: str) -> Any:
        """One number; differentiable in both parameters."""
        return draws.lognormal(self.log_mean, self.log_std, key=key)


@dataclass(slots=True)
class Called:
    """What a callable returns, called for each message."""

    function: Callable[[], Any]

    def sample(self, key: str) -> Any:
        """The function's answer; it draws from streams of its own if it draws."""
        return self.function()


_OWN = frozenset({Constant, Uniform, Exponential, LogNormal, Called})


def distribution_of(latency: Latency, name: str = "latency") -> Distribution:
    """The distribution that ``latency``, the value of the setting ``name``, stands for.

    Raises:
        UsageError: it is neither a number of at least 0, nor a distribution, nor a callable.
    """
    # Numbers first: asking whether an object satisfies a protocol takes ten times as long.
    primal = primal_of(latency)
    if isinstance(primal, int | float) and not isinstance(primal, bool) and primal >= 0:
        return Constant(latency)
    if type(latency) in _OWN or isinstance(latency, Distribution):
        return cast("Distribution", latency)
    if callable(latency):
        return Called(latency)
    raise UsageError(
        f"{name}={latency!r} is not valid; give seconds of at least 0, a distribution such as "
        "detrun.world.Exponential(mean=0.01), or a function that returns seconds"
    )


def sampled(distribution: Distribution, key: str) -> Any:
    """One sample, checked: a negative travel time would deliver into the past.

    Raises:
        UsageError: the distribution answered with a negative number, or with something else than a number.
    """
    seconds = distribution.sample(key)
    primal = primal_of(seconds)
    if not primal >= 0:
        raise UsageError(f"{distribution!r} gave {primal!r} s for {key}; a message cannot arrive before it was sent")
    return seconds
