"""Shrinking of faults: an exploration that fails under a plan ends with the few faults that the failure needs."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

import detrun
from detrun import world as w
from detrun.errors import UsageError
from detrun.explore.failures.failure import Failure
from detrun.world.faults.swarm import CLASSES
from detrun_recorder.token import to_token

FEW_CLASSES = dict.fromkeys(set(CLASSES) - {"power_loss", "pause", "latency", "clog"}, 0.0)


async def counter():
    """Counts in a file that it never syncs: wrong after a power loss, and after nothing else."""
    node = detrun.this_node()
    path = node.disk.path("count")
    number = int(await path.read_text() or 0) if await path.exists() else 0
    while True:
        envelope = await node.receive_envelope()
        number += 1
        await path.write_text(str(number))
        node.send(envelope.sender, number)


async def forgets_after_a_power_loss(plan):
    last = 0
    async with detrun.World(latency=0.005) as world:
        world.node("server").start(counter)
        world.node("bystander").start(counter)
        async with w.inject(plan, world, allow_no_effect=True):
            for _ in range(40):
                world.driver.send("server", "add")
                with trio.move_on_after(0.1):
                    number = await world.driver.receive()
                    assert number >= last, "the counter went back"
                    last = number
                await trio.sleep(0.05)


PLAN = w.FaultPlan(
    (
        w.Pause(node="bystander", at=0.3, lasts_seconds=0.1),
        w.LinkLatency(seconds=0.03, at=0.2, lasts_seconds=1.0),
        w.PowerLoss(node="server", at=1.0, down_seconds=0.4),
        w.Loss(rate=0.1, at=0.0, lasts_seconds=2.0),
        w.Crash(node="bystander", at=0.5, down_seconds=0.5),
        w.Clog(source="bystander", at=0.4, lasts_seconds=0.2),
    )
)


def explored(plan: object, directory: Path | None = None, explain: bool = False) -> detrun.Exploration:
    return detrun.explore(
        forgets_after_a_power_loss,
        plan,
        strategy="random",
        schedules=30,
        directory=directory,
        explain=explain,
        confirm=False,
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Failure, Path]:
    """The failure under the plan, and where it is kept."""
    directory = tmp_path_factory.mktemp("kept")
    failure = explored(PLAN, directory, explain=True).failure
    assert failure is not None
    return failure, directory


def test_a_failure_is_shrunk_to_the_fault_that_matters_and_its_recording_leaves_out_the_rest(found):
    failure, _ = found
    assert failure.shrunk is not None
    assert failure.shrunk.faults == ("power_loss[0]",)
    assert failure.shrunk.faults_before > 1
    assert 0 < failure.shrunk.fault_lengths["power_loss[0]"] < 1
    assert "it takes 1 fault: power_loss[0] for" in str(failure.shrunk)
    note = next(note for note in failure.exception.__notes__ if note.startswith("faults until then"))
    assert "power_loss[0] (down_seconds=" in note
    assert "on server, from 1 s on" in note
    assert ";" not in note  # no other fault had begun
    again = detrun.replay(
        forgets_after_a_power_loss, PLAN, recording=failure.recording, raise_errors=False, mode="strict"
    )
    assert str(again.exception) == str(failure.exception)
    assert again.digest == failure.recording.digest.hex()


def test_a_moment_of_the_shrunk_run_has_only_the_faults_that_are_left(found):
    failure, _ = found
    run = detrun.replay(forgets_after_a_power_loss, PLAN, recording=failure.recording, raise_errors=False)
    for seconds, state in ((0.35, "up"), (1.001, "off")):
        with run.at(virtual_time=seconds) as moment:
            nodes = {node.name: node.state for node in moment.nodes}
            assert nodes["bystander"] == "up"
            assert nodes["server"] == state


def test_without_its_fault_the_program_passes_and_a_swarm_is_shrunk_as_a_plan_is():
    others = w.FaultPlan(tuple(fault for fault in PLAN if fault.kind != "power_loss"))
    assert explored(others).verdict == "passed"
    swarm = w.Swarm(
        nodes=("server", "bystander"),
        seconds=4.0,
        faults=10,
        on_probability=1.0,
        weights=FEW_CLASSES,
    )
    shrunk = explored(swarm).failure.shrunk
    assert len(shrunk.faults) == 1
    assert shrunk.faults[0].startswith("power_loss[")
    assert shrunk.faults_before >= 2


def test_a_kept_failure_is_tried_again_without_the_faults_that_were_left_out(found):
    first, directory = found
    second = explored(PLAN, directory)
    assert second.failure is not None
    assert second.failure.index == -1
    assert second.failure.shrunk.faults_before == 1  # what was left out stays out
    assert second.failure.recording.digest == first.recording.digest


def test_a_token_has_no_place_for_faults_that_were_left_out(found):
    failure, _ = found
    assert failure.token is None
    with pytest.raises(UsageError, match="no place for the faults that were left out"):
        to_token(failure.recording)


async def buggy_branches():
    async with detrun.World():
        flags = [detrun.buggify(f"site {index}") for index in range(20)]
        assert not any(flags[3:5]), "the rare branch is wrong"


def test_buggify_sites_that_do_not_matter_are_left_out():
    failure = detrun.explore(buggy_branches, strategy="random", schedules=200, directory=None).failure
    assert failure.shrunk.faults in (("buggify site 3",), ("buggify site 4",))
    again = detrun.replay(buggy_branches, recording=failure.recording, raise_errors=False)
    assert isinstance(again.exception, AssertionError)


async def no_faults():
    async with detrun.World() as world:
        world.driver.send("driver", 1)
        await world.driver.receive()
        raise AssertionError("always")


def test_a_failure_without_faults_says_nothing_of_them():
    shrunk = detrun.explore(no_faults, strategy="random", schedules=2, directory=None).failure.shrunk
    assert not shrunk.faults
    assert "fault" not in str(shrunk)


async def fails_anyway(plan):
    async with detrun.World() as world:
        world.node("a").start(trio.sleep_forever)
        async with w.inject(plan, world, allow_no_effect=True):
            await trio.sleep(2)
        raise AssertionError("always")


def test_a_failure_that_takes_no_fault_is_said_to():
    plan = w.FaultPlan((w.Crash(node="a", at=0.1), w.Pause(node="a", at=0.05, lasts_seconds=0.01)))
    shrunk = detrun.explore(fails_anyway, plan, strategy="random", schedules=2, directory=None).failure.shrunk
    assert not shrunk.faults
    assert str(shrunk).endswith("fails without any of its 2 faults")
