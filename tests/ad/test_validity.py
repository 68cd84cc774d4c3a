"""Discontinuity sites and the validity radius, against programs whose flipping point is known."""

from __future__ import annotations

import math
from math import inf

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import detrun
from detrun.ad import functions, state
from detrun.ad.diagnostics import NearMargin, diagnose, nearest_places
from detrun.ad.growth import AdjointGrowth
from detrun.ad.outer_sites import site
from detrun.ad.pullbacks import record_pullback
from detrun.ad.reverse import backward
from detrun.ad.sites import NEAREST_PER_SITE
from detrun.ad.validity import validity
from detrun.ad.value import Value
from tests.ad.programs import POINTS, PROGRAMS, VALUES, run


def branches(p, q, steps):
    """A linear program with many branches; which way each went, for a brute-force search."""
    taken = []
    x = q
    for k in range(steps):
        x = x * 0.5 + p * (k % 3)
        taken.append(x > 1.0 + 0.1 * k)
        if taken[-1]:
            x = x - 1
    taken.append(x >= q)
    return x, taken


@given(p=st.floats(-3, 3), q=st.floats(-3, 3), steps=st.integers(1, 6))
def test_a_linear_program_flips_exactly_beyond_its_validity_range(p, q, steps):
    with state.taped() as tape:
        parameter, other = Value(p), Value(q)
        branches(parameter, other, steps)
    found = validity(tape, {"p": parameter.id})["p"]
    taken = branches(p, q, steps)[1]
    assert found.radius == min(found.down, found.up)
    assume(found.radius > 1e-6)
    shrunk, grown = 1 - 1e-6, 1 + 1e-6
    if found.up < inf:
        assert branches(p + found.up * shrunk, q, steps)[1] == taken
        assert branches(p + found.up * grown + 1e-12, q, steps)[1] != taken
    else:
        assert branches(p + 1e6, q, steps)[1] == taken
    if found.down < inf:
        assert branches(p - found.down * shrunk, q, steps)[1] == taken
        assert branches(p - found.down * grown - 1e-12, q, steps)[1] != taken


def test_the_result_names_the_site_its_margin_and_its_slope():
    line = test_the_result_names_the_site_its_margin_and_its_slope.__code__.co_firstlineno
    with state.taped() as tape:
        timeout, latency = Value(5.0), Value(2.0)
        assert not latency * 2.0 > timeout
        assert timeout < 100.0
    found = validity(tape, {"timeout": timeout.id, "latency": latency.id})
    assert found["latency"].radius == 0.5
    assert (found["latency"].up, found["latency"].down) == (0.5, inf)
    assert (found["latency"].margin, found["latency"].slope) == (-1.0, 2.0)
    assert str(found["latency"].site) == f"> at {__file__}:{line + 4}"
    assert found["timeout"].radius == 1.0


def test_a_tie_gives_radius_zero_only_to_what_it_depends_on():
    with state.taped() as tape:
        x, y = Value(1.0), Value(4.0)
        assert Value(0.0) >= Value(0.0)
        assert x == 1.0
        assert y > 1.0
    found = validity(tape, {"x": x.id, "y": y.id})
    assert found["x"].radius == 0.0
    assert found["y"].radius == 3.0


def test_a_parameter_that_decides_nothing_has_infinite_radius():
    with state.taped() as tape:
        x = Value(1.0)
        x * 2.0
    found = validity(tape, {"x": x.id})["x"]
    assert (found.radius, found.site) == (inf, None)


