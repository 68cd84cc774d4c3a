"""Baselines of decisions, and what reward-to-go is worth. Seeds are fixed."""

from __future__ import annotations

from array import array
from functools import partial
from typing import Any

import pytest
import trio

import detrun
from detrun.ad import state
from detrun.ad.value import Value
from detrun.gradients.policy.decision_scores import derivatives
from detrun.gradients.policy.returns_to_go import Apart, Stream, _by_address, _linear, rewarded


def run_of(to_go: list[float], scores: list[float], known: list[float] | None = None, name: str = "main") -> Apart:
    features = {} if known is None else {"known": array("d", known)}
    return {name: Stream(array("q", range(len(to_go))), array("d", to_go), {"p": array("d", scores)}, features)}


def test_each_decision_has_the_baseline_of_the_same_decisions_of_others() -> None:
    runs = [run_of([9.0, 3.0], [1.0, -1.0]), run_of([5.0, 1.0, 8.0], [2.0, 1.0, 1.0]), run_of([1.0], [3.0])]
    losses = [9.0, 5.0, 1.0]
    # The third decision of the second run is alone: the mean of the others in its stream stands in.
    assert _by_address(runs, losses, None) == [[3.0, 1.0], [5.0, 3.0, pytest.approx(13 / 3)], [7.0]]
    assert _by_address(runs, losses, "p")[0] == pytest.approx([(4 * 5 + 9 * 1) / 13, 1.0])
    assert rewarded("none", [1.0, 0.0, 0.0], runs, losses, "p") == [7.0, 19.0, 3.0]
    assert rewarded("leave-one-out", [1.0, 0.0, 0.0], runs, losses, "p")[0] == pytest.approx(1 + 6 - 2)
    elsewhere = [run_of([4.0], [1.0], name="main/a"), run_of([2.0], [1.0], name="main/b")]
    assert _by_address(elsewhere, [4.0, 2.0], None) == [[2.0], [4.0]]


def test_a_linear_baseline_predicts_what_is_linear_and_does_not_look_at_its_own_sample() -> None:
    def of(first: list[float]) -> list[list[float]]:
        others = [run_of([3.0 + 2.0 * x for x in known], [1.0] * 3, known) for known in ([0.0, 1.0, 5.0], [2.0] * 3)]
        return _linear([run_of(first, [1.0, 2.0, 3.0], [10.0, 20.0, 0.0]), *others])

    assert of([0.0, 0.0, 0.0])[0] == pytest.approx([23.0, 43.0, 3.0], rel=1e-6)
    assert of([1e6, -5.0, 7.0])[0] == of([0.0, 0.0, 0.0])[0]
    assert of([1e6, -5.0, 7.0])[1] != of([0.0, 0.0, 0.0])[1]
    # Features that say the same twice, or nothing, are no obstacle.
    assert _linear([run_of([5.0], [1.0], [0.0]), run_of([5.0], [1.0], [0.0])]) == [[pytest.approx(5.0)]] * 2


def test_scores_of_decisions_come_from_one_sweep_forward_or_from_one_backward_each() -> None:
    state.begin_run()
    tape = state.start_tape()
    x, y = Value(2.0), Value(3.0)
    product = x * y
    total = detrun.sum([product, x, 4.0 * y])
    unrelated = detrun.exp(y)
    state.stop_tape()
    state.end_run()
    assert derivatives(tape, [x.id, y.id], [product.id, total.id, product.id]) == {
        product.id: [3.0, 2.0],
        total.id: [4.0, 6.0],
    }
    assert unrelated.id not in derivatives(tape, [x.id], [unrelated.id])


async def shops(params: dict[str, Any]) -> None:
    """Four shops, each with one server and a queue; a customer's wait is a cost. Nothing joins the shops."""

    async def shop(number: int) -> None:
        now = free = 0.0
        for _ in range(6):
            now += detrun.exponential(1.0)
            start = now if now > free else free
            free = start + detrun.exponential(params["service"])
            waited = start - now
            if params["declares"]:
                detrun.cost(waited, "wait", depends_on=() if params["declares"] > 1 else None)
            else:
                params["total"].append(waited)
            detrun.baseline(**{f"backlog{number}": waited})
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(shop, number)


def test_a_queue_is_known_better_the_less_a_decision_answers_for() -> None:
    """Of the whole loss, and of what comes later in the shop: the same mean, with half the variance.

    Along the path the derivative is 36.3 ± 0.4 (2,000 samples of kind local). The three estimates are 0.6, 1.3 and 1.3
    standard errors off.
    """

    async def main(params: dict[str, Any], declares: int) -> Any:
        total: list[Any] = [0.0]
        await shops({**params, "declares": declares, "total": total})
        return sum(total)

    whole, own, linear = (
        detrun.gradient(partial(main, declares=declares), {"service": 0.8}, kind="policy", samples=40, **options)
        for declares, options in ((0, {}), (2, {}), (2, {"baseline": "linear"}))
    )
    for found in (whole, own, linear):
        assert abs(found.grads["service"] - 36.3) < 4 * found.std_error["service"]
        assert found.value == pytest.approx(whole.value)
        assert found is whole or found.std_error["service"] < 0.8 * whole.std_error["service"]
    assert "24 costs a run" in str(own)
    assert "if no task can affect a cost but those that its depends_on names" in own.bias
    assert "depends_on" not in whole.bias


def test_what_costs_depend_on_is_not_used_where_schedules_have_another_law() -> None:
    found = detrun.gradient(
        lambda params: detrun.cost(detrun.bernoulli(params["p"]), depends_on=()),
        {"p": 0.5},
        kind="policy",
        samples=3,
        strategy="pct",
    )
    assert any("depends_on of costs is not used" in one for one in found.warnings)


def test_what_predicts_is_a_finite_number_with_a_name_of_its_own() -> None:
    for wrong in ({"waiting": "a"}, {"waiting": float("inf")}, {"step": 1.0}, {"waiting": True}):
        with pytest.raises(detrun.UsageError, match=r"detrun\.baseline"):
            detrun.record(lambda wrong=wrong: detrun.baseline(**wrong))
