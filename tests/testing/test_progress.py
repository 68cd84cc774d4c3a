"""Progress of a long test on a terminal: drawn behind the dots, gone when the test is over; silent in a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

# No real seconds are waited for: what is drawn after one second, at most ten times a second, is drawn at once.
AT_ONCE = """
    from detrun.explore.campaign import campaign
    from detrun.testing import progress

    campaign.REPORT_SECONDS = progress.QUIET_SECONDS = 0.0
"""
PROGRAM = """
    import pytest
    import trio

    @pytest.mark.detrun(schedules=3)
    async def test_something():
        print("what a test prints")
        await trio.sleep(1)
"""


def on_a_terminal(project, *arguments: str) -> str:
    """What pytest writes to a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=project.directory,
        env={**os.environ, "COLUMNS": "100", "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so when the last writer is gone
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait(60) == 0, written.decode()
    return written.decode()


def test_a_long_test_shows_its_schedules_on_a_terminal_and_leaves_nothing(project) -> None:
    project.write("conftest.py", AT_ONCE)
    project.write("test_something.py", PROGRAM)
    output = on_a_terminal(project)
    assert "2 schedules" in output
    drawn, _, after = output.rpartition("\x1b8")
    assert "\x1b7" in drawn
    assert after.startswith("\x1b[K")
    assert "what a test prints" not in output


def test_nothing_is_drawn_in_a_pipe_nor_by_a_quiet_pytest(project) -> None:
    project.write("conftest.py", AT_ONCE)
    project.write("test_something.py", PROGRAM)
    assert "\x1b" not in project.pytest("test_something.py").output
    assert "\x1b7" not in on_a_terminal(project, "-q")
