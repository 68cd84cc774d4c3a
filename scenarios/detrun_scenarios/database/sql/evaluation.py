"""`compiled`: an expression as a function of a row, with the logic of three values that SQL has.

True and false are 1 and 0, unknown is None. A number is less than any text. Arithmetic takes numbers only; SQLite would
make a number of a text, and this database refuses it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from detrun.ad.value import Value, primal_of
from detrun_scenarios.database.sql.parse import SqlError
from detrun_scenarios.database.sql.statements import (
    Aggregate,
    Arithmetic,
    Both,
    Column,
    Comparison,
    Constant,
    Either,
    Expression,
    IsNull,
    Opposite,
    Parameter,
)
from detrun_scenarios.database.transactions.versions import Row
from detrun_scenarios.database.tree.keys import SqlValue

Evaluation: TypeAlias = Callable[[Row], SqlValue]
PlaceOf: TypeAlias = Callable[[Column], int]
"""Where the value of a column is in a row; raises SqlError if there is no such column."""

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_COMBINE: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


def plain(value: Any) -> SqlValue:
    """A value of SQL, also of what is a `Value` where a query is planned."""
    found: SqlValue = primal_of(value) if isinstance(value, Value) else value
    return found


def order_key(value: SqlValue) -> tuple[int, Any]:
    """By which values are in the order of ORDER BY."""
    return (0, 0) if value is None else (2, value) if isinstance(value, str) else (1, value)


def is_true(value: SqlValue) -> bool:
    """Whether a row with this for its condition is wanted.

    Raises:
        SqlError: it is a text.
    """
    if isinstance(value, str):
        raise SqlError(f"{value!r} is a text where a condition is wanted")
    return bool(value)


def compiled(expression: Expression, place_of: PlaceOf, parameters: Sequence[SqlValue] = ()) -> Evaluation:
    """The function from rows to values that an expression is.

    Raises:
        SqlError: a column or a parameter is not there; when called, that a text is where a number must be.
    """

    def of(part: Expression) -> Evaluation:
        return compiled(part, place_of, parameters)

    match expression:
        case Column():
            place = place_of(expression)
            return lambda row: row[place]
        case Constant():
            value = expression.value
            return lambda row: value
        case Parameter():
            if expression.place >= len(parameters):
                raise SqlError(f"parameter {expression.place + 1} is missing; {len(parameters)} are given")
            value = parameters[expression.place]
            return lambda row: value
        case Comparison(sign, left, Constant() | Parameter() as right):
            return _comparison_with(sign, of(left), of(right)(()))
        case Comparison():
            return _comparison(expression.sign, of(expression.left), of(expression.right))
        case Arithmetic():
            return _arithmetic(expression.sign, of(expression.left), of(expression.right))
        case Both():
            return _both(of(expression.left), of(expression.right))
        case Either():
            # a OR b is NOT (NOT a AND NOT b), with unknowns too
            return _opposite(_both(_opposite(of(expression.left)), _opposite(of(expression.right))))
        case Opposite():
            return _opposite(of(expression.of))
        case IsNull():
            inner = of(expression.of)
            return lambda row: int(inner(row) is None)
        case Aggregate():
            raise SqlError(f"{expression.name} is of many rows, and there is one only")


def constant(expression: Expression, parameters: Sequence[Any] = ()) -> Any:
    """The value of an expression that names no columns.

    Raises:
        SqlError: it names one, or see `compiled`.
    """

    def refuse(column: Column) -> int:
        raise SqlError(f"{column.name}: a value is wanted here, and there is no row")

    return compiled(expression, refuse, parameters)(())


def _comparison(sign: str, left: Evaluation, right: Evaluation) -> Evaluation:
    compare = _COMPARE[sign]

    def evaluate(row: Row) -> SqlValue:
        a, b = left(row), right(row)
        return None if a is None or b is None else int(compare(order_key(a), order_key(b)))

    return evaluate


def _comparison_with(sign: str, left: Evaluation, value: SqlValue) -> Evaluation:
    """The same, where the right side is the same for all rows: most conditions are."""
    compare, key = _COMPARE[sign], order_key(value)

    def evaluate(row: Row) -> SqlValue:
        found = left(row)
        return None if found is None or value is None else int(compare(order_key(found), key))

    return evaluate


def _arithmetic(sign: str, left: Evaluation, right: Evaluation) -> Evaluation:
    combine = _COMBINE[sign]

    def evaluate(row: Row) -> SqlValue:
        a, b = left(row), right(row)
        if isinstance(a, str) or isinstance(b, str):
            raise SqlError(f"{a!r} {sign} {b!r}: arithmetic takes numbers")
        result: SqlValue = None if a is None or b is None else combine(a, b)
        return result

    return evaluate


def _both(left: Evaluation, right: Evaluation) -> Evaluation:
    def evaluate(row: Row) -> SqlValue:
        a = left(row)
        if a is not None and not is_true(a):
            return 0
        b = right(row)
        if b is not None and not is_true(b):
            return 0
        return None if a is None or b is None else 1

    return evaluate


def _opposite(of: Evaluation) -> Evaluation:
    def evaluate(row: Row) -> SqlValue:
        value = of(row)
        return None if value is None else int(not is_true(value))

    return evaluate
