"""The linear-quadratic regulator: gains that make a quadratic cost of a linear system least.

For ``x' = A x + B u`` and the cost ``Σ xᵀ Q x + uᵀ R u`` the best feedback is ``u = -K x``. One step of the recursion
goes from the cost of what follows to the cost from here; its fixed point solves the algebraic Riccati equation. Tests
hold it against ``scipy.linalg.solve_discrete_are``, and its derivatives against differences.

Source: Anderson and Moore, "Optimal Control: Linear Quadratic Methods", 1990, chapter 2.
"""

from __future__ import annotations

from typing import NamedTuple

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.robot.linear.matrices import Matrix, plus, product, solved, transposed

CLOSE = 1e-13  # relative change of the cost at which the recursion has settled
AFTERWARDS = 10  # steps more, since derivatives settle a little later than numbers
STEPS_MAX = 2_000


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
    """The stationary one: the recursion from ``q`` on until it has settled, or for `STEPS_MAX` steps."""
    found = backward(q, a, b, q, r)
    left = STEPS_MAX
    while left:
        after = backward(found.cost, a, b, q, r)
        if _change(found.cost, after.cost) < CLOSE:
            left = min(left, AFTERWARDS)
        found = after
        left -= 1
    return found


def _symmetric(matrix: Matrix) -> Matrix:
    return [
        [matrix[row][column] if row <= column else matrix[column][row] for column in range(len(matrix))]
        for row in range(len(matrix))
    ]


def _change(one: Matrix, other: Matrix) -> float:
    pairs = [
        (plain(a), plain(b)) for mine, theirs in zip(one, other, strict=True) for a, b in zip(mine, theirs, strict=True)
    ]
    return max(abs(a - b) for a, b in pairs) / max(abs(b) for _, b in pairs)
