"""The tables against peers, with tiny budgets, detrun's rows only and no network."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.peers import __main__ as peers
from benchmarks.peers import bugs
from benchmarks.peers.asyncio_bugs import PROGRAMS
from benchmarks.peers.contenders import CONTENDERS, THREADS
from benchmarks.peers.environment import PINNED, Peers, prepare
from benchmarks.peers.hunters import TOOLS


def test_the_table_has_a_row_for_each_way_to_run_detrun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = tmp_path / "figures.json"
    peers.main(["--only", "detrun", "--repetitions", "1", "--seconds", "0.01", "--json", str(figures)])
    rows = json.loads(figures.read_text())["rows"]
    assert [row["contender"] for row in rows] == [one.name for one in CONTENDERS if one.package == "detrun"]
    assert all(row["median"] > 0 and row["problem"] == "" for row in rows)
    assert {row["target"] for row in rows} == {None, 4_000, 5_000}
    assert "this checkout" not in capsys.readouterr().out


def test_a_peer_that_is_not_installed_is_a_row_that_says_why() -> None:
    nothing = Peers(missing=dict.fromkeys(PINNED, "no network"))
    rows = peers.rows(["frontrun"], nothing)
    assert [row.problem for row in rows] == ["not installed: no network"] * len(rows)
    assert peers.table(rows).row_count == len(rows)
    assert peers.as_json(rows)["rows"]
    tools = [tool for tool in TOOLS if tool.package == "frontrun"]
    cases = bugs.hunt_all(tools, ["wronglock"], nothing, 1, 1.0)
    assert bugs.rows_of(cases, tools) == [["wronglock", *["? not installed: no network"] * len(tools)]]


def test_an_environment_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = prepare(tmp_path / "file" / "environment")
    assert found.python == sys.executable
    assert found.missing.keys() == PINNED.keys()


def test_a_contender_that_fails_is_a_row_that_says_why() -> None:
    [contender] = [one for one in CONTENDERS if one.name == "interleave-test"]
    row = peers.Measured(contender, sys.executable, "0.1.0")
    row.take(0.01, 0)
    assert "interleave_test" in row.problem
    assert contender.side == THREADS


def test_a_hunt_counts_schedules_up_to_the_bug(tmp_path: Path) -> None:
    figures, tables = tmp_path / "figures.json", tmp_path / "tables.md"
    arguments = ["--only", "detrun", "--bug", "lock_order", "--schedules", "50"]
    bugs.main([*arguments, "--seconds", "100", "--json", str(figures), "--markdown", str(tables)])
    cases = json.loads(figures.read_text())["cases"]
    # The bug shows in at least a tenth of the schedules: 50 miss it with a probability below 1 %, and the
    # seeds are fixed.
    assert [case["found"] for case in cases if not case["cannot"]] == [bugs.SEEDS] * 2
    assert {case["cannot"] for case in cases} == {"", "the column is of tasks in asyncio"}
    assert all(1 <= hunt["schedules"] <= 50 for case in cases for hunt in case["hunts"])
    assert tables.read_text().count("| lock_order |") == 1


def test_every_task_bug_has_its_asyncio_twin() -> None:
    assert set(PROGRAMS) == {bug.name for bug in bugs.BUGS if bug.kind == "tasks"}
