"""The reverse sweep against central differences, torch, itself cut into windows, and its own dense and sparse forms."""

from __future__ import annotations

import gc
import math
import random
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detrun.ad import functions, state
from detrun.ad.growth import AdjointGrowth
from detrun.ad.pullbacks import record_pullback
from detrun.ad.reverse import backward
from detrun.ad.tape import Tape
from detrun.ad.value import Value
from detrun_scheduler.errors import NotDifferentiableError, UsageError
from tests.ad.programs import FLOATS, POINTS, PROGRAMS, VALUES, run


def record(program, point):
    with state.taped() as tape:
        arguments = [Value(x) for x in point]
        loss = run(program, arguments, VALUES)
    return tape, arguments, loss


@given(program=PROGRAMS, point=POINTS)
def test_the_gradient_of_a_random_program_agrees_with_central_differences(program, point):
    tape, arguments, loss = record(program, point)
    tape._check()
    assert loss.primal == run(program, point, FLOATS)
    found = backward(tape, {loss.id: 1.0}, wanted=[one.id for one in arguments])
    for place, argument in enumerate(arguments):

        def along(step, place=place):
            moved = list(point)
            moved[place] += step
            return run(program, moved, FLOATS)

        # Fourth order, so the step can be large and rounding small; scaled by what flows through the program.
        step = 1e-3
        expected = (8 * (along(step) - along(-step)) - (along(2 * step) - along(-2 * step))) / (12 * step)
        size = max(1.0, abs(loss.primal), *(abs(one) for one in found.values()))
        assert found[argument.id] == pytest.approx(expected, rel=1e-6, abs=1e-6 * size)


@settings(max_examples=50)
@given(program=PROGRAMS, point=POINTS)
def test_the_gradient_of_a_random_program_agrees_with_torch(program, point):
    torch = pytest.importorskip("torch")
    library = SimpleNamespace(
        sin=torch.sin,
        tanh=torch.tanh,
        exp=torch.exp,
        softplus=lambda x: torch.nn.functional.softplus(x, threshold=1e9),
        total=lambda terms: ((terms[0] + terms[1]) + terms[2]) + terms[3],
    )
    tape, arguments, loss = record(program, point)
    found = backward(tape, {loss.id: 1.0}, wanted=[one.id for one in arguments])
    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in point]
    run(program, tensors, library).backward()
    size = max(1.0, *(abs(one) for one in found.values()))
    for tensor, argument in zip(tensors, arguments, strict=True):
        grad = 0.0 if tensor.grad is None else tensor.grad.item()
        assert found[argument.id] == pytest.approx(grad, rel=1e-9, abs=1e-9 * size)


@given(program=PROGRAMS, point=POINTS, data=st.data())
def test_cutting_the_tape_into_windows_changes_no_bit(program, point, data):
    tape, arguments, loss = record(program, point)
    wanted = [one.id for one in arguments]
    whole = backward(tape, {loss.id: 1.0}, wanted=wanted)
    cuts = set(data.draw(st.lists(st.integers(0, len(program)), max_size=5), label="cut after these steps"))

    state.end_run()
    state.begin_run()
    windows = [state.start_tape()]
    steps = 0

    def after_step():
        nonlocal steps
        if steps in cuts:
            state.stop_tape()
            windows.append(state.start_tape())
        steps += 1

    again = [Value(x) for x in point]
    loss_again = run(program, again, VALUES, after_step)
    state.stop_tape()
    state.end_run()
    adjoints = {loss_again.id: 1.0}
    for window in reversed(windows):
        inside = [one.id for one in again if window.first_id <= one.id < window.end_id]
        found = backward(window, adjoints, wanted=inside, sparse=data.draw(st.sampled_from([None, True, False])))
        if window is not windows[0]:
            adjoints = found
    assert [found[one.id] for one in again] == [whole[one] for one in wanted]


@pytest.mark.parametrize("sparse", [None, True, False])
def test_an_adjoint_that_an_older_window_cancels_is_gone(sparse):
    """``a - a * a`` at one half has derivative 0: what the newer window hands down, the older one takes back."""
    state.begin_run()
    first = state.start_tape()
    a = Value(0.5)
    state.stop_tape()
    second = state.start_tape()
    negated = -a
    state.stop_tape()
    third = state.start_tape()
    loss = a + negated * a
    state.stop_tape()
    state.end_run()
    handed = backward(third, {loss.id: 1.0}, sparse=sparse)
    assert handed == {a.id: 0.5, negated.id: 0.5}
    handed = backward(second, handed, sparse=sparse)
    assert handed == {}
    assert backward(first, handed, wanted=[a.id], sparse=sparse) == {a.id: 0.0}


