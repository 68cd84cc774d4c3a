"""`detrun.relaxed` on tensors and arrays: element by element what it does to numbers, with torch's own derivative."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import trio

import detrun
from detrun import relaxed
from detrun.ad.temperature import temperature_of

torch = pytest.importorskip("torch")

X = [[0.3, -0.7, 1.2], [2.0, 0.1, -0.4]]
ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "where": lambda x, **given: relaxed.where(x, 2.0 * x, x * x - 1.0, **given),
    "threshold": lambda x, **given: relaxed.threshold(x, 0.2, **given),
    "clip": lambda x, **given: relaxed.clip(x, -0.3, 0.9, **given),
    "maximum": lambda x, **given: relaxed.maximum(x, 0.5, x * x, **given),
    "minimum": lambda x, **given: relaxed.minimum(x, 0.5, **given),
}
ROWS: dict[str, Callable[..., Any]] = {
    "count": lambda x, **given: relaxed.count(x, **given),
    "largest": lambda x, dim=None, **given: relaxed.maximum(*_row(x, dim), **_named(dim), **given),
    "smallest": lambda x, dim=None, **given: relaxed.minimum(*_row(x, dim), **_named(dim), **given),
    "argmax": lambda x, **given: relaxed.argmax(x, **given),
    "argmin": lambda x, **given: relaxed.argmin(x, **given),
    "route": lambda x, **given: relaxed.route(x, [3.0, 1.0, 2.0] if isinstance(x, list) else _like(x), **given),
    "sort": lambda x, **given: relaxed.sort(x, **given),
    "sort down": lambda x, **given: relaxed.sort(x, reverse=True, **given),
}
SETTINGS = [(0.0, False), (0.4, False), (0.4, True)]


def _row(x: Any, dim: int | None) -> list[Any]:
    return [x] if dim is not None else x


def _named(dim: int | None) -> dict[str, int]:
    return {} if dim is None else {"dim": dim}


def _like(x: Any) -> Any:
    options = [3.0, 1.0, 2.0]
    return torch.tensor(options, dtype=torch.float64) if torch.is_tensor(x) else np.array(options)


@pytest.mark.parametrize(("temperature", "straight_through"), SETTINGS)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elements_are_as_numbers(name: str, temperature: float, straight_through: bool) -> None:
    function = ELEMENTWISE[name]
    given = {"temperature": temperature, "straight_through": straight_through}
    expected = [[function(x, **given) for x in row] for row in X]
    assert function(np.array(X), **given) == pytest.approx(np.array(expected), rel=1e-12)
    assert function(torch.tensor(X, dtype=torch.float64), **given).numpy() == pytest.approx(
        np.array(expected), rel=1e-12
    )


@pytest.mark.parametrize(("temperature", "straight_through"), SETTINGS)
@pytest.mark.parametrize("name", ROWS)
def test_rows_are_as_lists(name: str, temperature: float, straight_through: bool) -> None:
    function = ROWS[name]
    given = {"temperature": temperature, "straight_through": straight_through}
    expected = np.array([function(row, **given) for row in X])
    for dim, array in ((1, np.array(X)), (0, np.array(X).T)):
        if name == "route" and dim == 0:
            continue  # the options are one row
        turned = expected.T if dim == 0 and expected.ndim == 2 else expected
        assert function(array, dim=dim, **given) == pytest.approx(turned, rel=1e-12)
        found = function(torch.tensor(array, dtype=torch.float64), dim=dim, **given)
        assert found.numpy() == pytest.approx(turned, rel=1e-12)


@pytest.mark.parametrize("name", [*ELEMENTWISE, *ROWS])
def test_torch_and_values_have_the_same_derivative(name: str) -> None:
    """By torch's own backward, by Values in an array, and by central differences of both."""
    row = X[0]

    def total(x: Any) -> Any:
        """Weighed, for the sum of some of these does not move."""
        given: Any = {"dim": -1} if name in ROWS else {}
        found = (ELEMENTWISE | ROWS)[name](x, **given)
        if torch.is_tensor(found):
            return found if found.dim() == 0 else (found * torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)).sum()
        return found if np.ndim(found) == 0 else sum(a * b for a, b in zip(found, [1.0, -2.0, 0.5], strict=True))

    def by_values(params: Any) -> Any:
        array = np.array([params["a"], params["b"], params["c"]])
        found = total(array)
        return found.item() if isinstance(found, np.ndarray) else found

    values = detrun.gradient(by_values, dict(zip("abc", row, strict=True)), kind="relaxed", temperature=0.4, samples=2)
    with temperature_of(0.4):
        x = torch.tensor(row, dtype=torch.float64, requires_grad=True)
        total(x).backward()
        assert x.grad.tolist() == pytest.approx([values.grads[one] for one in "abc"], rel=1e-9, abs=1e-12)
        for place in range(3):
            sides = []
            for step in (1e-6, -1e-6):
                moved = torch.tensor(row, dtype=torch.float64)
                moved[place] += step
                sides.append(float(total(moved)))
            assert (sides[0] - sides[1]) / 2e-6 == pytest.approx(float(x.grad[place]), rel=1e-6, abs=1e-7)


