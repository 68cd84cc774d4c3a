"""``detrun debug``: moves through a recorded run, and what is said where it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from detrun.cli.debugger import Debugger
from detrun_recorder.snapshots import can_fork

WHERE = re.compile(r"^after (?:all )?(\d+)", re.MULTILINE)


def places(text: str) -> list[int]:
    """The steps after which the run was held, in order."""
    return [int(found) for found in WHERE.findall(text)]


@pytest.fixture
def debug(call: Any) -> Any:
    """Debug a recording of two tasks that add to and double a number; commands in, what is said out."""
    call("record", "programs.py:race", "--param", "x=3", "--param", "step=1", "-o", "a.detrun")

    def debug(*commands: str, file: str = "a.detrun") -> str:
        given = [part for command in commands for part in ("-c", command)]
        return str(call("debug", file, *given).stdout)

    return debug


def test_a_run_is_taken_forth_and_back(debug: Any, call_json: Any) -> None:
    steps = call_json("show", "a.detrun")["steps"]
    said = debug("step", "step 2", "back", "goto -1", "s", "goto 0", "failure", "back 1000", "quit", "step")
    assert places(said) == [0, 1, 3, 2, steps - 1, steps, 0, steps, 0]


def test_variables_are_shown_where_a_task_stands_and_watched_ones_marked_where_they_change(debug: Any) -> None:
    said = debug("goto 2", "task main", "locals", "watch x", "until Atomic", "step", "task", "p x.load()", "list")
    assert "params = {'step': 1.0, 'x': 3.0}" in said
    assert "  x = Atomic(3.0)" in said
    assert re.search(r"\* x = Atomic\((4|6)\.0\)", said)
    assert "->" in said


def test_the_uses_of_an_object_and_the_steps_of_a_task_are_found_both_ways(debug: Any, call_json: Any) -> None:
    rows = call_json("show", "a.detrun", "--last", "100")["last_steps"]
    uses = [row["index"] for row in rows if any(event["kind"] == "operation" for event in row["events"])]
    assert places(debug(*["until Atomic"] * len(uses)))[1:] == uses
    assert places(debug("failure", *["since Atomic"] * len(uses)))[2:] == uses[::-1]
    main = [row["index"] for row in rows if row["path"] == "main"]
    assert places(debug(f"goto {main[0]}", "next", "previous"))[1:] == [main[0], main[1], main[0]]
    assert "no further use of nothing by any task" in debug("until nothing")


def test_a_run_that_fails_as_a_whole_is_held_at_its_end(debug: Any, call: Any) -> None:
    call("record", "programs.py:deadlocks", "-o", "b.detrun", code=5)
    said = debug("tasks", file="b.detrun")
    assert "DeadlockError" in said
    assert said.count("waits for Lock") >= 2
    assert "no task raised what failed the run" in debug("raised", file="b.detrun")


FAILING = """
import asyncio
import threading

import trio


def check(number):
    doubled = 2 * number
    assert doubled < 2, f"{number} is too much"


async def tasks():
    async def child(number):
        await trio.sleep(number)
        check(number)

    async def slow():
        try:
            await trio.sleep(9)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(3)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(child, 1)
        nursery.start_soon(slow)


async def of_asyncio():
    async def child(number):
        await asyncio.sleep(number)
        check(number)

    await asyncio.gather(child(0), child(1), asyncio.sleep(3))


def threads():
    lock = threading.Lock()

    def child(number):
        with lock:
            check(number)

    every = [threading.Thread(target=child, args=(number,), name=f"child{number}") for number in range(2)]
    for thread in every:
        thread.start()
    for thread in every:
        thread.join()


async def handled():
    for number in (1, 2):
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(failing, number)
        except* ValueError:
            pass
    await failing(3)


async def failing(number):
    await trio.sleep(number)
    raise ValueError(number)
