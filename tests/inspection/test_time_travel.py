"""Moments: exact to the step and to the instant, with nothing left behind afterwards."""

from __future__ import annotations

import json
import random
import time

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun import world as w
from detrun_scheduler import current
from detrun_scheduler.frozen_heap import frozen_heap

CLEANED: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def _small_heap():
    """A moment asks the collector for all objects there are: what other tests have left is out of its sight."""
    with frozen_heap():
        yield


async def counting(rounds=5):
    """Two workers that count in an Atomic, in a channel and in a local variable, one second apart."""
    total = detrun.Atomic(0, name="total")
    total.store(0)
    send, _receive = trio.open_memory_channel[tuple[int, int]](20)

    async def worker(number):
        done = 0
        try:
            for _ in range(rounds):
                await trio.sleep(1.0)
                total.fetch_add(1)
                done += 1
                await send.send((number, done))
        finally:
            CLEANED.append(f"worker {number}")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker, 0)
        nursery.start_soon(worker, 1)
    return total.load()


RUN = detrun.record(counting, seed=3)


def trace(run):
    """The values of `observe` after each step, from recording the program again: the oracle of these tests."""
    values = []
    detrun.replay(counting, recording=run.recording, instruments=[_Watcher(values)])
    return values


class _Watcher(trio.abc.Instrument):
    def __init__(self, values):
        self.values = values

    def before_task_step(self, task):
        self.values.append((task.name, trio.current_time()))


def test_every_step_can_be_gone_back_to():
    before_steps = trace(RUN)
    assert len(before_steps) == RUN.steps
    for step in range(RUN.steps):
        with RUN.at(step=step) as moment:
            assert moment.step == step
            assert moment.virtual_time == before_steps[step][1]
            # Who steps next is one of those that can run.
            following = RUN.recording.step(step)
            if not following.path.startswith("<"):  # trio's own two are not shown
                assert following.path in [task.path for task in moment.tasks if task.runnable]


@settings(max_examples=25)
@given(step=st.integers(-RUN.steps, RUN.steps))
def test_what_a_moment_shows_agrees_with_itself(step):
    with RUN.at(step=step) as moment:
        counts = [
            moment.locals_of(path, "worker")["done"]
            for path in moment.live.tasks
            if path.endswith(("worker", "worker[1]")) and "done" in _locals(moment, path)
        ]
        cells = {cell.label: cell.content for cell in moment.cells}
        if counts and "total" in cells and all(task.path != "main" or task.stack for task in moment.tasks):
            sent = sum(len(channel.messages) for channel in moment.channels)
            assert int(cells["total"]) == moment.live.cells["total"]._content
            ended = 5 * (2 - len([path for path in moment.live.tasks if "worker" in path]))
            assert int(cells["total"]) == sum(counts) + ended
            assert sent in (sum(counts) + ended, sum(counts) + ended - 1, sum(counts) + ended - 2)


def _locals(moment, path):
    task = moment.task(path)
    return task.stack[-1].locals if task.stack else {}


@pytest.mark.parametrize(("at", "clock", "total"), [(0.0, 0.0, 0), (0.999, 0.0, 0), (1.0, 1.0, 2), (2.5, 2.0, 4)])
def test_a_time_is_exact(at, clock, total):
    with RUN.at(virtual_time=at) as moment:
        assert moment.virtual_time == clock
        assert [cell.content for cell in moment.cells if cell.label == "total"] == [str(total)]
        assert trio.current_time() == clock


def test_the_end_is_a_moment_too():
    for where in ({"step": RUN.steps}, {"virtual_time": 1e9}):
        with RUN.at(**where) as moment:
            assert moment.step == RUN.steps
            assert moment.tasks == ()


async def deadlocked():
    lock, event, secret = trio.Lock(), trio.Event(), {"answer": 42}
    async with trio.open_nursery() as nursery, lock:
        nursery.start_soon(lock.acquire, name="waiter")
        await event.wait()
    return secret


