"""The collector of samples, given an estimator without runs."""

from __future__ import annotations

import gc
import math
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from detrun.errors import UsageError
from detrun.gradients.sampling import collector
from detrun.gradients.sampling.collector import (
    SampleFailedError,
    Sampling,
    SoFar,
    collect,
    relative_error,
    relative_errors,
    sampling_of,
)
from detrun.gradients.sampling.sample import Conclusion, Estimates, Sample, means
from detrun.gradients.sampling.statistics import Estimate, student_quantile


@dataclass
class Made:
    """An estimator whose derivatives are a function of the seed."""

    grad: Callable[[int], float] = float
    kind: str = "made"
    uses_values: bool = False
    program: Any = None
    asked: list[int] = field(default_factory=list)
    is_prepared: bool = False

    def __post_init__(self) -> None:
        self.program = self

    @property
    def names(self) -> dict[str, list[str]]:
        return {"x": ["x"]}

    @contextmanager
    def prepared(self) -> Iterator[Any]:
        self.is_prepared = True
        yield SimpleNamespace(names=self.names)
        self.is_prepared = False

    def sample(self, seed: int) -> Sample:
        self.asked.append(seed)
        grad = self.grad(seed)
        return Sample(grad, {"x": grad}, 1, 1)

    def estimates(self, samples: Sequence[Sample]) -> Estimates:
        return means(samples)

    def concluded(self, samples: Sequence[Sample]) -> Conclusion:
        return Conclusion("none")


def steady(seed: int) -> float:
    return 10.0 + seed % 2


def test_a_fixed_number_of_samples_is_taken_from_the_seeds_in_order() -> None:
    made, told = Made(), list[SoFar]()
    found = collect(made, Sampling(samples=3, progress=told.append))
    assert made.asked == [0, 1, 2]
    assert [one.value for one in found.samples] == [0.0, 1.0, 2.0]
    assert told == [SoFar(count, 3) for count in (1, 2, 3)]
    assert (found.interrupted, found.is_precise) == (False, True)
    assert found.estimates == means(found.samples)
    assert not made.is_prepared
    made = Made()
    collect(made, Sampling(samples=2, seed=3, first=4))
    assert made.asked == [Sampling(seed=3, first=4).first_seed, Sampling(seed=3, first=5).first_seed]
    assert made.asked == [3 * 2**32 + 4, 3 * 2**32 + 5]


def test_after_a_look_progress_knows_the_error_and_the_target() -> None:
    told = list[SoFar]()
    sampling = Sampling(samples_max=48, target_error=0.001, progress=told.append)
    found = collect(Made(steady), sampling)
    assert len(found.samples) == 48
    assert not found.is_precise
    confidence = 1.0 - 0.05 / 2
    after_32 = relative_error(Made(), means(found.samples[:32]), confidence)
    assert told[:32] == [SoFar(count, 48, None, 0.001) for count in range(1, 33)]
    assert told[32:] == [SoFar(count, 48, after_32, 0.001) for count in range(33, 49)]


def test_sampling_stops_at_the_first_look_at_which_the_error_is_the_target() -> None:
    sampling = Sampling(target_error=0.03)
    assert len(collect(Made(steady), sampling).samples) == 32
    error = relative_error(Made(), means([Sample(steady(one), {"x": steady(one)}, 1, 1) for one in range(32)]), 0.95)
    only = Sampling(samples_max=32, target_error=error)  # just reached
    assert collect(Made(steady), only).is_precise


def test_looks_come_after_half_as_many_samples_again() -> None:
    assert Sampling(samples_max=200).looks == [32, 48, 72, 108, 162, 200]
    assert Sampling(samples_max=32).looks == [32]
    assert Sampling(samples_max=5).looks == [5]
    assert Sampling(samples=7).looks == [7]
    assert Sampling(samples_max=109, confidence=0.9).confidence_of_look == pytest.approx(1 - 0.1 / 5)


def test_an_error_is_the_half_width_as_a_share_of_the_derivative_and_of_tensors_by_norms() -> None:
    t = student_quantile(0.9, 4)
    grads = {"x": Estimate(-2.0, 0.5, 4), "w[0]": Estimate(3.0, 0.5, 4), "w[1]": Estimate(-4.0, 1.2, 4)}
    estimator: Any = SimpleNamespace(program=SimpleNamespace(names={"x": ["x"], "w": ["w[0]", "w[1]"]}))
    found = relative_errors(estimator, Estimates(Estimate(0.0, 1.0, 4), grads), 0.9)
    assert found == {"x": pytest.approx(0.25 * t), "w": pytest.approx(1.3 * t / 5.0)}
    assert relative_error(estimator, Estimates(Estimate(0.0, 1.0, 4), grads), 0.9) == pytest.approx(0.26 * t)
    grads["x"] = Estimate(0.0, 0.0, 4)
    assert relative_errors(estimator, Estimates(Estimate(0.0, 1.0, 4), grads), 0.9)["x"] == math.inf
    nothing = Estimates(Estimate(0.0, 1.0, 4), {})
    assert (relative_errors(estimator, nothing, 0.9), relative_error(estimator, nothing, 0.9)) == ({}, 0.0)


def test_garbage_is_collected_after_every_500_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made()
    collected: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: collected.append(len(made.asked)))
    collect(made, Sampling(samples=1001))
    assert collected == [499, 999]


