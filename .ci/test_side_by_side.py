"""Run the tests on one Python, or on two at once: the first is shown as it goes, the second when both are done.

Not with a shell's ``&``: what a shell starts in the background ignores Ctrl-C, and some tests send it. Each lists
the tests that take longest, and the ten files by CPU seconds (`tests/cpu_of_files.py`). The last lines are the CPU
seconds of each Python, with those of the processes that its tests start: what the budget in CONTRIBUTING.md is about,
since a busy machine lengthens everything else.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from typing import IO

SLOWEST = "--durations=20"
# What says the same on every Python runs on one of the two, see tests/conftest.py.
FIRST, SECOND = ("--share", "1/2"), ("--share", "2/2", "-p", "no:cacheprovider")


def started(python: str, *arguments: str, log: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """A pytest of its own.

    It may write bytecode whatever the shell says: the hundreds of processes that tests start would compile everything
    that they import otherwise, which takes longer than what they are started for.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.Popen([python, "-m", "pytest", SLOWEST, *arguments], stdout=log, stderr=log, env=environment)


def ended(tests: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Exit code and CPU seconds; those of a process include what it has waited for."""
    _, status, used = os.wait4(tests.pid, 0)
    tests.returncode = os.waitstatus_to_exitcode(status)
    return tests.returncode, used.ru_utime + used.ru_stime


def main(first: str, second: str | None = None) -> int:
    """Test with the interpreters; 0 if all pass."""
    if second is None:
        code, seconds = ended(started(first))
        print(f"{first}: {seconds:.0f} s of CPU", flush=True)
        return abs(code)
    print(f"{second} -m pytest runs beside {first} -m pytest and is shown after it", flush=True)
    with tempfile.TemporaryFile() as log:
        beside = started(second, *SECOND, log=log)
        shown, seconds = ended(started(first, *FIRST))
        hidden, seconds_beside = ended(beside)
        log.seek(0)
        print(f"{second} -m pytest", flush=True)
        sys.stdout.buffer.write(log.read())
        sys.stdout.buffer.flush()
    print(f"{first}: {seconds:.0f} s of CPU, {second}: {seconds_beside:.0f} s of CPU", flush=True)
    return max(abs(shown), abs(hidden))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
