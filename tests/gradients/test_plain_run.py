"""A gradient is that of the program that `detrun.record` runs, or says what differs; it takes what surrounds a run."""

from __future__ import annotations

import inspect
import json
import sys
import threading

import pytest
import trio

import detrun
from detrun.cli.options import SURROUNDINGS
from detrun.determinism.check import check_determinism
from detrun.gradients.plain_run import PlainRun


@pytest.fixture(autouse=True)
def torch_was_never_loaded(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)


async def by_isinstance(params):
    return params["x"] * (2 if isinstance(params["x"], float) else 5)


async def by_type(params):
    return params["x"] * (2 if type(params["x"]) is float else 5)


async def by_pattern(params):
    match params["x"]:
        case float():
            return params["x"] * 2
    return params["x"] * 5


async def by_refusal(params):
    try:
        return len(json.dumps(params["x"])) * 2.0
    except TypeError:
        return params["x"] * 5


async def by_steps(params):
    await trio.sleep(1.0)
    if not isinstance(params["x"], float):
        await trio.sleep(1.0)
    return params["x"] * 2


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize("main", [by_isinstance, by_type, by_pattern, by_refusal, by_steps])
def test_code_that_looks_at_types_does_not_get_a_gradient_of_another_program(main, mode):
    with pytest.raises(detrun.DivergenceError, match="Values are no floats") as caught:
        detrun.gradient(main, {"x": 1.7}, seed=1, mode=mode, verify=True)
    plain = detrun.record(main, {"x": 1.7}, seed=1)
    assert repr(plain.result) in str(caught.value)
    assert f"of {plain.steps}" in str(caught.value)
    assert detrun.gradient(main, {"x": 1.7}, seed=1, mode=mode, verify=False).grads["x"] in (2.0, 5.0)


def test_a_program_is_held_to_its_plain_run_once_and_leaves_nothing_behind_there(monkeypatch):
    made = []
    monkeypatch.setattr(PlainRun, "compare", lambda *_: made.append(1))
    ran = []

    async def main(params):
        ran.append(params)
        return params["x"] * 2

    for _ in range(3):
        assert detrun.gradient(main, {"x": 1.0}).grads == {"x": 2.0}
    assert (len(made), len(ran)) == (1, 3)
    detrun.gradient(main, {"x": 1.0}, verify=True)
    detrun.gradient(main, {"x": 1.0}, recording=detrun.record(main, {"x": 1.0}).recording)
    assert len(made) == 2


def test_other_last_bits_are_a_warning():
    async def main(params):
        return params["x"] * (3.0 if isinstance(params["x"], float) else 3.0 + 1e-12)

    found = detrun.gradient(main, {"x": 1.0})
    assert "other last bits" in found.warnings[-1]


def test_a_program_that_fails_on_plain_numbers_has_no_gradient():
    async def main(params):
        return params["x"].primal * params["x"]

    with pytest.raises(detrun.DivergenceError, match="raises AttributeError"):
        detrun.gradient(main, {"x": 1.0})


def test_what_surrounds_a_run_surrounds_its_gradient():
    async def main(params):
        return params["x"] * 2

    run = detrun.record(main, {"x": 1.0}, observe=lambda: 7)
    assert detrun.gradient(main, {"x": 1.0}, recording=run.recording, observe=lambda: 7).grads == {"x": 2.0}
    assert detrun.gradient(main, {"x": 1.0}, observe=lambda: 7).digest == run.digest
    cut = detrun.gradient(main, {"x": 1.0}, recording=run.recording, observe=lambda: 7, window=1)
    assert cut.grads == {"x": 2.0}
    with pytest.raises(detrun.DivergenceError, match="made with observe="):
        detrun.gradient(main, {"x": 1.0}, recording=run.recording)
    assert detrun.hessian_vector_product(main, {"x": 1.0}, {"x": 1.0}, observe=lambda: 7).grads == {"x": 2.0}
    with pytest.raises(detrun.UsageError, match="a recording says"):
        detrun.gradient(main, {"x": 1.0}, recording=run.recording, early_timers=1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_exception_of_a_thread_fails_a_gradient_that_is_asked_to_fail():
    def main(params):
        def fails():
            raise ValueError("in a thread")

        thread = threading.Thread(target=fails)
        thread.start()
        thread.join()
        return params["x"] * 2

    assert detrun.gradient(main, {"x": 1.0}).grads == {"x": 2.0}
    with pytest.raises(Exception, match="in a thread"):
        detrun.gradient(main, {"x": 1.0}, thread_errors=True)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_validity_can_be_left_out(mode):
    async def main(params):
        return params["x"] * 2 if params["x"] > 0.5 else params["x"]

    assert detrun.gradient(main, {"x": 1.0}, validity=False, mode=mode).validity == {}


@pytest.mark.parametrize("function", [detrun.record, detrun.gradient, detrun.hessian_vector_product, check_determinism])
def test_every_run_option_of_the_command_line_is_one_of_each_function(function):
    assert set(SURROUNDINGS) <= set(inspect.signature(function).parameters)
