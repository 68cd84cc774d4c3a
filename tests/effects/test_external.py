"""External effects: their replays and their derivatives."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@detrun.external
def read_sensor(channel: int) -> dict[str, Any]:
    calls.append(channel)
    return {"channel": channel, "reading": 20.5, "raw": b"\x01"}


@detrun.external(replay="rerun")
def idempotent(x: float) -> float:
    calls.append(x)
    return x * 3


@detrun.external(replay="forbid")
def launch() -> None:
    calls.append("launch")


async def uses(effect: Any, *args: Any) -> Any:
    await trio.lowlevel.checkpoint()
    return effect(*args)


def test_a_recorded_effect_is_not_run_again_and_gives_what_it_gave() -> None:
    run = detrun.record(uses, read_sensor, 7)
    again = detrun.replay(uses, read_sensor, 7, recording=run.recording)
    assert calls == [7]
    assert again.result == run.result == {"channel": 7, "reading": 20.5, "raw": b"\x01"}
    assert again.digest == run.digest


def test_a_recorded_effect_survives_the_file_and_an_edit(tmp_path: Path) -> None:
    async def main(extra: int) -> Any:
        for _ in range(extra):
            await trio.lowlevel.checkpoint()
        return [read_sensor(1)["channel"], read_sensor(2)["channel"]]

    run = detrun.record(main, 0, to=tmp_path / "run.detrun")
    calls.clear()
    again = detrun.replay(main, 3, recording=tmp_path / "run.detrun", mode="resync")
    assert (again.result, calls) == (run.result, [])


def test_an_idempotent_effect_runs_every_time() -> None:
    run = detrun.record(uses, idempotent, 2.0)
    assert detrun.replay(uses, idempotent, 2.0, recording=run.recording).result == 6.0
    assert calls == [2.0, 2.0]


def test_an_effect_that_forbids_replay_says_so() -> None:
    run = detrun.record(uses, launch)
    with pytest.raises(detrun.DivergenceError, match="external function launch forbids replay"):
        detrun.replay(uses, launch, recording=run.recording)
    assert calls == ["launch"]


def test_a_failing_effect_fails_again_without_being_run() -> None:
    @detrun.external
    def fails() -> None:
        calls.append("fails")
        raise TimeoutError("no answer")

    run = detrun.record(uses, fails, raise_errors=False)
    again = detrun.replay(uses, fails, recording=run.recording, raise_errors=False)
    assert calls == ["fails"]
    assert isinstance(run.exception, TimeoutError)
    assert isinstance(again.exception, TimeoutError)
    assert str(again.exception) == "no answer"


def test_an_async_effect_runs_real_input_and_output_beside_the_run(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("from outside")

    @detrun.external
    async def read_file(path: str) -> str:
        calls.append(threading.get_ident())
        return await trio.Path(path).read_text()

    async def main() -> tuple[str, float]:
        return await read_file(str(file)), trio.current_time()

    run = detrun.record(main)
    assert run.result == ("from outside", 0.0)
    assert calls != [threading.get_ident()]
    file.unlink()
    assert detrun.replay(main, recording=run.recording).result == ("from outside", 0.0)


def test_results_that_a_recording_cannot_hold_are_refused_by_name() -> None:
    @detrun.external
    def gives_an_object() -> object:
        return object()

    with pytest.raises(detrun.UsageError, match="gives_an_object returned object, which a recording cannot hold"):
        detrun.record(uses, gives_an_object)


def test_unknown_semantics_are_refused() -> None:
    with pytest.raises(detrun.UsageError, match="unknown replay semantics 'maybe'"):
        detrun.external(replay="maybe")(len)
    with pytest.raises(detrun.UsageError, match="unknown derivative semantics 'yes'"):
        detrun.external(derivative="yes")(len)
    with pytest.raises(detrun.UsageError, match="outside a run"):
        read_sensor(1)


def gradient_through(effect: Any, at: float = 2.0) -> dict[str, float]:
    async def main(params: dict[str, Any]) -> Any:
        return effect(params["x"]) * params["x"]

    return detrun.gradient(main, {"x": at}).grads


def test_an_undeclared_derivative_raises_where_an_adjoint_arrives() -> None:
    @detrun.external
    def undeclared(x: float) -> float:
        return x + 1

    with pytest.raises(detrun.NotDifferentiableError, match="undeclared, which declares no derivative"):
        gradient_through(undeclared)

    async def unused(params: dict[str, Any]) -> Any:
        undeclared(params["x"])
        return params["x"] * 2

    assert detrun.gradient(unused, {"x": 2.0}).grads == {"x": 2.0}  # no adjoint reaches it: nothing is wrong


def test_each_declared_meaning_of_a_derivative() -> None:
    """The loss is e(x)·x at x = 2 with e(x) = x + 1 in truth, so dL/dx = e + x·e' with the declared e'."""

    def effect(x: float) -> float:
        assert type(x) is float  # the outside world gets plain numbers
        return x + 1

    stop = detrun.external(derivative="stop")(effect)
    identity = detrun.external(derivative="identity")(effect)
    given = detrun.external(derivative=lambda adjoint, x: [adjoint * 10 * x])(effect)
    surrogate = detrun.external(derivative=detrun.Surrogate(lambda x: x * x))(effect)
    assert gradient_through(stop) == {"x": 3.0}
    assert gradient_through(identity) == {"x": 3.0 + 2.0}
    assert gradient_through(given) == {"x": 3.0 + 2.0 * 20.0}
    assert gradient_through(surrogate) == {"x": 3.0 + 2.0 * 4.0}


def test_a_score_is_refused_where_it_would_be_ignored() -> None:
    """Gradients of kind policy use it; see tests/gradients/policy."""
    scored = detrun.external(derivative=detrun.Score(lambda result, x: -x))(lambda x: x * x)
    with pytest.raises(detrun.NotDifferentiableError, match=r"declares a Score: only kind='policy' computes"):
        gradient_through(scored)


def test_a_vjp_of_the_wrong_length_is_a_clear_error() -> None:
    wrong = detrun.external(derivative=lambda adjoint, x: [adjoint, adjoint])(lambda x: x)
    with pytest.raises(detrun.UsageError, match="returned 2 adjoints for 1 arguments"):
        gradient_through(wrong)


def test_a_gradient_over_a_recording_does_not_repeat_its_effects() -> None:
    @detrun.external(derivative="identity")
    def write_to_disk(x: float) -> float:
        calls.append(x)
        return x

    async def main(params: dict[str, Any]) -> Any:
        total = params["x"]
        for _ in range(6):
            total = write_to_disk(total) * params["x"]
            await trio.lowlevel.checkpoint()
        return total

    recording = detrun.record(main, {"x": 1.5}).recording
    assert len(calls) == 6
    whole = detrun.gradient(main, {"x": 1.5}, recording=recording)
    assert whole.grads == {"x": pytest.approx(7 * 1.5**6)}
    if hasattr(os, "fork"):
        cut = detrun.gradient(main, {"x": 1.5}, recording=recording, window=3, snapshots=2)
        assert cut.grads == whole.grads
    assert len(calls) == 6


def test_five_everyday_effects_with_their_declared_meaning() -> None:
    """Disk write: its cost is a model. Packet: delivered as sent. Event: no derivative. Eviction and scheduling: frozen
    decisions, whose results are plain data and carry none.
    """
    log: list[Any] = []

    @detrun.external(derivative=detrun.Surrogate(lambda size: 0.001 + size * 2e-9))
    def write_block(size: float) -> float:
        log.append(("write", size))
        return 0.0031  # seconds it really took

    @detrun.external(derivative="identity")
    def send_packet(payload: float) -> float:
        log.append(("send", payload))
        return payload

    @detrun.external(derivative="stop")
    def emit(event: str, value: float) -> float:
        log.append((event, value))
        return 1.0

    @detrun.external
    def evict(weights: dict[str, float]) -> str:
        return min(weights, key=lambda key: weights[key])

    @detrun.external(derivative="stop")
    def next_worker(loads: list[float]) -> int:
        return loads.index(min(loads))

    async def main(params: dict[str, Any]) -> Any:
        seconds = write_block(params["size"])
        arrived = send_packet(params["value"])
        emitted = emit("wrote", params["value"])
        cache = {"a": params["value"], "b": params["size"]}
        del cache[evict(cache)]
        chosen = [params["size"], params["value"]][next_worker([params["size"], params["value"]])]
        return seconds * 1e3 + arrived * 5 + emitted + cache["b"] * 1e-3 + chosen

    found = detrun.gradient(main, {"size": 4096.0, "value": 3.0})
    assert found.grads == {"size": pytest.approx(2e-6 + 1e-3), "value": pytest.approx(5 + 1)}
    assert log == [("write", 4096.0), ("send", 3.0), ("wrote", 3.0)]
    # Which key went was decided outside, by weights that move: how nearly another one had gone is unknown.
    assert found.validity["size"].radius == 0.0
    assert "external function" in str(found.validity["size"].site)


@dataclass
class Reading:
    level: Any
    unit: str


def undeclared_in_every_way() -> dict[str, Callable[[Any], Any]]:
    @detrun.external
    def outside(*args: Any, **keywords: Any) -> Any:
        assert "Value" not in repr((args, keywords)), "the outside world gets plain numbers"
        return {"seconds": [1.0, 2], "name": "outside"}

    return {
        "by keyword": lambda x: outside(amount=x),
        "in a list": lambda x: outside([1.0, (x, "a")]),
        "in a dict": lambda x: outside({"a": {"b": x}}),
        "in a dataclass": lambda x: outside(Reading(x, "m")),
        "in a cell": lambda x: outside(detrun.Atomic(x)),
        "in a buffer": lambda x: outside(detrun.Buffer([x, 1.0])),
    }


@pytest.mark.parametrize("way", sorted(undeclared_in_every_way()))
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_no_argument_is_so_deep_and_no_result_so_nested_that_an_undeclared_derivative_is_a_silent_zero(
    way: str, mode: str
) -> None:
    call = undeclared_in_every_way()[way]

    async def main(params: dict[str, Any]) -> Any:
        result = call(params["x"])
        assert result["name"] == "outside"
        return result["seconds"][1] * 3.0

    with pytest.raises(detrun.NotDifferentiableError, match="outside, which declares no derivative"):
        detrun.gradient(main, {"x": 2.0}, mode=mode)
    assert detrun.record(main, {"x": 2.0}).result == 6.0


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_several_numbers_pass_through_an_effect_each_with_its_own_derivative(mode: str) -> None:
    """L = Σ wᵢ yᵢ with y = (x + 1, 10) as sent, (2x, x²) by vjp, (3x, x) by model, w = (1, 100)."""

    @detrun.external(derivative="identity")
    def send(packet: dict[str, float], *, priority: int) -> list[float]:
        return list(packet.values())

    @detrun.external(derivative=lambda adjoint, pair, scale: [[adjoint[0] * scale, adjoint[1] * 2 * pair[1]], None])
    def measure(pair: list[float], scale: float) -> list[float]:
        return [pair[0] * scale, pair[1] ** 2]

    @detrun.external(derivative=detrun.Surrogate(lambda x, factor: {"a": factor * x, "b": x}))
    def query(x: float, *, factor: float) -> dict[str, float]:
        return {"a": 7.0, "b": 8.0}

    async def main(params: dict[str, Any]) -> Any:
        x = params["x"]
        sent = send({"a": x + 1.0, "b": 10.0}, priority=1)
        measured = measure([x, x], scale=2.0)
        asked = query(x, factor=params["three"])
        assert sent[1] == 10.0
        assert type(sent[1]) is float
        return sum(one + 100.0 * other for one, other in (sent, measured, asked.values()))

    found = detrun.gradient(main, {"x": 2.0, "three": 3.0}, mode=mode)
    assert found.value == (3.0 + 1000.0) + (4.0 + 400.0) + (7.0 + 800.0)
    assert found.grads == {"x": 1.0 + (2.0 + 100.0 * 4.0) + (3.0 + 100.0), "three": 2.0}


def test_an_effect_whose_numbers_do_not_match_its_declaration_is_refused() -> None:
    one_for_two = detrun.external(derivative="identity", name="pair")(lambda x: [x, x])
    with pytest.raises(detrun.NotDifferentiableError, match=r"pair gave 2 numbers, but the argument .* holds 1"):
        gradient_through(lambda x: one_for_two(x)[0])
    short = detrun.external(derivative=lambda adjoint, pair: [[adjoint]], name="short")(lambda pair: pair[0] + pair[1])
    with pytest.raises(detrun.UsageError, match="vjp of short returned 1 numbers for argument 0, which holds 2"):
        gradient_through(lambda x: short([x, x]))
