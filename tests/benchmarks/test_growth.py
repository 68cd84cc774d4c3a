"""The benchmark of growth: the fit is exact on powers, and every path runs at a tiny size."""

from __future__ import annotations

import gc

import pytest

from benchmarks import growth


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_the_fit_finds_the_exponent_of_a_power(exponent: float) -> None:
    sizes = [100, 200, 400, 800]
    assert growth.fitted_exponent(sizes, [3e-6 * size**exponent for size in sizes]) == pytest.approx(exponent)


def test_every_path_runs_and_has_a_line() -> None:
    gc.freeze()  # it collects after each size: not what the other tests have left
    try:
        grown = [growth.measured(path, divisor=10_000, repetitions=1) for path in growth.PATHS]
    finally:
        gc.unfreeze()
    assert growth.table(grown).row_count == len(growth.PATHS) > 10
    assert all(one.sizes == [10, 20, 40, 80] and min(one.taken) > 0 for one in grown)


def test_an_unknown_path_is_named() -> None:
    with pytest.raises(SystemExit, match="there is no path 'lock'; choose among random"):
        growth.main(["lock"])
