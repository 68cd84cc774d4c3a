"""``sum`` and ``math.sumprod`` on Values, with the bits that they have on floats.

Since Python 3.12 the builtin ``sum`` of floats is compensated (Neumaier's variant of Kahan's summation), and
``math.sumprod`` adds in triple length; on other objects both fold plainly from the left. A program would thus compute
other last bits with Values than with floats, and its gradient would be found to have left its recording.

So while Values are about, both names stand for functions that let Python add the bare numbers and give the result its
history: one entry on the tape, every partial of a sum being 1. Without Values among the terms they are Python's own.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from detrun.ad.adjoint_rules import Rule
from detrun.ad.value import Value, apply

_sum = builtins.sum
_sumprod = getattr(math, "sumprod", None)


def sum_of(terms: Iterable[Any], /, start: Any = 0) -> Any:
    """The builtin ``sum``."""
    listed = list(terms)
    if not any(isinstance(term, Value) for term in (start, *listed)):
        return _sum(listed, start)
    if not all(isinstance(term, Value | float | int) for term in (start, *listed)):
        return _sum(listed, start)  # other objects decide how they are added
    primal = _sum([_bare(term) for term in listed], _bare(start))
    values = [term for term in (start, *listed) if isinstance(term, Value)]
    return apply(Rule("sum", lambda *_: primal, lambda _, *added: (1.0,) * len(added)), *values)


def sum_of_products(left: Iterable[Any], right: Iterable[Any], /) -> Any:
    """``math.sumprod``."""
    assert _sumprod is not None
    lefts, rights = list(left), list(right)
    both = [*lefts, *rights]
    numbers = all(isinstance(one, Value | float | int) for one in both)
    if len(lefts) != len(rights) or not numbers or not any(isinstance(one, Value) for one in both):
        return _sumprod(lefts, rights)
    primal = _sumprod([_bare(one) for one in lefts], [_bare(one) for one in rights])
    return apply(Rule("sumprod", lambda *_: primal, _other_factors), *both)


def _bare(number: Any) -> Any:
    return number.primal if isinstance(number, Value) else number


def _other_factors(_result: Any, *factors: Any) -> list[Any]:
    half = len(factors) // 2
    return [*factors[half:], *factors[:half]]


class SumsOfValues:
    """``with SumsOfValues(): ...`` replaces the two names; the outermost block puts them back."""

    __slots__ = ()
    _depth = 0

    def __enter__(self) -> None:
        SumsOfValues._depth += 1
        if SumsOfValues._depth == 1:
            _put(sum_of, sum_of_products)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        SumsOfValues._depth -= 1
        if SumsOfValues._depth == 0:
            _put(_sum, _sumprod)


def _put(sum_function: Any, sumprod: Any) -> None:
    builtins.sum = sum_function
    if _sumprod is not None:
        math.sumprod = sumprod  # type: ignore[attr-defined, unused-ignore]
