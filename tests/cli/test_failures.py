"""Commands that fail: the message, the exit code, and tracebacks of detrun's frames with ``--debug`` only."""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path

import pytest

from detrun.cli import failures
from detrun_recorder.recording import open_recording
from detrun_scheduler.strategies import STRATEGIES


def one_line(result) -> str:
    """The error of ``result``, which must be a single line."""
    (line,) = result.stderr.strip().splitlines()
    assert "Traceback" not in result.output
    return line


# The program.


def test_a_program_that_fails_shows_its_own_lines_and_how_to_fail_again(call, directory):
    result = call("record", "programs.py:fails", code=1)
    assert "ValueError: no luck" in result.stderr
    assert 'programs.py", line' in result.stderr
    assert "in unlucky" in result.stderr
    for plumbing in ("trio/", "detrun_scheduler", "detrun/cli"):
        assert plumbing not in result.output
    assert "detrun replay programs-fails-0.detrun" in result.output


def test_a_replayed_failure_is_the_same_failure(call, call_json, directory):
    call("record", "programs.py:fails", code=1)
    document = call_json("replay", "programs-fails-0.detrun", code=1)
    assert document["same_digest"] is True
    assert document["error"]["type"] == "ValueError"
    assert document["error"]["message"] == "no luck"
    assert "in unlucky" in document["error"]["traceback"]


def test_debug_shows_the_whole_traceback(call, directory):
    for arguments in (["--debug", "record", "programs.py:fails"], ["record", "programs.py:fails", "--debug"]):
        assert "/trio/" in call(*arguments, code=1).stderr
    assert "Traceback" in call("record", "nowhere.py:main", "--debug", code=2).stderr


def test_a_program_that_calls_exit_has_failed(call, directory):
    assert "SystemExit: 9" in call("record", "programs.py:exits", code=1).stderr


def test_a_deadlock_has_its_report_and_its_code(call, call_json, directory):
    result = call("record", "programs.py:deadlocks", code=5)
    assert result.stderr.startswith("DeadlockError: deadlock")
    assert "Lock held by" in result.stderr
    assert "Traceback" not in result.output
    assert call_json("replay", "programs-deadlocks-0.detrun", code=5)["same_digest"] is True
    assert "DeadlockError" in call("show", "programs-deadlocks-0.detrun").output


def test_a_step_limit_has_its_code_and_replays_with_the_limit_that_it_had(call, call_json, directory):
    assert "max_steps=50" in call("record", "programs.py:spins", "--max-steps", "50", code=5).stderr
    document = call_json("replay", "programs-spins-0.detrun", code=5)
    assert document["same_digest"] is True
    assert document["error"]["type"] == "StepLimitError"


def test_a_blocking_call_is_named_in_one_line(call, directory):
    line = one_line(call("record", "programs.py:blocks", code=1))
    assert line.startswith("HiddenStateError: socket.socket inside a run")
    assert "programs.py:" in line


def test_a_nested_run_is_refused_in_one_line(call, directory):
    assert "inside a run" in one_line(call("record", "programs.py:nests", code=2))


def test_a_program_that_returns_no_number_has_no_gradient(call, directory):
    line = one_line(call("gradient", "programs.py:no_number", "--param", "x=1", code=1))
    assert line.startswith("NotDifferentiableError")


def test_a_failing_program_has_no_gradient_but_a_traceback(call, call_json, directory):
    result = call("gradient", "programs.py:race", "--param", "x=1", code=1)
    assert "KeyError: 'step'" in result.stderr
    assert "detrun_scheduler" not in result.stderr
    assert call_json("gradient", "programs.py:race", "--param", "x=1", code=1)["error"]["type"] == "KeyError"


def test_runs_that_differ_are_reported(call, call_json, directory):
    result = call("check", "programs.py:remembers", code=3)
    assert result.stderr.startswith("NondeterminismError: ")
    assert call_json("check", "programs.py:remembers", code=3)["error"]["type"] == "NondeterminismError"


