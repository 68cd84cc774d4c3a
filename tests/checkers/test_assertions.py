"""Assertions of a campaign: violations fail, unmet ones are reported, and workers do not change the tally."""

from __future__ import annotations

import contextlib
import random
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import trio

import detrun
from detrun.checkers.assertion_catalogue import assertions_of
from detrun.checkers.assertions import (
    AssertionViolatedError,
    Tally,
    UnmetAssertionError,
    always,
    reachable,
    sometimes,
    tallying,
    unreachable,
)


async def two_increments() -> None:
    """Loses an update in some schedules."""
    counter = detrun.Shared(0)

    async def increment() -> None:
        seen = counter.value
        await trio.lowlevel.checkpoint()
        counter.value = seen + 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(increment)
        nursery.start_soon(increment)
    sometimes(counter.value == 1, "an update is lost")
    sometimes(counter.value == 2, "no update is lost")
    sometimes(counter.value == 3, "an update is made up")
    always(counter.value > 0, "something was counted")
    if counter.value == 1:
        reachable("the branch after a lost update")
    if counter.value > 2:
        never_called()


def never_called() -> None:
    reachable("too many updates")


def test_what_happened_and_what_did_not_is_in_the_result() -> None:
    exploration = detrun.explore(two_increments, schedules=60, strategy="random", directory=None)
    assert exploration.verdict == "passed"
    assertions = exploration.assertions
    assert [str(one) for one in assertions.unmet] == [
        "reachable 'too many updates' never happened",
        "sometimes 'an update is made up' never happened: it was false all 60 times",
    ]
    for one in assertions.unmet:
        assert str(one) in str(exploration)
    lost, kept = assertions["an update is lost"], assertions["no update is lost"]
    assert lost.held + kept.held == lost.looked_at == 60
    assert lost.schedules == lost.held > 0
    assert lost.first is not None
    assert kept.first is not None
    assert min(lost.first, kept.first) == 0
    assert assertions["something was counted"].held == 60
    assert assertions["the branch after a lost update"].schedules == lost.schedules
    with pytest.raises(UnmetAssertionError, match="an update is made up") as raised:
        assertions.raise_if_unmet()
    assert raised.value.names == ["too many updates", "an update is made up"]


def test_a_campaign_in_which_everything_happened_reports_nothing() -> None:
    async def main() -> None:
        sometimes(True, "it runs")
        reachable("main")

    exploration = detrun.explore(main, schedules=3, directory=None)
    exploration.assertions.raise_if_unmet()
    assert "never happened" not in str(exploration)


def test_the_tally_does_not_depend_on_the_number_of_workers() -> None:
    def tallied(**where: object) -> list[object]:
        exploration = detrun.explore(two_increments, schedules=100, seed=5, directory=None, **where)  # type: ignore[arg-type]
        return list(exploration.assertions)

    alone = tallied()
    assert alone == tallied(workers=2)
    assert alone == tallied(workers=3)


async def swallows_everything() -> None:
    order: list[int] = []

    async def worker(number: int) -> None:
        await trio.lowlevel.checkpoint()
        order.append(number)
        with contextlib.suppress(Exception):
            always(order != [1], "the first comes first")
        await trio.lowlevel.checkpoint()
        order.append(9)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker, 0)
        nursery.start_soon(worker, 1)


def test_a_violation_fails_the_schedule_even_if_the_program_catches_it() -> None:
    exploration = detrun.explore(swallows_everything, schedules=100, directory=None)
    assert exploration.failed
    assert exploration.failure is not None
    error = exploration.failure.exception
    assert isinstance(error, AssertionViolatedError)
    assert str(error) == "always 'the first comes first' was false"
    assert exploration.assertions["the first comes first"].is_violated
    with pytest.raises(AssertionViolatedError):
        detrun.replay(swallows_everything, recording=exploration.failure.recording)


def test_reaching_the_unreachable_fails_the_schedule() -> None:
    async def main() -> None:
        if detrun.uniform(0, 1) < 0.3:
            unreachable("a rare branch")

    exploration = detrun.explore(main, schedules=100, strategy="random", directory=None)
    assert exploration.failure is not None
    assert str(exploration.failure.exception) == "unreachable 'a rare branch' was reached"
    assert exploration.assertions["a rare branch"].schedules == 1


