"""Small dense matrices as lists of rows, whose entries are floats or Values.

Products leave out terms whose left factor is the plain number 0, which the slopes of motion are full of; a `Value` that
is 0 counts, since it has a derivative. A run on floats and a run on Values do the same operations in the same order,
so that both have the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Vector = list[Any]
Matrix = list[list[Any]]


def identity(size: int) -> Matrix:
    """Ones on the diagonal."""
    return diagonal([1.0] * size)


def diagonal(entries: Sequence[Any]) -> Matrix:
    """These entries on the diagonal, plain zeros elsewhere."""
    return [[entry if row == column else 0.0 for column in range(len(entries))] for row, entry in enumerate(entries)]


def transposed(matrix: Matrix) -> Matrix:
    """Rows as columns."""
    return [list(column) for column in zip(*matrix, strict=True)]


def plus(one: Matrix, other: Matrix, factor: float = 1.0) -> Matrix:
    """``one + factor * other``."""
    return [
        [a + factor * b for a, b in zip(mine, theirs, strict=True)] for mine, theirs in zip(one, other, strict=True)
    ]


def product(one: Matrix, other: Matrix) -> Matrix:
    """``one @ other``."""
    return [_combined(row, other) for row in one]


def applied(matrix: Matrix, vector: Sequence[Any]) -> Vector:
    """``matrix @ vector``."""
    return [inner(row, vector) for row in matrix]


def inner(one: Sequence[Any], other: Sequence[Any]) -> Any:
    """The inner product; terms whose first factor is a plain 0 are left out."""
    total: Any = 0.0
    for a, b in zip(one, other, strict=True):
        if not is_zero(a):
            total = total + a * b
    return total


def solved(matrix: Matrix, right: Matrix) -> Matrix:
    """``matrix⁻¹ @ right`` for a symmetric positive definite matrix: Gauss's elimination, without pivots.

    Raises:
        ZeroDivisionError: the matrix is singular.
    """
    size = len(matrix)
    rows = [[*mine, *theirs] for mine, theirs in zip(matrix, right, strict=True)]
    for at in range(size):
        pivot = rows[at][at]
        rows[at] = [entry / pivot for entry in rows[at]]
        for other in range(size):
            factor = rows[other][at]
            if other != at and not is_zero(factor):
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[at], strict=True)]
    return [row[size:] for row in rows]


def is_zero(number: Any) -> bool:
    """Whether it is the plain number 0."""
    return isinstance(number, float) and number == 0.0


def _combined(factors: Sequence[Any], rows: Matrix) -> Vector:
    """The sum of rows, each with its factor."""
    kept = [(factor, row) for factor, row in zip(factors, rows, strict=True) if not is_zero(factor)]
    if not kept:
        return [0.0] * len(rows[0])
    first, row = kept[0]
    total = [first * entry for entry in row]
    for factor, row in kept[1:]:
        total = [so_far + factor * entry for so_far, entry in zip(total, row, strict=True)]
    return total
