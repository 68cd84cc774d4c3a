"""``show --at`` re-creates the run there."""

from __future__ import annotations

import pytest


def test_a_moment_is_recreated_and_shown(call, call_json, directory):
    call("record", "programs.py:rounds", "-o", "a.detrun")
    document = call_json("show", "a.detrun", "--at", "1.0")
    moment = document["moment"]
    assert moment["virtual_time"] == 1.0
    assert moment["step"] > document["step"]["index"]  # what happens at 1.0 has happened
    assert {"main"} <= {task["path"] for task in moment["tasks"]}
    text = call("show", "a.detrun", "--at", "1.0").stdout
    assert "task 1 (main)" in text
    assert "waits for" in text


def test_a_moment_is_named_by_its_step_too(call, call_json, directory):
    call("record", "programs.py:rounds", "-o", "a.detrun")
    document = call_json("show", "a.detrun", "--at", "#5")
    assert document["moment"]["step"] == document["step"]["index"] == 5


def test_without_replay_nothing_runs(call, call_json, directory):
    call("record", "programs.py:rounds", "-o", "a.detrun")
    (directory / "programs.py").unlink()
    document = call_json("show", "a.detrun", "--at", "1.0", "--no-replay")
    assert document["step"]["time"] >= 1.0
    assert "moment" not in document


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--at", "soon"], "--at 'soon' is not a place"),
        (["--at", "-1"], "not a place"),
        (["--at", "#5000"], "no moment at step 5000"),
        (["--target", "programs.py:rounds"], "give them with --at, --listing or --perfetto"),
        (["--no-replay"], "give them with --at, --listing or --perfetto"),
    ],
)
def test_a_moment_that_is_none_is_wrong_usage(call, directory, arguments, part):
    call("record", "programs.py:rounds", "-o", "a.detrun")
    assert part in call("show", "a.detrun", *arguments, code=2).stderr
