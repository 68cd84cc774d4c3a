"""`Value` against float: same bits, plain bools, and every number that leaves the tape is listed."""

from __future__ import annotations

import copy
import json
import math
import operator
import pickle
import random
import statistics
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detrun.ad import functions, state
from detrun.ad.adjoint_rules import EXP
from detrun.ad.diagnostics import diagnose
from detrun.ad.forward import TangentValue
from detrun.ad.reverse import backward
from detrun.ad.value import Value, apply, lift
from detrun_scheduler.errors import NotDifferentiableError, UsageError

BINARY = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
    divmod,
]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]
NUMBERS = st.floats(allow_nan=False) | st.integers(-(10**6), 10**6)


def outcome(function, *arguments):
    """The result of a call, with Values stripped and errors as their type."""
    try:
        result = function(*arguments)
    except (ArithmeticError, ValueError) as error:
        return type(error)
    parts = result if isinstance(result, tuple) else (result,)
    return tuple(repr(one.primal if isinstance(one, Value) else one) for one in parts)


@pytest.mark.parametrize("taping", [False, True])
@pytest.mark.parametrize("wrap", [Value, lambda x: TangentValue(x, (1.0,))], ids=["reverse", "forward"])
@given(x=NUMBERS, y=NUMBERS)
def test_arithmetic_has_the_bits_and_the_errors_of_float(wrap, taping, x, y):
    state.end_run()
    if taping:
        state.start_tape()
    for function in BINARY:
        expected = outcome(function, float(x), float(y))
        if function is operator.pow and -math.inf < x < 0 and math.isfinite(y) and not float(y).is_integer():
            with pytest.raises(NotDifferentiableError, match="complex"):
                function(wrap(x), wrap(y))
            continue
        assert outcome(function, wrap(x), wrap(y)) == expected
        assert outcome(function, wrap(x), Value(y)) == expected
        assert outcome(function, Value(x), wrap(y)) == expected
        assert outcome(function, wrap(x), y) == expected
        assert outcome(function, x, wrap(y)) == expected
    for function in (operator.neg, operator.pos, abs, math.trunc, math.floor, math.ceil, round, int, float, bool):
        assert outcome(function, wrap(x)) == outcome(function, float(x))
    assert outcome(round, wrap(x), 2) == outcome(round, float(x), 2)
    state.end_run()


@pytest.mark.parametrize("taping", [False, True])
@given(x=st.floats(), y=st.floats() | st.integers())
def test_comparisons_give_the_bools_of_float(taping, x, y):
    state.end_run()
    if taping:
        state.start_tape()
    for function in COMPARISONS:
        expected = function(x, y)
        for left, right in ((Value(x), y), (x, Value(y)) if type(y) is float else (Value(x), y)):
            assert function(left, right) is expected
        if type(y) is float:
            assert function(Value(x), Value(y)) is expected
            assert function(TangentValue(x, (1.0,)), Value(y)) is expected
    state.end_run()


@given(x=st.floats(-10, 10), y=st.floats(0.5, 10))
def test_ids_are_allotted_the_same_with_the_tape_on_and_off(x, y):
    def program(wrap):
        a, b = wrap(x), wrap(y)
        c = a * b + 2.0 - a / b
        d = functions.sum([c, a, b, 1.0]) + functions.maximum(a, 0.0)
        e = abs(-d) ** 2 % 3.0 + a // b + round(a, 1) + functions.exp(-abs(a)) + functions.hypot(a, b, 1.0)
        if e > a and c:
            e = e + 1
        ids = [one.id for one in (a, b, c, d, e)] + [state.peek_id()]
        return [one - ids[0] for one in ids]

    off = program(Value)
    with state.taped():
        on = program(Value)
    forward = program(lambda number: TangentValue(number, (1.0,)))
    assert off == on == forward


