"""Of a power loss it is told what it took that decides, and what it left that relied on that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun import world as w
from detrun.explore.failures.explain import explain
from detrun.explore.failures.explanation import Explanation
from detrun.world.disk.disk import Disk
from tests.explore.failures.test_decisive_faults import line_with, tried


async def keeper(syncs: bool) -> None:
    """Moves its log to a snapshot, and cuts the log; a right one has synced the snapshot by then."""
    disk = detrun.this_node().disk
    if await disk.exists("log"):
        found = await disk.path("log").read_text() or await disk.path("snapshot").read_text()  # looked for
        assert found == "promised"
        return
    log = await disk.open_file("log", "w")
    await log.write("promised")
    await log.fsync()
    await disk.fsync_directory("/")
    snapshot = await disk.open_file("snapshot", "w")
    await snapshot.write("promised")
    await trio.sleep(0.1)
    await snapshot.flush()  # not synced
    await (snapshot.fsync() if syncs else trio.sleep(0))
    await disk.fsync_directory("/")
    await trio.sleep(0.1)
    await log.truncate(0)  # cut
    await trio.sleep(0.3)
    await snapshot.fsync()


async def creator(syncs: bool) -> None:
    """Syncs what a file holds; a right one syncs its entry, too."""
    disk = detrun.this_node().disk
    if await disk.exists("begun"):
        assert await disk.exists("file")  # missed
        return
    async with await disk.open_file("begun", "w"):
        await disk.fsync_directory("/")
    await trio.sleep(0.1)
    file = await disk.open_file("file", "w")  # made
    await file.write("promised")
    await file.fsync()
    await (disk.fsync_directory("/") if syncs else trio.sleep(0))
    await trio.sleep(0.4)
    await disk.fsync_directory("/")


async def power_goes(program: Callable[[bool], Any], syncs: bool = False) -> None:
    """At 0.4 s, while the program waits, and then it is started again."""
    async with detrun.World() as world:
        world.node("machine").start(program, syncs)
        async with w.inject(w.FaultPlan((w.PowerLoss(node="machine", at=0.4, down_seconds=0.1),)), world):
            await trio.sleep(1)


def explained(program: Callable[[bool], Any]) -> Explanation:
    runner, failing = tried(power_goes, program)
    assert failing.error is not None
    assert tried(power_goes, program, True)[1].error is None
    return explain(runner, failing)


def line_of(explanation: Explanation, label: str) -> int | None:
    line = explanation.places[explanation.labels.index(label)].line
    return None if line is None else line.number


def test_what_was_not_synced_is_named_and_what_was_done_as_if_it_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data of the snapshot is lost, and the cut of the log survives."""
    monkeypatch.setattr(Disk, "_drawn", lambda disk: list(disk.file_system.state.pending)[-1:])
    explanation = explained(keeper)
    assert explanation.verified, explanation.text
    assert line_of(explanation, "lost is what was done in") == line_with(keeper, "not synced")
    assert line_of(explanation, "and what came later in") == line_with(keeper, "cut")
    assert "and so it does had what came later been lost as well." in explanation.text


def test_an_entry_that_was_not_synced_is_named_where_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Disk, "_drawn", lambda disk: [])
    explanation = explained(creator)
    assert explanation.verified, explanation.text
    assert line_of(explanation, "lost is what was done in") == line_with(creator, "made")
    assert "and what came later in" not in explanation.labels
    assert "Had what was lost there been on the disk, the run passes." in explanation.text


@given(
    st.integers(0, 2**64 - 1),
    st.sets(st.integers(1, 12)),
    st.sets(st.integers(1, 12)),
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4),
)
def test_corrected_survivors_are_a_state_that_a_power_loss_may_leave(
    bits: int, kept: set[int], lost: set[int], names: list[str]
) -> None:
    """What is lost is not there, what is kept is unless it needs that, and the disk takes the state."""

    async def main() -> None:
        disk = Disk("disk")
        for name in names:
            async with await disk.open_file(name, "w") as file:
                await file.write("content" * 200)
        state = disk.file_system.state
        drawn = state.random_survivors(bits)
        found = state.corrected(drawn, kept, lost)
        assert not lost & set(found)
        wanted = set(state.closure([*drawn, *kept]))
        assert set(found) == {one for one in wanted if not lost & set(state.closure([one]))}
        state.power_loss(found)

    trio.run(main)