@given(program=PROGRAMS, point=POINTS)
def test_sparse_and_dense_sweeps_are_equal_to_the_last_bit(program, point):
    tape, _, loss = record(program, point)
    wanted = range(tape.end_id - len(tape), tape.end_id)
    dense = backward(tape, {loss.id: 1.0}, wanted=wanted, sparse=False)
    sparse = backward(tape, {loss.id: 1.0}, wanted=wanted, sparse=True)
    assert dense == sparse
    assert [math.copysign(1.0, one) for one in dense.values()] == [math.copysign(1.0, one) for one in sparse.values()]


@given(program=PROGRAMS, point=POINTS, data=st.data())
def test_all_ways_to_sweep_a_window_hand_down_the_same_adjoints(program, point, data):
    state.end_run()
    state.begin_run()
    arguments = [Value(x) for x in point]
    late = [Value(x) for x in point]
    tape = state.start_tape()
    loss = run(program, arguments + late, VALUES)
    state.end_run()
    seeds = {loss.id: data.draw(st.floats(-2, 2)), arguments[1].id: 3.0}
    wanted = range(tape.first_id, tape.end_id)
    results = [backward(tape, seeds, wanted=wanted, sparse=mode) for mode in (None, True, False)]
    assert results[0] == results[1] == results[2]
    assert all(results[0][one] for one in results[0] if one < tape.first_id)


def long_tape(entries, every):
    """A walk of ``entries`` steps beside a loss that takes every ``every``-th of them."""
    with state.taped() as tape:
        x, a = Value(1.0), Value(0.999)
        loss = Value(0.0)
        for k in range(entries):
            y = x * 0.5
            if k % every == 0:
                loss = loss * a + y
    return tape, [x, a], loss


@pytest.mark.parametrize("every", [1, 2, 3, 4, 7, 50])
def test_a_sweep_that_turns_dense_half_way_gives_the_same_bits(every):
    with state.taped() as tape:
        x, a = Value(1.0), Value(0.999)
        loss = x * a
        for _ in range(2000):
            loss = loss * a + x  # dense part, older
        for _ in range(2000):
            for _ in range(every):
                x * 0.5
            loss = loss * a + 1.0  # newer part, of the given density
    results = [backward(tape, {loss.id: 1.0}, wanted=[x.id, a.id], sparse=mode) for mode in (None, True, False)]
    assert results[0] == results[1] == results[2]


def test_a_sparse_sweep_does_not_look_at_entries_without_adjoint():
    """Entries that the loss does not use hold a partial that would raise if it were read."""

    class Untouchable:
        def __rmul__(self, other):
            raise AssertionError("read an entry without adjoint")

    with state.taped() as tape:
        x = Value(2.0)
        for _ in range(10_000):
            y = x * 1.0
            tape.entries[-2] = Untouchable()
        loss = x * x
        del y
    assert backward(tape, {loss.id: 1.0}, wanted=[x.id]) == {x.id: 4.0}


def test_adjoints_of_older_ids_are_handed_down_and_untouched_ones_pass_through():
    state.end_run()
    state.begin_run()
    old, older = Value(3.0), Value(5.0)
    tape = state.start_tape()
    y = old * old
    state.end_run()
    seeds = {y.id: 2.0, older.id: 7.0, old.id: 0.5}
    assert backward(tape, seeds, wanted=[older.id]) == {older.id: 7.0, old.id: 12.5}
    assert seeds == {y.id: 2.0, older.id: 7.0, old.id: 0.5}


def test_ids_beyond_the_tape_are_refused():
    with state.taped() as tape:
        x = Value(1.0)
    with pytest.raises(UsageError, match=f"adjoint for id {x.id + 1}"):
        backward(tape, {x.id + 1: 1.0})
    with pytest.raises(UsageError, match=f"id {x.id + 9} wanted"):
        backward(tape, {x.id: 1.0}, wanted=[x.id + 9])
    with pytest.raises(UsageError, match="adjoint for id -1"):
        backward(tape, {-1: 1.0})