KINDS = [
    ("<", lambda v: v < 3.0, 2.5, 3.0),
    ("<=", lambda v: v <= 3.0, 2.5, 3.0),
    (">", lambda v: v > 3.0, 2.5, 3.0),
    (">=", lambda v: v >= 3.0, 2.5, 3.0),
    ("==", lambda v: v == 3.0, 2.5, 3.0),
    ("!=", lambda v: v != 3.0, 2.5, 3.0),
    ("bool", lambda v: bool(v), 2.5, 0.0),
    ("abs", lambda v: abs(v), -2.5, 0.0),
    ("floor", math.floor, 2.75, 3.0),
    ("ceil", math.ceil, 2.25, 2.0),
    ("trunc", math.trunc, -0.75, -1.0),
    ("trunc", math.trunc, 0.25, 1.0),
    ("int", int, 1.75, 2.0),
    ("round", round, 2.25, 2.5),
    ("round", lambda v: round(v, 1), 2.22, 2.25),
    ("//", lambda v: v // 2.0, 5.5, 6.0),
    ("//", lambda v: 6.0 // v, 2.5, 3.0),
    ("%", lambda v: v % 2.0, 5.5, 6.0),
    ("minimum", lambda v: functions.minimum(v, 3.0), 2.5, 3.0),
    ("maximum", lambda v: functions.maximum(3.0, v), 2.5, 3.0),
    ("relu", functions.relu, -2.5, 0.0),
]


@pytest.mark.parametrize(("kind", "operation", "at", "jump"), KINDS)
def test_each_kind_of_site_knows_the_distance_to_its_jump(kind, operation, at, jump):
    with state.taped() as tape:
        x = Value(at)
        operation(x)
    assert [one.kind for one in tape.sites] == [kind]
    tape.sites._check()
    found = validity(tape, {"x": x.id})["x"]
    assert found.radius == pytest.approx(abs(jump - at))
    assert (found.up < inf) == (jump > at) or kind in ("==", "!=")


def test_the_number_of_margins_kept_does_not_grow_with_the_run():
    with state.taped() as tape:
        x = Value(0.0)
        for k in range(1000):
            assert x > -1.0 - (k * 37 % 1000)
            assert x > -math.inf
            assert not x > math.nan
    assert tape.sites.count == 3000
    assert [len(one.nearest) for one in tape.sites] == [NEAREST_PER_SITE, 0, 0]
    assert [margin.value for margin in next(iter(tape.sites)).nearest] == [1.0 + k for k in range(NEAREST_PER_SITE)]
    tape.sites._check()


def test_sites_from_outside_are_described_or_placed_at_the_users_line():
    line = test_sites_from_outside_are_described_or_placed_at_the_users_line.__code__.co_firstlineno
    state.end_run()
    site("timer order", "off the tape", 1.0, 2.0)
    with state.taped() as tape:
        x = Value(2.0)
        site("timer order", "main/a before main/b", x * 2.0, 5.0)
        site("fetch_max", None, 1.0, x)
    assert [str(one) for one in tape.sites] == [
        "timer order: main/a before main/b",
        f"fetch_max at {__file__}:{line + 7}",
    ]
    found = validity(tape, {"x": x.id})["x"]
    assert (found.radius, found.site.kind) == (0.5, "timer order")


def test_an_int_beyond_all_floats_is_compared_and_not_a_site():
    with state.taped() as tape:
        assert Value(1.0) < 10**400
    assert tape.sites.count == 0


@given(program=PROGRAMS, point=POINTS)
def test_the_two_ways_to_find_slopes_agree(program, point):
    """Sweeping each margin backward, and each parameter forward, give one table of slopes."""
    with state.taped() as tape:
        arguments = [Value(x) for x in point]
        loss = run(program, arguments, VALUES)
        assert loss > -inf
        for bound in range(4):
            assert (loss < bound) in (True, False)
    parameters = {str(k): one.id for k, one in enumerate(arguments)}
    forward = validity(tape, parameters)
    tape.add_wide((arguments[0].id,), lambda adjoint: [adjoint])  # a pullback anywhere forces reverse sweeps
    reverse = validity(tape, parameters)
    for name in parameters:
        if forward[name].slope is None or abs(forward[name].slope) < 1e-9:
            continue
        assert reverse[name].radius == pytest.approx(forward[name].radius, rel=1e-6, abs=1e-12)


def test_diagnostics_report_what_happened_on_all_tapes():
    tapes = []
    for bound in (2.0, 1.5):
        with state.taped() as tape:
            x = Value(1.0)
            y = record_pullback(1.0, [x], lambda adjoint: [adjoint * 1e9])
            assert y < bound
            float(y)
            loss = y * 1.0
        growth = AdjointGrowth(segment_entries=1)
        backward(tape, {loss.id: 1.0}, wanted=[x.id], growth=growth)
        tapes.append(tape)
    report = diagnose(tapes, growth, nearest_max=1)
    assert report.entries == 6
    assert report.sites_passed == 2
    assert [(one.kind, one.margin) for one in report.nearest_margins] == [("<", -0.5)]
    assert [count for _, _, count in report.detachments] == [2]
    assert report.adjoint_growth[-1][1] == 1e9
    assert "explode" in report.warnings[0]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_at_a_tie_there_is_no_room_in_either_direction_whatever_the_sign_of_zero(sign):
    with state.taped() as tape:
        a = Value(2.0)
        a * sign < 2.0 * sign  # noqa: B015
    found = validity(tape, {"a": a.id})["a"]
    assert (found.radius, found.down, found.up) == (0.0, 0.0, 0.0)


def test_a_near_margin_shows_its_line_of_source(tmp_path) -> None:
    file = tmp_path / "queue.py"
    file.write_text("a = 1\nif a > b:\n    pass\n")
    one = NearMargin(">", f"{file}:2", 0.125, 3)
    assert one.code == "if a > b:"
    assert str(one) == f"0.125  > at {file}:2:  if a > b: (3 passes)"
    named = NearMargin("timeout", "a timeout fires", 0.5, 1)
    assert (named.code, str(named)) == ("", "0.5  timeout: a timeout fires")


def test_a_printed_gradient_names_the_lines_of_its_nearest_margins_once() -> None:
    def main(params):
        rate, total = params["rate"], params["rate"] * 0.0
        for _ in range(3):
            if rate > 1.5:
                total = total + rate
        return total

    printed = str(detrun.gradient(main, {"rate": 2.0}))
    assert printed.count("if rate > 1.5: (3 passes)") == 1


def test_the_nearest_margins_are_those_of_different_places() -> None:
    def main(params):
        rate = params["rate"]
        for _ in range(9):
            if rate > 1.5:
                pass
        return rate if rate < 9.0 else 0.0

    nearest = detrun.gradient(main, {"rate": 2.0}).diagnostics.nearest_margins
    assert [(one.margin, one.passes) for one in nearest] == [(0.5, 9), (-7.0, 1)]


def test_the_margins_of_one_place_in_several_windows_are_one() -> None:
    margins = [NearMargin(">", "a.py:1", 3.0, 2), NearMargin("<", "a.py:1", 2.0, 1), NearMargin(">", "a.py:1", -1.0, 4)]
    assert nearest_places(margins, 5) == [NearMargin(">", "a.py:1", -1.0, 6), NearMargin("<", "a.py:1", 2.0, 1)]
    assert nearest_places(margins, 1) == [NearMargin(">", "a.py:1", -1.0, 6)]
