"""The draw log, and draws that are forced: nothing else of the run changes, and the recording replays anywhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.primitives.draw_log import Draw
from detrun_recorder.recording import open_recording
from detrun_recorder.token import to_token
from detrun_scheduler import current

DRAWS: list[Callable[[], Any]] = [
    lambda: detrun.uniform(1.0, 3.0),
    lambda: detrun.exponential(2.0),
    lambda: detrun.normal(1.0, 2.0),
    lambda: detrun.lognormal(0.5, 0.25),
    lambda: detrun.poisson(3.0),
    lambda: detrun.bernoulli(0.4),
    lambda: detrun.choice("abc"),
    lambda: detrun.choice(3, [1.0, 2.0, 0.5]),
    lambda: detrun.binomial(6, 0.3),
    lambda: detrun.geometric(0.25),
    lambda: detrun.uniform(key="shared"),
]


async def program(tasks: list[list[int]]) -> dict[str, list[Any]]:
    """Each task makes its draws, one a step."""
    found: dict[str, list[Any]] = {}

    async def task(name: str, drawn: list[int]) -> None:
        found[name] = []
        for which in drawn:
            await trio.lowlevel.checkpoint()
            found[name].append(DRAWS[which]())

    async with trio.open_nursery() as nursery:
        for number, drawn in enumerate(tasks):
            nursery.start_soon(task, f"t{number}", drawn, name=f"t{number}")
    return {name: found[name] for name in sorted(found)}


programs = st.lists(st.lists(st.integers(0, len(DRAWS) - 1), max_size=4), min_size=1, max_size=3)


def plain(log: Any) -> list[tuple[Any, ...]]:
    return [(one.kind, one.address, one.task, one.step, one.bits, one.outcome) for one in log]


@settings(max_examples=25)
@given(tasks=programs, seed=st.integers(0, 50), data=st.data())
def test_forcing_changes_the_forced_draws_only_and_replays_to_the_same_digest(
    tasks: list[list[int]], seed: int, data: st.DataObject
) -> None:
    base = detrun.record(program, tasks, seed=seed, draws=True)
    assert base.draws is not None
    assert base.digest == detrun.record(program, tasks, seed=seed).digest
    other = detrun.record(program, tasks, seed=seed + 1000, draws=True).draws
    assert other is not None
    force: dict[tuple[str, int], Any] = {("main/nobody", 3): 1}
    for draw in base.draws:
        # An outcome that another seed has; the number beneath it; or the bits themselves.
        twin = other.at(draw.address)
        if twin is not None and twin.kind == draw.kind and data.draw(st.booleans()):
            force[draw.address] = data.draw(
                st.sampled_from([twin.outcome, detrun.Unit(twin.unit), detrun.Bits(twin.bits)])
            )
    forced = detrun.record(program, tasks, seed=seed, draws=True, force=force)
    assert forced.draws is not None
    assert set(forced.forces_used) | {("main/nobody", 3)} == set(force)
    assert forced.forces_unmet == (("main/nobody", 3),)
    assert len(forced.draws) == len(base.draws)
    for before, after in zip(base.draws, forced.draws, strict=True):
        assert (before.address, before.step, before.kind) == (after.address, after.step, after.kind)
        assert after.is_forced == (after.address in force)
        if after.is_forced:
            assert after.outcome == pytest.approx(other.at(after.address).outcome, rel=1e-9)  # type: ignore[union-attr]
        else:
            assert after.bits == before.bits
    replayed = detrun.replay(program, tasks, recording=forced.recording, draws=True)
    assert replayed.digest == forced.digest
    assert plain(replayed.draws) == plain(forced.draws)
    assert replayed.forces_used == forced.forces_used


async def coin_and_count() -> tuple[bool, int]:
    return detrun.bernoulli(0.5), detrun.poisson(2.0)


def test_a_forced_recording_replays_in_a_fresh_process_and_has_no_token(tmp_path: Path) -> None:
    (tmp_path / "coin.py").write_text(
        "import detrun\nasync def main():\n    return detrun.bernoulli(0.001), detrun.poisson(2.0)\n"
    )
    script = (
        "import detrun, coin\n"
        "print(detrun.record(coin.main, force={('main', 0): True, ('main', 1): 9}, to='coin.detrun').result)"
    )
    recorded = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert recorded.stdout == "(True, 9)\n"
    again = subprocess.run(
        [sys.executable, "-m", "detrun", "replay", "coin.detrun"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "(True, 9)" in again.stdout
    with pytest.raises(detrun.UsageError, match="no place for the draws that were forced"):
        to_token(open_recording(tmp_path / "coin.detrun"))


@pytest.mark.parametrize(
    ("forced", "said"),
    [
        (("main", 0), "must be a dict"),
        ({"main": True}, "'main' is no address of a draw"),
        ({("worker", 0): True}, "is no address"),
        ({("main", -1): True}, "is no address"),
        ({("main", 0): "heads"}, "'heads' is no outcome; give a plain number"),
        ({("main", 0): float("nan")}, "is no outcome of any draw"),
        ({("main", 0): 2}, r"cannot force bernoulli\(probability=0.5\) to 2: its outcomes are True and False"),
        ({("main", 1): 1.5}, "its outcomes are whole numbers"),
        ({("main", 1): -1}, "probability 0, and no draw gives it"),
        ({("main", 1): 1000}, "no draw gives it"),
    ],
)
def test_what_cannot_be_forced_is_said_with_the_way_out(forced: Any, said: str) -> None:
    with pytest.raises(detrun.UsageError, match=said):
        detrun.record(coin_and_count, force=forced)


@pytest.mark.parametrize(
    ("draw", "outcome", "said"),
    [
        (lambda: detrun.bernoulli(0.0), True, "that has the probability 0"),
        (lambda: detrun.bernoulli(1.0), False, "that has the probability 0"),
        (lambda: detrun.bernoulli(1.5), True, "is not a probability"),
        (lambda: detrun.choice("abc", [1.0, 0.0, 1.0]), 1, "that has the probability 0"),
        (lambda: detrun.choice("abc"), 3, "indices of its options, 0 to 2"),
        (lambda: detrun.geometric(0.5), 0, "that has the probability 0"),
        (lambda: detrun.uniform(1.0, 2.0), 2.5, "its outcomes lie between 1 and 2"),
        (lambda: detrun.exponential(1.0), -1.0, "its outcomes lie between 0 and 36.7"),
        (lambda: detrun.normal(0.0, 0.0), 1.0, "its outcomes lie between 0 and 0"),
        (lambda: detrun.normal(), True, "its outcomes are real numbers"),
        (lambda: current.require("a test").draw(), 1, "takes bare bits"),
    ],
)
def test_an_impossible_outcome_ends_the_run_whatever_the_program_does(
    draw: Callable[[], Any], outcome: Any, said: str
) -> None:
    async def main() -> None:
        try:
            draw()
        except detrun.UsageError:
            await trio.sleep(1.0)

    with pytest.raises(detrun.UsageError, match=said):
        detrun.record(main, force={("main", 0): outcome})


def test_units_and_bits_are_checked() -> None:
    for made in (lambda: detrun.Unit(1.0), lambda: detrun.Unit("x"), lambda: detrun.Bits(1.0), lambda: detrun.Bits(-1)):  # type: ignore[arg-type]
        with pytest.raises(detrun.UsageError, match="give a"):
            made()


def test_the_log_tells_what_a_draw_was() -> None:
    async def main(params: Any) -> Any:
        detrun.choice("ab", [params["w"], 1.0], key=("who", 1), derivative="enumerate")
        current.require("a test").draw("bare")
        return detrun.exponential(2.0)

    run = detrun.record(main, {"w": 3.0}, draws=True)
    assert run.draws is not None
    choice, bare, exponential = run.draws
    assert (choice.kind, choice.address, choice.task) == ("choice", ("key ('who', 1)", 0), "main")
    assert choice.parameters == {"options": 2, "weights": (3.0, 1.0)}
    assert choice.derivative == "enumerate"
    assert (bare.kind, bare.stream, bare.outcome) == ("bits", "key 'bare'", bare.bits)
    assert exponential.outcome == run.result
    assert exponential.parameters == {"mean": 2.0}
    assert exponential.derivative is None
    assert run.draws.at(("main", 0)) is exponential
    assert str(exponential) == f"main [0], step {exponential.step}: exponential(mean=2.0) = {run.result}"
    assert isinstance(run.draws[:2][0], Draw)
    assert detrun.record(main, {"w": 3.0}).draws is None


def test_an_unknown_derivative_of_a_draw_is_refused() -> None:
    async def main() -> None:
        detrun.bernoulli(0.5, derivative="magic")

    with pytest.raises(detrun.UsageError, match=r"derivative='magic' is unknown; choose one of counterfactual"):
        detrun.record(main)


def test_a_recording_answers_what_would_have_been_had_a_draw_come_out_otherwise() -> None:
    base = detrun.record(program, [[5, 4], [6]], seed=3, draws=True)
    assert base.draws is not None
    coin = next(one for one in base.draws if one.kind == "bernoulli")
    other = detrun.replay(
        program,
        [[5, 4], [6]],
        recording=base.recording,
        mode="what-if",
        force={coin.address: not coin.outcome},
        draws=True,
    )
    assert other.forces_used == (coin.address,)
    assert other.draws is not None
    changed = [one.address for one in other.draws if one.outcome != base.draws.at(one.address).outcome]  # type: ignore[union-attr]
    assert changed == [coin.address]
    assert detrun.replay(program, [[5, 4], [6]], recording=other.recording).digest == other.digest
    with pytest.raises(detrun.UsageError, match="choose mode='what-if'"):
        detrun.replay(program, [[5, 4], [6]], recording=base.recording, force={coin.address: True})
