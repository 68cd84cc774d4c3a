"""`Buffer` against nested Python lists, numpy and central differences.

The model of a random program is one flat list of numbers; where the cells of a view lie is asked of numpy, by indexing
an array of offsets the same way. The oracle therefore shares no offsets and no Values with `Buffer`.
"""

from __future__ import annotations

import copy
import math
import operator

import numpy as np
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun import Buffer
from detrun.ad import state
from detrun.ad.reverse import backward
from detrun.ad.value import Value
from detrun_scheduler.errors import NotDifferentiableError, UsageError

SHAPES = st.sampled_from([(1,), (4,), (7,), (2, 3), (3, 1, 2), (2, 2, 2)])
NUMBERS = st.floats(-2, 2)


@st.composite
def views(draw, shape):
    """A chain of at most three indices, each of which gives a view of the one before."""
    chain = []
    array = np.zeros(shape)
    for _ in range(draw(st.integers(0, 3))):
        index = []
        for size in array.shape[: draw(st.integers(1, array.ndim))]:
            bounds = st.none() | st.integers(-size - 1, size + 1)
            step = draw(st.sampled_from([None, 1, 2, -1, -2, 3]))
            index.append(slice(draw(bounds), draw(bounds), step))
        if array.ndim > 1 and array.shape[0] and draw(st.booleans()):
            index[0] = draw(st.integers(-array.shape[0], array.shape[0] - 1))
        smaller = array[tuple(index)]
        if not smaller.size:
            break
        chain.append(tuple(index))
        array = smaller
    return chain


@st.composite
def programs(draw):
    """A shape, and instructions over views of one buffer that overlap at will."""
    shape = draw(SHAPES)
    names = ["set", "add", "scale", "fetch_add", "copy", "fill", "pick", "undo"]
    instruction = st.tuples(st.sampled_from(names), views(shape), views(shape), st.integers(0, 10**6), NUMBERS)
    return shape, draw(st.lists(instruction, min_size=1, max_size=12))


def seen_through(buffer, chain):
    for index in chain:
        buffer = buffer[index]
    return buffer


def cell(view, number):
    return np.unravel_index(number % math.prod(view.shape), view.shape)


def run_on_buffer(shape, program, x, y):
    buffer = Buffer(np.arange(math.prod(shape), dtype=float).reshape(shape) / 7)
    taken = 0.0
    for name, chain, other_chain, number, constant in program:
        view, other = seen_through(buffer, chain), seen_through(buffer, other_chain)
        at = tuple(map(int, cell(view, number)))
        if name == "set":
            view[at] = x * constant + other[tuple(map(int, cell(other, number)))]
        elif name == "add":
            view += y
        elif name == "scale":
            view *= constant
        elif name == "fetch_add":
            taken = taken * 0.5 + view.fetch_add(at, x * y)
        elif name == "copy":
            if view.shape == other.shape:
                view[...] = other
        elif name == "fill":
            view[...] = taken + constant
        elif name == "pick":
            positions = [number % len(view), constant > 0]
            view[positions] = view[positions][::-1]
        else:
            with buffer.rolled_back():
                view *= x
                taken = taken + view[at]
    for offset, content in enumerate(buffer.read_flat()):
        taken = taken + content * math.cos(offset)
    buffer._memory._check()
    return taken


def run_on_lists(shape, program, x, y):
    """The same with one flat list; numpy says which places of it an index names."""
    places = np.arange(math.prod(shape)).reshape(shape)
    cells = [offset / 7 for offset in range(places.size)]
    taken = 0.0
    for name, chain, other_chain, number, constant in program:
        view, other = seen_through(places, chain), seen_through(places, other_chain)
        at = int(view[cell(view, number)])
        if name == "set":
            cells[at] = x * constant + cells[int(other[cell(other, number)])]
        elif name == "add":
            for place in view.ravel():
                cells[place] = cells[place] + y
        elif name == "scale":
            for place in view.ravel():
                cells[place] = cells[place] * constant
        elif name == "fetch_add":
            taken = taken * 0.5 + cells[at]
            cells[at] = cells[at] + x * y
        elif name == "copy":
            if view.shape == other.shape:
                for place, content in zip(view.ravel(), [cells[one] for one in other.ravel()], strict=True):
                    cells[place] = content
        elif name == "fill":
            for place in view.ravel():
                cells[place] = taken + constant
        elif name == "pick":
            rows = view[[number % len(view), int(constant > 0 and len(view) > 1)]]
            contents = [cells[one] for one in rows[::-1].ravel()]
            for place, content in zip(rows.ravel(), contents, strict=True):
                cells[place] = content
        else:
            taken = taken + cells[at] * x
    for offset, content in enumerate(cells):
        taken = taken + content * math.cos(offset)
    return taken


