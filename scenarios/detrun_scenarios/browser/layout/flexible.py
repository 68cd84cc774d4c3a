"""Flexible lengths: how the items of one flex line share the space, by the loop of the specification.

Source: CSS Flexible Box Layout Module Level 1, 9.7. The numbers of its steps stand beside the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detrun.ad.value import primal_of


@dataclass(slots=True, eq=False)
class Item:
    """One item; lengths are of the border box along the main axis.

    Attributes:
        base: flex base size.
        least, most: between which the length must be; ``most`` may be None.
        outside: margins along the axis.
        length: the result.
    """

    base: Any
    grow: float
    shrink: float
    least: Any
    most: Any
    outside: Any = 0.0
    length: Any = 0.0

    @property
    def hypothetical(self) -> Any:
        """The base size within its bounds."""
        return self.clamped(self.base)

    def clamped(self, number: Any) -> Any:
        """A length within the bounds; the lower one wins."""
        if self.most is not None and number > self.most:
            number = self.most
        return self.least if number < self.least else number


def resolve(items: Sequence[Item], container: Any, gap: Any) -> None:
    """Give every item its length, in a container that is so long and leaves a gap between two items."""
    if not items:
        return
    available = container - gap * (len(items) - 1)
    wanted = total(one.hypothetical + one.outside for one in items)
    grows = wanted < available  # 1
    unfrozen: list[Item] = []
    for one in items:  # 2
        one.length = one.hypothetical
        is_bounded = one.base > one.length if grows else one.base < one.length
        if _factor(one, grows) and not is_bounded:
            one.length = one.base
            unfrozen.append(one)
    initial = available - total(one.length + one.outside for one in items)  # 3
    while unfrozen:  # 4
        free = available - total((one.base if one in unfrozen else one.length) + one.outside for one in items)  # 4b
        factors = sum(_factor(one, grows) for one in unfrozen)
        if factors < 1.0 and abs(primal_of(initial * factors)) < abs(primal_of(free)):
            free = initial * factors
        _distribute(unfrozen, free, grows)  # 4c
        unfrozen = _frozen(unfrozen)  # 4d, 4e


def total(lengths: Any) -> Any:
    """The sum."""
    found: Any = 0.0
    for one in lengths:
        found = found + one
    return found


def _factor(item: Item, grows: bool) -> float:
    return item.grow if grows else item.shrink


def _distribute(items: Sequence[Item], free: Any, grows: bool) -> None:
    if grows:
        factors = sum(one.grow for one in items)
        for one in items:
            one.length = one.base + free * (one.grow / factors)
        return
    scaled = total(one.shrink * one.base for one in items)
    for one in items:
        share = one.shrink * one.base / scaled if primal_of(scaled) else 0.0
        one.length = one.base + free * share  # free is not positive


def _frozen(items: Sequence[Item]) -> list[Item]:
    """Hold lengths to their bounds, and return the items that stay flexible."""
    within = [one.clamped(one.length) for one in items]
    violation = total(new - one.length for one, new in zip(items, within, strict=True))
    too_short = [primal_of(new) > primal_of(one.length) for one, new in zip(items, within, strict=True)]
    too_long = [primal_of(new) < primal_of(one.length) for one, new in zip(items, within, strict=True)]
    for one, new in zip(items, within, strict=True):
        one.length = new
    if primal_of(violation) > 0.0:
        return [one for one, is_frozen in zip(items, too_short, strict=True) if not is_frozen]
    if primal_of(violation) < 0.0:
        return [one for one, is_frozen in zip(items, too_long, strict=True) if not is_frozen]
    return []
