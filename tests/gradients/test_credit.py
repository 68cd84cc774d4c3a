"""The credit report: contributions add up to the gradient, and name the steps that made them."""

from __future__ import annotations

import math
from typing import Any

import numpy
import pytest
import trio

import detrun
from detrun.ad import state
from detrun.ad.value import Value
from detrun.gradients.credit import Credit, CreditTotals, ParameterUses, credit_report


async def decisions(params: dict[str, Any]) -> Any:
    """Three tasks use ``w`` at different times with different weight; L = Σ weight · w."""
    parts = []
    cell = detrun.Atomic(0.0, name="total")

    async def decide(moment: float, weight: float) -> None:
        await trio.sleep(moment)
        cell.fetch_add(weight)
        parts.append(params["w"] * weight)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(decide, 1.0, 5.0, name="minor")
        nursery.start_soon(decide, 2.0, -90.0, name="major")
        nursery.start_soon(decide, 3.0, 5.0, name="late")
    return detrun.sum(parts)


def test_the_decision_that_mattered_comes_first_with_its_task_and_time() -> None:
    found = detrun.gradient(decisions, {"w": 2.0}, credit=10)
    report = found.credit["w"]
    assert [(one.task, one.time, one.contribution) for one in report] == [
        ("main/major", 2.0, -90.0),
        ("main/minor", 1.0, 5.0),
        ("main/late", 3.0, 5.0),
    ]
    assert {one.operations for one in report} == {("fetch_add on total",)}
    assert report[0].did == "fetch_add on total, done"
    assert [one.share for one in report] == pytest.approx([0.9, 0.05, 0.05])
    assert math.fsum(one.contribution for one in report) == found.grads["w"] == -80.0
    assert "main/major" in str(found)


def test_only_the_largest_are_kept() -> None:
    assert len(detrun.gradient(decisions, {"w": 2.0}, credit=1).credit["w"]) == 1
    assert detrun.gradient(decisions, {"w": 2.0}).credit == {}


async def recurrence(params: dict[str, Any]) -> Any:
    state = params["x"]
    for turn in range(40):
        state = state * params["a"] + detrun.sin(params["a"]) * turn
        await trio.lowlevel.checkpoint()
    return state


def test_messages_are_told_and_more_than_three_operations_are_counted() -> None:
    async def main(params: dict[str, Any]) -> Any:
        send, receive = trio.open_memory_channel[Any](1)
        cells = [detrun.Atomic(0.0, name=f"cell {number}") for number in range(3)]
        await send.send(1.0)
        await trio.lowlevel.checkpoint()
        for cell in cells:
            cell.fetch_add(1.0)
        got = receive.receive_nowait()
        send.send_nowait(got)
        return params["w"] * got

    (one,) = detrun.gradient(main, {"w": 2.0}, credit=3).credit["w"]
    assert one.operations[:3] == ("fetch_add on cell 0", "fetch_add on cell 1", "fetch_add on cell 2")
    assert [words.rpartition(" ")[0] for words in one.operations[3:]] == ["received from", "sent to"]
    assert one.did == "fetch_add on cell 0, fetch_add on cell 1, fetch_add on cell 2, 2 more, done"
    assert one.share == 1.0


def test_windows_give_the_same_credit_as_one_tape() -> None:
    whole = detrun.gradient(recurrence, {"x": 1.0, "a": 0.9}, credit=100)
    cut = detrun.gradient(recurrence, {"x": 1.0, "a": 0.9}, credit=100, window=7, snapshots=2)
    assert cut.grads == whole.grads
    for name in ("x", "a"):
        assert [(one.step, one.contribution) for one in cut.credit[name]] == [
            (one.step, one.contribution) for one in whole.credit[name]
        ]
        total = math.fsum(one.contribution for one in whole.credit[name])
        assert total == pytest.approx(whole.grads[name], rel=1e-12)


def test_forward_mode_agrees_with_reverse_and_keeps_no_tape() -> None:
    reverse = detrun.gradient(recurrence, {"x": 1.0, "a": 0.9})
    forward = detrun.gradient(recurrence, {"x": 1.0, "a": 0.9}, mode="forward")
    assert forward.grads == pytest.approx(reverse.grads, rel=1e-13)
    assert forward.diagnostics.entries == 0
    assert forward.digest == reverse.digest


def test_options_that_do_not_go_together_are_refused() -> None:
    for options, message in [
        ({"mode": "sideways"}, "unknown mode 'sideways'"),
        ({"mode": "forward", "credit": 3}, "forward mode keeps no tape"),
        ({"window": 3, "memory": 1000}, "exclude each other"),
        ({"snapshots": 0}, "snapshots=0 must be a whole number of at least 1"),
        ({"window": 2.5}, r"window=2.5 must be a whole number"),  # whose windows would never end
        ({"memory": "1GB"}, "memory='1GB' must be a whole number"),
        ({"credit": -1}, "credit=-1 must be a whole number of at least 0"),
        ({"kind": "guess"}, "unknown kind of gradient 'guess'"),
    ]:
        with pytest.raises(detrun.UsageError, match=message):
            detrun.gradient(recurrence, {"x": 1.0, "a": 0.9}, **options)  # type: ignore[arg-type]


