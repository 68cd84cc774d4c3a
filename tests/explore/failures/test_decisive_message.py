"""Failures that one message makes are explained by it: where it was sent and handled, and what it led to."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import trio

import detrun
from detrun.checkers.linearizability import linearizable
from detrun.checkers.models import Counter, Register
from detrun.checkers.noted import About
from detrun.checkers.transactions import Place, noted_place
from detrun.execution.options import Options
from detrun.execution.schedules import unpacked
from detrun.explore.campaign.program import Program
from detrun.explore.failures.decisive_message import decisive_message
from detrun.explore.failures.explanation import Explanation
from detrun.explore.failures.listing import code_of
from detrun.explore.failures.narration import narrate
from detrun.explore.failures.reversal import Reversals
from detrun.explore.failures.trials import TrialRunner
from detrun.world import World


def explained(program: Callable[[], Awaitable[None]]) -> Explanation:
    failure = detrun.explore(program, schedules=1, early_timers=0, directory=None).failure
    assert failure is not None
    assert failure.explanation is not None
    return failure.explanation


def looked_for(program: Callable[[], Awaitable[None]]) -> Explanation | None:
    """What this strategy alone finds."""
    runner = TrialRunner(Program(program, (), Options()), 0)
    failing = runner.try_turns([])
    assert failing.error is not None
    narration = narrate(runner.program, runner.seed, unpacked(failing.schedule))
    if narration.open_step is not None:
        narration.steps.append(narration.open_step)
    return decisive_message(Reversals(runner, failing, 240, 20.0), narration)


def code_at(explanation: Explanation) -> list[str]:
    """What the named places say."""
    return [code_of(one.line) for one in explanation.places if one.line is not None]


async def asked_again(history: detrun.History, node: str, *request: object) -> object:
    """A client's call, which is repeated when no answer comes."""
    number = len(history)
    while True:
        detrun.this_node().send(node, (detrun.this_node().name, number, *request))  # sent
        with trio.move_on_after(0.1):
            while True:
                answered, answer = await detrun.this_node().receive()
                if answered == number:
                    return answer


async def counts_twice() -> None:
    """The answer is late, the client asks again, and what it asks for is done twice."""
    history = detrun.History()

    class Store:
        value = 0

        async def live(self) -> None:
            node = detrun.this_node()
            while True:
                client, number, amount = await node.receive()
                await trio.sleep(0.08 if amount else 0.01)  # handled
                self.count(amount)
                node.send(client, (number, self.value))

        def count(self, amount: int) -> None:
            self.value += amount  # led to

    async def use() -> None:
        with history.call("add", 5):
            await asked_again(history, "store", 5)
        await trio.sleep(0.5)
        with history.call("read") as call:
            call.result(await asked_again(history, "store", 0))

    async with World(latency=0.02) as world:
        world.node("store").start(Store().live)
        client = world.node("client")
        client.start(use)
        await client.ended()
    linearizable(Counter(), history).raise_on_failure()


def test_a_repeated_request_is_named_with_what_it_led_to() -> None:
    explanation = looked_for(counts_twice)
    assert explanation is not None
    sent, handled, led_to = code_at(explanation)
    assert sent.endswith("# sent")
    assert handled.endswith("# handled")
    assert led_to.endswith("# led to")
    assert "without it, with draws and choices as they were, it passes" in explanation.text


async def reads_a_copy() -> None:
    """One client asks a copy that is behind, and its next attempt would go to the store."""
    history = detrun.History()

    class Store:
        def __init__(self, value: int) -> None:
            self.value = value

        async def live(self) -> None:
            node = detrun.this_node()
            while True:
                client, number, *written = await node.receive()
                if written:
                    self.value = written[0]
                node.send(client, (number, self.answer()))

        def answer(self) -> int:
            return self.value

    async def use() -> None:
        with history.call("write", 1):
            await asked_again(history, "store", 1)
        with history.call("read") as call:
            node = detrun.this_node()
            for name in ("copy", "store"):
                node.send(name, (node.name, 7))  # read
                with trio.move_on_after(0.1):
                    call.result((await node.receive())[1])
                    return

    async with World(latency=0.02) as world:
        world.node("store").start(Store(0).live)
        world.node("copy").start(Store(0).live)
        client = world.node("client")
        client.start(use)
        await client.ended()
    linearizable(Register(0), history).raise_on_failure()


def test_the_request_that_was_answered_by_the_wrong_one_is_named() -> None:
    explanation = explained(reads_a_copy)
    assert explanation.verified, str(explanation)
    assert "a message came, client->copy" in explanation.text
    sent, *_, answered = code_at(explanation)
    assert sent.endswith("# read")
    assert answered == "node.send(client, (number, self.answer()))"


async def goes_back() -> None:
    """Every schedule fails, and again if the message is lost that it failed by."""

    class Log:
        last = 0

        async def live(self) -> None:
            while True:
                self.take(await detrun.this_node().receive())

        def take(self, number: int) -> None:
            detrun.always(number >= self.last, "numbers rise")  # handled
            self.last = number

    async def write() -> None:
        for number in (1, 2, 1, 3, 2):
            await trio.sleep(0.1)
            detrun.this_node().send("log", number)  # sent

    async with World(latency=0.01) as world:
        world.node("log").start(Log().live)
        writer = world.node("writer")
        writer.start(write)
        await writer.ended()
        await trio.sleep(1.0)


def test_where_every_run_fails_it_is_enough_that_one_goes_on_past_the_failure() -> None:
    explanation = explained(goes_back)
    assert explanation.verified, str(explanation)
    sent, handled = code_at(explanation)
    assert sent.endswith("# sent")
    assert handled.endswith("# handled")
    found = re.search(r"it goes on past this point, and fails in the same way at ([\d.]+) s\.", explanation.text)
    assert found is not None, str(explanation)
    assert float(found[1]) == 0.51


async def is_waited_for() -> None:
    """The message is what the program is about: without it, its sender has no answer."""

    async def serve() -> None:
        await detrun.this_node().receive()
        detrun.always(False, "never asked")

    async def ask() -> None:
        detrun.this_node().send("server", "question")
        with trio.fail_after(1.0):
            await detrun.this_node().receive()

    async with World(latency=0.01) as world:
        world.node("server").start(serve)
        client = world.node("client")
        client.start(ask)
        await client.ended()


def test_a_message_without_which_a_run_fails_otherwise_explains_nothing() -> None:
    assert looked_for(is_waited_for) is None


async def says_what_it_is_about() -> None:
    """A number that comes too often, with a check that has noted where it came first."""
    seen: dict[int, Place | None] = {}

    async def live() -> None:
        node = detrun.this_node()
        while True:
            number = await node.receive()
            first = seen.get(number)
            operations = () if first is None else (("came first in", first),)
            detrun.always(About(number not in seen, operations), "a number comes once")
            seen[number] = noted_place()  # noted

    async def use() -> None:
        await trio.sleep(0.1)
        detrun.this_node().send("store", 1)
        await trio.sleep(0.1)
        detrun.this_node().send("store", 1)  # again

    async with World(latency=0.02) as world:
        world.node("store").start(live)
        client = world.node("client")
        client.start(use)
        await trio.sleep(1.0)


def test_what_a_check_is_about_is_named_beside_the_message() -> None:
    explanation = looked_for(says_what_it_is_about)
    assert explanation is not None
    noted = code_at(explanation)[explanation.labels.index("came first in")]
    assert noted.endswith("# noted")
    assert "came first in" in explanation.text
