"""Listings by themselves: on a terminal and in a file, of steps that only a recording knows, and what they say."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import trio

import detrun
from detrun.cli import listing as module
from detrun.cli.listing import _recorded_steps, print_lanes, print_listing
from detrun.execution.options import Options
from detrun.execution.targets import load_target
from detrun.explore.failures import listing, narrated_recording, narration
from detrun.explore.failures.narrated_recording import narrated
from detrun_recorder.recording import Recording


class Terminal(io.StringIO):
    """A file that may be a terminal."""

    def __init__(self, *, is_one: bool) -> None:
        super().__init__()
        self.isatty = lambda: is_one  # type: ignore[method-assign]


@pytest.mark.parametrize("is_one", [True, False])
def test_lanes_are_a_table_on_a_terminal_and_text_elsewhere(is_one: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal := Terminal(is_one=is_one))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "77")
    monkeypatch.delenv("NO_COLOR", raising=False)
    texts: list[str] = []
    lanes: Any = SimpleNamespace(plain=lambda: "plain", rich_table=lambda width: f"lanes of width {width}")
    print_lanes(SimpleNamespace(text=texts.append), lanes)  # type: ignore[arg-type]
    # The numbers of a program's lines have no colours.
    assert (terminal.getvalue(), texts) == (("lanes of width 77\n", []) if is_one else ("", ["plain"]))


def test_what_was_narrated_is_listed_with_the_step_that_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    def lanes(narrated: Any, critical: int | None) -> Any:
        return SimpleNamespace(plain=lambda: f"{narrated}, decided at {critical}")

    monkeypatch.setattr(sys, "stdout", Terminal(is_one=False))
    monkeypatch.setattr(listing, "Listing", lanes)
    texts: list[str] = []
    print_listing(SimpleNamespace(text=texts.append), "narration", 7)  # type: ignore[arg-type]
    assert texts == ["narration, decided at 7"]


class Recorded:
    """A recording of steps of one task, which do what ``events`` says."""

    def __init__(self, steps: int, **step: Any) -> None:
        self.known = {"outcome": "checkpoint", "actions": (), "events": (), "time": 1.5, "path": "main"} | step
        self.steps = steps

    def iter_steps(self, start: int, stop: int) -> Any:
        for index in range(start, min(stop, self.steps)):
            yield SimpleNamespace(index=index, **self.known)


@pytest.mark.parametrize(
    ("steps", "shown"),
    [(0, []), (1, [0]), (6, [0, 1, 2, 3, 4, 5]), (7, [0, 1, 2, 4, 5, 6]), (20, [0, 1, 2, 17, 18, 19])],
)
def test_of_very_many_steps_the_first_half_and_the_last_are_shown(
    steps: int, shown: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STEPS_LISTED", 6)
    found = _recorded_steps(Recorded(steps), range(steps), ({}, {}))  # type: ignore[arg-type]
    assert [step.index for step in found] == shown


def test_a_step_says_what_came_before_it_how_it_ended_and_what_happened() -> None:
    def event(kind: str, label: str) -> Any:
        return SimpleNamespace(
            kind=kind, label=label, number=0, operation=None, time=None, payload=None, value=None, path=label
        )

    events = [event("fault", "crash"), event("observe", "load"), event("fault", "crash"), event("fault", "loss")]
    plain, busy = (
        next(_recorded_steps(Recorded(1, **step), range(1), ({}, {})))  # type: ignore[arg-type]
        for step in ({}, {"outcome": "Event.wait", "actions": ("garbage collection",), "events": events})
    )
    assert (plain.before, plain.ended, plain.faults, plain.did) == ((), "", [], ())
    assert [(one.kind, one.time) for one in busy.before] == [(1, 1.5)]
    assert (busy.ended, busy.faults, len(busy.did)) == ("Event.wait", ["crash", "loss"], 1)
    assert "load" in busy.did[0]


async def main() -> None:
    await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(("seed", "used"), [(7, 7), (None, 0)])
def test_the_lines_are_those_of_a_run_with_the_recorded_seed(
    seed: int | None, used: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    recording = detrun.record(main).recording
    monkeypatch.setattr(Recording, "seed", seed)
    monkeypatch.setattr(
        narrated_recording, "narrate", lambda program, seed, choices, hooks, wanted: seeds.append(seed) or "narration"
    )
    assert narrated(recording, main, (), Options()) == "narration"
    assert seeds == [used]


def test_a_run_longer_than_what_is_narrated_is_said_to_be(
    call: Any, call_json: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("record", "programs.py:rounds", "-o", "a.detrun")
    steps = call_json("show", "a.detrun")["steps"]
    for most, notes in ((steps, []), (steps - 1, [f"the first {steps - 1} of {steps} steps; others with --no-replay"])):
        monkeypatch.setattr(narration, "STEPS_MAX", most)
        assert call_json("show", "a.detrun", "--listing")["notes"] == notes


def test_why_a_program_cannot_be_run_again_is_said_in_one_line(call: Any, call_json: Any) -> None:
    call("record", "programs.py:rounds", "-o", "a.detrun")
    for wrong, why in (("programs.py:edited", "replay left the recording at step "), ("programs.py:gone", "gone")):
        (note,) = call_json("show", "a.detrun", "--listing", "--target", wrong)["notes"]
        assert note.startswith("what the recording says, without lines of code: the program cannot be run again (")
        assert why in note
        assert "\n" not in note


def test_a_run_that_met_hidden_state_is_listed_with_its_lines_up_to_there(call_json: Any, directory: Any) -> None:
    detrun.record(load_target("programs.py:blocks").function, to="a.detrun", raise_errors=False)
    found = call_json("show", "a.detrun", "--listing")
    assert found["notes"] == []
    assert "socket.socket()" in str(found["listing"])