def test_the_tasks_of_a_deadlock_are_still_there():
    run = detrun.record(deadlocked, raise_errors=False)
    assert isinstance(run.exception, detrun.DeadlockError)
    with run.at(step=run.steps) as moment:
        assert [task.path for task in moment.tasks] == ["main", "main/waiter"]
        assert moment.task("main").waits_for == "Event.wait (not set)"
        assert moment.task("main/waiter").waits_for == "Lock held by main"
        assert moment.task("main/waiter").holders == ("main",)
        frame = moment.task("main").stack[-1]
        assert frame.function == "deadlocked"
        assert frame.locals["secret"] == "{'answer': 42}"
        assert moment.locals_of("main")["secret"]["answer"] == 42


def test_a_moment_is_the_same_every_time_and_shows_no_address():
    documents = []
    for _ in range(2):
        with RUN.at(step=12) as moment:
            documents.append(json.dumps(moment.document()))
    assert documents[0] == documents[1]
    assert " at 0x" not in documents[0]


def test_the_run_is_abandoned_cleanly():
    CLEANED.clear()
    before = time.time, random.getstate(), current.run
    recorded = RUN.recording.to_bytes()
    with RUN.at(step=12) as moment:
        assert CLEANED == []
        kept = moment
    assert sorted(CLEANED) == ["worker 0", "worker 1"]
    assert (time.time, random.getstate(), current.run) == before
    assert RUN.recording.to_bytes() == recorded
    assert detrun.replay(counting, recording=RUN.recording).digest == RUN.digest
    # The plain data stays, the objects are gone.
    assert kept.task("main").stack[-1].function == "counting"
    with pytest.raises(detrun.UsageError, match="the moment is over"):
        kept.live  # noqa: B018


def test_an_error_of_the_onlooker_abandons_the_run_too():
    with pytest.raises(ZeroDivisionError), RUN.at(step=12):
        1 / 0  # noqa: B018
    assert current.run is None
    assert detrun.record(counting, seed=3).digest == RUN.digest


def test_what_the_onlooker_does_to_objects_reaches_no_other_run():
    with RUN.at(step=12) as moment:
        moment.live.cells["total"].store(1_000)
        assert moment.live.cells["total"].load() == 1_000
    with RUN.at(step=12) as moment:
        assert moment.live.cells["total"].load() < 1_000


def test_an_edited_program_is_found_out_on_the_way():
    async def program():
        for _ in range(steps[0]):
            await trio.sleep(1.0)

    steps = [5]
    run = detrun.record(program)
    steps[0] = 2
    with pytest.raises(detrun.DivergenceError), run.at(step=4):
        pass
    assert current.run is None


@pytest.mark.parametrize(
    ("where", "part"),
    [
        ({}, "give one of them"),
        ({"step": 1, "virtual_time": 1.0}, "give one of them"),
        ({"step": RUN.steps + 1}, "there is no moment at step"),
        ({"step": -RUN.steps - 1}, "there is no moment at step"),
        ({"virtual_time": -1.0}, "not a time of a run"),
        ({"virtual_time": float("nan")}, "not a time of a run"),
    ],
)
def test_a_moment_that_is_none_is_refused(where, part):
    with pytest.raises(detrun.UsageError, match=part), RUN.at(**where):
        pass


def test_an_unknown_task_or_function_is_named():
    with RUN.at(step=12) as moment:
        with pytest.raises(detrun.UsageError, match="no task 'main/nobody' lives"):
            moment.task("main/nobody")
        with pytest.raises(detrun.UsageError, match="does not stand in elsewhere"):
            moment.locals_of("main", "elsewhere")


def test_a_repr_that_fails_does_not_hide_the_rest():
    class Shy:
        def __repr__(self):
            raise RuntimeError("not now")

    async def program():
        shy = Shy()
        await trio.sleep(1.0)
        return shy is not None

    run = detrun.record(program)
    with run.at(virtual_time=0.5) as moment:
        assert moment.task("main").stack[-1].locals["shy"] == "<Shy, whose repr raises RuntimeError>"