def test_a_divergence_is_reported_with_both_sides(call, call_json, directory):
    call("record", "programs.py:rounds", "-o", "a.detrun")
    result = call("replay", "a.detrun", "--target", "programs.py:edited", code=3)
    assert "recorded:" in result.stderr
    assert "replayed:" in result.stderr
    assert "detrun show a.detrun --step" in result.stderr
    document = call_json("replay", "a.detrun", "--target", "programs.py:edited", code=3)
    assert document["error"]["type"] == "DivergenceError"


def test_an_error_of_our_own_ends_with_its_own_code_and_everything_there_is(call, directory, monkeypatch):
    call("record", "programs.py:rounds", "-o", "a.detrun")
    monkeypatch.setattr("detrun.cli.summary.summarize", int)  # takes no three arguments; no line of a program's
    result = call("show", "a.detrun", code=70)
    assert "Traceback" in result.stderr
    assert "TypeError" in result.stderr


# Recordings.


def with_version(content: bytes, major: int) -> bytes:
    """The preamble of ``content`` with another major version and the checksum that fits it."""
    start = content[:8] + struct.pack("<H", major) + content[10:12]
    return start + struct.pack("<I", zlib.crc32(start)) + content[16:]


@pytest.mark.parametrize("command", [["replay", "a.detrun"], ["show", "a.detrun"]])
@pytest.mark.parametrize("fault", ["missing", "other", "empty", "directory", "newer", "flipped"])
def test_what_is_not_a_readable_recording_is_refused_in_one_line(call, directory, command, fault):
    call("record", "programs.py:rounds", "-o", "a.detrun")
    path = Path("a.detrun")
    content = path.read_bytes()
    path.unlink()
    if fault == "other":
        path.write_text("hello, this is a text file\n" * 40)
    elif fault == "empty":
        path.touch()
    elif fault == "directory":
        path.mkdir()
    elif fault == "newer":
        path.write_bytes(with_version(content, 99))
    elif fault == "flipped":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    line = one_line(call(*command, code=4))
    assert "a.detrun" in line
    if fault == "newer":
        assert "99" in line


def truncated(path: Path) -> None:
    """Cut the file at ``path`` so that its steps stay and its end does not."""
    recording = open_recording(path)
    whole = path.read_bytes()
    last = recording.entries[-1].position
    for length in range(len(whole) - 1, last, -1):
        path.write_bytes(whole[:length])
        if open_recording(path).truncated:
            return
    raise AssertionError("no cut leaves the steps without the end")


def test_a_truncated_recording_works_and_says_that_it_is_one(call, call_json, directory):
    recorded = call_json("record", "programs.py:rounds", "-o", "a.detrun")
    truncated(Path("a.detrun"))
    shown = call("show", "a.detrun").output
    assert "truncated" in shown
    assert "last 10 steps" in shown
    document = call_json("replay", "a.detrun")
    assert document["truncated"] is True
    assert document["same_digest"] is None
    assert document["digest"] == recorded["digest"]  # the strategy takes over where the file ends, as it had gone on
    assert "truncated" in call("replay", "a.detrun").output


def test_a_step_that_does_not_exist_is_refused(call, directory):
    call("record", "programs.py:rounds", "-o", "a.detrun")
    assert "there is no step 5000" in one_line(call("show", "a.detrun", "--step", "5000", code=2))
    assert "choose a step" in one_line(call("show", "a.detrun", "--step", "1", "--at", "1", code=2))


