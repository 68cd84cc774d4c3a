"""Random small programs: the expected gradient is that of their mean, or what it cannot see is named.

A program is a list of statements, made by hypothesis: draws, thresholds on expressions of draws and parameters,
time-outs, coins and loops, nested. It is run by detrun, and by numpy on a hundred thousand draws at once, whose
central difference with common random numbers is the truth, with a standard error of its own. Examples and seeds are
fixed, so that nothing fails by chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import trio
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import detrun

RUNS = 1 << 17
STEP = 0.02  # of the truth; a half of it says what is lost by that
PARAMETERS = {"a": 0.6, "b": 1.1}


class TiedError(Exception):
    """Two sides of a comparison are always the same number."""


Expression = tuple[Any, ...]
Statement = tuple[Any, ...]


def positive(names: Sequence[str]) -> st.SearchStrategy[Expression]:
    """Expressions of which no value is negative: so they can be waited for, and squared without turning back."""
    leaves = [st.sampled_from([("par", "a"), ("par", "b"), ("const", 0.5)])]
    if names:
        leaves += [st.sampled_from([("var", name) for name in names])] * 2
    return st.recursive(
        st.one_of(*leaves),
        lambda inner: st.one_of(
            st.tuples(st.just("+"), inner, inner),
            st.tuples(st.just("*"), inner, inner),
            st.tuples(st.just("squared"), inner),
            st.tuples(st.just("exp of less"), inner),
        ),
        max_leaves=3,
    )


@st.composite
def blocks(draw: Any, names: tuple[str, ...] = (), depth: int = 0) -> tuple[Statement, ...]:
    """Statements, of which the first draws."""
    known = list(names)
    found: list[Statement] = []
    kinds = ["draw", "add", "if", "timeout", "coin", "loop"] if depth < 2 else ["draw", "add", "if"]
    for kind in ["draw", *draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3 if depth == 0 else 2))]:
        match kind:
            case "draw":
                name = f"x{depth}{len(known)}"
                law = draw(st.sampled_from(["uniform", "exponential", "lognormal"]))
                found.append(("draw", name, law, draw(st.sampled_from([("par", "a"), ("par", "b"), ("const", 1.0)]))))
                known.append(name)
            case "add":
                found.append(("add", draw(positive(known))))
            case "loop":
                found.append(("loop", draw(blocks(tuple(known), depth + 1))))
            case "coin":
                found.append(("coin", *(draw(blocks(tuple(known), depth + 1)) for _ in range(2))))
            case _:
                sides = [draw(positive(known)) for _ in range(2)]
                branches = [(("add", ("const", float(draw(st.integers(0, 4))))),) for _ in range(2)]
                if depth == 0:
                    branches[0] += draw(blocks(tuple(known), 2))
                found.append((kind, *sides, *branches))
    return tuple(found)


# As detrun runs it.


def value(expression: Expression, scope: Mapping[str, Any], exp: Any) -> Any:
    match expression:
        case ("par" | "var", name):
            return scope[name]
        case ("const", number):
            return number
        case ("+", left, right):
            return value(left, scope, exp) + value(right, scope, exp)
        case ("*", left, right):
            return value(left, scope, exp) * value(right, scope, exp)
        case ("squared", inner):
            return value(inner, scope, exp) ** 2
        case ("exp of less", inner):
            return exp(-value(inner, scope, exp))
    raise AssertionError(expression)


async def run(block: Sequence[Statement], scope: dict[str, Any]) -> None:
    for statement in block:
        match statement:
            case ("draw", name, "uniform", mean):
                scope[name] = 2.0 * value(mean, scope, detrun.exp) * detrun.uniform()
            case ("draw", name, "exponential", mean):
                scope[name] = detrun.exponential(value(mean, scope, detrun.exp))
            case ("draw", name, _, mean):
                scope[name] = detrun.lognormal(-value(mean, scope, detrun.exp), 0.5)
            case ("add", expression):
                scope["loss"] = scope["loss"] + value(expression, scope, detrun.exp)
            case ("if", left, right, then, other):
                is_more = value(left, scope, detrun.exp) > value(right, scope, detrun.exp)
                await run(then if is_more else other, scope)
            case ("timeout", left, right, then, other):
                begun = trio.current_time()
                with trio.move_on_after(value(left, scope, detrun.exp)) as wait:
                    await trio.sleep(value(right, scope, detrun.exp))
                scope["loss"] = scope["loss"] + (trio.current_time() - begun)
                await run(then if wait.cancelled_caught else other, scope)
            case ("coin", then, other):
                await run(then if detrun.bernoulli(scope["a"] * 0.5) else other, scope)
            case ("loop", body):
                for _ in range(2):
                    await run(body, scope)


# As numpy does, all runs at once: ``where`` are those that come to a statement.


def run_all(block: Sequence[Statement], scope: dict[str, Any], where: Any, random: np.random.Generator) -> None:
    for statement in block:
        match statement:
            case ("draw", name, "uniform", mean):
                scope[name] = 2.0 * value(mean, scope, np.exp) * random.random(RUNS)
            case ("draw", name, "exponential", mean):
                scope[name] = value(mean, scope, np.exp) * random.exponential(size=RUNS)
            case ("draw", name, _, mean):
                scope[name] = np.exp(0.5 * random.standard_normal(RUNS) - value(mean, scope, np.exp))
            case ("add", expression):
                scope["loss"] = scope["loss"] + np.where(where, value(expression, scope, np.exp), 0.0)
            case ("if" | "timeout", left, right, then, other):
                sides = [np.broadcast_to(value(one, scope, np.exp), RUNS) for one in (left, right)]
                if np.isclose(*sides, rtol=1e-12, atol=0.0).mean() > 0.01:
                    raise TiedError  # what is decided there is up to rounding
                if statement[0] == "timeout":
                    scope["loss"] = scope["loss"] + np.where(where, np.minimum(*sides), 0.0)
                    is_first = sides[0] < sides[1]
                else:
                    is_first = sides[0] > sides[1]
                run_all(then, Inner(scope), where & is_first, random)
                run_all(other, Inner(scope), where & ~is_first, random)
            case ("coin", then, other):
                is_first = random.random(RUNS) < scope["a"] * 0.5
                run_all(then, Inner(scope), where & is_first, random)
                run_all(other, Inner(scope), where & ~is_first, random)
            case ("loop", body):
                for _ in range(2):
                    run_all(body, Inner(scope), where, random)


class Inner(dict[str, Any]):
    """The names of an inner block: the loss is that of the outermost."""

    def __init__(self, outer: dict[str, Any]) -> None:
        super().__init__(outer)
        self.outer = outer

    def __getitem__(self, name: str) -> Any:
        return self.outer[name] if name == "loss" else super().__getitem__(name)

    def __setitem__(self, name: str, number: Any) -> None:
        if name == "loss":
            self.outer[name] = number
        else:
            super().__setitem__(name, number)


def truth(block: Sequence[Statement], name: str) -> tuple[float, float, float]:
    """The derivative of the mean loss, its standard error, and how much it moves with half the step.

    Where a rare jump is an exponential of a parameter, a step is not small: the chance that a lognormal draw falls
    below a point of 3.4 deviations may be off by a half of itself.
    """
    slopes = []
    for step in (STEP, 0.5 * STEP):
        sides = []
        for sign in (1.0, -1.0):
            scope: dict[str, Any] = {**PARAMETERS, name: PARAMETERS[name] + sign * step, "loss": np.zeros(RUNS)}
            run_all(block, scope, np.ones(RUNS, dtype=bool), np.random.default_rng(1))
            sides.append(scope["loss"])
        slopes.append((sides[0] - sides[1]) / (2 * step))
    mean = float(slopes[0].mean())
    return mean, float(slopes[0].std()) / math.sqrt(RUNS), abs(float(slopes[1].mean()) - mean)


def as_program(block: Sequence[Statement]) -> Callable[[Any], Any]:
    """What detrun runs."""

    async def main(params: Any) -> Any:
        scope: dict[str, Any] = {**params, "loss": 0.0 * params["a"]}
        await run(block, scope)
        return scope["loss"]

    return main


def check(block: Sequence[Statement], samples: int) -> str:
    refusal = ""
    try:
        exactly = {name: truth(block, name) for name in PARAMETERS}
    except TiedError:
        return "tied"
    try:
        found = detrun.gradient(as_program(block), PARAMETERS, kind="expected", samples=samples, pairs=3)
    except detrun.NotDifferentiableError as error:
        refusal = str(error)
    if refusal:
        assert "test_random_programs.py" in refusal
        return "refused"
    for name, (exact, noise, bend) in exactly.items():
        slack = 5 * math.hypot(found.std_error[name], noise) + 2 * bend + 0.01 * (1 + abs(exact))
        assert abs(found.grads[name] - exact) <= slack, (name, found.grads[name], found.std_error[name], exact, noise)
    return "agrees"


# A program that fails is shown as it was found: making it smaller takes a gradient for each of hundreds of others.
fixed = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
    phases=(Phase.explicit, Phase.generate),
)


@settings(fixed, max_examples=4)
@given(block=blocks())
def test_a_program_has_the_derivative_of_its_mean(block: tuple[Statement, ...]) -> None:
    check(block, samples=16)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(5))
def test_many_programs_have_the_derivatives_of_their_means(part: int) -> None:
    """Thirty programs in each part, about two minutes of CPU."""

    @seed(part)
    @settings(fixed, derandomize=False, max_examples=30)
    @given(block=blocks())
    def agree(block: tuple[Statement, ...]) -> None:
        check(block, samples=100)

    agree()
