"""A recording that is recommended replays in a fresh process, or the report says why it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio

import detrun
from detrun.explore.failures.fresh_replay import FreshReplay
from detrun_recorder.recording import open_recording
from detrun_scheduler.journaled_run import spawn_name
from detrun_scheduler.run import THREAD_RULES

WARM = """
import threading
import trio
import detrun

TABLE = {}
RUNS = []


def look_up():  # a table that is filled at the first use
    if not TABLE:
        TABLE["a"] = 1
        TABLE["b"] = 2
    return TABLE


def main():
    counts = [0]

    def work():
        look_up()
        seen = counts[0]
        counts[0] = seen + 1

    threads = [threading.Thread(target=work) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert counts[0] == 2


async def only_later():
    RUNS.append(1)
    await trio.lowlevel.checkpoint()
    assert len(RUNS) < 2


async def same():
    x = detrun.Shared(0)

    async def add():
        seen = x.value
        await trio.lowlevel.checkpoint()
        x.value = seen + 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(add)
        nursery.start_soon(lambda: add())
    assert x.value == 2


async def given(amount, names):
    assert names == ("a", "b")
    await trio.lowlevel.checkpoint()
    assert amount != 3


if __name__ == "__main__":
    found = detrun.explore(same, directory="kept", explain=False)
    print(found.failure.remarks, found.failure.command)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A module, and a directory to keep failures in."""
    directory = tmp_path_factory.mktemp("warm")
    (directory / "warm_program.py").write_text(WARM)
    sys.path.insert(0, str(directory))
    try:
        import warm_program  # type: ignore[import-not-found]

        yield warm_program, directory
    finally:
        sys.path.remove(str(directory))
        del sys.modules["warm_program"]


def replays_freshly(path: Path, directory: Path) -> int:
    """The exit code of `detrun replay`: 1 if the program fails as it did, 3 if it does something else."""
    command = [sys.executable, "-m", "detrun", "replay", str(path)]
    return subprocess.run(command, cwd=directory, capture_output=True, check=False).returncode


def test_what_replays_in_a_fresh_process_needs_no_remark(program) -> None:
    module, directory = program
    found = detrun.explore(module.same, directory=directory / "kept", explain=False)
    assert found.failure.remarks == []
    assert open_recording(found.failure.path).digest == found.failure.recording.digest
    assert replays_freshly(found.failure.path, directory) == 1


def test_a_failure_of_a_warm_process_is_kept_as_a_fresh_one_has_it(program) -> None:
    module, directory = program
    settings = {"preemption": "line", "strategy": "random", "schedules": 500}
    detrun.explore(module.main, directory=None, **settings)  # the table is full from now on
    found = detrun.explore(module.main, directory=directory / "kept", explain=False, **settings)
    (remark,) = found.failure.remarks
    assert "does not replay in a fresh process (left the recording at step" in remark
    assert "the file holds the same failure as a fresh process has it" in remark
    assert remark in str(found)
    assert open_recording(found.failure.path).digest != found.failure.recording.digest
    assert replays_freshly(found.failure.path, directory) == 1
    with pytest.raises(AssertionError):
        detrun.replay(module.main, recording=found.failure.recording)  # which is of this process


def test_a_failure_that_no_fresh_process_has_says_so(program) -> None:
    module, directory = program
    module.RUNS.clear()
    found = detrun.explore(module.only_later, directory=directory / "kept", explain=False)
    assert found.failed
    (remark,) = found.failure.remarks
    assert "it needs what earlier runs left behind" in remark


def test_arguments_travel_and_what_cannot_is_said(program) -> None:
    module, directory = program
    found = detrun.explore(module.given, 3, ("a", "b"), directory=directory / "kept", explain=False)
    assert found.failure.remarks == []

    async def local() -> None:
        raise ValueError

    (remark,) = detrun.explore(local, directory=directory / "kept", explain=False).failure.remarks
    assert remark.startswith("the recording was not tried in a fresh process: another process cannot find")
    assert "fresh_process=" not in remark
    assert detrun.explore(local, directory=directory / "kept", explain=False, confirm=False).failure.remarks == []


def test_a_script_is_tried_if_it_can_be_imported(program) -> None:
    _, directory = program
    done = subprocess.run(
        [sys.executable, "warm_program.py"], cwd=directory, capture_output=True, text=True, check=True
    )
    remarks, _, path = done.stdout.strip().partition(" detrun replay ")
    assert remarks == "[]"
    assert replays_freshly(path, directory) == 1  # the lambda's task is called the same when the file is no script
    (directory / "script.py").write_text(
        "import detrun\nasync def main():\n    raise ValueError\n"
        "print(detrun.explore(main, directory='kept', explain=False).failure.remarks)\n"
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=directory, capture_output=True, text=True, check=True)
    assert "importing the script would run it" in done.stdout


def test_a_module_that_explores_when_it_is_imported_starts_no_processes_without_end(tmp_path) -> None:
    (tmp_path / "explores.py").write_text(
        "import detrun\nasync def main():\n    raise ValueError\n"
        "print(detrun.explore(main, directory='kept', explain=False).failure.remarks)\n"
    )
    command = [sys.executable, "-c", "import explores"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "it starts a run when it is imported" in done.stdout


def test_a_remark_names_the_part_that_differs() -> None:
    assert FreshReplay().remark() == ""
    assert "reads otherwise" in FreshReplay("left it: every step agrees, but the program's result does not").remark()


# Names of tasks.


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("__main__.main.<locals>.<lambda>", "<lambda>"),
        ("some.module.main.<locals>.<lambda>", "<lambda>"),
        ("trio.lowlevel.checkpoint", "checkpoint"),
        ("__main__.decorated", "decorated"),
        ("worker", "worker"),
        ("worker 1.5", "worker 1.5"),
        ("no_such_module.worker", "no_such_module.worker"),
    ],
)
def test_no_task_name_has_the_name_of_a_module_in_it(given: str, name: str) -> None:
    class Task:
        coro = None

    Task.name = given  # type: ignore[attr-defined]
    assert spawn_name(Task) == name
    assert spawn_name(Task, is_bare=False) == given.translate(str.maketrans("/[]", ".()"))


async def of_lambdas() -> None:
    async def step() -> None:
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: step())
        nursery.start_soon(lambda: step(), name="tests.of_lambdas.<locals>.<lambda>")


def test_recordings_of_before_keep_their_task_names() -> None:
    from detrun.execution.new_run import NewRun
    from detrun.execution.options import Options

    assert THREAD_RULES >= 3
    old = NewRun().execute(of_lambdas, (), Options(thread_rules=2)).recording
    new = NewRun().execute(of_lambdas, (), Options()).recording
    assert "main/tests.of_lambdas.<locals>.<lambda>" in {path for _, path in old.tasks.values()}
    assert "main/<lambda>" in {path for _, path in new.tasks.values()}
    for recording in (old, new):
        detrun.replay(of_lambdas, recording=recording)