def in_range(program):
    """A list of positions is drawn before the view is known; one row has no second."""
    shape, instructions = program
    kept = []
    for one in instructions:
        rows = len(seen_through(np.zeros(shape), one[1]))
        kept.append((*one[:4], min(one[4], 0.0) if one[0] == "pick" and rows == 1 else one[4]))
    return shape, kept


@given(programs().map(in_range), NUMBERS, NUMBERS)
def test_a_buffer_of_values_gives_the_numbers_of_a_list_and_the_derivatives_of_central_differences(program, x, y):
    shape, instructions = program
    with state.taped() as tape:
        values = Value(x), Value(y)
        loss = run_on_buffer(shape, instructions, *values)
    assert float(loss if not isinstance(loss, Value) else loss.primal) == run_on_lists(shape, instructions, x, y)
    assert run_on_buffer(shape, instructions, x, y) == run_on_lists(shape, instructions, x, y)
    adjoints = backward(tape, {loss.id: 1.0}, wanted=[one.id for one in values]) if isinstance(loss, Value) else {}
    for place, step in ((0, (1e-4, 0.0)), (1, (0.0, 1e-4))):
        # The programs are polynomials of low degree in x and y; five points leave an error of order step**4.
        moved = [run_on_lists(shape, instructions, x + k * step[0], y + k * step[1]) for k in (-2, -1, 1, 2)]
        difference = (moved[0] - 8 * moved[1] + 8 * moved[2] - moved[3]) / (12 * 1e-4)
        scale = 1.0 + max(map(abs, moved))
        assert adjoints.get(values[place].id, 0.0) == pytest.approx(difference, rel=1e-6, abs=1e-9 * scale)


@given(programs().map(in_range))
def test_views_show_what_numpy_shows(program):
    shape, instructions = program
    array = np.arange(math.prod(shape), dtype=float).reshape(shape)
    buffer = Buffer(array)
    for _, chain, _, _, _ in instructions:
        view, expected = seen_through(buffer, chain), seen_through(array, chain)
        assert view.shape == expected.shape
        assert view.tolist() == expected.tolist()
        assert view.T.tolist() == expected.T.tolist()
        assert [one if view.shape[1:] == () else one.tolist() for one in view] == expected.tolist()


@given(
    st.sampled_from([(4,), (3, 2), (2, 3, 2)]),
    st.data(),
)
def test_fancy_reads_are_copies_of_what_numpy_copies(shape, data):
    array = np.arange(math.prod(shape), dtype=float).reshape(shape)
    buffer = Buffer(array)
    axis = data.draw(st.integers(0, len(shape) - 1))
    size = shape[axis]
    listed = data.draw(
        st.lists(st.integers(-size, size - 1), max_size=5) | st.lists(st.booleans(), min_size=size, max_size=size)
    )
    kind = data.draw(st.sampled_from([list, np.array]))
    before = tuple(
        data.draw(st.sampled_from([slice(None), slice(None, None, -1), slice(1, None)])) for _ in range(axis)
    )
    index = (*before, kind(listed) if listed else listed)
    # numpy makes an empty list an array of floats, and moves a list's axis for no index that occurs here.
    expected = array[(*before, np.array(listed, dtype=None if listed else int))]
    copied = buffer[index]
    assert copied.tolist() == expected.tolist()
    assert copied.shape == expected.shape
    if copied.size:
        copied[...] = -1.0
        assert buffer.tolist() == array.tolist()
    mask = data.draw(st.lists(st.booleans(), min_size=array.size, max_size=array.size))
    mask = np.array(mask).reshape(shape)
    if len(shape) > 1:
        assert buffer[mask].tolist() == array[mask].tolist() == buffer[mask.tolist()].tolist()
        buffer[mask] = 5.0
        array[mask] = 5.0
        assert buffer.tolist() == array.tolist()