# Targets.


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ("programs.py", "names no function"),
        ("nowhere.py:main", "there is no file nowhere.py"),
        ("program.py:race", "did you mean programs.py?"),
        ("nowhere:main", "there is no module 'nowhere'"),
        ("programs.py:rase", "did you mean race?"),
        ("programs.py:xyzzy", "its functions are race, queue, rounds, "),
        ("programs.py:KEPT", "expected a function"),
        ("programs.py:needs_two", "needs 2 arguments"),
        ("broken.py:main", "(broken.py, line 2)"),
        ("imports.py:main", "ModuleNotFoundError: No module named 'not_there_at_all' (at imports.py:1)"),
        ("raises.py:main", "ZeroDivisionError: division by zero (at raises.py:3)"),
        ("leaves.py:main", "__main__"),
    ],
)
def test_a_target_that_cannot_be_had_is_explained_in_one_line(call, call_json, directory, target, part):
    Path("broken.py").write_text("\nasync def main(:\n    pass\n")
    Path("imports.py").write_text("import not_there_at_all\n")
    Path("raises.py").write_text("def half():\n    # so that the line is not the first\n    1 / 0\n\nhalf()\n")
    Path("leaves.py").write_text("import sys\nsys.exit(0)\n")
    assert part in one_line(call("record", target, code=2))
    assert part in call_json("check", target, code=2)["error"]["message"]
    assert not list(Path().glob("*.detrun"))


def test_a_recording_whose_program_is_gone_says_how_to_name_another(call, directory):
    call("record", "programs.py:rounds", "-o", "a.detrun")
    Path("programs.py").rename("renamed.py")
    line = one_line(call("replay", "a.detrun", code=2))
    assert "programs.py" in line
    assert "--target" in line
    assert "the same run" in call("replay", "a.detrun", "--target", "renamed.py:rounds").output