def test_an_unreachable_that_was_not_reached_is_known_and_well() -> None:
    async def main() -> None:
        if detrun.uniform(0, 1) > 1:
            unreachable("outside of the interval")

    exploration = detrun.explore(main, schedules=5, directory=None)
    entry = exploration.assertions["outside of the interval"]
    assert not entry.is_unmet
    assert not entry.is_violated


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_violations_in_threads_fail_the_run() -> None:
    import threading

    async def main() -> None:
        def body() -> None:
            always(False, "in a thread")

        thread = threading.Thread(target=body)
        thread.start()
        await trio.to_thread.run_sync(thread.join)

    run = detrun.record(main, raise_errors=False)
    assert isinstance(run.exception, AssertionViolatedError)
    with pytest.raises(AssertionViolatedError):
        detrun.replay(main, recording=run.recording)


def test_outside_of_campaigns_violations_raise_and_the_rest_counts_on_request() -> None:
    with pytest.raises(AssertionViolatedError, match="'outside' was false"):
        always(0, "outside")
    sometimes(False, "not counted")
    with tallying() as tally:
        detrun.record(two_increments, seed=1)
    assert tally["something was counted"].held == 1
    assert len(tally) == 4 + (tally["an update is lost"].held == 1)


def test_a_name_that_is_no_string_is_refused() -> None:
    with pytest.raises(detrun.UsageError, match="name=True must be a string"):
        sometimes("the name is first", True)  # type: ignore[arg-type]


def test_adding_up_pieces_is_counting_the_whole() -> None:
    source = random.Random(3)
    events = [
        (source.randrange(12), source.choice(["sometimes", "always"]), source.choice("abc"), source.random() < 0.4)
        for _ in range(300)
    ]
    events.sort(key=lambda event: event[0])

    def counted(schedules: range) -> Tally:
        tally = Tally()
        for schedule in schedules:
            tally.begin(schedule)
            for at, kind, name, held in events:
                if at == schedule:
                    tally.count(kind, name, held)
        return tally

    for cut in range(13):
        pieces = counted(range(cut))
        pieces.include(counted(range(cut, 12)))
        assert list(pieces) == list(counted(range(12)))
        assert list(Tally.unpack(pieces.pack())) == list(pieces)


# The catalogue.


class Base:
    def inherited(self) -> None:
        detrun.explore  # noqa: B018 (an attribute that is no assertion)
        reachable("in an inherited method")


class Service(Base):
    @property
    def state(self) -> int:
        reachable("in a property")
        return 1

    @staticmethod
    def static() -> None:
        sometimes(condition=True, name="by keyword")


def elsewhere(reachable: object) -> None:
    service = Service()
    assert service.state
    print(f"{reachable}")


def shadowing() -> None:
    def reachable(name: str) -> None:
        """Not ours."""

    reachable("not ours")


def computed(name: str) -> None:
    reachable(name)  # not known before it runs


def test_the_catalogue_follows_names_into_functions_classes_and_closures() -> None:
    said = "in a closure"

    def helper() -> None:
        unreachable("in a closure")

    async def main() -> None:
        assert said
        helper()
        elsewhere(1)
        computed("x")

    assert sorted(assertions_of(main)) == [
        ("reachable", "in a property"),
        ("reachable", "in an inherited method"),
        ("sometimes", "by keyword"),
        ("unreachable", "in a closure"),
    ]


def test_the_catalogue_leaves_out_other_functions_of_the_same_name() -> None:
    async def main() -> None:
        shadowing()

    found = assertions_of(main)
    assert ("reachable", "not ours") not in found


def test_an_executor_gives_the_same_tally() -> None:
    with ProcessPoolExecutor(2) as executor:
        there = detrun.explore(trio_program, schedules=40, executor=executor, directory=None)
    here = detrun.explore(trio_program, schedules=40, directory=None)
    assert list(there.assertions) == list(here.assertions)


async def trio_program() -> None:
    sometimes(detrun.uniform(0, 1) < 0.5, "a coin")


def test_a_campaign_that_is_resumed_knows_what_happened_before(tmp_path: Path) -> None:
    first = detrun.explore(trio_program, schedules=30, strategy="random", directory=tmp_path, resume=True)
    both = detrun.explore(trio_program, schedules=60, strategy="random", directory=tmp_path, resume=True)
    assert first.assertions["a coin"].looked_at == 30
    assert list(both.assertions) == list(
        detrun.explore(trio_program, schedules=60, strategy="random", directory=None).assertions
    )


def test_details_are_in_the_message_and_are_made_only_then() -> None:
    asked: list[int] = []
    detrun.always(True, "it holds", lambda: str(asked.append(1)))
    with pytest.raises(AssertionViolatedError, match=r"^always 'it holds' was false: 3 is left$"):
        detrun.always(False, "it holds", lambda: "3 is left")
    with pytest.raises(AssertionViolatedError, match=r"was false: none$"):
        detrun.always(False, "it holds", "none")
    assert asked == []
