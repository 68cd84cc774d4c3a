"""CPython's own tests of locks, threads, queues, locals and thread pools, as shipped with the interpreter.

Each test runs in a run of its own, over simulated threads and virtual time. One fresh process runs them all under a
strategy; what it does is in `cpython_under_detrun`, what it leaves out and why in `cpython_exclusions`. Run this
file as a script to print the table of ``docs/compatibility.md``.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cpython_exclusions import EXCLUSIONS
from suite_outcomes import outcomes_of

pytestmark = pytest.mark.external

TIMEOUT_SECONDS = 110
STRATEGIES = ("fifo", "random", "pct")


def shipped() -> bool:
    """True if this interpreter came with its tests."""
    return importlib.util.find_spec("test") is not None and importlib.util.find_spec("test.lock_tests") is not None


needs_tests = pytest.mark.skipif(not shipped(), reason="this Python is installed without its own test suite")


@cache
def results(strategy: str, seed: int = 0, only: str = "", before: str = "") -> dict[str, tuple[str, str]]:
    """By name of test: passed, failed, skipped or absent, and what it said. ``before`` is executed first."""
    program = (
        f"import sys\n{before}\nimport cpython_under_detrun\ncpython_under_detrun.main({strategy!r}, {seed}, {only!r})"
    )
    return outcomes_of(program, TIMEOUT_SECONDS)


@needs_tests
@pytest.mark.parametrize("strategy", ["fifo", *(pytest.param(one, marks=pytest.mark.slow) for one in STRATEGIES[1:])])
def test_cpythons_tests_pass_over_simulated_threads(strategy: str) -> None:
    found = results(strategy)
    failed = {name: text for name, (outcome, text) in found.items() if outcome == "failed"}
    assert failed == {}
    passed = Counter(
        name.rpartition(".")[0].rpartition(".")[0] for name, (outcome, _) in found.items() if outcome == "passed"
    )
    assert passed["test.test_threading"] > 90
    assert passed["test.test_queue"] > 40
    assert passed["test.test_threading_local"] > 10


@needs_tests
def test_a_lock_that_wakes_no_waiter_fails_cpythons_tests() -> None:
    """The negative twin: what is wrong would be seen."""
    broken = "from detrun_scheduler.threads.locks import Lock; Lock.give_back = lambda self, run: self._real.release()"
    found = results("fifo", only="test_threading.LockTests.test_acquire_contended", before=broken)
    assert found["test.test_threading.LockTests.test_acquire_contended"][0] == "failed"


@needs_tests
def test_every_exclusion_names_a_test_that_exists_in_some_version() -> None:
    """Patterns are wide, so it is enough that each has the name of a class that is run."""
    from cpython_under_detrun import SUITES

    classes = {f"{module}.{name}" for module, names in SUITES.items() for name in names}
    for pattern in EXCLUSIONS:
        head = pattern.rpartition(".")[0].replace("*", "")
        assert any(one.startswith(head) or "*" in pattern for one in classes), pattern


def table() -> str:
    """The table of ``docs/compatibility.md``, in Markdown."""
    counts: dict[str, list[int]] = {}
    for position, strategy in enumerate(STRATEGIES):
        for name, (outcome, _) in results(strategy).items():
            row = counts.setdefault(name.rpartition(".")[0].rpartition(".")[0], [0] * len(STRATEGIES))
            row[position] += outcome == "passed"
    lines = [f"| module | {' | '.join(f'`{one}`' for one in STRATEGIES)} |", "|---|" + "---:|" * len(STRATEGIES)]
    lines += [f"| `{module}` | {' | '.join(map(str, row))} |" for module, row in counts.items() if any(row)]
    totals = [sum(row[position] for row in counts.values()) for position in range(len(STRATEGIES))]
    lines.append("| **all** | " + " | ".join(f"**{total}**" for total in totals) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
