"""Conversions of a `Value` to other types, and the refusals of those that would cut its history unseen.

``float`` and ``int`` are noted as detachments. Roundings are noted as discontinuity sites with their margin: the
distance to the nearest number at which the result jumps. An index, a hash, a pickle and an exact form raise
`NotDifferentiableError`. Text is given as a float gives it, and detaches nothing.
"""

from __future__ import annotations

import math
from typing import Any, Never, Self

from detrun.ad import notes, state
from detrun_scheduler.errors import NotDifferentiableError


class Conversions:
    """Base of `Value`, which holds the two numbers and adds arithmetic and comparisons."""

    __slots__ = ()

    primal: float
    id: int

    def _constant(self, primal: float) -> Any:
        """A `Value` without a history."""
        raise NotImplementedError

    def __float__(self) -> float:
        if state.noting:
            notes.detachment()
        return self.primal

    def __int__(self) -> int:
        if state.noting:
            notes.detachment()
            notes.rounding("int", self.primal, self, math.trunc)
        return int(self.primal)

    def __trunc__(self) -> int:
        if state.noting:
            notes.rounding("trunc", self.primal, self, math.trunc)
        return math.trunc(self.primal)

    def __floor__(self) -> int:
        if state.noting:
            notes.rounding("floor", self.primal, self, math.floor)
        return math.floor(self.primal)

    def __ceil__(self) -> int:
        if state.noting:
            notes.rounding("ceil", self.primal, self, math.ceil)
        return math.ceil(self.primal)

    def __round__(self, digits: int | None = None) -> Any:
        """An int without ``digits``; with them a `Value` with zero partial, as float gives a float."""
        if digits is None:
            if state.noting:
                notes.rounding("round", self.primal, self, round)
            return round(self.primal)
        if state.noting:
            notes.rounding("round", self.primal, self, round, 10.0**digits)
        return self._constant(round(self.primal, digits))

    # The rest of what a float can do.

    @property
    def real(self) -> Self:
        return self

    @property
    def imag(self) -> float:
        return 0.0

    def conjugate(self) -> Self:
        return self

    def is_integer(self) -> bool:
        """A discontinuity site: how far from the nearest integer."""
        if state.noting and math.isfinite(self.primal):
            notes.margin("is_integer", self.primal - round(self.primal), self)
        return self.primal.is_integer()

    def as_integer_ratio(self) -> Never:
        raise self._no_exact_form("as_integer_ratio")

    def hex(self) -> Never:
        raise self._no_exact_form("hex")

    def _no_exact_form(self, method: str) -> NotDifferentiableError:
        return NotDifferentiableError(
            f"{self!r}.{method}() would take the bare number out unseen; write float(v).{method}() (listed as a "
            "detachment). For statistics.mean and its like there are detrun.mean and detrun.sum"
        )

    def __index__(self) -> Never:
        raise NotDifferentiableError(
            f"{self!r} used as an index or a count: the derivative of that choice is lost. "
            "Write int(v), math.floor(v) or round(v): the margin is then reported as a discontinuity site"
        )

    def __hash__(self) -> int:
        # Not `__hash__ = None`: generic code catches TypeError and goes on. A hash would compare Values inside a dict,
        # where no margin can be noted, and equal numbers with different histories would become one key.
        raise NotDifferentiableError(
            f"{self!r} used as a dictionary key, set member or cache argument: which entry it finds has no derivative. "
            "Use float(v) as the key (listed as a detachment), or keep Values in a list"
        )

    def __reduce_ex__(self, protocol: object) -> Never:
        raise NotDifferentiableError(
            f"pickling {self!r} would cut its history; use detrun.pack and detrun.unpack, which carry the tape id, "
            "or pickle float(v) to detach it"
        )

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __repr__(self) -> str:
        return f"Value({self.primal!r})"

    def __str__(self) -> str:
        return repr(self.primal)

    def __format__(self, specification: str) -> str:
        return format(self.primal, specification)
