"""``sum`` and ``math.sumprod`` add Values to the bits that they give on floats, on every Python."""

from __future__ import annotations

import builtins
import math
from fractions import Fraction
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun.ad import state
from detrun.ad.forward import TangentValue
from detrun.ad.reverse import backward
from detrun.ad.sums import SumsOfValues
from detrun.ad.value import Value

# Of very different sizes, so that compensation shows.
numbers = st.sampled_from([0.1, 1e16, -1e16, 3.7, 1e-9, -0.0, 5, 2.5, True])
terms = st.lists(st.tuples(numbers, st.booleans()), max_size=12)
plain_sum = builtins.sum


@given(terms, numbers)
def test_a_sum_has_the_bits_of_the_sum_of_floats_and_partials_of_one(terms: Any, start: Any) -> None:
    expected = plain_sum([float(one) if wrapped else one for one, wrapped in terms], start)
    with state.taped() as tape, SumsOfValues():
        values = [Value(one) if wrapped else one for one, wrapped in terms]
        total = sum(iter(values), start)
        moving = sum([TangentValue(one, (2.0,)) if wrapped else one for one, wrapped in terms], start)
    wrapped = [value for value in values if isinstance(value, Value)]
    if not wrapped:
        assert (total, type(total)) == (expected, type(expected))
        return
    assert total.primal == expected
    assert math.copysign(1.0, total.primal) == math.copysign(1.0, expected)
    found = backward(tape, {total.id: 3.0}, wanted=[value.id for value in wrapped])
    assert found == {value.id: 3.0 for value in wrapped}
    assert moving.tangent == (2.0 * len(wrapped),)


@pytest.mark.skipif(not hasattr(math, "sumprod"), reason="since Python 3.12")
@given(terms, st.lists(numbers, min_size=12, max_size=12))
def test_a_sum_of_products_has_the_bits_of_that_of_floats(terms: Any, others: list[float]) -> None:
    others = others[: len(terms)]
    sumprod = getattr(math, "sumprod")  # noqa: B009 (absent from the stubs of older Pythons)
    expected = sumprod([float(one) if wrapped else one for one, wrapped in terms], others)
    with state.taped() as tape, SumsOfValues():
        values = [Value(one) if wrapped else one for one, wrapped in terms]
        total = getattr(math, "sumprod")(values, others)  # noqa: B009
    wrapped = [value for value in values if isinstance(value, Value)]
    if not wrapped:
        assert total == expected
        return
    assert total.primal == expected
    found = backward(tape, {total.id: 1.0}, wanted=[value.id for value in wrapped])
    assert found == {value.id: other for value, other in zip(values, others, strict=True) if isinstance(value, Value)}


def test_other_objects_are_added_as_they_say_and_both_names_come_back() -> None:
    with SumsOfValues():
        assert sum([Fraction(1, 2), Value(0.25)]).primal == 0.75
        assert sum([[1], [2]], []) == [1, 2]  # noqa: RUF017 (this very call is what is tested)
        assert sum(range(4)) == 6
        with SumsOfValues():
            pass
        assert builtins.sum is not plain_sum
        with pytest.raises(TypeError):
            sum([Value(1.0), "a"])  # type: ignore[list-item]
    assert builtins.sum is plain_sum


async def summing(params: dict[str, Any]) -> Any:
    cell = detrun.Atomic(sum([params["x"]] * 10))
    await trio.lowlevel.checkpoint()
    return cell.load() * 2.0


def test_a_gradient_over_a_recording_on_floats_computes_the_recorded_sums() -> None:
    """0.1 added ten times gives 0.9999999999999999 plainly and 1.0 with compensation."""
    recorded = detrun.record(summing, {"x": 0.1})
    for options in ({}, {"snapshots": 1, "window": 2}, {"mode": "forward"}):
        found = detrun.gradient(summing, {"x": 0.1}, recording=recorded.recording, **options)  # type: ignore[arg-type]
        assert (found.value, found.grads) == (recorded.result, {"x": 20.0})
    assert builtins.sum is plain_sum


@pytest.mark.parametrize("snapshots", [None, 2])
def test_a_machine_applies_the_sums_that_it_applied_when_its_events_were_dispatched(snapshots: int | None) -> None:
    def apply(state: list[Any], event: float) -> list[Any]:
        return [sum([*state, event]), state[0] + 1.0, sum([state[0]] * 10)]

    machine = detrun.StateMachine(apply, [0.1, 0.2, 1e16], snapshots=snapshots)
    machine.dispatch_all([0.1, 0.3, -1e16])
    found = machine.gradient(lambda state: sum(state), snapshots=None if snapshots is None else "kept")
    assert found.value == plain_sum(machine.state)
    plain = detrun.StateMachine(apply, [0.1, 0.2, 1e16])
    plain.dispatch_all([0.1, 0.3, -1e16])
    assert plain.state == machine.state