def test_numpy_scalars_and_fractions_are_numbers_and_other_objects_are_refused():
    value = Value(2.0)
    assert (value * numpy.float64(1.5)).primal == 3.0
    assert (numpy.float64(1.5) * value).primal == 3.0
    assert (numpy.float32(1.5) - value).primal == -0.5
    assert (value + True).primal == 3.0
    assert (value + Fraction(1, 2)).primal == 2.5
    assert value > numpy.float64(1.5)
    assert value > Fraction(3, 2)
    for wrong in ("a", None, 1j, [1.0]):
        for function in BINARY:
            # NotDifferentiableError where Python would repeat a sequence by our index.
            with pytest.raises((TypeError, NotDifferentiableError)):
                function(value, wrong)
    for wrong in (None, 1j):
        for function in (operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod):
            with pytest.raises(TypeError):
                function(wrong, value)
    assert (value == "a") is False
    assert (value != None) is True  # noqa: E711
    with pytest.raises(TypeError):
        assert value < "a"


def test_every_use_that_would_lose_a_derivative_unseen_raises_with_advice():
    value = Value(2.0)
    with pytest.raises(NotDifferentiableError, match=r"index.*math.floor"):
        _ = [1, 2, 3][value]
    with pytest.raises(NotDifferentiableError, match="count"):
        range(value)
    with pytest.raises(NotDifferentiableError, match=r"key.*float\(v\)"):
        _ = {value: 1}
    with pytest.raises(NotDifferentiableError, match="set member"):
        _ = {value}
    with pytest.raises(NotDifferentiableError, match=r"detrun\.pack"):
        pickle.dumps(value)
    for method in ("hex", "as_integer_ratio"):
        with pytest.raises(NotDifferentiableError, match=rf"float\(v\)\.{method}\(\)"):
            getattr(value, method)()
    with pytest.raises(NotDifferentiableError, match=r"detrun\.mean"):
        statistics.mean([value, value])
    # Python's own refusal of every other type than float.
    for refuse in (random.seed, random.Random, json.dumps, Decimal, lambda v: timedelta(seconds=v)):
        with pytest.raises(TypeError, match=r"type|not supported"):
            refuse(value)
    with pytest.raises(NotDifferentiableError, match=r"Value\(2.0\) would|cut the history"):
        Value(value)
    with pytest.raises(NotDifferentiableError, match="complex"):
        Value(-8.0) ** 0.5
    with pytest.raises(UsageError, match="expected a real number, got str"):
        Value("1.5")
    with pytest.raises(UsageError, match=r"exp\('a'\)"):
        apply(EXP, "a")
    with pytest.raises(UsageError, match="lower bound"):
        functions.clip(value, 1.0, 0.0)
    with pytest.raises(UsageError, match="2 numbers on the left, 1 on the right"):
        functions.dot([1.0, 2.0], [value])
    with pytest.raises(UsageError, match="mean: needs at least 1"):
        functions.mean([])


def test_the_methods_of_a_float_are_there():
    with state.taped() as tape:
        value = Value(2.25)
        assert value.real is value.conjugate() is value
        assert value.imag == 0.0
        assert not value.is_integer()
        assert Value(3.0).is_integer()
        assert not Value(math.inf).is_integer()
    assert [site.kind for site in tape.sites] == ["is_integer", "is_integer"]
    assert [margin.value for site in tape.sites for margin in site.nearest] == [0.25, 0.0]
    assert tape.detachments == {}
    missing = {name for name in dir(float) if not hasattr(Value, name)}
    assert missing == {"__getformat__", "__getnewargs__", "fromhex", "from_number"} & missing


def test_domain_errors_are_those_of_math_with_the_operation_named():
    for wrap in (float, Value):
        with pytest.raises(ValueError, match=r"log\(0.0\)"):
            functions.log(wrap(0.0))
        with pytest.raises(ValueError, match=r"sqrt\(-1.0\)"):
            functions.sqrt(wrap(-1.0))
        with pytest.raises(OverflowError, match=r"exp\(1000.0\)"):
            functions.exp(wrap(1000.0))
    with pytest.raises(ZeroDivisionError):
        Value(1.0) / 0.0


