"""Keys as bytes: in the order in which sqlite3 sorts the values."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detrun_scenarios.database.tree.keys import Address, SqlValue, address_in, encoded_key, end_of, entry_of

VALUES = st.one_of(
    st.none(),
    st.integers(-(2**53), 2**53),
    st.integers(-3, 3),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8"), max_size=3),
    st.text("a\x00\x01", max_size=3),
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(VALUES, VALUES), max_size=8))
def test_bytes_are_in_the_order_of_the_values(rows: list[tuple[SqlValue, SqlValue]]) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (a, b)")
    connection.executemany("insert into t values (?, ?)", rows)
    wanted = [tuple(row) for row in connection.execute("select a, b from t order by a, b")]
    found = sorted(rows, key=encoded_key)
    assert [encoded_key(row) for row in found] == [encoded_key(row) for row in wanted]
    for one in rows:
        for other in rows:
            assert (encoded_key(one) == encoded_key(other)) == (one == other)


@settings(max_examples=60, deadline=None)
@given(first=VALUES, others=st.lists(VALUES, max_size=4))
def test_a_range_of_a_prefix_holds_all_keys_that_begin_with_it_and_no_others(
    first: SqlValue, others: list[SqlValue]
) -> None:
    low, high = encoded_key([first]), end_of(encoded_key([first]))
    for other in (first, *others):
        entry = entry_of(encoded_key([other, 1]), Address(2**31 - 1, 65_535))
        assert (low <= entry < high) == (other == first)
        assert address_in(entry) == (2**31 - 1, 65_535)


def test_what_has_no_place_in_the_order_is_refused() -> None:
    for value in (2**53 + 1, float("nan")):
        with pytest.raises(ValueError, match="cannot be a key"):
            encoded_key([value])
