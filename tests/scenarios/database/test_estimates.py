"""Statistics and what they say of conditions, against counting; the cost of an index, against throwing dice."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detrun_scenarios.database.sql.cost import Costs, pages_fetched
from detrun_scenarios.database.sql.evaluation import compiled, is_true, order_key
from detrun_scenarios.database.sql.parse import parse
from detrun_scenarios.database.sql.plan import conjuncts
from detrun_scenarios.database.sql.selectivity import UNKNOWN, Selectivity
from detrun_scenarios.database.sql.statements import Constant, Expression, Select
from detrun_scenarios.database.sql.statistics import BUCKETS, Statistics, column_statistics

VALUES = st.lists(st.one_of(st.none(), st.integers(-20, 20), st.floats(-9.0, 9.0), st.text("ab", max_size=2)))


def conditions_in(text: str) -> list[Expression]:
    select = parse(f"SELECT * FROM t WHERE {text}")
    assert isinstance(select, Select)
    return conjuncts(select.where)


def value_of(expression: Expression) -> Any:
    return expression.value if isinstance(expression, Constant) else UNKNOWN


def estimated(rows: list[tuple[Any, ...]], text: str) -> float:
    """The share of rows (a, b) that a condition is estimated to leave."""
    columns = {name: column_statistics([row[place] for row in rows]) for place, name in enumerate("ab")}
    share = Selectivity(Statistics(float(len(rows)), 1.0, columns), value_of).of_all(conditions_in(text))
    return float(share)


def counted(rows: list[tuple[Any, ...]], text: str) -> float:
    asked = [compiled(one, lambda column: "ab".index(column.name)) for one in conditions_in(text)]
    return sum(all(is_true(one(row)) for one in asked) for row in rows) / len(rows)


@settings(max_examples=60, deadline=None)
@given(values=VALUES, low=st.integers(-25, 25))
def test_the_share_below_a_value_is_right_to_two_buckets_and_grows_with_it(values: list[Any], low: int) -> None:
    known = column_statistics(values)
    there = [one for one in values if one is not None]
    shares = []
    for value in (low - 1, low, low + 3, "a"):
        for is_included in (False, True):
            share = known.share_below(value, is_included=is_included)
            shares.append(share)
            keys, key = [order_key(one) for one in there], order_key(value)
            below = sum(one < key or (is_included and one == key) for one in keys)
            if values:
                buckets = min(BUCKETS, max(len(there), 1))
                assert abs(share - below / len(values)) <= 2.0 / buckets + 1e-9
    assert shares == sorted(shares)


def test_conditions_leave_about_what_they_leave() -> None:
    dice = random.Random(3)
    rows = [(dice.randrange(100), dice.choice([None, 1, 1, 1, 2, 3])) for _ in range(3_000)]
    for text in (
        "a < 30",
        "a BETWEEN 20 AND 60",
        "a >= 90 AND b = 1",
        "b IS NULL",
        "b IS NOT NULL AND a < 50",
        "b = 1",
        "b <> 1",
        "a < 10 OR a > 95",
        "NOT (a < 10 OR a > 95)",
        "a = 200",
        "a IN (1, 2, 3)",
        "a = NULL",
        "a < NULL",
    ):
        assert estimated(rows, text) == pytest.approx(counted(rows, text), abs=0.07), text
    assert estimated(rows, "a < b") == pytest.approx(1 / 3)


def test_independent_conditions_are_a_mistake_where_columns_go_together() -> None:
    rows = [(number % 50, number % 50) for number in range(1_000)]
    assert counted(rows, "a < 10 AND b < 10") == pytest.approx(0.2)
    assert estimated(rows, "a < 10 AND b < 10") == pytest.approx(0.04, abs=0.01)


def test_the_pages_of_an_index_scan_are_those_that_dice_meet() -> None:
    """Mackert and Lohman's approximation, with a cache that is larger than the table and a smaller one."""
    dice = random.Random(1)
    pages = 100
    for entries, cache in ((20, 200), (150, 200), (400, 20)):
        trials = []
        for _ in range(60):
            kept: list[int] = []
            fetched = 0
            for _ in range(entries):
                page = dice.randrange(pages)
                if page in kept:
                    kept.remove(page)
                else:
                    fetched += 1
                kept = [*kept, page][-cache:]
            trials.append(fetched)
        mean = sum(trials) / len(trials)
        assert pages_fetched(float(entries), float(pages), float(cache)) == pytest.approx(mean, rel=0.15)


def test_an_index_in_the_order_of_the_pages_costs_less() -> None:
    costs = Costs()
    by_correlation = [costs.by_index(100.0, 2.0, 50.0, 1_000.0, one, 10.0) for one in (0.0, 0.5, 1.0, -1.0)]
    assert by_correlation[0] > by_correlation[1] > by_correlation[2] == by_correlation[3]
    assert by_correlation[2] == pytest.approx(4.0 * 2.0 + 4.0 + 4.0 + 1.0)  # leaves, the first page, four more, rows
    assert costs.by_index(0.0, 1.0, 50.0, 1_000.0, 0.0, 10.0) == pytest.approx(4.0)
