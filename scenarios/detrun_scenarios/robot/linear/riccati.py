"""The linear-quadratic regulator: gains that make a quadratic cost of a linear system least.

For ``x' = A x + B u`` and the cost ``Σ xᵀ Q x + uᵀ R u`` the best feedback is ``u = -K x``. One step of the recursion
goes from the cost of what follows to the cost from here; its fixed point solves the algebraic Riccati equation. A
doubling goes from the cost of the next 2ᵏ steps to that of the next 2ᵏ⁺¹, so that a loop which takes thousands of steps
to settle takes some fifteen doublings. Tests hold the regulator against ``scipy.linalg.solve_discrete_are``, also where
weights are far apart, and its derivatives against differences.

Source: Anderson and Moore, "Optimal Control: Linear Quadratic Methods", 1990, chapter 2; Anderson, "Second-order
convergent algorithms for the steady-state Riccati equation", International Journal of Control 28, 1978, for doublings.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.robot.linear.matrices import Matrix, identity, plus, product, solved, transposed
from detrun_scheduler.errors import UsageError

CLOSE = 1e-12  # relative change of the cost at which the doublings have settled
DOUBLINGS_MAX = 50  # a horizon of 10¹⁵ steps


class RiccatiError(UsageError):
    """No regulator was found for a system and its weights."""


class Regulator(NamedTuple):
    """Of a linear system.

    Attributes:
        gains: the feedback is ``u = -gains @ x``.
        cost: the cost of a state is ``xᵀ cost x``.
    """

    gains: Matrix
    cost: Matrix


def backward(cost: Matrix, a: Matrix, b: Matrix, q: Matrix, r: Matrix) -> Regulator:
    """One step of the recursion: the best gains where the rest costs ``cost``, and the cost from here."""
    ahead = product(transposed(b), cost)
    gains = solved(plus(r, product(ahead, b)), product(ahead, a))
    closed = plus(a, product(b, gains), -1.0)
    here = plus(q, product(product(transposed(a), cost), closed))
    return Regulator(gains, _symmetric(here))


def regulator(a: Matrix, b: Matrix, q: Matrix, r: Matrix) -> Regulator:
    """The stationary one.

    With ``reach`` and ``cost`` of a horizon, and ``moved`` what it makes of a state, twice the horizon has ::

        closing = (1 + reach cost)⁻¹
        moved closing moved,  reach + moved closing reach movedᵀ,  cost + movedᵀ cost closing moved

    Raises:
        RiccatiError: the cost has not settled: no feedback holds the system, or a weight is so far from the others that
            numbers of 53 bits do not tell them apart.
    """
    moved, reach, cost = a, product(b, solved(r, transposed(b))), q
    is_settled, change = False, 0.0
    for _ in range(DOUBLINGS_MAX):
        closing = plus(identity(len(a)), product(reach, cost))
        closed, spread = solved(closing, moved), solved(closing, reach)
        after = _symmetric(plus(cost, product(transposed(moved), product(cost, closed))))
        reach = _symmetric(plus(reach, product(product(moved, spread), transposed(moved))))
        moved, change, cost = product(moved, closed), _change(cost, after), after
        if is_settled:
            return backward(cost, a, b, q, r)
        is_settled = change < CLOSE  # one doubling more, since derivatives settle a little later than numbers
    raise RiccatiError(
        f"the cost of a regulator still changes by {change:.1e} of itself after {DOUBLINGS_MAX} doublings; no feedback "
        "holds this system, or its weights are too far from each other"
    )


def _symmetric(matrix: Matrix) -> Matrix:
    return [
        [matrix[row][column] if row <= column else matrix[column][row] for column in range(len(matrix))]
        for row in range(len(matrix))
    ]


def _change(one: Matrix, other: Matrix) -> float:
    pairs = [
        (plain(a), plain(b)) for mine, theirs in zip(one, other, strict=True) for a, b in zip(mine, theirs, strict=True)
    ]
    largest = max(abs(b) for _, b in pairs)
    return max(abs(a - b) for a, b in pairs) / largest if math.isfinite(largest) else math.inf
