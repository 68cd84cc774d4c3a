"""How tests of a suite that others wrote come out: judged in the process that runs them, read by the one that asks.

That process is a fresh one. It prints a line of JSON for each test: name, outcome and what it said.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unittest
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SEARCHED = (HERE, ROOT, ROOT / "scheduler", ROOT / "recorder")


def outcome_of(case: unittest.TestCase, within: Callable[[Callable[[], object]], object]) -> tuple[str, str]:
    """The outcome of one test, passed, failed or skipped, and its message; ``within`` calls what runs it, in a run."""
    result = unittest.TestResult()
    try:
        within(lambda: case.run(result))
    except BaseException as error:  # a deadlock, a step limit
        return "failed", f"{type(error).__name__}: {error}"
    problems = result.errors + result.failures
    if problems:
        return "failed", problems[0][1]
    if result.skipped:
        return "skipped", result.skipped[0][1]
    return "passed", ""


def exclusion(name: str, exclusions: Mapping[str, str]) -> str | None:
    """The reason for leaving a test out, by the first pattern that fits its name; None if it is run."""
    return next((reason for pattern, reason in exclusions.items() if fnmatchcase(name, pattern)), None)


def outcomes_of(program: str, timeout_seconds: float) -> dict[str, tuple[str, str]]:
    """By name of test: its outcome and its message, as a program prints them that runs in a process of its own."""
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, SEARCHED))},
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    found = {}
    for line in finished.stdout.splitlines():
        # Some tests print, and not always whole lines.
        if (start := line.find('["test')) >= 0:
            name, outcome, text = json.loads(line[start:])
            found[name] = (outcome, text)
    return found