# Options.


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["programs.py:rounds", "--param", "x=1"], "takes no parameters"),
        (["programs.py:race"], "pass --param x=VALUE --param step=VALUE"),
        (["programs.py:race", "--param", "stp=1"], "did you mean step?"),
        (["programs.py:race", "--param", "x"], "not NAME=VALUE"),
        (["programs.py:race", "--param", "=1"], "not NAME=VALUE"),
        (["programs.py:race", "--param", "x=three"], "'three' is not a number"),
        (["programs.py:race", "--param", "x=nan"], "nan' is not valid; give a finite number"),
        (["programs.py:race", "--param", "x=1", "--param", "x=2"], "given twice"),
        (["programs.py:rounds", "--strategy", "lucky"], f"choose one of {', '.join(sorted(STRATEGIES))}"),
        (["programs.py:rounds", "-o", "nowhere/a.detrun"], "there is no directory nowhere"),
        (["programs.py:rounds", "-o", "folder"], "is a directory"),
        (["programs.py:rounds", "-o", "programs.py"], "is not a recording"),
        (["programs.py:rounds", "-o", "/dev/full"], "No space left on device"),
    ],
)
def test_wrong_options_are_explained_in_one_line_and_nothing_is_lost(call, directory, arguments, part):
    Path("folder").mkdir()
    before = Path("programs.py").read_text()
    assert part in one_line(call("record", *arguments, code=2))
    assert Path("programs.py").read_text() == before
    assert not list(Path().glob("*.detrun"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission_is_refused_in_one_line(call, directory):
    Path("locked").mkdir(mode=0o500)
    assert "Permission denied" in one_line(call("record", "programs.py:rounds", "-o", "locked/a.detrun", code=2))


def test_a_trace_that_cannot_be_written_is_refused_in_one_line(call, directory):
    call("record", "programs.py:rounds", "-o", "a.detrun")
    assert "cannot write" in one_line(call("show", "a.detrun", "--perfetto", "nowhere/trace.json", code=2))


def test_gradient_needs_something_to_differentiate_by(call, directory):
    assert "takes no parameters" in one_line(call("gradient", "programs.py:rounds", code=2))
    assert "unknown kind" in one_line(call("gradient", "programs.py:race", "--param", "x=1", "--kind", "odd", code=2))


def test_a_program_that_misses_a_parameter_is_told_which(call, directory):
    result = call("record", "programs.py:race", "--param", "x=1", code=1)
    assert "--param step=VALUE" in result.stdout


def test_failures_are_documents_too(call, directory):
    result = call("record", "nowhere.py:main", "--json", code=2)
    document = json.loads(result.stdout)
    assert document["ok"] is False
    assert document["error"]["type"] == "UsageError"
    assert document["error"]["traceback"] is None


# Groups of exceptions.


def test_an_interrupt_counts_wherever_it_is_in_a_group():
    group = BaseExceptionGroup("outer", [ValueError(), BaseExceptionGroup("inner", [KeyboardInterrupt()])])
    assert failures.exit_code(group) == failures.INTERRUPTED
    assert failures.exit_code(ExceptionGroup("outer", [ValueError()])) == failures.PROGRAM_FAILED


def test_no_member_of_a_group_speaks_for_different_others():
    two = ExceptionGroup("both", [ValueError("a"), TypeError("b")])
    assert failures.essence(two) is two
    assert "TypeError: b" in failures.message(two)


# What is found is not lost.


def test_a_failure_is_reported_where_its_directory_cannot_be_written(call, directory, monkeypatch, tmp_path):
    (directory / "blocked").touch()
    result = call("explore", "programs.py:deadlocks", "--directory", "blocked/detrun", code=5)
    assert result.stderr.startswith("note: failing schedules cannot be kept in blocked/detrun/failures")
    assert "Lock held by" in result.stderr
    assert "detrun1-" in result.output


def test_recordings_of_two_programs_have_two_names_and_a_replaced_one_is_named(call, directory):
    (directory / "other.py").write_text("async def fails():\n    pass\n")
    call("record", "programs.py:fails", code=1)
    assert "replaced" not in call("record", "other.py:fails").output
    assert (directory / "programs-fails-0.detrun").exists()
    assert "replaced" not in call("record", "other.py:fails").output
    (directory / "below").mkdir()
    (directory / "below" / "other.py").write_text("async def fails():\n    pass\n")
    assert "held a recording of other.py:fails, which is replaced" in call("record", "below/other.py:fails").output


def test_a_trace_replaces_a_trace_and_nothing_else(call, directory):
    call("record", "programs.py:fails", code=1)
    program = (directory / "programs.py").read_text()
    refused = call("show", "programs-fails-0.detrun", "--perfetto", "programs.py", code=2).stderr
    assert "programs.py exists and is not a trace of detrun's" in refused
    assert (directory / "programs.py").read_text() == program
    call("show", "programs-fails-0.detrun", "--perfetto", "trace.json")
    call("show", "programs-fails-0.detrun", "--perfetto", "trace.json")


def test_a_recording_of_a_test_names_the_command_that_replays_it(call, directory):
    import detrun

    async def main() -> None:
        pass

    detrun.record(main, to="kept.detrun", target="tests/test_a.py::test_x[1]")
    for command in (["replay"], ["show", "--at", "0"]):
        said = call(*command, "kept.detrun", code=2).stderr
        assert "pytest 'tests/test_a.py::test_x[1]' --detrun-replay kept.detrun" in said


def test_threads_are_interrupted_where_the_options_say(call_json, directory):
    (directory / "threads.py").write_text(
        "import threading\n\n\ndef main(params=None):\n    found = [0.0]\n\n    def add():\n        seen = found[0]\n"
        "        found[0] = seen + (params['x'] if params else 1.0)\n\n"
        "    threads = [threading.Thread(target=add) for _ in range(2)]\n"
        "    for one in threads:\n        one.start()\n    for one in threads:\n        one.join()\n"
        "    return found[0]\n"
    )
    lines = ["--preemption", "line"]
    steps = call_json("record", "threads.py:main", "-o", "sync.detrun")["steps"]
    assert call_json("record", "threads.py:main", "-o", "line.detrun", *lines)["steps"] > steps
    assert call_json("replay", "line.detrun")["same_digest"] is True
    nothing = [*lines, "--exclude", "threads"]
    assert call_json("record", "threads.py:main", "-o", "none.detrun", *nothing)["steps"] == steps
    assert call_json("check", "threads.py:main", *lines)["steps"] > steps
    assert call_json("check", "threads.py:main", "--fresh", *lines)["steps"] > steps
    ways = {
        call_json("gradient", "threads.py:main", "--param", "x=1", *lines, "--seed", str(seed))["grads"]["x"]
        for seed in range(8)
    }
    assert ways == {1.0, 2.0}
