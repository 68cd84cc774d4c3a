"""``detrun diff``: two recordings on a page and as a document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detrun.cli.diff import _did
from detrun_recorder.steps import Event, Step

RACE = ("programs.py:race", "--param", "x=3", "--param", "step=1")


def test_equal_recordings_are_the_same_run_and_others_part_at_a_choice(call: Any, call_json: Any) -> None:
    for seed in range(4):
        call("record", *RACE, "--seed", str(seed), "-o", f"{seed}.detrun")
    assert "make the same run" in call("diff", "0.detrun", "0.detrun").stdout
    assert call_json("diff", "0.detrun", "0.detrun")["kind"] is None
    digests = {seed: call_json("show", f"{seed}.detrun")["digest"] for seed in range(4)}
    other = next(seed for seed in range(4) if digests[seed] != digests[0])
    said = call("diff", "0.detrun", f"{other}.detrun", code=3).stdout
    assert "part at step" in said
    assert "tasks that could run, A steps main/" in said


def test_runs_with_other_parameters_name_them_and_the_task_that_did_something_else(call: Any, call_json: Any) -> None:
    call("record", "programs.py:rounds", "-o", "a.detrun")
    call("record", "programs.py:edited", "-o", "b.detrun")
    said = call("diff", "a.detrun", "b.detrun", code=3).stdout
    assert "programs.py:rounds in A, programs.py:edited in B" in said
    document = call_json("diff", "a.detrun", "b.detrun", code=3)
    assert document["affected"]
    assert {task["task"] for task in document["affected"]} <= {
        *("main", "<init>", "main/worker", "main/worker[1]", "main/worker[2]")
    }


MAILS = """
import trio


async def main(params):
    send, receive = trio.open_memory_channel(0)

    async def post(name, delay):
        await trio.sleep(delay)
        await send.send(name)

    async def read():
        await receive.receive()
        await receive.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(post, 1, params["delay"], name="first")
        nursery.start_soon(post, 2, 1.0, name="second")
        nursery.start_soon(read)
"""


def test_a_task_that_received_the_message_of_another_is_affected(call: Any, call_json: Any) -> None:
    Path("mails.py").write_text(MAILS)
    for name, delay in (("a", 0.5), ("b", 1.5), ("c", 0.6)):
        call("record", "mails.py:main", "--param", f"delay={delay}", "-o", f"{name}.detrun")
    said = call("diff", "a.detrun", "b.detrun", code=3).stdout
    assert "received what main/first sent to channel[0]" in said
    assert "received what main/second sent to channel[0]" in said
    (task,) = call_json("diff", "a.detrun", "b.detrun", code=3)["affected"]
    assert task["sources"] == [[["channel[0]", "main/first"]], [["channel[0]", "main/second"]]]
    assert "every task did the same in both" in call("diff", "a.detrun", "c.detrun", code=3).stdout


def test_a_sender_is_said_of_its_own_message_alone() -> None:
    near, other = "link a->b:80", "link a->b:8000"  # one begins as the other does
    to_near, to_other = Event("receive", 0, near), Event("receive", 1, other)

    def said(*events: Event) -> list[str]:
        return list(_did(Step(0, 0.0, 1, "main", (1,), None, "sleep", events), [(near, "main/x")]))

    assert said(to_other, to_near) == [f"received from {other}", f"received what main/x sent to {near}"]
    assert said(Event("time", time=1.0), to_near) == ["time moved to 1 s", f"received from {near}"]