def test_storing_and_reading_makes_no_entry_and_gives_back_the_very_value():
    with state.taped() as tape:
        x = Value(2.0)
        buffer = Buffer([0.0] * 4)
        buffer[1] = x
        assert buffer[1:3][0] is x
        assert buffer[[1]][0] is x
        assert copy.deepcopy(buffer)[1] is x
        buffer[::-1][0] = buffer[1]
        assert buffer[3] is x
    assert len(tape) == 1


def test_a_value_costs_one_cell_whatever_the_size_of_the_buffer():
    buffer = Buffer(np.zeros(10**6))
    with buffer.rolled_back() as mark:
        buffer[10] = Value(1.0)
        buffer[10:20] += 1.0
        assert len(buffer._memory.held) == 1
        assert len(buffer._memory.log) == 11
        assert mark.position == 0
    assert buffer._memory.held == {}
    assert buffer._memory.log == []


@given(st.lists(st.tuples(st.sampled_from(["write", "mark", "roll_back", "forget"]), st.integers(0, 5), NUMBERS)))
def test_rolling_back_restores_what_a_full_copy_remembers(actions):
    buffer = Buffer([0.0] * 6)
    copies = []
    for name, number, constant in actions:
        if name == "write":
            buffer[number] = Value(constant) if constant > 0 else constant
        elif name == "mark":
            copies.append((buffer.mark(), buffer.tolist()))
        elif copies:
            place = number % len(copies)
            mark, contents = copies[place]
            if name == "roll_back":
                buffer.roll_back(mark)
                assert all(map(operator.is_, buffer.tolist(), contents)) or buffer.tolist() == contents
                fallen, copies = copies[place + 1 :], copies[: place + 1]
            else:
                buffer.forget(mark)
                fallen, copies = copies[place:], copies[:place]
            for one, _ in fallen:
                with pytest.raises(UsageError, match="stands no longer"):
                    buffer.roll_back(one)
        buffer._memory._check()


def test_a_mark_of_another_buffer_is_refused():
    one, other = Buffer([1.0]), Buffer([1.0])
    one.mark()
    with pytest.raises(UsageError, match="another buffer"):
        one.roll_back(other.mark())


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_narrow_cells_round_values_as_they_round_floats(dtype):
    plain, taped = Buffer(np.zeros(2, dtype)), Buffer(np.zeros(2, dtype))
    with state.taped() as tape:
        x = Value(0.1)
        plain[0], taped[0] = 0.1, x
        plain[1], taped[1] = 0.5, Value(0.5)
        loss = taped[0] * 3.0
    assert plain[0] == taped[0] == float(dtype(0.1))
    assert taped._memory.held[1].primal == 0.5
    assert backward(tape, {loss.id: 1.0}, wanted=[x.id])[x.id] == 3.0


def test_integers_stay_integers_and_refuse_to_cut_a_history():
    buffer = Buffer(np.array([1, 2]))
    assert type(buffer[0]) is int
    buffer[0] += 4
    assert buffer.tolist() == [5, 2]
    with pytest.raises(NotDifferentiableError, match="buffer of integers"):
        buffer[0] = Value(1.0)
    with pytest.raises(UsageError, match="buffer of integers"):
        buffer[0] = 1.5


