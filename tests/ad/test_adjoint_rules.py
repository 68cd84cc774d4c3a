"""Every rule of the table, and every operator, against central differences and against torch."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detrun.ad import functions, state
from detrun.ad.adjoint_rules import RULES, register
from detrun.ad.forward import TangentValue
from detrun.ad.reverse import backward
from detrun.ad.second_order import hessian_vector_product
from detrun.ad.value import Value, apply

try:
    import torch
except ImportError:
    torch = None

# Points inside each domain and away from kinks, so that a central difference converges.
POINTS = {
    "+": [(1.5, -2.0)],
    "-": [(1.5, -2.0)],
    "*": [(1.5, -2.0), (0.0, 3.0)],
    "/": [(1.5, -2.0), (0.0, 0.3)],
    "**": [(1.5, 2.5), (0.7, -1.5), (2.0, 0.0)],
    "negative": [(0.3,)],
    "abs": [(0.3,), (-0.3,)],
    "%": [(7.3, 2.0), (-7.3, 2.0), (7.3, -2.0)],
    "exp": [(0.7,), (-3.0,)],
    "expm1": [(0.7,), (-3.0,)],
    "log": [(0.7,), (12.0,)],
    "log1p": [(0.7,), (-0.5,)],
    "log2": [(0.7,)],
    "log10": [(0.7,)],
    "sqrt": [(0.7,), (40.0,)],
    "sin": [(0.7,)],
    "cos": [(0.7,)],
    "tan": [(0.7,)],
    "sinh": [(0.7,)],
    "cosh": [(0.7,)],
    "tanh": [(0.7,)],
    "asin": [(0.7,)],
    "acos": [(0.7,)],
    "atan": [(0.7,)],
    "atan2": [(0.7, -1.2), (-2.0, 0.4)],
    "hypot": [(3.0, -4.0), (1.0, 2.0, 3.0)],
    "asinh": [(0.7,), (-30.0,)],
    "acosh": [(1.7,), (30.0,)],
    "atanh": [(0.7,), (-0.2,)],
    "erf": [(0.7,)],
    "erfc": [(0.7,), (3.0,)],
    "sigmoid": [(0.7,), (-40.0,)],
    "softplus": [(0.7,), (-2.0,), (30.0,)],
    "sum": [(1.0,), (1.0, 2.0, 3.0, 4.0)],
    "mean": [(1.0, 2.0, 6.0)],
    "prod": [(2.0, -3.0, 0.5), (2.0, 0.0, 5.0), (0.0, 0.0, 5.0)],
    "dot": [(1.0, 2.0, 3.0, 4.0), (1.0, -2.0, 0.5, 4.0, 2.0, 2.0)],
    "logsumexp": [(1.0, 2.0, 0.5), (800.0, 801.0)],
    "norm": [(3.0, -4.0, 12.0)],
}
TORCH = {
    "negative": lambda x: -x,
    "/": lambda x, y: x / y,
    "**": lambda x, y: x**y,
    "%": lambda x, y: torch.remainder(x, y),
    "sum": lambda *xs: torch.stack(xs).sum(),
    "mean": lambda *xs: torch.stack(xs).mean(),
    "prod": lambda *xs: torch.stack(xs).prod(),
    "dot": lambda *xs: torch.dot(torch.stack(xs[0::2]), torch.stack(xs[1::2])),
    "logsumexp": lambda *xs: torch.logsumexp(torch.stack(xs), 0),
    "norm": lambda *xs: torch.linalg.vector_norm(torch.stack(xs)),
    "hypot": lambda *xs: torch.linalg.vector_norm(torch.stack(xs)),
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "softplus": lambda x: torch.nn.functional.softplus(x, threshold=1e9),
}
CASES = [(name, point) for name, points in POINTS.items() for point in points]


def gradient(function, point):
    with state.taped() as tape:
        arguments = [Value(x) for x in point]
        result = function(*arguments)
    found = backward(tape, {result.id: 1.0}, wanted=[one.id for one in arguments])
    tape._check()
    return result.primal, [found[one.id] for one in arguments]


def central_difference(function, point, place, step):
    up, down = list(point), list(point)
    up[place] += step
    down[place] -= step
    return (function(*up) - function(*down)) / (up[place] - down[place])


def test_every_rule_of_the_table_is_tested_here():
    assert set(POINTS) == set(RULES)


@pytest.mark.parametrize(("name", "point"), CASES)
def test_a_rule_agrees_with_central_differences(name, point):
    rule = RULES[name]
    primal, partials = gradient(lambda *xs: apply(rule, *xs), point)
    assert primal == rule.primal(*point)
    for place, partial in enumerate(partials):
        # Truncation error ~ step**2, rounding error ~ 1e-16 / step: both below 1e-8 relative here.
        expected = central_difference(rule.primal, point, place, 1e-5)
        assert partial == pytest.approx(expected, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize(("name", "point"), CASES)
@pytest.mark.skipif(torch is None, reason="torch is not installed")
def test_a_rule_agrees_with_torch(name, point):
    function = TORCH.get(name) or getattr(torch, name)
    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in point]
    function(*tensors).backward()
    _, partials = gradient(lambda *xs: apply(RULES[name], *xs), point)
    for tensor, partial in zip(tensors, partials, strict=True):
        assert partial == pytest.approx(tensor.grad.item(), rel=1e-13, abs=1e-300)


@pytest.mark.parametrize(("name", "point"), CASES)
def test_the_partials_of_a_rule_have_exact_derivatives(name, point):
    """The Hessian-vector product of each rule equals the difference of its own gradients."""
    direction = [0.3 - 0.2 * place for place in range(len(point))]
    rule = RULES[name]
    found, product = hessian_vector_product(lambda xs: apply(rule, *xs), point, direction)
    assert found == pytest.approx(gradient(lambda *xs: apply(rule, *xs), point)[1], rel=1e-15)
    step = 1e-5
    up = gradient(lambda *xs: apply(rule, *xs), [x + step * v for x, v in zip(point, direction, strict=True)])[1]
    down = gradient(lambda *xs: apply(rule, *xs), [x - step * v for x, v in zip(point, direction, strict=True)])[1]
    expected = [(a - b) / (2 * step) for a, b in zip(up, down, strict=True)]
    assert product == pytest.approx(expected, rel=1e-6, abs=1e-7)


OPERATORS = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "**": lambda x, y: x**y,
    "%": lambda x, y: x % y,
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("point", [(2.5, 1.25), (0.3, 7.0)])
def test_an_operator_agrees_with_its_rule_to_the_last_bit_whichever_side_is_a_number(name, point):
    """The hot operators write their partials out by hand; this ties them to the table."""
    operator, rule = OPERATORS[name], RULES[name]
    x, y = point
    primal, both = gradient(operator, point)
    assert (primal, both) == gradient(lambda a, b: apply(rule, a, b), point)
    assert gradient(lambda a: operator(a, y), (x,)) == (primal, both[:1])
    assert gradient(lambda b: operator(x, b), (y,)) == (primal, both[1:])
    forward = operator(TangentValue(x, (1.0, 0.0)), TangentValue(y, (0.0, 1.0)))
    assert (forward.primal, list(forward.tangent)) == (primal, both)


UNARY = [
    *("exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh"),
    *("asin", "acos", "atan", "erf"),
]


@pytest.mark.parametrize("name", UNARY)
def test_a_function_of_a_float_is_the_float_of_math(name):
    function = getattr(functions, name)
    result = function(0.7)
    assert type(result) is float
    assert result == getattr(math, name)(0.7)
    assert function(Value(0.7)).primal == result
    assert type(function(Value(0.7))) is Value


def test_reductions_of_floats_are_floats_and_fold_from_the_left():
    numbers = [0.1] * 10 + [1e16, 1.0, -1e16]
    total = 0.0
    for number in numbers:
        total += number
    assert functions.sum(numbers) == total
    assert functions.sum(map(Value, numbers)).primal == total
    assert total != math.fsum(numbers)  # the case tells left folding from a compensated sum
    assert functions.mean([1.0, 2.0]) == 1.5
    assert functions.dot([1.0, 2.0], [3.0, Value(4.0)]).primal == 11.0
    assert functions.sum([]) == 0.0
    assert functions.prod([]) == 1.0


def test_a_reduction_is_one_entry_whatever_its_length():
    with state.taped() as tape:
        terms = [Value(float(k)) for k in range(50)]
        before = len(tape)
        total = functions.sum(terms)
    assert len(tape) == before + 1
    found = backward(tape, {total.id: 2.0}, wanted=[one.id for one in terms])
    assert set(found.values()) == {2.0}


def test_choices_send_all_adjoint_to_the_chosen_argument():
    assert gradient(functions.minimum, (1.0, 2.0)) == (1.0, [1.0, 0.0])
    assert gradient(functions.maximum, (1.0, 2.0)) == (2.0, [0.0, 1.0])
    assert gradient(functions.maximum, (2.0, 2.0)) == (2.0, [1.0, 0.0])
    assert gradient(lambda x: functions.clip(x, 0.0, 1.0), (0.5,)) == (0.5, [1.0])
    assert gradient(lambda x: functions.clip(x, 0.0, 1.0), (3.0,)) == (1.0, [0.0])
    assert gradient(functions.relu, (2.0,)) == (2.0, [1.0])
    assert gradient(functions.relu, (0.0,)) == (0.0, [0.0])
    assert gradient(lambda x, y: functions.where(x > y, x, y * 3.0), (1.0, 2.0)) == (6.0, [0.0, 3.0])
    assert gradient(lambda x, y: functions.where(False, x, 4.0), (1.0, 2.0)) == (4.0, [0.0, 0.0])
    assert type(functions.minimum(1, 2.0)) is float


def test_the_product_rule_survives_zeros_where_division_would_not():
    random_numbers = random.Random(5)
    for _ in range(50):
        factors = [random_numbers.choice([0.0, 1.5, -2.0, 3.0]) for _ in range(6)]
        _, partials = gradient(lambda *xs: functions.prod(xs), factors)
        for place in range(6):
            assert partials[place] == math.prod(factors[:place] + factors[place + 1 :])


ANY_FLOAT = st.floats() | st.sampled_from([0.0, -0.0, 1.0, -1.0, 5e-324, 1e-170, 1e308, 710.4758600739439, math.inf])


@pytest.mark.parametrize("name", RULES)
@given(data=st.data())
def test_partials_never_raise_where_the_primal_does_not(name, data):
    rule = RULES[name]
    point = data.draw(st.tuples(*[ANY_FLOAT] * len(POINTS[name][0])))
    try:
        primal = rule.primal(*point)
    except (ArithmeticError, ValueError):
        return
    if not isinstance(primal, complex):
        assert len(rule.partials(primal, *point)) == len(point)


def test_two_rules_of_one_name_are_refused():
    with pytest.raises(AssertionError, match="exists already"):
        register("exp", math.exp, lambda y, x: (y,))


def test_a_wrong_rule_is_caught_by_the_difference_test():
    """The negative twin: the comparison above must be able to fail."""
    from detrun.ad.adjoint_rules import Rule

    wrong = Rule("wrong sine", math.sin, lambda _, x: (math.cos(x) + 1e-5,))
    _, partials = gradient(lambda x: apply(wrong, x), (0.7,))
    assert partials[0] != pytest.approx(central_difference(math.sin, (0.7,), 0, 1e-5), rel=1e-7, abs=1e-8)