def test_simulated_threads_are_shown_where_they_stand():
    import threading

    async def program():
        def body():
            mine = "thread's own"
            gate.wait()
            return mine

        gate = threading.Event()
        thread = threading.Thread(target=body, name="reader")
        thread.start()
        await trio.sleep(1.0)
        gate.set()
        thread.join()

    run = detrun.record(program)
    with run.at(virtual_time=0.5) as moment:
        (thread,) = [task for task in moment.tasks if task.path != "main"]
        assert thread.stack[-1].locals["mine"] == '"thread\'s own"'


# Worlds.


def test_a_cell_that_was_made_before_the_run_is_shown_too():
    cell = detrun.Atomic(0, name="before")

    async def main():
        cell.store(1)
        await trio.sleep(1.0)

    with detrun.record(main).at(virtual_time=0.5) as moment:
        assert [(one.label, one.content) for one in moment.cells] == [("before", "1")]


async def small_world():
    async def server():
        me = detrun.this_node()
        async with await me.disk.open_file("/log", "wb") as file:
            await file.write(b"synced")
            await file.flush()
            await file.fsync()
            await me.disk.fsync_directory("/")
            await file.write(b", not synced")
            await file.flush()
        while True:
            envelope = await me.receive_envelope()
            await trio.sleep(1.0)
            me.send(envelope.sender, envelope.message.upper())

    async def client():
        me = detrun.this_node()
        me.clock.step(5.0)
        for word in ("one", "two", "three"):
            me.send("server", word)
        await trio.sleep(10.0)

    async with detrun.World(latency=0.25) as world:
        world.node("server").start(server)
        world.node("client").start(client)
        world.node("idle")
        await trio.sleep(0.1)
        world.clog("idle")
        world.node("client").send("idle", "held")
        await world.node("client").ended()


def test_a_world_is_shown_with_nodes_disks_and_messages_on_their_way():
    run = detrun.record(small_world)
    with run.at(virtual_time=0.2) as moment:
        nodes = {node.name: node for node in moment.nodes}
        assert {name: node.state for name, node in nodes.items()} == {"server": "up", "client": "up", "idle": "down"}
        disk = nodes["server"].disk
        assert disk is not None
        assert disk.files["/log"] == b"synced, not synced"
        assert disk.durable["/log"] == b"synced"
        assert nodes["client"].disk is None
        assert nodes["client"].clock_error == 5.0
        assert nodes["server"].tasks == ("main/server", "main/server/server")
        on_their_way = [(one.source, one.destination, one.description, one.arrives_at) for one in moment.in_flight]
        assert on_their_way[:3] == [("client", "server", f"message {word!r}", 0.25) for word in ("one", "two", "three")]
        assert moment.live.world.node("server").is_running
        json.dumps(moment.document())
    with run.at(virtual_time=0.3) as moment:
        nodes = {node.name: node for node in moment.nodes}
        assert nodes["server"].mailbox == ("'two'", "'three'")
    with run.at(virtual_time=0.5) as moment:
        assert [(one.description, one.arrives_at) for one in moment.in_flight] == [("message 'held'", None)]


def test_a_moment_in_the_middle_of_faults():
    plan = w.FaultPlan(
        (w.Crash(node="server", at=1.0, down_seconds=1.0), w.Pause(node="client", at=1.0, lasts_seconds=1.0))
    )

    async def main():
        async def idle():
            await trio.sleep_forever()

        async with detrun.World() as world:
            world.node("server").start(idle)
            world.node("client").start(idle)
            async with w.inject(plan, world):
                await trio.sleep(3.0)

    run = detrun.record(main)
    states = []
    for moment_seconds in (0.5, 1.5, 2.5):
        with run.at(virtual_time=moment_seconds) as moment:
            states.append({node.name: (node.state, node.starts) for node in moment.nodes})
    assert states == [
        {"server": ("up", 1), "client": ("up", 1)},
        {"server": ("down", 1), "client": ("paused", 1)},
        {"server": ("up", 2), "client": ("up", 1)},
    ]
