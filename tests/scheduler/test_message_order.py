"""A recording says which message was received in which step: of memory channels, and of queues in tasks and threads.

The oracle is the program: it notes in which step it sends each message, and in which task and step it has got it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun_recorder.causes import Causes, always
from detrun_recorder.recording import Recording, open_recording
from detrun_scheduler import current
from tests.recorder import independent_reader

SENT: dict[Any, int] = {}  # by message: the step
GOT: dict[Any, tuple[int, int]] = {}  # by message: the step and the task


def sends(message: Any) -> None:
    assert current.run is not None
    SENT[message] = current.run.step_index


def gets(message: Any) -> None:
    assert current.run is not None
    GOT[message] = current.run.step_index, current.run.current


def channel(size: int) -> Callable[..., Any]:
    """Senders that wait, and some of them in vain; receivers that wait, and some that do not."""

    async def main() -> None:
        send, receive = trio.open_memory_channel[tuple[str, int]](size)

        async def produce(name: str, own: trio.MemorySendChannel[tuple[str, int]], patience: float) -> None:
            async with own:
                for at in range(3):
                    with trio.move_on_after(patience):
                        await trio.lowlevel.checkpoint()
                        sends((name, at))
                        await own.send((name, at))

        async def consume(own: trio.MemoryReceiveChannel[tuple[str, int]]) -> None:
            async with own:
                async for message in own:
                    gets(message)
                    await trio.lowlevel.checkpoint()

        async def offer(own: trio.MemorySendChannel[tuple[str, int]]) -> None:
            async with own:
                for at in range(4):
                    await trio.lowlevel.checkpoint()
                    try:
                        own.send_nowait(("offered", at))
                    except trio.WouldBlock:
                        continue
                    sends(("offered", at))

        async with trio.open_nursery() as nursery:
            for name, patience in (("a", 9.0), ("b", 9.0), ("c", 1e-9), ("d", 1e-9)):
                nursery.start_soon(produce, name, send.clone(), patience)
            await trio.sleep(0.5)
            for _ in range(3):
                nursery.start_soon(consume, receive.clone())
            nursery.start_soon(offer, send.clone())
            send.close()
            receive.close()

    return main


def tasks(kind: type[asyncio.Queue[Any]], size: int) -> Callable[..., Any]:
    async def main() -> None:
        items = kind(size)

        async def put(name: str) -> None:
            for at in range(3):
                await items.put((5 - at, name))
                sends((5 - at, name))

        async def get() -> None:
            for _ in range(3):
                gets(await items.get())

        await asyncio.gather(put("a"), get(), put("b"), get())

    return main


def threads(kind: type[queue.Queue[Any]]) -> Callable[..., Any]:
    class Told(kind):  # type: ignore[misc, valid-type]  # a class that is a parameter
        def _put(self, item: Any) -> None:
            sends(item)
            super()._put(item)

        def _get(self) -> Any:
            item = super()._get()
            gets(item)
            return item

    return lambda: _in_threads(Told(3))


def _in_threads(items: Any) -> None:
    simple = isinstance(items, queue.SimpleQueue)

    def put(name: str) -> None:
        for at in range(3):
            items.put((5 - at, name))
            if simple:
                sends((5 - at, name))

    def get() -> None:
        for _ in range(3):
            item = items.get()
            if simple:
                gets(item)

    every = [threading.Thread(target=put, args=("a",)), threading.Thread(target=get)]
    every += [threading.Thread(target=put, args=("b",)), threading.Thread(target=get)]
    for thread in every:
        thread.start()
    for thread in every:
        thread.join()


PROGRAMS = {
    "rendezvous": channel(0),
    "buffered": channel(2),
    "asyncio.Queue": tasks(asyncio.Queue, 1),
    "asyncio.LifoQueue": tasks(asyncio.LifoQueue, 3),
    "asyncio.PriorityQueue": tasks(asyncio.PriorityQueue, 3),
    "queue.Queue": threads(queue.Queue),
    "queue.LifoQueue": threads(queue.LifoQueue),
    "queue.PriorityQueue": threads(queue.PriorityQueue),
    "queue.SimpleQueue": lambda: _in_threads(queue.SimpleQueue()),
}


def messages_of(recording: Recording) -> list[tuple[int, int, int]]:
    """From which step to which step, and to the step of which task."""
    causes = Causes[int]()
    found = []
    for step in recording.iter_steps():
        reached = causes.take(step, always(step.index))
        found += [(one.origin, step.index, step.task) for one in reached.causes if one.kind == "message"]
    return found


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_message_leads_from_the_step_that_sent_it_to_one_of_the_task_that_got_it(name: str) -> None:
    for seed in range(4):
        SENT.clear()
        GOT.clear()
        run = detrun.record(PROGRAMS[name], seed=seed, strategy="random")
        found = messages_of(run.recording)
        assert len(found) == len(GOT) > 3
        for message, (step, task) in sorted(GOT.items(), key=lambda item: item[1]):
            # `receive` has the message before its schedule point, and returns it after that.
            fitting = [one for one in found if one[0] == SENT[message] and one[1] <= step and one[2] == task]
            assert fitting, (name, seed, message)
            found.remove(min(fitting))
        assert detrun.replay(PROGRAMS[name], recording=run.recording).digest == run.digest


def test_both_readers_say_which_message_is_received(tmp_path: Path) -> None:
    path = tmp_path / "a.detrun"
    detrun.record(PROGRAMS["queue.PriorityQueue"], seed=0, strategy="random", to=path)
    ours = [
        (event.number, event.label, *([event.place] if event.place else []))
        for step in open_recording(path).iter_steps()
        for event in step.events
        if event.kind == "receive"
    ]
    assert any(len(one) == 3 for one in ours)
    other = [event for step in independent_reader.read(path.read_bytes())["steps"] for event in step["events"]]
    assert [event[1:] for event in other if event[0] == "receive"] == ours


def test_a_queue_whose_content_is_changed_from_outside_is_left_alone() -> None:
    async def main() -> None:
        items: asyncio.Queue[int] = asyncio.Queue()
        for at in range(3):
            items.put_nowait(at)
        items._queue.clear()  # type: ignore[attr-defined]  # as programs do that know no better
        items.put_nowait(7)
        assert items.get_nowait() == 7

    run = detrun.record(main)
    kinds = [event.kind for step in run.recording.iter_steps() for event in step.events]
    assert (kinds.count("send"), kinds.count("receive")) == (3, 0)
    assert detrun.replay(main, recording=run.recording).digest == run.digest


def test_what_was_in_a_queue_before_the_run_has_no_record() -> None:
    items: queue.Queue[int] = queue.Queue()
    items.put(1)

    def main() -> tuple[int, int]:
        items.put(2)
        return items.get(), items.get()

    run = detrun.record(main)
    assert run.result == (1, 2)
    (message,) = messages_of(run.recording)
    receives = [step.index for step in run.recording.iter_steps() if any(one.kind == "receive" for one in step.events)]
    assert receives == [message[1]]


@pytest.mark.parametrize("name", ["rendezvous", "asyncio.Queue", "queue.Queue"])
def test_a_recording_from_before_messages_of_queues_is_replayed_without_them(name: str) -> None:
    old = NewRun(seed=1, strategy="random").execute(PROGRAMS[name], (), Options(thread_rules=4))
    assert not messages_of(old.recording)
    assert detrun.replay(PROGRAMS[name], recording=old.recording).digest == old.digest