def test_cpu_seconds_are_those_of_each_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(float(one * one) for one in range(100))
    monkeypatch.setattr(collector.time, "process_time", lambda: next(times))
    assert [one.cpu_seconds for one in collect(Made(), Sampling(samples=3)).samples] == [1.0, 5.0, 9.0]


def test_a_sample_that_fails_ends_sampling_with_a_note() -> None:
    def fails(seed: int) -> float:
        if seed == 2:
            raise ValueError("no luck")
        return 1.0

    made = Made(fails)
    with pytest.raises(ValueError, match="no luck") as caught:
        collect(made, Sampling(samples=9))
    assert caught.value.__notes__ == ["sample 2 of the made gradient"]
    assert made.asked == [0, 1, 2]


@dataclass
class Worker:
    """Takes pieces as worker processes do, and notes them."""

    count: int = 2
    calls: list[tuple[int, int, int]] = field(default_factory=list)

    def in_order(self, calls: Sequence[tuple[int, int, int]]) -> Iterator[list[Any]]:
        self.calls += calls
        for call in calls:
            yield collector._piece(Made(), *call)


@pytest.mark.parametrize(
    ("count", "ends"), [(2, [1, 2]), (8, [*range(1, 9)]), (9, [2, 4, 6, 8, 9]), (17, [3, 6, 9, 12, 15, 17])]
)
def test_workers_get_four_pieces_each(count: int, ends: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()

    @contextmanager
    def working(function: Any, estimator: Any, executor: Any, workers: int) -> Iterator[Worker]:
        assert function is collector._piece
        assert (executor, workers) == (None, 2)
        yield worker

    monkeypatch.setattr(collector, "working", working)
    found = collect(Made(), Sampling(samples=count, workers=2, seed=1))
    assert worker.calls == [(1, first, stop) for first, stop in zip([0, *ends], ends, strict=False)]
    assert [one.value for one in found.samples] == [float(2**32 + one) for one in range(count)]


class TwoArguments(Exception):
    """Can be pickled, and not unpickled."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__("odd")


class Turns(Exception):
    """Arrives as another."""

    def __reduce__(self) -> Any:
        return ValueError, ("other",)


@pytest.mark.parametrize("error", [TwoArguments(1, 2), Turns("odd")])
def test_an_exception_that_cannot_travel_is_told(error: Exception) -> None:
    def fails(seed: int) -> float:
        raise error

    *_, failed = collector._piece(Made(fails), 0, 0, 3)  # type: ignore[arg-type]
    assert isinstance(failed, collector._Failed)
    assert type(failed.error) is SampleFailedError
    assert str(failed.error) == f"{type(error).__name__}: odd; sample 0 of the made gradient"


def test_an_exception_that_can_travel_is_sent() -> None:
    def fails(seed: int) -> float:
        raise ValueError("plain")

    (failed,) = collector._piece(Made(fails), 0, 0, 3)  # type: ignore[arg-type]
    assert isinstance(failed, collector._Failed)
    assert pickle.loads(pickle.dumps(failed.error)).args == ("plain",)
    assert type(failed.error) is ValueError


def test_what_samplings_make_no_sense() -> None:
    for given, said in (
        ({"samples": 1}, "at least 2"),
        ({"samples": True}, "at least 2"),
        ({"samples": 2.0}, "at least 2"),
        ({"samples_max": 1}, "samples_max=1 must be a whole number of at least 2"),
        ({"workers": 0}, "workers=0 must be a whole number of at least 1"),
        ({"target_error": 0.0}, "between 0 and 1"),
        ({"target_error": 1.0}, "between 0 and 1"),
        ({"confidence": 1.0}, "between 0 and 1"),
        ({"confidence": "high"}, "between 0 and 1"),
        ({"seed": 0.5}, "not an integer"),
    ):
        with pytest.raises(UsageError, match=said):
            Sampling(**given)  # type: ignore[arg-type]
    assert Sampling(samples=2, samples_max=2, workers=1).looks == [2]


def test_what_arguments_ask_for_samples() -> None:
    assert sampling_of(seed=3, samples=None, target_error=None, progress=print, workers=None) is None
    assert sampling_of(seed=3, samples=5, target_error=None, workers=2) == Sampling(seed=3, samples=5, workers=2)
    for samples in (None, "auto"):
        assert sampling_of(seed=3, samples=samples, target_error=0.1) == Sampling(seed=3, target_error=0.1)
    with pytest.raises(UsageError, match="fixes the number of samples"):
        sampling_of(seed=3, samples=5, target_error=0.1)
    with pytest.raises(UsageError, match="workers, confidence is about samples"):
        sampling_of(seed=3, samples=None, target_error=None, workers=2, confidence=0.9)


@pytest.mark.parametrize("at", [0, 1, 5, 32])
def test_ctrl_c_ends_with_what_there_is_if_that_is_two_samples(at: int) -> None:
    """Also in the first sample after a look, when the estimates are of the samples before."""

    def interrupted(seed: int) -> float:
        if seed == at:
            signal.raise_signal(signal.SIGINT)
        return float(seed)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if at == 0:
            with pytest.raises(KeyboardInterrupt):
                collect(Made(interrupted), Sampling(samples=50))
            return
        found = collect(Made(interrupted), Sampling(target_error=0.001))
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(found.samples) == at + 1
    assert (found.interrupted, found.is_precise) == (True, False)
    assert found.estimates == means(found.samples)