def test_exact_choices_of_tensors_are_seen_by_kinds_that_ask_where_something_flips() -> None:
    def main(params: Any) -> Any:
        demand = detrun.to_tensor([0.3, 0.9])
        return relaxed.count(demand - params["level"]) + relaxed.argmax(demand * params["level"] - demand * demand)[0]

    found = detrun.gradient(main, {"level": 0.5})
    assert found.validity["level"].up == pytest.approx(0.4)
    assert found.validity["level"].down == pytest.approx(0.2)
    assert "test_relaxed_arrays.py" in str(found.validity["level"].site)


def test_of_many_margins_the_nearest_are_kept_and_all_are_counted() -> None:
    """The seventh of fifty decides first; beside numbers in a list, which note each of them."""
    margins = [(-1) ** place * (2.0 + place % 7) for place in range(50)]
    margins[7] = -0.25

    def main(params: dict[str, Any], *, lists: bool) -> Any:
        if lists:
            return relaxed.count([params["at"] + one for one in margins]) + params["at"]
        return detrun.from_tensor(relaxed.count(detrun.to_tensor(params["at"]) + torch.tensor(margins))) + params["at"]

    by_tensor, by_list = (detrun.gradient(partial(main, lists=lists), {"at": 0.0}) for lists in (False, True))
    assert by_tensor.validity["at"].radius == by_list.validity["at"].radius == 0.25
    assert by_tensor.diagnostics.sites_passed == by_list.diagnostics.sites_passed == 50


@pytest.mark.parametrize("window", [7, 16])
def test_windows_agree_about_the_ids_of_choices_between_tensors(window: int) -> None:
    """Margins are looked at while a window is taped; the runs before it must allot the same ids."""

    async def main(params: dict[str, Any]) -> Any:
        a = detrun.to_tensor(params["a"])
        state, total = a * torch.arange(1.0, 21.0, dtype=torch.float64), 0.0
        for _ in range(40):
            await trio.sleep(0.1)
            state = torch.sin(state) * 1.1 + 0.1 * a
            state = state + 0.1 * relaxed.where(state - 0.5, state, -0.5 * state)
            total = total + detrun.from_tensor((state * state).sum()) * params["b"]
        return total

    whole, windowed = (
        detrun.gradient(main, {"a": 0.7, "b": 1.3}, validity=False, **options) for options in ({}, {"window": window})
    )
    assert windowed.value == whole.value
    assert windowed.grads == pytest.approx(whole.grads, rel=1e-12)


def test_margins_must_be_numbers() -> None:
    for bools in (torch.tensor([True]), np.array([True])):
        with pytest.raises(detrun.UsageError, match="a bool has no margin"):
            relaxed.where(bools, 1.0, 0.0)
