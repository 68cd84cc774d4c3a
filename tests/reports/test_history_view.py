"""A history that is not linearizable, as a report draws it."""

from __future__ import annotations

from detrun.checkers.histories import History
from detrun.checkers.linearizability import linearizable
from detrun.checkers.models import Register
from detrun.reports.history_view import history_view

STALE = History.of(
    [
        ("a", "call", "write", 1),
        ("a", "return"),
        ("c", "call", "read"),
        ("b", "call", "read"),
        ("b", "return", 0),
        ("c", "return", 1),
        ("d", "call", "write", 2),
    ]
)


def test_bars_are_the_operations_and_a_stale_read_is_stuck() -> None:
    """Of the three only the write and the read of 0 exclude each other; the write of 2 was called later."""
    found = linearizable(Register(0), STALE)
    view = history_view(found)
    assert view is not None
    roles = {(view.clients[bar.client], bar.text): (bar.role, bar.place) for bar in view.bars}
    assert roles["a", "write(1)"] == ("legal", 0)
    assert roles["b", "read() → 0"] == ("stuck", None)
    assert roles["c", "read() → 1"] == ("other", None)
    assert view.states == ["0", "1"]
    assert len(view.bars) + view.left_out == 4
    for bar in view.bars:
        assert bar.end is None or bar.begin < bar.end
    assert str(found).endswith("after write(1) there is no place left for read() → 0 by b")


def test_what_is_linearizable_or_no_result_of_a_checker_has_no_picture() -> None:
    assert history_view(linearizable(Register(0), [])) is None
    assert history_view(None) is None


def test_states_are_those_that_the_model_goes_through() -> None:
    history = History.of(
        [
            *(event for value in (1, 2, 3) for event in (("a", "call", "write", value), ("a", "return"))),
            ("b", "call", "read"),
            ("b", "return", 1),
        ]
    )
    found = linearizable(Register(0), history)
    assert len(found.states) == len(found.longest) + 1
    assert found.states[0] == 0
    assert [one.arguments[0] for one in found.longest if one.name == "write"] == list(found.states[1:])
