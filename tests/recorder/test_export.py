"""Traces keep the rules of the Trace Event Format, and show what the recording says.

No browser is at hand, so the rules are checked here: required fields per phase, slices of one track that do not
overlap, arrows that are complete, point forward in time and are bound to slices.
"""

from __future__ import annotations

import io
import json
import math
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detrun_recorder.export import Clock, export_perfetto
from detrun_recorder.header import describe_run
from detrun_recorder.recording import Recording
from detrun_scheduler.errors import UsageError
from tests.recorder.simulated_runs import SimulatedRun, simulate

FIELDS = {
    "M": {"pid", "tid", "name", "args"},
    "X": {"pid", "tid", "name", "ts", "dur", "args"},
    "C": {"pid", "tid", "name", "ts", "args"},
    "s": {"pid", "tid", "name", "ts", "id", "cat"},
    "f": {"pid", "tid", "name", "ts", "id", "cat", "bp"},
}


def nanoseconds(event: dict[str, Any], field: str = "ts") -> int:
    """A position as viewers keep it; it must lose nothing."""
    exact: float = event[field] * 1000
    assert abs(exact - round(exact)) <= max(1e-3, math.ulp(exact))  # the product is rounded, too
    return round(exact)


def check_trace(trace: dict[str, Any]) -> None:
    """Raise AssertionError unless ``trace`` keeps the rules."""
    slices: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for event in trace["traceEvents"]:
        assert event.keys() >= FIELDS[event["ph"]]
        if event["ph"] == "X":
            begin = nanoseconds(event)
            assert begin >= (slices[event["tid"]][-1][1] if slices[event["tid"]] else 0), "slices of a track overlap"
            assert nanoseconds(event, "dur") > 0
            slices[event["tid"]].append((begin, begin + nanoseconds(event, "dur")))
    names = [event["tid"] for event in trace["traceEvents"] if event["name"] == "thread_name"]
    assert sorted(names) == sorted(slices), "every track has one name"
    enclosing = {(track, (begin + end) // 2) for track, spans in slices.items() for begin, end in spans}
    open_arrows: dict[int, dict[str, Any]] = {}
    closed = set()
    for event in trace["traceEvents"]:
        if event["ph"] in "sf":
            assert (event["tid"], nanoseconds(event)) in enclosing, "an arrow is bound to no slice"
        if event["ph"] == "s":
            assert event["id"] not in open_arrows
            assert event["id"] not in closed
            open_arrows[event["id"]] = event
        elif event["ph"] == "f":
            begin_event = open_arrows.pop(event["id"])
            assert begin_event["name"] == event["name"]
            assert begin_event["ts"] <= event["ts"], "an arrow points back in time"
            closed.add(event["id"])
    assert not open_arrows, "an arrow has no end"
    counters = [event["args"]["seconds"] for event in trace["traceEvents"] if event["ph"] == "C"]
    assert counters == sorted(set(counters))


def exported(run: SimulatedRun, clock: Clock, start: int = 0, stop: int | None = None) -> dict[str, Any]:
    recording = Recording.from_chunks(describe_run(target="m:f"), run.chunks, run.end, exact_times=True)
    text = io.StringIO()
    written = export_perfetto(recording, text, clock=clock, start=start, stop=stop)
    trace: dict[str, Any] = json.loads(text.getvalue())
    assert len(trace["traceEvents"]) == written
    return trace


@given(
    st.integers(0, 10**6),
    st.integers(1, 200),
    st.sampled_from(("steps", "virtual")),
    st.sampled_from((1e-9, 0.1, 1e3)),
    st.integers(0, 100),
)
def test_a_trace_keeps_the_rules_of_the_format(seed: int, steps: int, clock: Clock, delay: float, start: int) -> None:
    check_trace(exported(simulate(seed, steps, mean_delay=delay), clock, start))


@given(st.integers(0, 10**6), st.integers(1, 200))
def test_slices_and_arrows_are_the_steps_wakes_and_messages_of_the_run(seed: int, steps: int) -> None:
    run = simulate(seed, steps)
    trace = exported(run, "steps")
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert [(event["tid"] - 1, event["ts"], event["name"]) for event in slices] == [
        (step.task, float(index), step.outcome) for index, step in enumerate(run.steps)
    ]
    expected = []
    woken: dict[object, int] = {}
    sent: dict[object, deque[int]] = defaultdict(deque)
    for index, step in enumerate(run.steps):
        if step.task in woken:
            expected.append(("wake", woken.pop(step.task), index))
        for event in step.events:
            if event[0] in ("wake", "spawn"):
                woken[event[1]] = index
            elif event[0] == "send":
                sent[event[1]].append(index)
            elif event[0] == "receive" and sent[event[1]]:
                expected.append((f"message {event[2]}", sent[event[1]].popleft(), index))
    begins = {event["id"]: event for event in trace["traceEvents"] if event["ph"] == "s"}
    arrows = [
        (event["name"], int(begins[event["id"]]["ts"]), int(event["ts"]))
        for event in trace["traceEvents"]
        if event["ph"] == "f"
    ]
    assert arrows == expected


def test_a_part_of_a_run_is_the_part_of_its_trace() -> None:
    """Messages pair by their count from the first step on, so leaving steps out must not shift them."""
    run = simulate(5, 400, operating=0.6)
    whole, part = exported(run, "steps"), exported(run, "steps", 100, 300)
    for phase in "Xf":
        expected = [
            (event["name"], event["ts"])
            for event in whole["traceEvents"]
            if event["ph"] == phase and 100 <= event["ts"] < 300
        ]
        found = [(event["name"], event["ts"]) for event in part["traceEvents"] if event["ph"] == phase]
        if phase == "X":
            assert found == expected
        else:
            begins = {event["id"]: event["ts"] for event in whole["traceEvents"] if event["ph"] == "s"}
            inside = [
                (event["name"], event["ts"])
                for event in whole["traceEvents"]
                if event["ph"] == "f" and begins[event["id"]] >= 100 and event["ts"] < 300
            ]
            assert found == inside
            assert len(inside) > 50


def test_on_the_virtual_axis_a_step_is_never_before_its_time() -> None:
    run = simulate(9, 300)
    trace = exported(run, "virtual")
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            assert nanoseconds(event) >= round(event["args"]["virtual_time"] * 1e9)


def test_the_checker_finds_a_broken_trace() -> None:
    trace = exported(simulate(1, 100), "steps")
    for broken in (
        [event for event in trace["traceEvents"] if event["ph"] != "f"],
        [event for event in trace["traceEvents"] if event["ph"] != "s"],
        [event for event in trace["traceEvents"] if event["name"] != "thread_name"],
        list(reversed(trace["traceEvents"])),
        [{**event, "dur": 5000.0} if event["ph"] == "X" else event for event in trace["traceEvents"]],
    ):
        with pytest.raises((AssertionError, KeyError)):
            check_trace({"traceEvents": broken})


def test_a_trace_is_written_to_a_path(tmp_path: Path) -> None:
    run = simulate(1, 50)
    recording = Recording.from_chunks(describe_run(target="m:f", seed=2**70), run.chunks, run.end)
    export_perfetto(recording, tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))
    check_trace(trace)
    assert trace["otherData"] == {"target": "m:f", "seed": str(2**70), "steps": 50, "clock": "steps"}
    with pytest.raises(UsageError, match="clock is 'wall'"):
        export_perfetto(recording, tmp_path / "x", clock="wall")  # type: ignore[arg-type]  # what is refused


def test_a_run_too_long_for_the_virtual_axis_is_sent_to_the_other(tmp_path: Path) -> None:
    run = simulate(1, 200, mean_delay=1e6)
    recording = Recording.from_chunks(describe_run(), run.chunks, run.end)
    with pytest.raises(UsageError, match="use clock='steps'"):
        export_perfetto(recording, tmp_path / "trace.json", clock="virtual")
    assert not (tmp_path / "trace.json").exists()
    check_trace(exported(run, "steps"))
