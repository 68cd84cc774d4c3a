"""`Timeline`: the columns of a report against the steps of the recording, and arrows and bars of runs made by hand."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun.pages.timeline import Arrow, Timeline, timeline_of
from detrun.world import World
from detrun_recorder.recording import Recording
from tests.examples import examples
from tests.execution.random_programs import STEPS_MAX, Body, interpret, programs


def whole(recording: Recording) -> Timeline:
    return timeline_of(recording, range(recording.steps), {})


def path_at(timeline: Timeline, step: int) -> str:
    return timeline.lanes[timeline.lane_of[step - timeline.first]].path


@examples(25)
@given(programs(), st.integers(0, 2**32), st.floats(0.0, 1.0))
def test_columns_say_what_the_steps_of_a_random_run_say(program: Body, seed: int, share: float) -> None:
    """The same of a part of the run, whose arrows are those of the whole run that lie in it."""
    run = detrun.record(interpret, program, seed=seed, max_steps=STEPS_MAX, raise_errors=False)
    steps = list(run.recording.iter_steps())
    first = int(share * len(steps))
    part = timeline_of(run.recording, range(first, len(steps)), {})
    shown = steps[first:]
    assert [path_at(part, step.index) for step in shown] == [step.path for step in shown]
    assert part.times == [step.time for step in shown]
    assert part.choices == [len(step.runnable) for step in shown]
    assert set(part.did) == {step.index for step in shown if step.events}
    assert part.arrows == [arrow for arrow in whole(run.recording).arrows if arrow.origin >= first <= arrow.target]


@examples(25)
@given(programs(), st.integers(0, 2**32))
def test_arrows_lead_forward_and_to_the_task_that_was_meant(program: Body, seed: int) -> None:
    run = detrun.record(interpret, program, seed=seed, max_steps=STEPS_MAX, raise_errors=False)
    timeline, steps = whole(run.recording), list(run.recording.iter_steps())
    for arrow in timeline.arrows:
        assert arrow.origin <= arrow.target
        told = [event for event in steps[arrow.origin].events if event.label == path_at(timeline, arrow.target)]
        if arrow.kind != "message":
            assert arrow.kind in {event.kind for event in told}
    begun = Counter(event.label for step in steps for event in step.events if event.kind == "spawn")
    stepped = {path for path in begun if path in {step.path for step in steps}}
    assert {path_at(timeline, arrow.target) for arrow in timeline.arrows if arrow.kind == "spawn"} == stepped


async def passes_on() -> None:
    """The producer sends without waiting: the consumer receives in a step of its own."""
    sender, receiver = trio.open_memory_channel[str](2)

    async def consume() -> None:
        await trio.sleep(1)
        await receiver.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume, name="consume")
        await sender.send("letter")


def test_a_message_is_an_arrow_from_its_send_to_its_receive() -> None:
    timeline = whole(detrun.record(passes_on).recording)
    (message,) = [arrow for arrow in timeline.arrows if arrow.kind == "message"]
    assert (path_at(timeline, message.origin), path_at(timeline, message.target)) == ("main", "main/consume")


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


def test_a_message_that_arrives_while_nothing_runs_leads_to_the_task_that_it_wakes() -> None:
    """Recordings note the arrival with the step before it, whichever task that was of."""
    timeline = whole(detrun.record(asks_a_server).recording)
    between = [
        (timeline.times[arrow.target] - timeline.times[arrow.origin], path_at(timeline, arrow.target))
        for arrow in timeline.arrows
        if arrow.kind == "message" and timeline.times[arrow.target] > timeline.times[arrow.origin]
    ]
    assert [round(time, 9) for time, _ in between] == [0.25] * len(between)
    assert {path.partition("/server")[0] for _, path in between} == {"main"}
    assert any("server" in path for _, path in between)
    assert "main" in {path for _, path in between}


def test_a_sleep_is_over_without_an_arrow_and_its_task_can_run_from_the_step_before_on() -> None:
    async def main() -> None:
        await trio.sleep(1)

    timeline = whole(detrun.record(main).recording)
    woken = next(step for step, time in enumerate(timeline.times) if time == 1)
    assert timeline.ready[woken] == woken - 1
    assert Arrow(woken - 1, woken, "wake") not in timeline.arrows


def two_threads_and_a_lock() -> None:
    lock = threading.Lock()

    def work() -> None:
        with lock:
            pass

    threads = [threading.Thread(target=work, name=name) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("seed", range(4))
def test_a_lock_is_a_bar_from_its_acquire_to_its_release_and_two_bars_of_one_lock_never_overlap(seed: int) -> None:
    timeline = whole(detrun.record(two_threads_and_a_lock, seed=seed).recording)
    locked = [bar for bar in timeline.held if "Lock" in bar.label]
    bars = [bar for bar in locked if not bar.waits]
    assert len(bars) == len({bar.lane for bar in bars}) == 2
    first, second = bars
    assert first.last is not None
    assert first.last <= second.first
    for wait in locked:
        if wait.waits:  # that of the second, up to its turn
            assert wait.lane == second.lane
            assert wait.last == second.first


def test_a_lock_that_is_never_released_is_a_bar_without_an_end() -> None:
    def keeps() -> None:
        threading.Lock().acquire()

    (bar,) = whole(detrun.record(keeps).recording).held
    assert bar.last is None


def test_lanes_say_how_their_tasks_ended() -> None:
    async def fails() -> None:
        raise ValueError

    async def waits() -> None:
        await trio.sleep_forever()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits, name="waits")
            nursery.start_soon(fails, name="fails")

    timeline = whole(detrun.record(main, raise_errors=False).recording)
    ended = {lane.path: lane.ended for lane in timeline.lanes}
    assert (ended["main/fails"], ended["main/waits"], ended["main"]) == ("failed", "cancelled", "failed")