def test_printing_and_copying_keep_the_value_on_the_tape():
    with state.taped() as tape:
        value = Value(1.25)
        texts = [repr(value), str(value), f"{value:.1f}", f"{value}"]
        copies = [copy.copy(value), copy.deepcopy([value])[0], +value, lift(value)]
    assert texts == ["Value(1.25)", "1.25", "1.2", "1.25"]
    assert all(one is value for one in copies)
    assert len(tape) == 1
    assert tape.detachments == {}


def test_each_detachment_in_user_code_is_listed_with_its_line_and_count():
    line = test_each_detachment_in_user_code_is_listed_with_its_line_and_count.__code__.co_firstlineno
    with state.taped() as tape:
        value = Value(2.5)
        for _ in range(3):
            float(value)
        math.exp(value)
        statistics.fmean([value, value])
        int(value)
        numpy.full(3, value, dtype=float)
    assert diagnose([tape]).detachments == [
        (__file__, line + 5, 3),
        (__file__, line + 6, 1),
        (__file__, line + 7, 2),  # the standard library is looked through
        (__file__, line + 8, 1),
        (__file__, line + 9, 1),  # and so is numpy
    ]


def test_a_detachment_inside_trio_is_not_the_users():
    """The same code, once in a module of the user's and once in one that belongs to trio."""
    found = {}
    for module in ("model", "trio._core._run"):
        namespace = {"__name__": module, "math": math}
        exec(compile("def check(value):\n    return math.isnan(value)", f"/elsewhere/{module}.py", "exec"), namespace)
        with state.taped() as tape:
            namespace["check"](Value(1.0))
        found[module] = tape.detachments
    assert found == {"model": {("/elsewhere/model.py", 2): 1}, "trio._core._run": {}}


def test_nothing_is_listed_while_the_tape_is_off():
    value = Value(1.0)
    float(value)
    assert value > 0.5
    with state.taped() as tape:
        pass
    assert tape.detachments == {}
    assert len(tape.sites) == 0


def test_rounding_has_zero_derivative_and_remainder_slope_one():
    with state.taped() as tape:
        x, y = Value(7.3), Value(2.0)
        loss = x // y + x % y + round(x, 1) + math.floor(x)
    found = backward(tape, {loss.id: 1.0}, wanted=[x.id, y.id])
    assert found == {x.id: 1.0, y.id: -3.0}


def test_runs_and_tapes_do_not_nest_and_leave_nothing_behind():
    state.end_run()
    state.begin_run()
    with pytest.raises(UsageError, match="do not nest"):
        state.begin_run()
    first = state.first_id
    assert Value(1.0).id == first
    tape = state.start_tape()
    assert tape.first_id == first + 1
    with pytest.raises(UsageError, match="still on"):
        state.start_tape()
    state.end_run()
    assert not state.taping
    state.begin_run()
    assert Value(1.0).id == state.first_id > first  # no id is allotted twice
    assert len(tape) == 0
    with pytest.raises(UsageError, match="no tape is on"):
        state.stop_tape()
    state.start_tape()
    state.in_run = False
    with pytest.raises(UsageError, match="a tape is on"):
        state.begin_run()
    state.end_run()
    state.end_run()


def test_ids_are_not_allotted_again_after_a_run_that_went_back_to_a_snapshot_or_had_ids_of_its_own():
    state.begin_run()
    snapshot = state.peek_id()
    furthest = [Value(1.0) for _ in range(5)][-1].id
    state.rewind(snapshot)
    assert Value(1.0).id == snapshot
    state.end_run()
    assert Value(1.0).id == furthest + 1
    space = state.reserve_space()
    state.begin_run(space)
    assert Value(1.0).id == state.first_id == space
    state.rewind(space)
    state.end_run()
    assert Value(1.0).id == furthest + 2 >= state.first_id
    assert state.reserve_space() > space


def test_a_tape_maps_ids_back_to_steps():
    with state.taped() as tape:
        before = Value(1.0)
        tape.mark(3)
        first = before + 1.0
        second = first * 2.0
        tape.mark(5)
        tape.mark(6)  # step 5 recorded nothing
        third = second + first
    assert [tape.step_of(one.id) for one in (before, first, second, third)] == [None, 3, 3, 6]
    assert tape.step_of(third.id + 1) is None
    tape._check()
