"""``show --at`` re-creates the run there, ``scenario`` records what is in the repository."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from detrun.cli.scenario import find_scenarios

ROOT = Path(__file__).resolve().parents[2]


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
        (["--target", "programs.py:rounds"], "give them with --at or --listing"),
        (["--no-replay"], "give them with --at or --listing"),
    ],
)
def test_a_moment_that_is_none_is_wrong_usage(call, directory, arguments, part):
    call("record", "programs.py:rounds", "-o", "a.detrun")
    assert part in call("show", "a.detrun", *arguments, code=2).stderr


def test_the_scenarios_of_the_repository_are_found_from_anywhere_in_it():
    found = find_scenarios(ROOT)
    assert {"key_value", "thermostat"} <= {one.name for one in found}
    assert all(one.about and one.target.startswith("scenarios") for one in found)
    assert [one.name for one in find_scenarios(ROOT / "docs")] == [one.name for one in found]


def test_a_scenario_is_recorded(call, call_json, directory, monkeypatch):
    # The command runs in this process, where other tests have imported the repository's own scenarios.
    for name in [name for name in sys.modules if name.partition(".")[0] == "scenarios"]:
        monkeypatch.delitem(sys.modules, name)
    package = directory / "scenarios" / "small"
    package.mkdir(parents=True)
    (directory / "scenarios" / "__init__.py").write_text("")
    (package / "__init__.py").write_text('"""A small one,\nin two lines.\n\nAnd more."""\n')
    (package / "program.py").write_text("async def main():\n    return 7\n")
    (package / "other.py").write_text("async def helper():\n    return 8\n")
    listed = call_json("scenario")["scenarios"]
    assert listed == [
        {"name": "small", "target": "scenarios/small/program.py:main", "about": "A small one, in two lines."}
    ]
    document = call_json("scenario", "small", "--seed", "3")
    assert document["result"] == 7
    assert document["recording"] == "small-3.detrun"
    assert document["target"] == "scenarios/small/program.py:main"
    assert call_json("replay", "small-3.detrun")["same_digest"]
    assert "there is no scenario 'large'; there are small" in call("scenario", "large", code=2).stderr


def test_outside_a_checkout_there_are_none(call, directory):
    assert "come with a checkout" in call("scenario", code=2).stderr