def test_the_array_handed_over_is_copied():
    array = np.zeros(3)
    buffer = Buffer(array)
    buffer[0] = 1.0
    array[1] = 2.0
    assert array.tolist() == [0.0, 2.0, 0.0]
    assert buffer.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda b: b[2], IndexError, "index 2 is out of range for axis 0, which has 2 positions"),
        (lambda b: b[-3, 0], IndexError, "index -3 is out of range"),
        (lambda b: b[0][3], IndexError, "index 3 is out of range for axis 0, which has 3"),
        (lambda b: b[0, 0, 0], IndexError, "too many indices"),
        (lambda b: b[..., ...], IndexError, "too many indices"),
        (lambda b: b[[True]], IndexError, "mask of 1 booleans"),
        (lambda b: b[[[True]]], IndexError, r"mask of shape \(1, 1\)"),
        (lambda b: b[[0], [1]], UsageError, "two axes"),
        (lambda b: b["x"], TypeError, "not 'x'"),
        (lambda b: b[1.0], TypeError, "not 1.0"),
        (lambda b: b[Value(1.0)], NotDifferentiableError, "used as an index"),
        (lambda b: b[Value(1.0) :], NotDifferentiableError, "used as an index"),
        (lambda b: b.view(0, 0), UsageError, "is not a view"),
        (lambda b: b.view([0]), UsageError, "is not a view"),
        (lambda b: b.fetch_add(0, 1.0), UsageError, "more than one cell"),
        (lambda b: operator.setitem(b, 0, [1.0, 2.0]), UsageError, r"shape \(2,\) with cells of shape \(3,\)"),
        (lambda b: operator.iadd(b, b[0]), UsageError, r"cannot combine shape \(3,\)"),
        (lambda b: operator.setitem(b, (0, 0), "1"), UsageError, "not str '1'"),
        (lambda b: operator.setitem(b, (0, 0), [1.0]), UsageError, "not list"),
        (lambda b: Buffer([[1.0], [1.0, 2.0]]), UsageError, r"row 0 has shape \(1,\), row 1 has shape \(2,\)"),
        (lambda b: Buffer(1.0), UsageError, "no axis"),
        (lambda b: Buffer("12"), UsageError, "not str '12'"),
        (lambda b: Buffer(np.array([1j])), UsageError, "not complex128"),
    ],
)
def test_mistakes_are_named_and_change_nothing(use, error, message):
    buffer = Buffer([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    with pytest.raises(error, match=message):
        use(buffer)
    assert buffer.tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


async def shared_cells(params):
    """Three tasks write to overlapping views; the schedule decides in which order."""
    buffer = Buffer([[0.5, 1.0, 1.5], [2.0, 2.5, 3.0]], name="field")
    row, column = buffer[0], buffer.view(slice(None), 1)

    async def scale():
        for _ in range(3):
            row.__imul__(params["x"])
            await trio.lowlevel.checkpoint()

    async def shift():
        for step in range(3):
            column[step % 2] += params["y"]
            await trio.lowlevel.checkpoint()

    async def copy_over():
        for step in range(3):
            buffer[1] = row
            buffer.fetch_add((0, step), params["x"] * params["y"])
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(scale)
        nursery.start_soon(shift)
        nursery.start_soon(copy_over)
    return detrun.dot(buffer.read_flat(), [math.cos(place) for place in range(6)])


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_a_gradient_through_shared_cells_is_that_of_the_recorded_order(seed):
    """No choice depends on a parameter, so one seed gives one order for all parameters."""
    params = {"x": 0.7, "y": 1.3}
    whole = detrun.gradient(shared_cells, params, seed=seed)
    for name in params:
        below, above = (
            detrun.record(shared_cells, {**params, name: params[name] + step}, seed=seed).result
            for step in (-1e-5, 1e-5)
        )
        assert whole.grads[name] == pytest.approx((above - below) / 2e-5, rel=1e-6)


@pytest.mark.parametrize("snapshots", [1, 2, 5])
def test_windows_that_hand_cells_over_change_no_bit(snapshots):
    params = {"x": 0.7, "y": 1.3}
    whole = detrun.gradient(shared_cells, params, seed=3)
    windowed = detrun.gradient(shared_cells, params, recording=whole.recording, snapshots=snapshots, window=2)
    assert windowed.diagnostics.windows > 3
    assert (windowed.value, windowed.grads) == (whole.value, whole.grads)


def test_the_place_of_a_write_belongs_to_the_digest():
    async def write(place):
        buffer = Buffer([0.0, 0.0])
        buffer[place] = 1.0

    assert detrun.record(write, 0).digest == detrun.record(write, 0).digest
    assert detrun.record(write, 0).digest != detrun.record(write, 1).digest


def test_a_buffer_in_a_result_counts_by_its_contents():
    async def main(params):
        buffer = Buffer([[0.0, 1.0], [2.0, 3.0]])
        buffer[:, 1] = params["x"]
        return buffer.T, detrun.Atomic(params["x"])

    run = detrun.record(main, {"x": 2.0})
    assert detrun.replay(main, {"x": 2.0}, recording=run.recording).digest == run.digest
    assert run.result[0].tolist() == [[0.0, 2.0], [2.0, 2.0]]


def test_printing_a_buffer_is_no_operation():
    async def main(shown):
        buffer = Buffer([1.0, Value(2.0)], name="pair")
        if shown:
            assert repr(buffer) == "Buffer([1.0, Value(2.0)], name='pair')"
        buffer[0] = 2.0

    assert detrun.record(main, True).steps == detrun.record(main, False).steps
    assert events_of(main, True) == events_of(main, False)


def events_of(main, shown):
    return [chunk.events for chunk in detrun.record(main, shown).recording.chunks()]