"""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("program", ["tasks", "of_asyncio", "threads"])
def test_a_run_that_failed_is_held_before_the_step_that_raised_it(call: Any, program: str) -> None:
    Path("failing.py").write_text(FAILING)
    call("record", f"failing.py:{program}", "-o", "c.detrun", "--thread-errors", code=1)
    commands = ["raised", "locals", "step", "failure", "back", "end"]
    said = call("debug", "c.detrun", *[part for command in commands for part in ("-c", command)]).stdout
    first, after, again, back, end = places(said)
    assert (after, again, back) == (first + 1, first, first - 1)
    assert first < end
    assert re.search(r"it raises AssertionError: 1 is too much, at \S*failing.py:10 in check", said)
    raised = said.partition("(detrun) raised")[2].partition("(detrun)")[0]
    assert re.search(r"child\S* raised AssertionError: 1 is too much in step", raised)
    assert "->  assert doubled < 2" in raised
    assert "  doubled = 2" in raised
    assert "  number = 1" in said.partition("(detrun) locals")[2].partition("(detrun)")[0]


def test_of_several_exceptions_the_one_that_came_out_of_the_run_is_meant(call: Any) -> None:
    Path("failing.py").write_text(FAILING)
    call("record", "failing.py:handled", "-o", "c.detrun", code=1)
    assert "main raised ValueError: 3" in call("debug", "c.detrun", "-c", "raised").stdout


def test_help_lists_every_command_in_a_group(debug: Any) -> None:
    said = debug("help", "help b", "help leap")
    commands = {name.removeprefix("do_") for name in dir(Debugger) if name.startswith("do_")}
    assert {name for _, names in Debugger.groups for name in names} == commands
    assert all(f"\n  {name}" in said for name in commands)
    assert all(f"\n{title}:\n" in said for title, _ in Debugger.groups)
    assert "back [N] (b): undo N steps" in said
    assert "there is no command 'leap'" in said


def test_a_run_with_preemption_is_held_by_its_own_options(call: Any) -> None:
    Path("added.py").write_text(ADDED)
    call("record", "added.py:main", "-o", "c.detrun", "--preemption", "line", "--seed", "1")
    said = call("debug", "c.detrun", "-c", "end", "-c", "back 3", "-c", "until here").stdout
    assert "left the recording" not in said
    moment = call("show", "c.detrun", "--at", "#5").stdout
    assert "at added.py:" in moment


ADDED = """
import threading


def main():
    seen = []

    def add():
        for at in range(3):
            seen.append(at)

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


@pytest.mark.parametrize("is_piped", [False, True])
def test_commands_of_pdb_come_from_where_the_others_come_from(call: Any, debug: Any, is_piped: bool) -> None:
    commands = ["goto 2", "task main", "pdb", "p params['x'] + 4", "q", "where"]
    if is_piped:
        text = "# a script\n\n" + "\n".join(commands)
        said = str(call("debug", "a.detrun", given=text).stdout)
    else:
        said = debug(*commands)
    assert "(Pdb) p params['x'] + 4\n7.0\n(Pdb) q\n(detrun) where" in said
    assert places(said) == [0, 2, 2, 2]


def test_what_cannot_be_done_is_said_and_the_run_stays(debug: Any) -> None:
    for wrong, why in (
        ("leap", "there is no command 'leap'"),
        ("step far", "far: give a number of steps"),
        ("goto here", "give a number of steps, or seconds"),
        ("print gone", "NameError"),
        ("watch", "give an expression"),
        ("task other", "0 living tasks have that in their names"),
        ("until", "take an object's name"),
    ):
        said = debug("goto 3", wrong, "where")
        assert why in said
        assert places(said) == [0, 3, 3]


def test_a_program_that_has_changed_is_held_where_it_does_otherwise(call: Any) -> None:
    call("record", "programs.py:rounds", "-o", "b.detrun")
    said = call("debug", "b.detrun", "--target", "programs.py:edited", "-c", "failure", "-c", "divergence").stdout
    assert "replay left the recording at step" in said
    assert places(said)[1] == places(said)[2] > 0
    assert "makes the recorded run to its end" in call("debug", "b.detrun", "-c", "divergence").stdout


def test_a_time_is_a_place_too_and_json_is_refused(call: Any) -> None:
    call("record", "programs.py:rounds", "-o", "b.detrun")
    said = call("debug", "b.detrun", "--at", "1.0", "-c", "goto 1.5s").stdout
    assert re.findall(r"at ([\d.]+) s: main/worker", said) == ["1", "1.5"]
    assert "is a conversation" in call("debug", "b.detrun", "--json", code=2).stderr


LONG = """
import trio

async def main():
    seen = []

    async def walk(name):
        for at in range(1500):
            seen.append(name)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for name in "ab":
            nursery.start_soon(walk, name, name=name)
"""


@pytest.mark.skipif(not can_fork(), reason="needs fork")
@pytest.mark.parametrize("is_piped", [False, True])
def test_a_session_that_keeps_moments_says_what_one_that_replays_says(call: Any, is_piped: bool) -> None:
    """In a process of its own the session forks; called from here its output is captured, and it replays."""
    Path("long.py").write_text(LONG)
    call("record", "long.py:main", "-o", "long.detrun")
    commands = [
        "failure",
        "goto 2900",
        "watch len(seen)",
        "back",
        "back 3",
        "task b",
        "previous",
        "goto 1",
        "goto 2500",
        "divergence",
        "back",
        "goto 700",
    ]
    given = [part for command in commands for part in ("-c", command)]
    expected = str(call("debug", "long.detrun", *given).stdout)
    arguments = [] if is_piped else given
    found = subprocess.run(
        [sys.executable, "-m", "detrun", "debug", "long.detrun", *arguments],
        input="\n".join(commands) if is_piped else "",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert found.stderr == ""
    assert found.stdout.splitlines()[: len(expected.splitlines())] == expected.splitlines()
    assert "* len(seen) = " in expected
