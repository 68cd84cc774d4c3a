"""`explained`: a plan as the lines of EXPLAIN, from the last step to the first, each with what it is estimated to cost.

Costs are those of the first row and of all rows, in units of one page read in order. After a run the rows that really
came stand beside those that were expected; where the two part, statistics are old, or columns not independent.
"""

from __future__ import annotations

from typing import Any

from detrun.ad.value import primal_of
from detrun_scenarios.database.sql.bounds import Bound
from detrun_scenarios.database.sql.plan import Access, Plan, Planner
from detrun_scenarios.database.sql.reading import Counts
from detrun_scenarios.database.sql.statements import (
    Aggregate,
    Arithmetic,
    Column,
    Constant,
    Expression,
    Parameter,
    Select,
)


def explained(select: Select, planner: Planner, plan: Plan, counts: Counts | None, results: int) -> list[str]:
    """The lines.

    Args:
        counts: what was found by a run; None if there was none.
        results: rows of the result of that run.
    """
    lines: list[str] = []

    def add(depth: int, text: str, estimate: str, actual: str) -> None:
        lines.append("  " * depth + text + estimate + (f" (actual {actual})" if counts is not None else ""))

    depth, found = 0, Counts() if counts is None else counts
    if planner.limit is not None:
        rows = min(float(planner.limit), primal_of(plan.rows))
        add(depth, f"limit {planner.limit}", _estimate(plan.first, plan.cost, rows), f"rows={results}")
        depth += 1
    elif select.is_grouped:
        by = ", ".join(map(text_of, select.group))
        add(depth, f"group by {by}" if by else "aggregate", "", f"rows={results}")
        depth += 1
    if plan.is_sorted:
        terms = ", ".join(text_of(one.by) + (" desc" if one.is_descending else "") for one in planner.order)
        add(depth, f"sort by {terms}", _estimate(plan.first, plan.first, plan.rows), f"rows={found.rows}")
        depth += 1
    if plan.inner is not None:
        kind = "loop" if plan.equal is None else f"hash {text_of(plan.equal[0])} = {text_of(plan.equal[1])}"
        first = plan.inner.first if plan.is_sorted else plan.first
        add(depth, kind, _estimate(first, plan.joined, plan.rows), f"rows={found.rows}")
        depth += 1
    add(
        depth, _access(plan.outer), _estimate(plan.outer.first, plan.outer.cost, plan.outer.rows), f"rows={found.outer}"
    )
    if plan.inner is not None:
        actual = f"rows={found.inner} readings={found.inner_readings}"
        add(depth, _access(plan.inner), _estimate(plan.inner.first, plan.inner.cost, plan.inner.rows), actual)
    return lines


def _estimate(first: Any, cost: Any, rows: Any) -> str:
    return f" (cost={primal_of(first):.2f}..{primal_of(cost):.2f} rows={primal_of(rows):.0f})"


def _access(access: Access) -> str:
    if access.index is None:
        return f"scan {access.source.alias}"
    by = ", ".join(map(_bound, access.bounds.all))
    way = " backward" if access.is_backward else ""
    return f"index {access.source.alias} by {access.index.name}{way}" + (f" ({by})" if by else "")


def _bound(bound: Bound) -> str:
    return f"{bound.column} {bound.sign} {text_of(bound.value)}"


def text_of(expression: Expression) -> str:
    """A short text of an expression that has no conditions in it; of others only that they are one."""
    match expression:
        case Column():
            return f"{expression.table}.{expression.name}" if expression.table else expression.name
        case Constant():
            return "NULL" if expression.value is None else repr(expression.value)
        case Parameter():
            return f"?{expression.place + 1}"
        case Arithmetic():
            return f"({text_of(expression.left)} {expression.sign} {text_of(expression.right)})"
        case Aggregate():
            return f"{expression.name}({'*' if expression.of is None else text_of(expression.of)})"
    return "(a condition)"
