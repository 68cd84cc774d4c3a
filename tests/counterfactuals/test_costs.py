"""What forks save is computed from known costs: shares of a run of a thousand steps, a millisecond each."""

from __future__ import annotations

import pytest

from detrun.counterfactuals import costs as module
from detrun.counterfactuals.costs import WORTH_MEASURING, Costs

EARLY, LATE, UNKNOWN = ("main", 0), ("main", 1), ("main", 7)


def known(draw_steps: dict[tuple[str, int], int] | None = None) -> Costs:
    costs = Costs(1000, {EARLY: 200, LATE: 900} if draw_steps is None else draw_steps)
    costs.ran(1000, 1.0)
    return costs


def test_what_is_saved_is_the_steps_before_the_draws_less_one_run_up_to_the_last_of_them() -> None:
    costs = known()
    assert costs.saving([[LATE]]) == pytest.approx(0.0)
    assert costs.saving([[LATE], [LATE]]) == pytest.approx(0.9)
    assert costs.saving([[EARLY], [LATE]]) == pytest.approx(0.2)
    assert costs.saving([[LATE, EARLY], [LATE]]) == pytest.approx(0.2)  # it parts at the first of its draws
    assert costs.saving([]) == 0.0


def test_an_unknown_draw_may_be_anywhere_and_the_base_run_goes_to_its_end() -> None:
    costs = known()
    assert costs.saving([[UNKNOWN], [UNKNOWN], [UNKNOWN]]) == pytest.approx(1.5 - 1.0)
    assert costs.saving([[UNKNOWN, LATE], [LATE]]) == pytest.approx(1.8 - 1.0)


def test_the_least_time_of_a_step_counts_and_runs_without_steps_count_as_one() -> None:
    costs = known()
    assert costs.step_seconds == 0.001
    costs.ran(10, 1.0)
    assert costs.step_seconds == 0.001
    costs.ran(10, 0.001)
    assert costs.step_seconds == 0.0001
    none = Costs(0, {EARLY: 0})
    none.ran(0, 3.0)
    assert (none.steps, none.step_seconds) == (1, 3.0)


def test_a_fork_is_tried_out_once_it_may_be_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []
    times = iter([5.0, 5.25])
    monkeypatch.setattr(module, "in_fork", tried.append)
    monkeypatch.setattr(module, "perf_counter", lambda: next(times))
    costs = known()
    assert not costs.forks_are_cheaper([[LATE]])
    assert costs.fork_seconds is None
    assert costs.forks_are_cheaper([[LATE], [LATE]])  # 0.9 s for three forks of 0.25
    assert costs.fork_seconds == 0.25
    assert not costs.forks_are_cheaper([[EARLY], [LATE]])
    costs.fork_seconds = 0.31
    assert not costs.forks_are_cheaper([[LATE], [LATE]])
    assert len(tried) == 1
    assert Costs(1000, {LATE: 900}).forks_are_cheaper([[LATE], [LATE]]) is False  # nothing is known of the run yet
    even = Costs(1024, {LATE: 512})
    even.ran(1024, 1024.0)
    even.fork_seconds = 256.0
    assert not even.forks_are_cheaper([[LATE]] * 3)  # 1,024 s for four forks of 256
    even.fork_seconds = 255.0
    assert even.forks_are_cheaper([[LATE]] * 3)
    cheap = Costs(1000, {LATE: 500})
    cheap.ran(1000, 2 * WORTH_MEASURING)
    cheap.fork_seconds = 0.0
    assert cheap.forks_are_cheaper([[LATE], [LATE]])  # just worth it
    cheap.ran(1000, 1.9 * WORTH_MEASURING)
    assert cheap.forks_are_cheaper([[LATE], [LATE]]) is False
