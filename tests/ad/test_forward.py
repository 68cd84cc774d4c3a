"""Forward mode and second order: the inner-product identity, closed forms, differences of gradients."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detrun.ad import functions, state
from detrun.ad.forward import TangentValue, along, tangent_of, tangent_sweep, with_tangents
from detrun.ad.pullbacks import record_pullback
from detrun.ad.reverse import backward
from detrun.ad.second_order import backward_second_order, hessian_vector_product
from detrun.ad.value import Value
from detrun_scheduler.errors import NotDifferentiableError, UsageError
from tests.ad.programs import POINTS, PROGRAMS, VALUES, run


def reverse_gradient(program, point):
    with state.taped() as tape:
        arguments = [Value(x) for x in point]
        loss = run(program, arguments, VALUES)
    ids = [one.id for one in arguments]
    found = backward(tape, {loss.id: 1.0}, wanted=ids)
    return [found[one] for one in ids], tape, ids, loss


@given(program=PROGRAMS, point=POINTS, direction=POINTS, weight=st.floats(-3, 3))
def test_forward_and_reverse_are_adjoint_to_each_other(program, point, direction, weight):
    """<w, J v> == <J^T w, v>, for tangents carried along and for tangents swept over the tape."""
    with state.taped() as tape:
        arguments = [Value(x) for x in point]
        loss = run(program, arguments, VALUES)
    found = backward(tape, {loss.id: weight}, wanted=[one.id for one in arguments])
    terms = [found[one.id] * v for one, v in zip(arguments, direction, strict=True)]
    swept = tangent_sweep(tape, {one.id: v for one, v in zip(arguments, direction, strict=True)}).get(loss.id, 0.0)
    names = [str(place) for place in range(3)]
    moving = along(dict(zip(names, point, strict=True)), dict(zip(names, direction, strict=True)))
    carried = tangent_of(run(program, list(moving.values()), VALUES), 1)[0]
    unit = with_tangents(dict(zip(names, point, strict=True)))
    gradient = tangent_of(run(program, list(unit.values()), VALUES), 3)
    size = 1.0 + math.fsum(map(abs, terms)) + sum(abs(one) for one in gradient) * 6
    assert carried * weight == pytest.approx(math.fsum(terms), abs=1e-9 * size)
    assert swept * weight == pytest.approx(math.fsum(terms), abs=1e-9 * size)
    assert [one * weight for one in gradient] == pytest.approx([found[one.id] for one in arguments], abs=1e-9 * size)


@given(program=PROGRAMS, point=POINTS, direction=POINTS)
def test_a_hessian_vector_product_equals_the_difference_of_gradients(program, point, direction):
    gradient, product = hessian_vector_product(lambda xs: run(program, xs, VALUES), point, direction)
    assert gradient == pytest.approx(reverse_gradient(program, point)[0], rel=1e-12, abs=1e-12)

    def at(step):
        return reverse_gradient(program, [x + step * v for x, v in zip(point, direction, strict=True)])[0]

    step = 1e-3  # fourth order, see test_reverse
    differences = [
        (8 * (a - b) - (c - d)) / (12 * step)
        for a, b, c, d in zip(at(step), at(-step), at(2 * step), at(-2 * step), strict=True)
    ]
    size = max(1.0, *map(abs, gradient), *map(abs, product))
    assert product == pytest.approx(differences, rel=1e-5, abs=1e-5 * size)


def test_the_hessian_of_a_quadratic_form_is_its_matrix():
    """f(x) = x^T A x / 2 with symmetric A: gradient A x, Hessian A."""
    matrix = [[2.0, -1.0, 0.5], [-1.0, 3.0, 0.0], [0.5, 0.0, 1.0]]

    def form(x):
        return functions.sum(functions.dot(row, x) * x[k] for k, row in enumerate(matrix)) * 0.5

    for column in range(3):
        unit = [float(k == column) for k in range(3)]
        gradient, product = hessian_vector_product(form, [1.0, -2.0, 4.0], unit)
        assert product == pytest.approx([row[column] for row in matrix])
        assert gradient == pytest.approx([6.0, -7.0, 4.5])


def test_several_directions_at_once_give_the_whole_hessian():
    """f = x**2 * exp(y): Hessian [[2 e^y, 2 x e^y], [2 x e^y, x^2 e^y]]."""
    with state.taped() as tape:
        x, y = with_tangents({"x": 3.0, "y": 0.5}).values()
        loss = x**2 * functions.exp(y)
    found = backward_second_order(tape, {loss.id: (1.0, (0.0, 0.0))}, wanted=[x.id, y.id])
    e = math.exp(0.5)
    assert found[x.id][1] == pytest.approx((2 * e, 6 * e))
    assert found[y.id][1] == pytest.approx((6 * e, 9 * e))


def test_a_forward_run_keeps_memory_constant_and_reverse_values_plain():
    unit = with_tangents({"a": 0.999, "b": 0.001})
    x: Value = Value(1.0)
    for _ in range(1000):
        x = x * unit["a"] + unit["b"]
    assert state.tape is None
    expected_b = sum(0.999**k for k in range(1000))
    assert tangent_of(x, 2)[1] == pytest.approx(expected_b)
    assert type(Value(1.0) * Value(2.0)) is Value
    assert tangent_of(Value(1.0), 2) == tangent_of(1.0, 2) == (0.0, 0.0)


def test_mixed_arithmetic_of_plain_and_tangent_values_is_tangent_on_either_side():
    plain, moving = Value(2.0), TangentValue(3.0, (1.0,))
    for result, primal, tangent in (
        (plain + moving, 5.0, 1.0),
        (moving + plain, 5.0, 1.0),
        (plain - moving, -1.0, -1.0),
        (moving - plain, 1.0, 1.0),
        (plain * moving, 6.0, 2.0),
        (moving * plain, 6.0, 2.0),
        (plain / moving, 2.0 / 3.0, -2.0 / 9.0),
        (moving / plain, 1.5, 0.5),
        (plain**moving, 8.0, 8.0 * math.log(2.0)),
        (moving**plain, 9.0, 6.0),
        (4 - moving, 1.0, -1.0),
        (6 / moving, 2.0, -2.0 / 3.0),
        (-moving, -3.0, -1.0),
        (moving % plain, 1.0, 1.0),
    ):
        assert (result.primal, tangent_of(result, 1)) == (primal, pytest.approx((tangent,)))


def test_an_undefined_tangent_raises_when_it_is_read():
    x = TangentValue(0.0, (1.0,))
    with pytest.raises(NotDifferentiableError, match="no finite derivative"):
        tangent_of(functions.sqrt(x), 1)
    # A zero tangent passes an infinite slope unharmed, as a zero adjoint does.
    assert tangent_of(functions.sqrt(TangentValue(0.0, (0.0,))), 1) == (0.0,)


def test_pullbacks_need_a_pushforward_in_forward_mode():
    moving, plain = TangentValue(2.0, (1.0, 0.0)), Value(3.0)
    with pytest.raises(NotDifferentiableError, match="pushforward"):
        record_pullback(6.0, [moving, plain], lambda adjoint: [adjoint * 3.0, adjoint * 2.0])
    result = record_pullback(
        6.0,
        [moving, plain],
        lambda adjoint: [adjoint * 3.0, adjoint * 2.0],
        lambda tangents: tuple(3.0 * a + 2.0 * b for a, b in zip(*tangents, strict=True)),
    )
    assert tangent_of(result, 2) == (3.0, 0.0)
    with state.taped(), pytest.raises(NotDifferentiableError, match="second derivatives"):
        record_pullback(6.0, [moving], lambda adjoint: [adjoint], lambda tangents: tangents[0])


def test_a_sweep_of_tangents_refuses_a_pullback_only_if_tangent_reaches_it():
    with state.taped() as tape:
        x, y = Value(2.0), Value(3.0)
        through = record_pullback(3.0, [y], lambda adjoint: [adjoint])
        loss = x * through
    assert tangent_sweep(tape, {x.id: 1.0})[loss.id] == 3.0
    with pytest.raises(NotDifferentiableError, match="pullback only"):
        tangent_sweep(tape, {y.id: 1.0})
    with pytest.raises(NotDifferentiableError, match="no second derivative"):
        backward_second_order(tape, {loss.id: (1.0, (0.0,))})


def test_wrong_directions_and_ids_are_refused():
    with pytest.raises(UsageError, match="names 'c'"):
        along({"a": 1.0}, {"c": 1.0})
    with pytest.raises(UsageError, match="2 coordinates"):
        hessian_vector_product(lambda xs: xs[0], [1.0, 2.0], [1.0])
    with state.taped() as tape:
        x = Value(1.0)
    with pytest.raises(UsageError, match="tape holds ids"):
        backward_second_order(tape, {x.id + 1: (1.0, (0.0,))})
    assert backward_second_order(tape, {}) == {}
