"""Traces keep the rules of the Trace Event Format, and show what the recording says.

No browser is at hand, so the rules are checked here: required fields per phase, slices of one track that do not
overlap, arrows that are complete, point forward in time and are bound to slices.
"""

from __future__ import annotations

import io
import json
import math
import threading
from bisect import bisect_right
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun.world import World
from detrun_recorder.described import wait_shown
from detrun_recorder.export import NAME_MAX, Clock, Ran, export_perfetto, step_name
from detrun_recorder.header import describe_run
from detrun_recorder.recording import Recording
from detrun_recorder.steps import Event, Step
from detrun_scheduler.errors import UsageError
from tests.recorder.simulated_runs import SimulatedRun, simulate

# The format as its document says it: for each phase the fields that it has, with their types. Nothing else is written.
NUMBER = (int, float)
PLACE = {"ph": str, "pid": int, "tid": int, "name": str}
FIELDS: dict[str, dict[str, Any]] = {
    "M": {**PLACE, "args": dict},
    "X": {**PLACE, "cat": str, "ts": NUMBER, "dur": NUMBER, "args": dict},
    "C": {**PLACE, "ts": NUMBER, "args": dict},
    "s": {**PLACE, "cat": str, "ts": NUMBER, "id": int},
    "f": {**PLACE, "cat": str, "ts": NUMBER, "id": int, "bp": str},
}
METADATA = {
    "process_name": ("name", str),
    "process_sort_index": ("sort_index", int),
    "thread_name": ("name", str),
    "thread_sort_index": ("sort_index", int),
}

Track = tuple[int, int]


def nanoseconds(event: dict[str, Any], field: str = "ts") -> int:
    """A position as viewers keep it; it must lose nothing."""
    exact: float = event[field] * 1000
    assert abs(exact - round(exact)) <= max(1e-3, math.ulp(exact))  # the product is rounded, too
    return round(exact)


def track_of(event: dict[str, Any]) -> Track:
    return event["pid"], event["tid"]


def check_trace(trace: dict[str, Any]) -> None:
    """Raise AssertionError unless ``trace`` keeps the rules."""
    assert set(trace) == {"displayTimeUnit", "otherData", "traceEvents"}
    assert trace["displayTimeUnit"] in ("ms", "ns")
    slices: dict[Track, list[tuple[int, int]]] = defaultdict(list)
    for event in trace["traceEvents"]:
        fields = FIELDS[event["ph"]]
        assert event.keys() == fields.keys()
        assert all(isinstance(event[name], kind) for name, kind in fields.items())
        assert "ts" not in event or event["ts"] >= 0
        if event["ph"] == "M":
            ((argument, value),) = event["args"].items()
            assert (argument, type(value)) == METADATA[event["name"]]
        elif event["ph"] == "C":
            assert all(isinstance(value, NUMBER) for value in event["args"].values())
        elif event["ph"] == "f":
            assert event["bp"] == "e"
        if event["ph"] == "X":
            begin, here = nanoseconds(event), slices[track_of(event)]
            assert begin >= (here[-1][1] if here else 0), "slices of a track overlap"
            assert nanoseconds(event, "dur") > 0
            here.append((begin, begin + nanoseconds(event, "dur")))
    names = [track_of(event) for event in trace["traceEvents"] if event["name"] == "thread_name"]
    assert sorted(names) == sorted(slices), "every track has one name"
    processes = [event["pid"] for event in trace["traceEvents"] if event["name"] == "process_name"]
    assert sorted(processes) == sorted({pid for pid, _ in slices}), "every process has one name"
    open_arrows: dict[int, dict[str, Any]] = {}
    closed = set()
    for event in trace["traceEvents"]:
        if event["ph"] in "sf":
            at = nanoseconds(event)
            spans = slices[track_of(event)]
            place = bisect_right(spans, (at, math.inf)) - 1
            assert place >= 0, "an arrow is bound to no slice"
            assert at < spans[place][1], "an arrow is bound to no slice"
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


def slices_of(trace: dict[str, Any], category: str) -> list[dict[str, Any]]:
    return [event for event in trace["traceEvents"] if event["ph"] == "X" and event["cat"] == category]


def processes_of(trace: dict[str, Any]) -> dict[str, int]:
    return {event["args"]["name"]: event["pid"] for event in trace["traceEvents"] if event["name"] == "process_name"}


