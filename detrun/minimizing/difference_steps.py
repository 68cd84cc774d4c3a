"""Steps of finite differences in a minimization: shares of the coordinates, narrower with each gradient.

A step that suits one derivative is chosen for its bias and its noise there, by a pilot. A minimization has many, takes
few samples of each, and at first needs no more than the direction: a wide step sees jumps that a narrow one meets
seldom, and no pilot is paid for. The share falls as ``0.3 / k ** (1 / 6)`` over gradients k, so that the bias ends.
Near a bound both sides are kept within it, and the gradient is taken a little inside.

Source: Kiefer and Wolfowitz, Annals of Mathematical Statistics 23 (1952); Spall, "Implementation of the simultaneous
perturbation algorithm", IEEE Transactions on Aerospace and Electronic Systems 34 (1998), for the power 1/6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from detrun.minimizing.coordinates import Coordinate

FIRST_SHARE, POWER = 0.3, 1.0 / 6.0


def differences_at(
    coordinates: Sequence[Coordinate], params: Mapping[str, float], number: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Where to take a finite difference, and its step of each parameter.

    Args:
        params: within their bounds.
        number: of gradients before.
    """
    share = FIRST_SHARE / (1 + number) ** POWER
    places, steps = {}, {}
    for one in coordinates:
        place = params[one.name]
        step = min(share * one.slope(place), (one.high - one.low) / 4.0)
        places[one.name] = min(max(place, one.low + step), one.high - step)
        steps[one.name] = step
    return places, steps
