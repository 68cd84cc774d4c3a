"""Laws: the distribution of one draw with its parameters, as the draw log, forcing and estimators of gradients ask it.

A law knows which draw gives an outcome, how probable an outcome is, and, if it is continuous, how the outcome is made
from a noise without parameters (exponential = mean * noise). Probabilities are computed from the parameters themselves,
so that they are `Value`s if a parameter is one, and carry its derivative; the outcome counts as fixed.

A law is made only where draws are watched: the draws themselves use `randomness` directly. The laws of detrun's own
draws are in `continuous_laws` and `discrete_laws`, those of `random` in `random_laws`.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

from detrun.ad.functions import exp
from detrun.ad.value import primal_of
from detrun_scheduler import randomness
from detrun_scheduler.errors import UsageError


class Law:
    """What all laws have in common. Parameters are the fields, outcomes plain numbers.

    Attributes:
        kind: the name of the function that draws.
        noise: the law of what the parameters are applied to: ``"uniform"`` on [0, 1), ``"exponential"`` with mean 1 or
            ``"normal"`` with mean 0 and deviation 1; None for discrete laws.
        has_density: the probability of an outcome is known as a smooth function of the parameters. A uniform number has
            none, since its ends move.
        is_fine: what is compared with outcomes may meet one at any place, at a rate that no noise tells.
        has_bits: an outcome can be asked for by the bits that give it.
    """

    __slots__ = ()
    kind: ClassVar[str]
    noise: ClassVar[str | None] = None
    has_density: ClassVar[bool] = True
    has_bits: ClassVar[bool] = True

    @property
    def is_fine(self) -> bool:
        """See above."""
        return False

    @property
    def parameters(self) -> dict[str, Any]:
        """By name, `Value`s where they are."""
        return {name: getattr(self, name) for name in self.__match_args__}  # type: ignore[attr-defined]

    def unit(self, bits: int) -> float:
        """The number in [0, 1) that these bits stand for."""
        return randomness.to_unit(bits)

    def bits_at(self, unit: float) -> int:
        """The bits that stand for the multiple of 2**-53 at or just below ``unit``."""
        return int(unit * 2.0**53) << 11

    def outcome_at(self, unit: float) -> Any:
        """The outcome of a draw."""
        raise NotImplementedError

    def bits_for(self, outcome: Any) -> int:
        """Bits that give ``outcome``.

        Raises:
            UsageError: it is no outcome of this law, or one that no draw gives.
        """
        raise NotImplementedError

    def probability(self, outcome: Any) -> Any:
        """The probability of ``outcome``, or its density."""
        return exp(self.log_probability(outcome))

    def log_probability(self, outcome: Any) -> Any:
        """Its logarithm, exact where the probability is too small for a float."""
        raise NotImplementedError

    def from_noise(self, noise: Any) -> Any:
        """The outcome, from the noise beneath it."""
        raise UsageError(f"{self.kind}: a discrete outcome has no noise beneath it")

    def noise_at(self, unit: float) -> float:
        """The noise of a draw."""
        raise UsageError(f"{self.kind}: a discrete outcome has no noise beneath it")

    def noise_of(self, outcome: float) -> float:
        """The noise that gives an outcome, with the parameters as they are; nan where they leave it no choice."""
        raise UsageError(f"{self.kind}: a discrete outcome has no noise beneath it")

    def _refused(self, outcome: Any, why: str) -> UsageError:
        shown = ", ".join(f"{name}={_shown(one)}" for name, one in self.parameters.items())
        return UsageError(f"cannot force {self.kind}({shown}) to {outcome!r}: {why}")


class ContinuousLaw(Law):
    """A noise without parameters, and what the parameters make of it."""

    __slots__ = ()

    def outcome_at(self, unit: float) -> Any:
        """The transformed noise."""
        return self.from_noise(self.noise_at(unit))

    def bits_for(self, outcome: Any) -> int:
        """Bits that give ``outcome`` up to rounding."""
        if not isinstance(outcome, Real) or isinstance(outcome, bool):
            raise self._refused(outcome, "its outcomes are real numbers")
        unit = self.unit_of(float(outcome))
        if not 0.0 <= unit < 1.0:
            low, high = (primal_of(self.outcome_at(self.unit(bits))) for bits in (0, (1 << 64) - 1))
            raise self._refused(outcome, f"its outcomes lie between {low:.9g} and {high:.9g}")
        return self.bits_at(unit)

    def unit_of(self, outcome: float) -> float:
        """The draw that gives ``outcome``; outside of [0, 1), or nan, if none does."""
        raise NotImplementedError


class DiscreteLaw(Law):
    """The inverse of a distribution function: each outcome is given by the draws of one interval."""

    __slots__ = ()

    def interval(self, outcome: Any) -> tuple[float, float]:
        """The draws ``[low, high)`` that give ``outcome``; empty if none does."""
        raise NotImplementedError

    def accepts(self, outcome: Any) -> str | None:
        """None if ``outcome`` is of the kind that this law has, else what its outcomes are."""
        return None if type(outcome) is int else "its outcomes are whole numbers"

    def bits_for(self, outcome: Any) -> int:
        """Bits from the middle of the interval."""
        self.outcome_at(0.5)  # names what is wrong with the parameters
        if (said := self.accepts(outcome)) is not None:
            raise self._refused(outcome, said)
        low, high = self.interval(outcome)
        bits = self.bits_at(0.5 * (low + high)) if low < high else 0
        if low >= high or self.outcome_at(self.unit(bits)) != outcome:
            raise self._refused(outcome, f"that has the probability {max(0.0, high - low):.3g}, and no draw gives it")
        return bits


@dataclass(frozen=True, slots=True)
class TorchSample(Law):
    """A torch distribution, whose bits seed a generator: which outcome they give is not known beforehand."""

    distribution: Any
    kind: ClassVar[str] = "sample"

    @property
    def is_lost(self) -> bool:
        """Whether a derivative ends here: a parameter has one, and the distribution does not pass it on."""
        if self.distribution.has_rsample:
            return False
        return any(getattr(one, "requires_grad", False) for one in vars(self.distribution).values())

    def bits_for(self, outcome: Any) -> int:
        """No outcome can be asked for."""
        raise UsageError(
            f"cannot force detrun.sample({type(self.distribution).__name__}) to an outcome: its bits seed torch's "
            "generator; force it with detrun.Bits(...)"
        )


def _shown(parameter: Any) -> str:
    text = repr(parameter)
    return text if len(text) <= 60 else text[:57] + "..."
