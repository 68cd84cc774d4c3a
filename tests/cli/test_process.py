"""The command line as a shell meets it: processes, signals, pipes, terminals, completion."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

LONG = """
import trio


async def main():
    async def worker():
        while True:
            await trio.sleep(0.1)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(worker)
"""


def test_a_recording_replays_in_another_process_under_another_hash_seed(shell, directory):
    recorded = shell("record", "programs.py:rounds", "-o", "a.detrun", "--json", PYTHONHASHSEED="1")
    assert recorded.returncode == 0, recorded.stderr
    replayed = shell("replay", "a.detrun", "--json", PYTHONHASHSEED="2")
    assert replayed.returncode == 0, replayed.stderr
    assert json.loads(replayed.stdout)["digest"] == json.loads(recorded.stdout)["digest"]


def test_exit_codes_reach_the_shell(shell, directory):
    assert shell("record", "programs.py:deadlocks").returncode == 5


ENDS = """
import sys
from detrun.cli import main

for arguments in (
    ["record", "programs.py:fails"],
    ["record"],
    ["check", "programs.py:remembers"],
    ["show", "programs.py"],
):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as ended:
        print("ended", ended.code)
"""


def test_every_ending_has_its_exit_code(directory):
    # What the console script calls, four times in one process.
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", ENDS],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
        check=True,
    )
    assert [line for line in done.stdout.splitlines() if line.startswith("ended")] == [
        "ended 1",
        "ended 2",
        "ended 3",
        "ended 4",
    ]


def test_a_module_in_the_working_directory_is_a_target_though_the_script_lies_elsewhere(directory):
    # Like the console script, whose own directory and not the working directory is at the head of sys.path.
    code = "import sys; del sys.path[0]; from detrun.cli import main; main()"
    path = os.pathsep.join(entry for entry in sys.path if entry and entry != str(directory))
    done = subprocess.run(
        [sys.executable, "-c", code, "record", "programs:rounds"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_an_interrupt_ends_with_130_and_leaves_a_recording(directory):
    Path("long.py").write_text(LONG)
    path = os.pathsep.join(entry for entry in sys.path if entry)
    process = subprocess.Popen(
        [sys.executable, "-m", "detrun", "record", "long.py:main", "-o", "a.detrun"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    limit = time.monotonic() + 30
    # The file grows beyond its header when the run is well under way.
    while not (Path("a.detrun").exists() and Path("a.detrun").stat().st_size > 2_000) and time.monotonic() < limit:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert "detrun replay a.detrun" in out


def test_a_reader_that_goes_away_gets_no_traceback(directory, call):
    call("record", "programs.py:rounds", "-o", "a.detrun")
    path = os.pathsep.join(entry for entry in sys.path if entry)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "detrun", "show", "a.detrun"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert "Traceback" not in done.stderr


def on_a_terminal(columns: int, *arguments: str) -> str:
    """The output of ``detrun`` on a terminal of ``columns`` columns."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    environment |= {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-m", "detrun", *arguments], stdout=terminal, stderr=terminal, env=environment
    )
    os.close(terminal)
    written = b""
    while True:
        try:
            part = os.read(controller, 1 << 16)
        except OSError:  # the last writer has closed its end
            break
        if not part:
            break
        written += part
    os.close(controller)
    process.wait(timeout=60)
    return written.decode()


@pytest.mark.parametrize("columns", [80, 120])
def test_tables_fit_the_terminal_and_are_coloured(call, directory, columns):
    call("record", "programs.py:fails", "-o", "a.detrun", code=1)
    text = on_a_terminal(columns, "show", "a.detrun")
    assert "\x1b[" in text
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert max(map(len, lines)) <= columns
    assert any("main/unlucky" in line and "failed" in line for line in lines)


def test_plain_output_has_neither_colour_nor_limit(shell, call, directory):
    call("record", "programs.py:fails", "-o", "a.detrun", code=1)
    text = shell("show", "a.detrun", COLUMNS="40").stdout
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) > 40


COMPLETES = """
import json, os, sys
from contextlib import redirect_stdout
from io import BytesIO, TextIOWrapper
from detrun.cli import main

os.environ["_DETRUN_COMPLETE"] = "bash_complete"
answers = []
for words, position in json.loads(sys.argv.pop()):
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = words, str(position)
    with redirect_stdout(TextIOWrapper(BytesIO())) as written:
        try:
            main()
        except SystemExit:
            pass
    written.flush()
    answers.append(written.buffer.getvalue().decode())
print(json.dumps(answers))
"""


def test_completion_knows_commands_strategies_and_files(directory):
    path = os.pathsep.join(entry for entry in sys.path if entry)
    asked = [
        ("detrun rep", 1),
        ("detrun record --strategy p", 3),
        ("detrun record --strategy rand", 3),
        ("detrun record prog", 2),
        ("detrun replay --re", 2),
    ]
    done = subprocess.run(
        [sys.executable, "-c", COMPLETES, json.dumps(asked)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
        check=True,
    )
    command, strategy, whole_strategy, file, option = json.loads(done.stdout)
    assert "plain,replay" in command
    assert "plain,pct" in strategy.split()
    assert whole_strategy.split() == ["plain,random"]
    assert "file," in file
    assert "plain,--resync" in option


def test_the_library_alone_imports_neither_click_nor_rich():
    path = os.pathsep.join(entry for entry in sys.path if entry)
    code = "import sys, detrun; print([name for name in ('click', 'rich', 'torch') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=True
    )
    assert done.stdout.strip() == "[]"


def test_help_imports_no_rich():
    path = os.pathsep.join(entry for entry in sys.path if entry)
    code = (
        "import sys\nfrom detrun.cli import main\nsys.argv[1:] = ['--help']\n"
        "try:\n    main()\nfinally:\n    assert 'rich' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Exit codes" in done.stdout


def test_a_minimization_goes_on_after_kill_minus_9(call_json, directory):
    """Killed wherever it is, once some gradients are kept; it would go on for 10,000."""
    arguments = ["minimize", "programs.py:race", "--param", "x=3", "--param", "step=1", "--kind", "local"]
    arguments += ["--samples", "2", "--held-out", "4", "--look-every", "3", "--rate", "0.2"]
    endless = ["--iterations", "10000", "--patience", "10000", "--checkpoint", "killed.jsonl"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    child = subprocess.Popen([sys.executable, "-m", "detrun", *arguments, *endless], env=environment)
    checkpoint = Path("killed.jsonl")
    try:
        until = time.monotonic() + 60
        while not checkpoint.exists() or checkpoint.read_bytes().count(b"\n") < 5:
            assert child.poll() is None, "ended by itself"
            assert time.monotonic() < until, "no evaluation was kept"
            time.sleep(0.01)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == -signal.SIGKILL
    whole_lines = checkpoint.read_bytes().rpartition(b"\n")[0].splitlines()
    iterations = ["--iterations", str(len(whole_lines) + 3)]  # further than the child came
    resumed = call_json(*arguments, *iterations, "--checkpoint", "killed.jsonl")
    assert checkpoint.read_bytes().splitlines()[: len(whole_lines)] == whole_lines
    whole = call_json(*arguments, *iterations)
    assert resumed == whole
    assert len(whole["history"]) == len(whole_lines) + 3
