"""Lanes of recordings: `record`, `replay` and `show` with ``--listing``, and what `show` says of endings and faults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import detrun
from detrun.execution.targets import load_target
from detrun_recorder.recording import Recording

PROGRAM = """
import trio

import detrun
from detrun.world import World


async def jobs():
    event = trio.Event()

    async def patient():
        await trio.sleep(100)

    async def idle():
        await trio.sleep_forever()

    async def fails():
        await trio.sleep(3)
        raise ValueError("bad news")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(patient)
        nursery.start_soon(idle)
        nursery.start_soon(fails)


async def passes():
    send, receive = trio.open_memory_channel(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send.send, 1, name="gives")
        assert await receive.receive() == 1


async def drops():
    send, receive = trio.open_memory_channel(2)
    send.send_nowait("read")
    send.send_nowait("left")
    await trio.sleep(1)
    receive.receive_nowait()


async def beats():
    while True:
        await trio.sleep(1)


async def crashes():
    async with World() as world:
        world.node("a").start(beats)
        await trio.sleep(1.5)
        world.node("a").crash()
        await trio.Event().wait()


@detrun.external(replay="recorded", derivative="stop")
def reads():
    return len(CALLS.append(1) or CALLS)


CALLS = []


async def effects():
    return reads()
"""


@pytest.fixture
def jobs(directory: Path) -> Path:
    (directory / "jobs.py").write_text(PROGRAM)
    return directory / "jobs.py"


def test_show_says_how_each_task_ended(call, call_json, jobs):
    call("record", "jobs.py:jobs", "-o", "a.detrun", code=1)
    ended = {task["path"]: task["ended"] for task in call_json("show", "a.detrun")["tasks"]}
    assert ended == {
        "<init>": "returned",
        "main": "failed: ValueError",
        "main/patient": "cancelled",
        "main/idle": "cancelled",
        "main/fails": "failed: ValueError",
    }
    page = call("show", "a.detrun").output
    assert "failed: ValueError" in page
    assert "sleep_forever" not in page  # all that a recording knows is that they waited for the clock
    assert "trio.sleep" in page


def test_a_file_that_does_not_say_leaves_open_what_failed_means(call, call_json, jobs, monkeypatch):
    call("record", "jobs.py:jobs", "-o", "a.detrun", code=1)
    monkeypatch.setattr(Recording, "endings", None)
    ended = {task["path"]: task["ended"] for task in call_json("show", "a.detrun")["tasks"]}
    assert ended["<init>"] == "returned"
    assert ended["main/fails"] == ended["main"] == "failed or cancelled"
    assert "failed or cancelled" in call("show", "a.detrun").output


def test_show_says_what_a_task_waits_for_that_never_ended_and_which_faults_struck(call, call_json, jobs):
    call("record", "jobs.py:crashes", "-o", "a.detrun", code=5)
    page = call("show", "a.detrun").output
    assert "never: waits in Event.wait" in page
    assert "killed" in page
    assert "1 fault that took effect" in page
    (fault,) = call_json("show", "a.detrun")["faults"]
    assert (fault["name"], fault["times"]) == ("crash", 1)
    assert call_json("show", "a.detrun", "--step", str(fault["first_step"]))["step"]["path"] == "main"
    listing = call("show", "a.detrun", "--listing").output
    assert "⚡ crash" in listing
    assert "→ is killed" in listing


@pytest.mark.parametrize(
    "command", [("record", "jobs.py:jobs", "-o", "b.detrun"), ("replay", "a.detrun"), ("show", "a.detrun")]
)
def test_a_listing_has_the_lines_of_the_users_calls(call, call_json, jobs, command):
    call("record", "jobs.py:jobs", "-o", "a.detrun", code=1)
    code = 0 if command[0] == "show" else 1
    page = call(*command, "--listing", code=code).output
    for line in ("await trio.sleep(100)", "await trio.sleep_forever()", 'raise ValueError("bad news")', "→ fails"):
        assert line in page, page
    assert page.count("→ is cancelled") == 2
    assert "→ waits in trio.sleep_forever" in page
    rows = call_json(*command, "--listing", code=code)["listing"]
    assert [row["task"] for row in rows if any("sleep(100)" in line for line in row["lines"])] == ["main/patient"] * 2
    assert "sleep(100)" not in call(*command, code=code).stdout


def test_a_part_of_a_run_is_listed(call_json, jobs):
    call_json("record", "jobs.py:jobs", "-o", "a.detrun", code=1)
    whole = call_json("show", "a.detrun", "--listing")
    last = call_json("show", "a.detrun", "--listing", "--last", "4")
    assert [row["step"] for row in last["listing"]] == [row["step"] for row in whole["listing"]][-2:]
    near = call_json("show", "a.detrun", "--listing", "--step", "0")
    assert [row["step"] for row in near["listing"]] == [1, 2, 3]


def test_an_edited_program_is_listed_as_it_stands_if_it_makes_the_same_run(call, call_json, jobs):
    call("record", "jobs.py:jobs", "-o", "a.detrun", code=1)
    jobs.with_name("edited.py").write_text(PROGRAM.replace("sleep(100)", "sleep(50 + 50)"))
    found = call_json("show", "a.detrun", "--listing", "--target", "edited.py:jobs")
    assert "has changed since" in found["notes"][0]
    assert "sleep(50 + 50)" in str(found["listing"])


@pytest.mark.parametrize("named", ["edited.py:jobs", "gone.py:jobs", "edited.py:gone"])
def test_a_program_that_makes_another_run_or_is_gone_leaves_the_lanes_of_the_recording(call, call_json, jobs, named):
    call("record", "jobs.py:jobs", "-o", "a.detrun", code=1)
    jobs.with_name("edited.py").write_text(PROGRAM.replace("sleep(3)", "sleep(4)"))
    found = call_json("show", "a.detrun", "--listing", "--target", named)
    assert "without lines of code" in found["notes"][0]
    assert found["listing"] == call_json("show", "a.detrun", "--listing", "--no-replay")["listing"]
    lanes = str(found["listing"])
    assert "spawned main/patient" in lanes
    assert "→ waits in trio.sleep" in lanes
    assert lanes.count("→ is cancelled") == 2


def test_listing_a_run_has_its_external_effects_from_the_recording(call, jobs):
    for command in (("record", "jobs.py:effects", "-o", "a.detrun"), ("show", "a.detrun"), ("replay", "a.detrun")):
        assert "return reads()" in call(*command, "--listing").output
    assert load_target("jobs.py:effects").module.CALLS == [1]


def test_a_long_recording_is_listed_by_its_ends(call_json, jobs, monkeypatch):
    monkeypatch.setattr("detrun.cli.listing.STEPS_LISTED", 6)
    run = detrun.record(load_target("jobs.py:jobs").function, to="a.detrun", raise_errors=False)
    rows = call_json("show", "a.detrun", "--listing", "--no-replay")["listing"]
    assert [row["step"] for row in rows if row["step"] is not None][:2] == [1, 2]
    assert rows[-1]["step"] == run.steps - 3


@pytest.mark.parametrize("wrong", [("--listing", "--at", "1"), ("--listing", "--perfetto", "t.json"), ("--no-replay",)])
def test_options_that_say_nothing_together_are_refused(call, jobs, wrong):
    call("record", "jobs.py:jobs", "-o", "a.detrun", code=1)
    assert "--listing" in call("show", "a.detrun", *wrong, code=2).stderr


@pytest.mark.parametrize("options", [[], ["--no-replay"]])
def test_a_message_is_shown_with_its_other_end(call, call_json, jobs, options):
    call("record", "jobs.py:passes", "-o", "a.detrun", "--seed", "3")
    listing = call("show", "a.detrun", "--listing", *options).output
    sent = re.search(r"→ channel\[0\] to step (\d+) \(main\)", listing)
    received = re.search(r"← channel\[0\] from step (\d+) \(main/gives\)", listing)
    assert sent is not None
    assert received is not None
    there, here = int(received[1]), int(sent[1])
    leaving = call_json("show", "a.detrun", "--step", str(there))["leads_to"]
    assert (here, "message") in [(one["target"], one["kind"]) for one in leaving]
    reached = call_json("show", "a.detrun", "--step", str(here))["reached_by"]
    assert ("message", "channel[0]", "main/gives") in [(one["kind"], one["label"], one["source"]) for one in reached]
    page = call("show", "a.detrun", "--step", str(here)).output
    assert f"received from channel[0] what was sent in step {there} by main/gives" in page


def test_a_message_that_is_never_received_is_listed_beside_one_that_is(call, jobs):
    call("record", "jobs.py:drops", "-o", "a.detrun")
    listing = call("show", "a.detrun", "--listing", "--no-replay").output
    assert listing.count("→ channel[0] to step") == 1
    assert listing.count("sent to channel[0]") == 1
