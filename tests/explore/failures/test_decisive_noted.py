"""A check that names two operations of one task, an event loop, is explained by what was handed to it too late."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

import detrun
from detrun.checkers.noted import About
from detrun.checkers.transactions import Place, noted_place
from detrun.execution.options import Options
from detrun.explore.campaign.program import Program
from detrun.explore.failures.explain import explain
from detrun.explore.failures.explanation import Explanation
from detrun.explore.failures.trials import TrialRunner
from tests.explore.failures.test_decisive_actions import line_with


class Picture:
    """What an event loop removes and shows; each is noted."""

    removed: Place | None = None
    shown: Place | None = None


def remove(picture: Picture) -> None:
    picture.removed = noted_place()  # removed


def show(picture: Picture) -> None:
    picture.shown = noted_place()  # shown
    named = (("removes", picture.removed), ("shows", picture.shown))
    about = tuple((label, place) for label, place in named if place is not None)
    detrun.always(About(picture.removed is None, about), "what is removed is not shown")


async def page(removed_after: float) -> None:
    picture, queue, news = Picture(), deque[Callable[[Picture], None]](), trio.Event()

    async def hand_in(seconds: float, step: Callable[[Picture], None]) -> None:
        await trio.sleep(seconds)
        queue.append(step)
        news.set()

    async def loop() -> None:
        nonlocal news
        left = 2
        while left:
            await news.wait()
            news = trio.Event()
            while queue:
                left -= 1
                await trio.sleep(0.001)  # it takes its time
                queue.popleft()(picture)

    async with trio.open_nursery() as tasks:
        tasks.start_soon(loop)
        tasks.start_soon(hand_in, removed_after, remove)
        tasks.start_soon(hand_in, 0.2, show)


async def removed_before() -> None:
    await page(0.1)


def explained() -> Explanation:
    runner = TrialRunner(Program(removed_before, (), Options()), 0)
    failing = runner.try_turns([])
    assert failing.error is not None
    return explain(runner, failing)


def test_both_operations_are_named_and_the_sleep_that_led_to_one_is_moved_past_the_other() -> None:
    explanation = explained()
    assert explanation.verified
    assert explanation.labels == ("removes", "shows"), explanation.text
    numbers = [0 if one.line is None else one.line.number for one in explanation.places]
    assert numbers == [line_with(remove, "removed"), line_with(show, "shown")]
    assert "took 0.1 s." in explanation.text
    assert "it passes" in explanation.text


def test_what_is_said_is_true() -> None:
    """With the time that the explanation gives, the program passes."""
    instead = float(explained().text.partition("Had it taken ")[2].partition(" s")[0])
    detrun.record(page, instead)


async def worker(picture: Picture, work: trio.MemoryReceiveChannel[Callable[[Picture], None]]) -> None:
    (await work.receive())(picture)


async def two_workers() -> None:
    picture = Picture()

    async def hand_in(
        seconds: float, to: trio.MemorySendChannel[Callable[[Picture], None]], step: Callable[[Picture], None]
    ) -> None:
        await trio.sleep(seconds)
        await to.send(step)

    async with trio.open_nursery() as tasks:
        for seconds, step in ((0.1, remove), (0.2, show)):
            send, receive = trio.open_memory_channel[Callable[[Picture], None]](1)
            tasks.start_soon(worker, picture, receive)
            tasks.start_soon(hand_in, seconds, send, step)


def test_operations_of_two_tasks_are_left_to_those_who_look_for_their_order() -> None:
    """What both touch says more than when each came."""
    runner = TrialRunner(Program(two_workers, (), Options()), 0)
    failing = runner.try_turns([])
    assert failing.error is not None
    explanation = explain(runner, failing)
    assert explanation.verified
    assert explanation.labels[:2] == ("first", "then"), explanation.text


async def at_once() -> None:
    """Two tasks, between which the scheduler decides, and a look at more than what was noted."""
    picture, turns = Picture(), 0

    async def taking_turns(step: Callable[[Picture], None]) -> None:
        nonlocal turns
        turns += 1
        await trio.lowlevel.checkpoint()
        step(picture)

    async with trio.open_nursery() as tasks:
        tasks.start_soon(taking_turns, remove)
        tasks.start_soon(taking_turns, show)


def test_operations_of_two_tasks_at_one_time_are_named_as_the_check_names_them() -> None:
    """One task is put off; what both count besides is not what matters."""
    runner = TrialRunner(Program(at_once, (), Options()), 0)
    failing = runner.try_turns([])
    assert failing.error is not None
    explanation = explain(runner, failing)
    assert explanation.verified
    assert explanation.labels == ("removes", "shows"), explanation.text
    numbers = [0 if one.line is None else one.line.number for one in explanation.places]
    assert numbers == [line_with(remove, "removed"), line_with(show, "shown")]
    assert "put off" in explanation.text
