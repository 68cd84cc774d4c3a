"""``detrun debug``: moves through a recorded run, and what is said where it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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


def test_a_run_that_failed_is_held_at_its_end(debug: Any, call: Any) -> None:
    call("record", "programs.py:deadlocks", "-o", "b.detrun", code=5)
    said = debug("tasks", file="b.detrun")
    assert "DeadlockError" in said
    assert said.count("waits for Lock") >= 2


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