@pytest.mark.parametrize("sparse", [True, False])
def test_adjoint_that_reaches_an_infinite_derivative_raises_with_operation_and_line(sparse):
    with state.taped() as tape:
        tape.mark(17)
        x = Value(0.0)
        root = functions.sqrt(x)
        loss, ignoring = root + x, x * 3.0 + root * 0.0
    line = test_adjoint_that_reaches_an_infinite_derivative_raises_with_operation_and_line.__code__.co_firstlineno + 5
    with pytest.raises(NotDifferentiableError, match=rf"step 17: .*sqrt at .*test_reverse\.py:{line}") as caught:
        backward(tape, {loss.id: 1.0}, wanted=[x.id], sparse=sparse)
    assert caught.value.entry_id == root.id
    # Nothing raises where the adjoint of the root is zero.
    assert backward(tape, {ignoring.id: 1.0}, wanted=[x.id], sparse=sparse) == {x.id: 3.0}


def test_overflow_of_adjoints_is_an_error_and_not_an_infinite_gradient():
    with state.taped() as tape:
        x = Value(1e-300)
        loss = x
        for _ in range(400):
            loss = loss * 10.0
        loss = x * 0.0 + loss / 1e100
    growth = AdjointGrowth(segment_entries=64)
    with pytest.raises(NotDifferentiableError, match="overflow"):
        backward(tape, {loss.id: 1e20}, wanted=[x.id], growth=growth)
    assert growth.verdict().startswith("adjoints explode")


def test_an_infinite_seed_is_the_callers_affair():
    with state.taped() as tape:
        x = Value(1.0)
        loss = x * 2.0
    assert backward(tape, {loss.id: math.inf}, wanted=[x.id]) == {x.id: math.inf}


@pytest.mark.parametrize("sparse", [True, False])
def test_a_pullback_stands_for_the_operation_it_replaces(sparse):
    calls = []

    def pullback(adjoint):
        calls.append(adjoint)
        return [adjoint * 3.0, adjoint * 2.0]

    with state.taped() as tape:
        x, y = Value(2.0), Value(3.0)
        product = record_pullback(6.0, [x, y], pullback)
        unused = record_pullback(6.0, [x, y], pullback)
        loss = product * product
    found = backward(tape, {loss.id: 1.0}, wanted=[x.id, y.id, unused.id], sparse=sparse)
    assert found == {x.id: 36.0, y.id: 24.0, unused.id: 0.0}
    assert calls == [12.0]
    with pytest.raises(UsageError, match="no parents"):
        record_pullback(1.0, [], pullback)


def test_a_pullback_that_gives_the_wrong_number_of_adjoints_is_refused():
    with state.taped() as tape:
        x = Value(2.0)
        loss = record_pullback(6.0, [x], lambda adjoint: [adjoint, adjoint])
    with pytest.raises(ValueError, match=r"longer|shorter"):
        backward(tape, {loss.id: 1.0})


def test_adjoint_growth_finds_explosion_vanishing_and_neither():
    for factor, expected in ((1.1, "explode"), (0.9, "vanish"), (1.0, None)):
        with state.taped() as tape:
            x = loss = Value(1.0)
            for _ in range(1000):
                loss = loss * factor
        growth = AdjointGrowth(segment_entries=100)
        backward(tape, {loss.id: 1.0}, wanted=[x.id], growth=growth)
        segments = growth.segments()
        assert [start for start, _ in segments] == sorted((start for start, _ in segments), reverse=True)
        assert max(size for _, size in segments) == pytest.approx(max(1.0, factor**1000))
        verdict = growth.verdict()
        assert (verdict is None) if expected is None else (f"adjoints {expected}" in verdict)


def test_adjoint_growth_does_not_depend_on_sparse_or_dense():
    tape, _, loss = long_tape(3000, 3)
    reports = []
    for mode in (True, False):
        growth = AdjointGrowth(segment_entries=256)
        backward(tape, {loss.id: 1.0}, sparse=mode, growth=growth)
        reports.append([one for one in growth.segments() if one[1]])
    assert reports[0] == reports[1]


def test_the_check_of_the_tape_finds_a_parent_from_the_future():
    tape = Tape(0)
    tape.entries.extend((1, -1, 1.0, 0.0))
    with pytest.raises(AssertionError, match="later parent"):
        tape._check()


def test_a_tape_entry_costs_less_than_200_bytes():
    import tracemalloc

    random_numbers = random.Random(1)
    gc.collect()
    tracemalloc.start()
    with state.taped() as tape:
        x, a, b = Value(1.0), Value(0.999), Value(0.001)
        for _ in range(20_000):
            x = x * a + b * random_numbers.random()
        held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / len(tape) < 200


def test_module_state_survives_an_exception_inside_a_tape():
    with pytest.raises(ZeroDivisionError), state.taped():
        Value(1.0) / Value(0.0)
    assert not state.taping
    with state.taped() as tape:
        Value(1.0)
    assert len(tape) == 1
