"""Failures that turn on when a fault happens are explained by it, with the two places between which it came."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun import world as w
from detrun.checkers.noted import About
from detrun.checkers.transactions import Place, noted_place
from detrun.execution.options import Options
from detrun.explore.campaign.program import Program
from detrun.explore.failures.explain import explain
from detrun.explore.failures.explanation import Explanation
from detrun.explore.failures.fault_moments import boundary_before
from detrun.explore.failures.functions import function_at
from detrun.explore.failures.trials import Trial, TrialRunner


def tried(program: Callable[..., Any], *args: object) -> tuple[TrialRunner, Trial]:
    """The run of a program without a turn."""
    runner = TrialRunner(Program(program, args, Options()), 0)
    return runner, runner.try_turns([])


def line_with(function: Callable[..., Any], mark: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return next(first + at for at, line in enumerate(lines) if f"# {mark}" in line)


def assert_true(explanation: Explanation, runner: TrialRunner, failing: Trial) -> None:
    """The run as explained fails, the run with the fault moved passes."""
    assert explanation.verified, explanation.text
    assert explanation.pair is not None, explanation.text
    assert runner.try_turns(failing.turns).error is not None
    assert len(explanation.passing_spans) == 3  # without it, ahead of the first place, behind the second
    for spans in explanation.passing_spans:
        assert TrialRunner(runner.program, runner.seed, spans).try_turns(failing.turns).error is None, spans


async def store() -> None:
    """Acknowledges before it syncs."""
    node = detrun.this_node()
    path = node.disk.path("value")
    value = await path.read_text() if await path.exists() else ""
    file = await node.disk.open_file("value", "a")
    await node.disk.fsync_directory("/")
    while True:
        envelope = await node.receive_envelope()
        if envelope.message == "read":
            node.send(envelope.sender, value)  # answered
            continue
        value = envelope.message
        await file.write(value)
        await file.flush()
        await trio.sleep(0.05)
        node.send(envelope.sender, "acknowledged")
        await trio.sleep(0.3)
        await file.fsync()  # synced


async def acknowledged_before_fsync(at: float, struck: str, looks_later: bool = False) -> None:
    async with detrun.World(latency=0.01) as world:
        world.node("store").start(store)
        world.role("late", lambda node: trio.current_time() >= 0.3)
        plan = w.FaultPlan((w.PowerLoss(node=struck, at=at, down_seconds=0.1),))
        async with w.inject(plan, world, allow_no_effect=True):
            await trio.sleep(0.2)
            world.driver.send("store", "written")
            with trio.move_on_after(0.5) as lost:
                await world.driver.receive()
            await trio.sleep(1)
            world.driver.send("store", "read")
            with trio.move_on_after(1):
                found = await world.driver.receive()
                if looks_later:
                    await trio.lowlevel.checkpoint()
                assert lost.cancelled_caught or found == "written"  # shows


@pytest.mark.parametrize("struck", ["store", "@late"])
def test_power_lost_between_an_acknowledgement_and_the_fsync(struck: str) -> None:
    """A fault on a role is moved to times when the node did not have it yet."""
    runner, failing = tried(acknowledged_before_fsync, 0.35, struck)
    assert failing.error is not None
    explanation = explain(runner, failing)
    assert "What matters is the moment of a fault: store loses power" in explanation.text
    assert "(store, 0." in explanation.text
    assert_true(explanation, runner, failing)
    assert explanation.pair is not None
    synced = explanation.pair[1].line
    assert synced is not None
    assert synced.number in (line_with(store, "synced"), line_with(store, "synced") - 1)
    shows = explanation.places[-1].line
    assert shows is not None
    assert shows.number == line_with(acknowledged_before_fsync, "shows")
    assert re.search(rf"and shows in +{acknowledged_before_fsync.__name__} at ", explanation.text)
    answers = explanation.places[explanation.labels.index("by what was sent in")].line
    assert answers is not None
    assert answers.number == line_with(store, "answered")


def test_who_sent_what_a_step_goes_on_with_is_named_also_where_that_came_in_a_step_before_of_its_instant() -> None:
    runner, failing = tried(acknowledged_before_fsync, 0.35, "store", True)
    explanation = explain(runner, failing)
    answers = explanation.places[explanation.labels.index("by what was sent in")].line
    assert answers is not None
    assert answers.number == line_with(store, "answered")


async def half_a_page() -> None:
    """Writes in place, and takes what it finds: two sectors, of which a power loss may leave one."""
    disk = detrun.this_node().disk
    is_there = await disk.exists("page")
    file = await disk.open_file("page", "rb+" if is_there else "wb+", buffering=0)
    page = await file.pread(1024, 0)  # read
    detrun.always(page[:1] == page[-1:], "whole pages")
    await disk.fsync_directory("/")
    for version in (b"1", b"2"):
        await trio.sleep(0.1)
        await file.pwrite(1024 * version, 0)  # written
        await trio.sleep(0.1)
        await file.fsync()  # synced


async def torn() -> None:
    async with detrun.World() as world:
        world.node("store").start(half_a_page)
        plan = w.FaultPlan((w.PowerLoss(node="store", at=0.35, down_seconds=0.1),))
        async with w.inject(plan, world, allow_no_effect=True):
            await trio.sleep(1)


@pytest.mark.one_python
def test_of_a_torn_page_the_write_and_the_sync_are_the_places_and_it_is_said_what_was_lost_and_who_reads_it() -> None:
    program = Program(torn, (), Options())
    runners = (TrialRunner(program, seed) for seed in range(20))
    runner, failing = next((one, trial) for one in runners if (trial := one.try_turns([])).error is not None)
    explanation = explain(runner, failing)
    assert explanation.labels == ("after", "before", "lost is what was done in", "read in", "and shows in")
    numbers = [0 if one.line is None else one.line.number for one in explanation.places]
    written, synced = line_with(half_a_page, "written"), line_with(half_a_page, "synced")
    assert numbers[:4] == [written, synced, written, line_with(half_a_page, "read")]
    assert_true(explanation, runner, failing)


class Ledger:
    """Says that a payment is booked, and has it in memory only."""

    booked: Place | None = None

    async def book(self) -> None:
        self.paid = 1

    async def checked(self) -> None:
        await self.book()
        self.booked = noted_place()


async def forgets(ledger: Ledger) -> None:
    ledger.paid = 0
    await trio.sleep(0.1)
    await ledger.checked()
    await trio.sleep(1)
    ledger.paid = 0


async def memory_only() -> None:
    ledger = Ledger()
    async with detrun.World() as world:
        world.node("store").start(forgets, ledger)
        plan = w.FaultPlan((w.Crash(node="store", at=0.5, down_seconds=0.1),))
        async with w.inject(plan, world, allow_no_effect=True):
            await trio.sleep(0.65)
    operations = (("promised", ledger.booked),) if ledger.booked is not None else ()
    detrun.always(About(ledger.paid == 1 or not operations, operations), "what is booked stays")


@pytest.mark.one_python
def test_a_check_says_which_operation_it_is_about() -> None:
    runner, failing = tried(memory_only)
    assert failing.error is not None
    explanation = explain(runner, failing)
    assert "promised" in explanation.labels, explanation.text
    promised = explanation.places[explanation.labels.index("promised")].line
    assert promised is not None
    assert function_at(promised.file, promised.number) == "Ledger.checked"


async def account() -> None:
    node = detrun.this_node()
    sums = {"debit": 0, "credit": 0}
    while True:
        kind = await node.receive()
        if kind == "sums":
            node.send("driver", dict(sums))
        else:
            sums[kind] += 1


async def bank(gap: float) -> None:
    node = detrun.this_node()
    await trio.sleep(gap)
    node.send("account", "debit")
    await trio.sleep(gap)
    node.send("account", "credit")


async def transfer(gap: float, at: float) -> None:
    async with detrun.World(latency=0.001) as world:
        world.node("account").start(account)
        world.node("bank").start(bank, gap)
        plan = w.FaultPlan((w.Partition(groups=(("bank",), ("account",)), at=at, lasts_seconds=3 * gap),))
        async with w.inject(plan, world, allow_no_effect=True):
            await trio.sleep(5 * gap)
        world.driver.send("account", "sums")
        sums = await world.driver.receive()
        assert sums["debit"] == sums["credit"], sums


@settings(max_examples=6, deadline=None)
@given(gap=st.floats(0.1, 1.0), share=st.floats(0.05, 0.95))
def test_a_partition_between_two_sends(gap: float, share: float) -> None:
    runner, failing = tried(transfer, gap, gap + 0.002 + share * (gap - 0.004))
    assert failing.error is not None
    explanation = explain(runner, failing)
    assert_true(explanation, runner, failing)


class Lock:
    """Given to the first who asks; counts who did."""

    def __init__(self) -> None:
        self.asked = 0
        self.holder = ""

    def ask(self, name: str) -> bool:
        self.asked += 1
        if self.holder:  # looked up
            return False
        self.holder = name  # given
        return True


async def lock_server() -> None:
    node, lock = detrun.this_node(), Lock()
    while True:
        name = await node.receive()
        node.send("driver", lock.ask(name))


async def lock_forgotten() -> None:
    async with detrun.World(latency=0.01) as world:
        world.node("server").start(lock_server)
        async with w.inject(w.FaultPlan((w.Crash(node="server", at=0.8, down_seconds=0.05),)), world):
            answers = []
            for name in ("one", "other"):
                await trio.sleep(0.5)
                world.driver.send("server", name)
                answers.append(await world.driver.receive())
            await trio.sleep(1)
        assert not all(answers)


def test_what_is_counted_is_not_what_decides() -> None:
    runner, failing = tried(lock_forgotten)
    explanation = explain(runner, failing)
    assert_true(explanation, runner, failing)
    assert explanation.pair is not None
    lines = [operation.line.number for operation in explanation.pair if operation.line is not None]
    assert lines == [line_with(Lock.ask, "given"), line_with(Lock.ask, "looked up")]


async def any_moment(at: float) -> None:
    async with detrun.World() as world:
        world.node("a").start(trio.sleep_forever)
        async with w.inject(w.FaultPlan((w.Crash(node="a", at=at, down_seconds=0.1),)), world):
            await trio.sleep(1)
        assert "crash" not in world.faults


def test_a_fault_without_a_decisive_moment_explains_nothing() -> None:
    runner, failing = tried(any_moment, 0.5)
    assert failing.error is not None
    assert "the moment of a fault" not in explain(runner, failing).text


async def last_write_wins() -> None:
    """A register that takes what comes last for what was written last."""
    node, value = detrun.this_node(), 0
    for _ in range(2):
        value = await node.receive()
    detrun.always(value == 2, "the last write stays")


async def a_link_is_slow_for_a_while() -> None:
    async with detrun.World(latency=0.01) as world:
        world.node("register").start(last_write_wins)
        writer = world.node("writer")
        writer.start(trio.sleep_forever)
        slow = w.LinkLatency(source="writer", at=0.05, lasts_seconds=0.1, seconds=0.5)
        async with w.inject(w.FaultPlan((slow,)), world):
            await trio.sleep(0.1)
            writer.send("register", 1)
            await trio.sleep(0.2)
            writer.send("register", 2)
            await world.node("register").ended()


def test_a_slow_link_is_told_by_the_messages_that_it_delayed() -> None:
    """The moment of the fault decides as well, and says nothing of where the program relies on an order."""
    runner, failing = tried(a_link_is_slow_for_a_while)
    explanation = explain(runner, failing)
    assert explanation.verified, explanation.text
    assert "What matters is the order of" in explanation.text
    assert "took 0.5 s" in explanation.text, explanation.text


def test_an_end_that_is_moved_forth_stays_behind_the_beginning() -> None:
    """Ahead of the first instant of a span there is time back to its beginning, and none before."""
    steps = [SimpleNamespace(index=at, time=1.0 + at, lines=("a line",), node="") for at in range(3)]
    narration: Any = SimpleNamespace(steps=steps)
    tried: list[float] = []

    def fails(moment: float) -> Any:
        tried.append(moment)
        return SimpleNamespace(error=ValueError())

    assert boundary_before(narration, 5.0, fails, earliest=0.9) is None
    assert tried == [2.5, 1.5, 0.95]