def arrows_of(trace: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    begins = {event["id"]: event for event in trace["traceEvents"] if event["ph"] == "s"}
    return [(begins[event["id"]], event) for event in trace["traceEvents"] if event["ph"] == "f"]


def exported(run: SimulatedRun, clock: Clock, start: int = 0, stop: int | None = None) -> dict[str, Any]:
    return written(
        Recording.from_chunks(describe_run(target="m:f"), run.chunks, run.end, exact_times=True), clock, start, stop
    )


def written(
    recording: Recording, clock: Clock = "virtual", start: int = 0, stop: int | None = None, **more: Any
) -> dict[str, Any]:
    text = io.StringIO()
    count = export_perfetto(recording, text, clock=clock, start=start, stop=stop, **more)
    trace: dict[str, Any] = json.loads(text.getvalue())
    assert len(trace["traceEvents"]) == count
    check_trace(trace)
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
    assert [(event["tid"] - 1, event["ts"], event["args"]["ended_in"]) for event in slices_of(trace, "step")] == [
        (step.task, float(index), wait_shown(step.outcome)) for index, step in enumerate(run.steps)
    ]
    expected = []
    woken: dict[object, tuple[str, int] | None] = {}
    sent: dict[object, deque[int]] = defaultdict(deque)
    for index, step in enumerate(run.steps):
        reached = woken.pop(step.task, None)
        if reached is not None:
            expected.append((*reached, index))
        is_between = False
        for event in step.events:
            is_between = is_between or event[0] == "time"
            if event[0] in ("wake", "spawn") and event[1] not in woken:
                woken[event[1]] = None if is_between else (str(event[0]), index)
            elif event[0] == "send":
                sent[event[1]].append(index)
            elif event[0] == "operation" and event[3] == "withdraw" and sent[event[1]]:
                sent[event[1]].popleft()
            elif event[0] == "receive" and sent[event[1]]:
                expected.append((f"message {event[2]}", sent[event[1]].popleft(), index))
    found = [(end["name"], int(begin["ts"]), int(end["ts"])) for begin, end in arrows_of(trace)]
    assert sorted(found) == sorted(expected)
    assert len(slices_of(trace, "message")) == sum(name.startswith("message") for name, _, _ in found)


def test_a_part_of_a_run_is_the_part_of_its_trace() -> None:
    """Messages pair by their count from the first step on, so leaving steps out must not shift them."""
    run = simulate(5, 400, operating=0.6)
    whole, part = exported(run, "steps"), exported(run, "steps", 100, 300)

    def steps(trace: dict[str, Any]) -> list[tuple[str, float]]:
        return [(one["name"], one["ts"]) for one in slices_of(trace, "step") if 100 <= one["ts"] < 300]

    def arrows(trace: dict[str, Any]) -> list[tuple[str, float, float]]:
        every = [(end["name"], begin["ts"], end["ts"]) for begin, end in arrows_of(trace)]
        return [one for one in every if one[1] >= 100 and one[2] < 300]

    assert steps(part) == steps(whole)
    assert arrows(part) == arrows(whole)
    assert len(arrows(part)) == len(arrows_of(part)) > 50


def test_on_the_virtual_axis_a_step_is_never_before_its_time() -> None:
    run = simulate(9, 300)
    trace = exported(run, "virtual")
    for event in slices_of(trace, "step"):
        assert nanoseconds(event) >= round(event["args"]["virtual_time"] * 1e9)


def test_the_checker_finds_a_broken_trace() -> None:
    trace = exported(simulate(1, 100), "steps")
    for broken in (
        [event for event in trace["traceEvents"] if event["ph"] != "f"],
        [event for event in trace["traceEvents"] if event["ph"] != "s"],
        [event for event in trace["traceEvents"] if event["name"] != "thread_name"],
        list(reversed(trace["traceEvents"])),
        [event for event in trace["traceEvents"] if event["name"] != "process_name"],
        [{**event, "dur": 5000.0} if event["ph"] == "X" else event for event in trace["traceEvents"]],
        [{**event, "ts": event["ts"] + 1e6} if event["ph"] == "f" else event for event in trace["traceEvents"]],
        [{**event, "pid": "1"} for event in trace["traceEvents"]],
        [{**event, "sort": 1} for event in trace["traceEvents"]],
    ):
        with pytest.raises((AssertionError, KeyError)):
            check_trace({**trace, "traceEvents": broken})


def test_a_trace_is_written_to_a_path(tmp_path: Path) -> None:
    run = simulate(1, 50)
    recording = Recording.from_chunks(describe_run(target="m:f", seed=2**70), run.chunks, run.end)
    export_perfetto(recording, tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))
    check_trace(trace)
    assert trace["otherData"] == {"target": "m:f", "seed": str(2**70), "steps": 50, "clock": "virtual"}
    with pytest.raises(UsageError, match="clock is 'wall'"):
        export_perfetto(recording, tmp_path / "x", clock="wall")  # type: ignore[arg-type]  # what is refused


def test_a_run_too_long_for_the_virtual_axis_is_sent_to_the_other(tmp_path: Path) -> None:
    run = simulate(1, 200, mean_delay=1e6)
    recording = Recording.from_chunks(describe_run(), run.chunks, run.end)
    with pytest.raises(UsageError, match="use clock='steps'"):
        export_perfetto(recording, tmp_path / "trace.json", clock="virtual")
    assert not (tmp_path / "trace.json").exists()
    exported(run, "steps")


