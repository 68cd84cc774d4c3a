"""`Atomic` and `Shared` against a plain model; what each operation leaves in the recording; use outside a run."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun_recorder.recording import Recording

numbers = st.floats(-1e3, 1e3) | st.integers(-1000, 1000)


def model(content: Any, operation: str, arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    """The C++ memory model's one-line definitions: (new content, result)."""
    match operation, arguments:
        case "load", ():
            return content, content
        case "store", (value,):
            return value, None
        case "exchange", (value,):
            return value, content
        case "fetch_add", (value,):
            return content + value, content
        case "fetch_sub", (value,):
            return content - value, content
        case "fetch_mul", (value,):
            return content * value, content
        case "fetch_max", (value,):
            return max(content, value), content
        case "fetch_min", (value,):
            return min(content, value), content
        case "compare_exchange", (expected, desired):
            return (desired, (True, content)) if content == expected else (content, (False, content))
    raise AssertionError(operation)


ONE = ("store", "exchange", "fetch_add", "fetch_sub", "fetch_mul", "fetch_max", "fetch_min")
operations = st.lists(
    st.one_of(
        st.tuples(st.just("load"), st.just(())),
        st.tuples(st.sampled_from(ONE), st.tuples(numbers)),
        st.tuples(st.just("compare_exchange"), st.tuples(numbers | st.just(0), numbers)),
    ),
    max_size=12,
)


async def apply(start: Any, steps: Any) -> list[Any]:
    cell = detrun.Atomic(start, name="cell")
    return [getattr(cell, operation)(*arguments) for operation, arguments in steps]


def recorded_operations(recording: Recording) -> list[tuple[str, str]]:
    return [
        (event.operation, event.label or "")
        for step in recording.iter_steps()
        for event in step.events
        if event.operation is not None
    ]


@given(start=numbers, steps=operations)
def test_an_atomic_behaves_as_its_model_and_every_operation_is_recorded_in_order(start: Any, steps: Any) -> None:
    content, expected, names = start, [], []
    for operation, arguments in steps:
        before = content
        content, result = model(content, operation, arguments)
        expected.append(result)
        failed = operation == "compare_exchange" and before != arguments[0]
        names.append(("compare_exchange_failed" if failed else operation, "cell"))
    run = detrun.record(apply, start, steps)
    assert list(map(repr, run.result)) == list(map(repr, expected))
    assert recorded_operations(run.recording) == names
    assert detrun.replay(apply, start, steps, recording=run.recording).digest == run.digest


@given(start=numbers, steps=operations)
def test_an_atomic_of_values_has_the_primals_of_an_atomic_of_floats(start: float, steps: Any) -> None:
    lifted = [
        (operation, tuple(detrun.Value(float(argument)) for argument in arguments)) for operation, arguments in steps
    ]
    plain = detrun.record(apply, float(start), [(name, tuple(map(float, arguments))) for name, arguments in steps])

    async def with_values() -> list[Any]:
        return await apply(detrun.Value(float(start)), lifted)

    valued = detrun.record(with_values)
    assert valued.digest == plain.digest


@given(start=numbers, steps=operations)
def test_outside_a_run_the_same_operations_work_and_record_nothing(start: Any, steps: Any) -> None:
    cell, content = detrun.Atomic(start), start
    for operation, arguments in steps:
        content, expected = model(content, operation, arguments)
        assert repr(getattr(cell, operation)(*arguments)) == repr(expected)
    assert repr(cell) == f"Atomic({content!r})"


def test_a_tie_keeps_the_content() -> None:
    cell = detrun.Atomic(0.0)
    cell.fetch_max(-0.0)
    assert math.copysign(1, cell.load()) == 1
    cell.fetch_min(-0.0)
    assert math.copysign(1, cell.load()) == 1


def test_reading_and_writing_a_shared_variable_are_an_operation_each() -> None:
    async def main() -> float:
        variable = detrun.Shared(1.0)
        variable.value += 2.0
        return variable.value

    run = detrun.record(main)
    assert run.result == 3.0
    assert recorded_operations(run.recording) == [("read", "Shared[0]"), ("write", "Shared[0]"), ("read", "Shared[0]")]


def test_objects_are_labelled_by_first_use_in_each_run() -> None:
    outside = detrun.Atomic(0)

    async def main() -> None:
        second, first = detrun.Atomic(0), detrun.Atomic(0)
        first.load()
        outside.load()
        second.load()
        detrun.Atomic(0, name="named").load()

    for _ in range(2):  # the one made outside gets its number anew in every run
        recording = detrun.record(main).recording
        assert recording.objects == ["Atomic[0]", "Atomic[1]", "Atomic[2]", "named"]


def test_printing_is_no_operation() -> None:
    async def main() -> tuple[str, str]:
        return repr(detrun.Atomic(1.5, name="a")), repr(detrun.Shared("x"))

    run = detrun.record(main)
    assert run.result == ("Atomic(1.5, name='a')", "Shared('x')")
    assert recorded_operations(run.recording) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [(1.0, 1.0000000000000002), (1, 2), (1, 1.0), ("a", "b"), ([1], [2]), (None, 0), (0.0, -0.0), (1 << 80, 1 << 81)],
)
def test_what_is_stored_counts_for_the_digest_even_if_it_is_never_read(first: object, second: object) -> None:
    async def main(value: object) -> None:
        detrun.Atomic(None).store(value)

    assert detrun.record(main, first).digest == detrun.record(main, first).digest
    assert detrun.record(main, first).digest != detrun.record(main, second).digest


def test_an_operation_that_fails_leaves_the_content_alone_and_is_not_recorded() -> None:
    async def main() -> str:
        cell = detrun.Atomic("text")
        with pytest.raises(TypeError):
            cell.fetch_add(1)
        return repr(cell)

    run = detrun.record(main)
    assert run.result == "Atomic('text')"
    assert recorded_operations(run.recording) == []


def test_cells_of_things_that_are_no_numbers_work_while_a_gradient_is_taken() -> None:
    """Comparing them leaves no margin, which must not be asked for."""

    async def main(params: Any) -> Any:
        leader: detrun.Atomic[Any] = detrun.Atomic(None)
        assert leader.compare_exchange(None, params["x"])[0]
        assert not leader.compare_exchange(None, 1.0)[0]
        assert detrun.Atomic("a").fetch_max("b") == "a"
        assert detrun.Atomic((1, 2)).fetch_min((0, 5)) == (1, 2)
        return leader.load() * 3.0

    assert detrun.gradient(main, {"x": 2.0}).grads == {"x": 3.0}


def test_a_maximum_between_constants_is_no_discontinuity_site_and_one_with_a_parameter_is() -> None:
    async def main(params: Any) -> Any:
        detrun.Atomic(1.0).fetch_max(1.0)  # a tie, but no parameter can break it
        cell = detrun.Atomic(1.0, name="high water")
        cell.fetch_max(params["x"])
        return cell.load()

    gradient = detrun.gradient(main, {"x": 1.5})
    assert gradient.grads == {"x": 1.0}
    assert gradient.validity["x"].radius == pytest.approx(0.5)
    assert gradient.validity["x"].site is not None
    assert "high water" in str(gradient.validity["x"].site)
