"""The totals over the windows of a gradient: those of two processes as those of both; and the default window."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from detrun.gradients.windowed import (
    NEAREST_MARGINS,
    WINDOW_STEPS_MAX,
    WINDOW_STEPS_MIN,
    Swept,
    WindowTotals,
    window_steps_for,
)

ONE = WindowTotals(
    windows=1,
    forward_steps=10,
    taped_steps=100,
    entries=1_000,
    entries_in_a_window_max=700,
    peak_bytes_max=5,
    sites_passed=20,
    leaf_gradients_lost=2,
    margins=[("comparison", "a.py:1", -0.5, 3), ("timer order", "a.py:2", 4.0, 1)],
    ties=["a.py:1", "a.py:9"],
    detachments={"a.py:3": 2, "a.py:4": 1},
    growth={0: 1.0, 1: 8.0},
    credit={"x": ({1: 2.0, 2: -7.0}, 9.0)},
)
OTHER = WindowTotals(
    windows=2,
    forward_steps=30,
    taped_steps=200,
    entries=5_000,
    entries_in_a_window_max=600,
    peak_bytes_max=6,
    sites_passed=40,
    leaf_gradients_lost=1,
    margins=[("comparison", "b.py:1", 0.25, 3), ("comparison", "b.py:2", -1.0, 3)],
    ties=["b.py:1", "a.py:9"],
    detachments={"a.py:3": 5, "b.py:4": 1},
    growth={1: 3.0, 2: 0.5},
    credit={"x": ({3: 4.0}, 4.0), "y": ({3: 1.0}, 1.0)},
)


def test_no_windows_count_nothing() -> None:
    assert not any(asdict(WindowTotals()).values())
    assert Swept({}) == Swept({}, 0.0, False, {}, {}, (0.0, -1))


def test_totals_of_two_processes_are_those_of_both() -> None:
    both = WindowTotals(credit_kept=2)
    for one in (ONE, OTHER):
        both.add(asdict(one))
    assert both == WindowTotals(
        windows=3,
        forward_steps=40,
        taped_steps=300,
        entries=6_000,
        entries_in_a_window_max=700,
        peak_bytes_max=6,
        sites_passed=60,
        leaf_gradients_lost=3,
        margins=[OTHER.margins[0], ONE.margins[0], OTHER.margins[1], ONE.margins[1]],
        ties=["a.py:1", "a.py:9", "b.py:1"],
        detachments={"a.py:3": 7, "a.py:4": 1, "b.py:4": 1},
        growth={0: 1.0, 1: 8.0, 2: 0.5},
        credit={"x": ({2: -7.0, 3: 4.0}, 13.0), "y": ({3: 1.0}, 1.0)},
        credit_kept=2,
    )


def test_only_the_nearest_margins_and_the_first_ties_are_kept() -> None:
    totals = WindowTotals()
    for number in range(NEAREST_MARGINS + 3):
        margin = ("comparison", f"a.py:{number}", -float(10 - number), 1)
        totals.add(asdict(WindowTotals(margins=[margin], ties=[str(number)])))
    assert [one[2] for one in totals.margins] == [-3.0, -4.0, -5.0, -6.0, -7.0]
    assert totals.ties == ["0", "1", "2", "3", "4"]


def test_a_report_says_what_the_totals_say() -> None:
    report = ONE.diagnostics(window_steps=512, snapshots=6)
    assert (report.entries, report.sites_passed) == (1_000, 20)
    assert (report.windows, report.window_steps, report.snapshots) == (1, 512, 6)
    assert (report.forward_steps, report.taped_steps, report.entries_in_a_window_max) == (10, 100, 700)
    assert report.peak_bytes > 5  # this process is larger
    assert [one.margin for one in report.nearest_margins] == [-0.5, 4.0]
    assert report.detachments == [("a.py", 3, 2), ("a.py", 4, 1)]
    assert len(report.warnings) == 3
    assert "torch tensors outside params" in report.warnings[0]
    assert "at a tie (a.py:1)" in report.warnings[1]
    assert WindowTotals(peak_bytes_max=2**60).diagnostics(1, 1).peak_bytes == 2**60
    assert WindowTotals().diagnostics(1, 1).warnings == []


@pytest.mark.parametrize(
    ("steps", "snapshots", "window"),
    [
        (0, 4, WINDOW_STEPS_MIN),
        (5 * WINDOW_STEPS_MIN, 4, WINDOW_STEPS_MIN),
        (5 * WINDOW_STEPS_MIN + 1, 4, WINDOW_STEPS_MIN + 1),
        (10_000, 4, 2_000),
        (10_001, 4, 2_001),
        (10_000, 1, 5_000),
        (10**9, 4, WINDOW_STEPS_MAX),
    ],
)
def test_by_default_there_is_one_window_more_than_snapshots(steps: int, snapshots: int, window: int) -> None:
    assert window_steps_for(steps, snapshots) == window
