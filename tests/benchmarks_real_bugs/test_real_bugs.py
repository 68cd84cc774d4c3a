"""The benchmark of reported bugs: its catalogue, its verdicts, and the committed results. Nothing is installed here."""

from __future__ import annotations

import ast
import json
import sys
import threading
from pathlib import Path

import pytest

from benchmarks.real_bugs import __main__ as command
from benchmarks.real_bugs import environments
from benchmarks.real_bugs.catalogue import BUGS, bug
from benchmarks.real_bugs.environments import Environment, prepare
from benchmarks.real_bugs.hunted import arm, hunt, options
from benchmarks.real_bugs.results import FALSE_ALARM, FOUND, MISSED, UNKNOWN, Outcome, Results

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "benchmarks" / "real_bugs" / "programs"
RESULTS = ROOT / "benchmarks" / "real_bugs" / "results.json"


def said(verdict: str, **more: object) -> dict[str, object]:
    """What `hunted` says of a campaign."""
    return {"verdict": verdict, "schedules": 3, "seconds": 0.5, "arm": "", "explained": "", **more}


def test_every_bug_has_its_program_and_every_program_its_bug():
    assert {one.stem for one in PROGRAMS.glob("*.py")} - {"__init__"} == {one.name for one in BUGS}
    assert len(BUGS) >= 16


@pytest.mark.parametrize("one", BUGS, ids=lambda one: one.name)
def test_a_program_says_what_was_reported_and_is_plain_python(one):
    tree = ast.parse((PROGRAMS / f"{one.name}.py").read_text())
    opening = ast.get_docstring(tree)
    assert opening is not None
    assert f"Reported: {one.report}" in opening
    assert one.buggy in opening
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not any(name.startswith(("detrun", "benchmarks")) for name in names)


def test_the_two_releases_of_a_bug_differ():
    for one in BUGS:
        with_bug, without = one.requirements(False), one.requirements(True)
        assert with_bug != without or one.python(False) != one.python(True), one.name
        assert all("==" in requirement for requirement in (*with_bug, *without))


def test_options_are_given_only_when_asked_for():
    assert options(bug("cachetools_188"), "default") == {}
    assert options(bug("cachetools_188"), "explicit")["include"] == ["cachetools", bug("cachetools_188").module]
    assert options(bug("anyio_728"), "explicit") == {}
    assert options(bug("httpcore_642"), "explicit") == {"early_timers": 1}
    assert options(bug("httpcore_642"), "default") == {}


def test_the_header_of_a_recording_says_where_threads_were_interrupted():
    assert arm({}) == "sync"
    assert arm({"preemption": "line", "include": [f"{ROOT}/"]}) == "lines of the project"
    assert arm({"preemption": "line", "include": ["./"]}) == "lines of the project"
    assert (
        arm({"preemption": "line", "include": ["/site-packages/zict/", "*/heapdict.py"]}) == "lines of zict, heapdict"
    )
    assert arm({"preemption": "opcode", "include": ["functools"]}) == "instructions of functools"


def test_a_bug_is_found_only_if_its_fix_passes():
    found = Outcome("anyio_728", 0, "default", said("failed"), said("passed"))
    missed = Outcome("anyio_728", 0, "default", said("passed"), said("passed"))
    alarm = Outcome("anyio_728", 0, "default", said("failed"), said("failed"))
    unclear = Outcome("anyio_728", 0, "default", said("failed"), said("inconclusive"))
    nothing = Outcome("anyio_728", 0, "default", problem="not installed: no network")
    assert [one.verdict for one in (found, missed, alarm, unclear, nothing)] == [
        FOUND,
        MISSED,
        FALSE_ALARM,
        FALSE_ALARM,
        UNKNOWN,
    ]
    assert "no network" in nothing.row(bug("anyio_728"))[4]
    results = Results("a machine", "3.11", 1_000, [found, missed, alarm, nothing])
    assert results.summary().startswith("1 found, 1 not found, 1 false alarm, 1 unknown")
    assert Results.from_json(json.loads(json.dumps(results.as_json()))) == results


def test_a_hunt_reports_what_the_exploration_found(monkeypatch: pytest.MonkeyPatch):
    """On a program of this test's own, in the place of one that needs its library."""

    def main() -> None:
        seen: list[str] = []
        lock = threading.Lock()

        def enter(name: str) -> None:
            with lock:
                seen.append(name)

        threads = [threading.Thread(target=enter, args=(name,)) for name in ("first", "second")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == ["first", "second"]

    module = type(sys)("stand_in")
    module.main = main
    monkeypatch.setitem(sys.modules, bug("cachetools_188").module, module)
    found = hunt(bug("cachetools_188"), 100, 0, "default")
    assert found["verdict"] == "failed"
    assert found["schedules"] <= 100


def test_an_environment_that_cannot_be_made_is_a_row_that_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    failed = prepare(["cachetools==4.1.1"], directory=tmp_path / "file" / "environments")
    assert failed.python == ""
    assert failed.problem
    assert "no Python 2.0" in prepare([], (2, 0), tmp_path).problem
    monkeypatch.setattr(command, "prepare", lambda *arguments: Environment(problem="not installed: no network"))
    outcome = command.hunt(bug("cachetools_188"), 10, 0, "default")
    assert outcome.verdict == UNKNOWN
    assert outcome.problem == "not installed: no network; not installed: no network"


def test_the_command_writes_what_it_measured_and_fails_on_a_false_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    verdicts = {"cachetools_188": "passed", "zict_69": "failed"}
    monkeypatch.setattr(
        command,
        "hunt",
        lambda one, schedules, seed, where: Outcome(
            one.name, seed, where, said("failed", explained="verified"), said(verdicts[one.name])
        ),
    )
    figures = tmp_path / "figures.json"
    assert command.main(["--only", "cachetools_188", "--seed", "1", "--seed", "2", "--json", str(figures)]) == 0
    assert [one["seed"] for one in json.loads(figures.read_text())["outcomes"]] == [1, 2]
    assert command.main(["--show", str(figures), "--markdown"]) == 0
    assert "2 found, 0 not found" in capsys.readouterr().out.replace("\n", " ")
    assert command.main(["--only", "zict_69"]) == 1


def test_the_environments_hold_what_constraints_say():
    pins = environments._dependencies(["trio==0.30.0"])
    assert not any(pin.startswith("trio==") for pin in pins)
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(pin in constraints for pin in pins)


@pytest.fixture(scope="module")
def results() -> Results:
    return Results.from_json(json.loads(RESULTS.read_text()))


def test_the_committed_results_are_of_default_settings_and_complete(results: Results):
    assert {one.name for one in results.outcomes} == {one.name for one in BUGS}
    assert {one.where for one in results.outcomes} == {"default"}
    assert results.schedules == command.SCHEDULES


def test_default_settings_found_what_they_promise_and_no_fix_failed(results: Results):
    """At least 14 of 16, and a program without the bug passes."""
    verdicts = [one.verdict for one in results.outcomes]
    assert verdicts.count(FALSE_ALARM) == 0
    assert verdicts.count(FOUND) / len(verdicts) >= 14 / 16


def test_the_page_shows_the_committed_results(results: Results):
    page = (ROOT / "docs" / "real-bugs.md").read_text()
    shown = page.partition("<!-- results -->\n")[2].partition("<!-- end of results -->")[0]
    assert shown == results.markdown()
