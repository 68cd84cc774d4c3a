"""``detrun explore`` on the command line: verdicts as exit codes, documents, and schedules run again by token."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from detrun.cli.application import application

PROGRAM = """
import trio
import detrun

DEFAULT_PARAMS = {"amount": 60.0}

async def bank(params):
    balance = detrun.Shared(100.0, name="balance")

    async def withdraw():
        if balance.value >= params["amount"]:
            await trio.lowlevel.checkpoint()
            balance.value = balance.value - params["amount"]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(withdraw)
        nursery.start_soon(withdraw)
    assert balance.value >= 0
    return balance.value

async def unlucky():
    flag = detrun.Shared(0, name="flag")

    async def raise_it():
        flag.value = 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(raise_it)
        flag.value

async def stuck():
    await trio.Event().wait()

async def fine():
    await trio.lowlevel.checkpoint()
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "explored_bank.py").write_text(PROGRAM)
    return "explored_bank.py"


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(application, ["explore", *arguments])


def test_a_data_race_fails_where_it_is_asked_for(program: str) -> None:
    assert invoke(f"{program}:unlucky", "-n", "20").exit_code == 0
    result = invoke(f"{program}:unlucky", "-n", "20", "--races")
    assert result.exit_code == 1
    assert "DataRaceError" in result.output
    assert "flag" in result.output


def test_a_run_that_failed_by_a_race_has_a_trace_and_a_report(program: str) -> None:
    invoke(f"{program}:unlucky", "-n", "20", "--races", "--directory", ".")
    (kept,) = Path("failures").glob("*.detrun")
    for command in (["show", str(kept), "--perfetto", "trace.json"], ["report", str(kept), "-o", "page.html"]):
        result = CliRunner().invoke(application, command)
        assert result.exit_code == 0, result.output
        assert "cannot be run again" not in result.output


def test_a_failure_ends_with_its_explanation_and_a_command_that_repeats_it(program: str) -> None:
    result = invoke(f"{program}:bank")
    assert result.exit_code == 1
    assert "What matters is the order of two operations on balance" in result.output
    command = next(line.split("detrun ", 1)[1] for line in result.output.splitlines() if "detrun replay" in line)
    again = CliRunner().invoke(application, command.split())
    assert again.exit_code == 1
    assert "as recorded" in again.output


def test_exit_codes_tell_verdicts_apart(program: str) -> None:
    assert invoke(f"{program}:fine", "-n", "20").exit_code == 0
    assert invoke(f"{program}:stuck").exit_code == 5
    assert invoke(f"{program}:bank", "--param", "amount=50", "-n", "20").exit_code == 0
    assert invoke(f"{program}:fine", "-n", "1000000", "--time-limit", "0.01").exit_code == 6
    assert invoke(f"{program}:fine", "--strategy", "best").exit_code == 2
    assert invoke(f"{program}:fine", "--gradient").exit_code == 2


def test_the_document_says_what_the_page_says(program: str) -> None:
    document = json.loads(invoke(f"{program}:bank", "--json").stdout)
    assert (document["verdict"], document["exit_code"], document["ok"]) == ("failed", 1, False)
    assert document["failure"]["preemptions"] == 1
    assert [one["does"] for one in document["failure"]["pair"]] == ["reads", "changes"]
    passing = json.loads(invoke(f"{program}:fine", "--strategy", "dfs", "--json").stdout)
    assert (passing["verdict"], passing["failure"]) == ("holds", None)


def test_a_thread_that_dies_is_a_failure_unless_asked_not_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dies.py").write_text(
        "import threading\n\n\ndef main():\n    thread = threading.Thread(target=int, args=('none',))\n"
        "    thread.start()\n    thread.join()\n"
    )
    monkeypatch.setattr(threading, "excepthook", lambda caught: None)
    found = invoke("dies.py:main", "-n", "20")
    assert found.exit_code == 1
    assert "ValueError: invalid literal" in found.output
    token = re.search(r"detrun1-\S+", found.output)
    assert token
    assert invoke("dies.py:main", "--token", token[0]).exit_code == 1
    assert invoke("dies.py:main", "-n", "20", "--no-thread-errors", "--directory", "other").exit_code == 0


def test_a_token_runs_its_schedule_again(program: str) -> None:
    token = json.loads(invoke(f"{program}:bank", "--json").stdout)["failure"]["token"]
    result = invoke(f"{program}:bank", "--token", token)
    assert result.exit_code == 1
    assert "assert balance.value >= 0" in result.output


def test_gradients_of_all_schedules_are_a_table(program: str) -> None:
    result = invoke(f"{program}:bank", "--gradient", "--strategy", "dfs", "--param", "amount=50", "--json")
    document = json.loads(result.stdout)
    assert document["verdict"] == "holds"
    # Two tasks of two steps each; the amount is taken out twice in all of their interleavings.
    assert len(document["table"]["rows"]) == 6
    assert {row["grads"]["amount"] for row in document["table"]["rows"]} == {-2.0}
    assert document["table"]["complete"]


def test_no_progress_is_shown_without_a_terminal(program: str) -> None:
    assert invoke(f"{program}:fine", "-n", "300").stderr == ""


def test_a_replay_lists_the_lines_that_each_task_ran(program: str) -> None:
    runner = CliRunner()
    assert runner.invoke(application, ["record", f"{program}:bank", "-o", "bank.detrun"]).exit_code in (0, 1)
    plain = runner.invoke(application, ["replay", "bank.detrun"])
    listed = runner.invoke(application, ["replay", "bank.detrun", "--listing"])
    assert listed.exit_code == plain.exit_code
    assert "main/withdraw[1]" in listed.output
    assert 'if balance.value >= params["amount"]:' in listed.output
    assert "main/withdraw[1]" not in plain.output
    refused = runner.invoke(application, ["replay", "bank.detrun", "--listing", "--resync"])
    assert refused.exit_code == 2