async def asks_a_server() -> None:
    async def answer(stream: trio.SocketStream) -> None:
        async for data in stream:
            await stream.send_all(data.upper())

    async with World(latency=0.25) as world:
        world.node("server").start(trio.serve_tcp, answer, 8000)
        await trio.sleep(1)
        stream = await trio.open_tcp_stream("server", 8000)
        await stream.send_all(b"hello")
        await stream.receive_some()
        world.node("server").crash()


def received(recording: Recording) -> int:
    """How many of the messages that were received had been sent, counted without `Causes`."""
    sent: dict[int | None, int] = defaultdict(int)
    count = 0
    for step in recording.iter_steps():
        for event in step.events:
            if event.kind == "send":
                sent[event.number] += 1
            elif event.kind == "receive" and sent[event.number]:
                sent[event.number] -= 1
                count += 1
    return count


def test_messages_are_drawn_from_their_sending_to_their_arrival_and_nodes_are_processes() -> None:
    recording = detrun.record(asks_a_server).recording
    nodes = {path: "server" for _, path in recording.tasks.values() if "/server" in path}
    trace = written(recording, nodes=nodes)
    messages = [pair for pair in arrows_of(trace) if pair[0]["name"].startswith("message")]
    assert len(messages) == len(slices_of(trace, "message")) == received(recording) == 3
    assert {round(one["args"]["arrived"] - one["args"]["sent"], 9) for one in slices_of(trace, "message")} == {0.25}
    processes = processes_of(trace)
    assert {"server", "channels and links", "faults"} < set(processes)
    ends = {(begin["pid"], end["pid"]) for begin, end in messages}
    # One segment is the network's own: its arrow begins on the channel's track.
    assert ends == {
        (1, processes["server"]),
        (processes["server"], 1),
        (processes["channels and links"], processes["server"]),
    }
    assert {nanoseconds(end) - nanoseconds(begin) >= 0.25e9 - 100 for begin, end in messages} == {True}
    assert [(one["name"], one["pid"]) for one in slices_of(trace, "fault")] == [("crash", processes["faults"])]


def two_threads_and_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()

    def work() -> None:
        with lock:
            pass

    threads = [threading.Thread(target=work, name=name) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    lock.release()
    for thread in threads:
        thread.join()


def test_a_lock_has_a_slice_for_each_stretch_in_which_it_is_held() -> None:
    trace = written(detrun.record(two_threads_and_a_lock).recording, "steps")
    held = [one for one in slices_of(trace, "held") if "Lock" in one["args"]["object"]]
    assert len(held) == 3
    assert len({track_of(one) for one in held}) == 1, "no two of them overlap"
    assert {one["pid"] for one in held} == {processes_of(trace)["locks"]}


def test_what_waits_when_a_run_ends_is_drawn_to_its_end() -> None:
    async def waits() -> None:
        await trio.Event().wait()

    async def goes_on() -> None:
        for _ in range(5):
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits)
            nursery.start_soon(goes_on)

    trace = written(detrun.record(main, raise_errors=False).recording, "steps")
    (wait,) = [one for one in slices_of(trace, "wait") if one["name"] == "Event.wait"]
    last = slices_of(trace, "step")[-1]
    assert wait["ts"] + wait["dur"] == last["ts"] + last["dur"]


def test_steps_are_named_by_their_lines_where_these_are_known() -> None:
    recording = detrun.record(asks_a_server).recording
    ran = {0: Ran(["stream = await open()", "stream = await open()", "x = 1"], ["a:1", "a:1", "a:2"], ["reads x"])}
    first, second, *_ = slices_of(written(recording, ran=ran), "step")
    assert first["name"] == "stream = await open(); x = 1"
    assert first["args"]["lines"] == ["a:1  stream = await open()"] * 2 + ["a:2  x = 1"]
    assert second["name"] == "spawned main/server"


def test_a_slice_names_the_objects_that_its_step_used_behind_its_lines() -> None:
    uses = (
        Event("operation", 0, "seen", "load"),
        Event("draw"),
        Event("send", 1, "Queue[0]"),
        Event("send", 0, "seen"),
    )
    step = Step(3, 0.0, 1, "main", (1,), None, "checkpoint", uses)
    assert step_name(step, Ran(["a()", "a()", "b()"], ["m:1", "m:1", "m:2"])) == "a(); b() · seen, Queue[0]"
    assert step_name(step, None) == "load on seen; drew a random number; sent to Queue[0]; sent to seen"
    long = step_name(step, Ran(["x" * 400], ["m:1"]))
    assert long.endswith("… · seen, Queue[0]")
    assert len(long) == NAME_MAX
