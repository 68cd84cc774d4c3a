"""``detrun diff``: two recordings on a page and as a document."""

from __future__ import annotations

from typing import Any

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