def test_parameters_and_losses_that_are_no_numbers_are_refused() -> None:
    async def returns_text(params: dict[str, Any]) -> str:
        return "loss"

    with pytest.raises(detrun.NotDifferentiableError, match="returned 'loss'"):
        detrun.gradient(returns_text, {"x": 1.0})
    with pytest.raises(detrun.UsageError, match="parameter 'x' is nan"):
        detrun.gradient(recurrence, {"x": math.nan, "a": 1.0})
    for params, message in [
        ({}, "no parameters given"),
        ([("x", 1.0)], "is not a dict"),
        ({1: 2.0}, "must have a text for its name"),
        ({"x": 10**400}, "which is not a finite number"),
        ({"x": numpy.ones(3)}, r"an array of shape \(3,\); pass a torch tensor"),
    ]:
        with pytest.raises(detrun.UsageError, match=message):
            detrun.gradient(recurrence, params)  # type: ignore[arg-type]
    with pytest.raises(detrun.UsageError, match="direction a='fast' is not a finite number"):
        detrun.hessian_vector_product(recurrence, {"x": 1.0, "a": 0.9}, {"a": "fast"})  # type: ignore[dict-item]


def test_a_loss_that_ignores_the_parameters_is_warned_about() -> None:
    async def constant(params: dict[str, Any]) -> float:
        return float(params["x"]) * 2

    found = detrun.gradient(constant, {"x": 1.0})
    assert found.grads == {"x": 0.0}
    assert any("does not depend on any parameter" in one for one in found.warnings)
    assert any("the bare number was taken out of a Value at" in one for one in found.warnings)


def test_of_equal_contributions_the_earlier_are_kept() -> None:
    totals = CreditTotals()
    totals.add({5: 1.0, 2: -1.0, 9: 1.0}, keep=2)
    assert totals == CreditTotals({2: -1.0, 5: 1.0}, 3.0)
    totals = CreditTotals()
    totals.add({9: -1.0, 2: 1.0, 1: 0.5}, keep=1)
    assert totals == CreditTotals({2: 1.0}, 2.5)


def test_of_equal_contributions_the_earlier_are_shown_first() -> None:
    recording = detrun.record(decisions, {"w": 2.0}).recording
    report = credit_report(CreditTotals({3: -1.0, 2: 1.0, 4: 3.0}, 5.0), recording)
    assert [one.step for one in report] == [4, 2, 3]


def test_a_parameter_in_a_sum_of_many_is_a_use_of_its_step() -> None:
    """Of the same step as another parameter's use beside it."""

    async def main(params: dict[str, Any]) -> Any:
        await trio.lowlevel.checkpoint()
        total = detrun.sum([params["w"], 1.0, 2.0]) + params["v"] * 2.0
        await trio.lowlevel.checkpoint()
        return total * 3.0

    found = detrun.gradient(main, {"w": 2.0, "v": 1.0}, credit=3).credit
    (many,), (one,) = found["w"], found["v"]
    assert (many.contribution, one.contribution) == (3.0, 6.0)
    assert many.step == one.step > 1


def test_uses_are_found_beside_each_other_in_sums_and_outside_blocks_with_a_pullback() -> None:
    """A use that the loss does not depend on has no credit; of a block's own derivatives nothing is known here."""
    state.begin_run()
    tape = state.start_tape()
    w, v = Value(2.0), Value(3.0)
    product = w * v
    tape.mark(1)
    total = detrun.sum([w, v, w])
    unused = w * 7.0
    tape.mark(4)
    late = v - w
    block = tape.end_id
    state.stop_tape()
    tape.add_wide((w.id, v.id), lambda adjoint: (adjoint, adjoint))
    state.end_run()
    uses = ParameterUses.of(tape, {"w": w.id, "v": v.id})
    assert uses.wanted == [product.id, total.id, unused.id, late.id]
    adjoints = {product.id: 10.0, total.id: 1.0, unused.id: 0.0, late.id: 0.5, block: 9.0}
    assert uses.contributions(adjoints) == {"w": {0: 30.0, 1: 2.0, 4: -0.5}, "v": {0: 20.0, 1: 1.0, 4: 0.5}}


def test_uses_are_of_the_step_that_the_program_was_in() -> None:
    """Of nothing the shares are 0."""

    async def main(params: dict[str, Any]) -> Any:
        start = params["w"] * 2.0
        await trio.lowlevel.checkpoint()
        return start + params["w"]

    found = detrun.gradient(main, {"w": 1.0}, credit=3)
    assert [(one.step, one.contribution) for one in found.credit["w"]] == [(1, 2.0), (2, 1.0)]
    (none,) = credit_report(CreditTotals({0: 0.0}, 0.0), found.recording)
    assert (none.step, none.share) == (0, 0.0)


def test_a_fourth_operation_is_counted() -> None:
    assert Credit(1, "main", "done", ("a", "b", "c"), 0.0, 1.0, 1.0).did == "a, b, c, done"
    assert Credit(1, "main", "done", ("a", "b", "c", "d"), 0.0, 1.0, 1.0).did == "a, b, c, 1 more, done"
    assert Credit(1, "main", "sleep_forever", (), 0.0, 1.0, 1.0).did == "trio.sleep"  # as everywhere else
    shown = str(Credit(1234, "main", "done", ("a",), 0.5, -2.0, 0.25))
    assert shown == " 25.0%  -2  step 1,234 at 0.5 s  main: a, done"
