"""CPython's own tests of asyncio on the simulated event loop, as shipped with the interpreter.

Each test runs in a run of its own under ``asyncio_order="fifo"``, over the network of ``localhost`` and virtual time;
`asyncio_under_detrun` says how, `asyncio_exclusions` what is left out and why. Run this file as a script to print the
table of ``docs/compatibility.md``, which compares with asyncio's own loop.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from suite_outcomes import outcomes_of

pytestmark = [
    pytest.mark.external,
    pytest.mark.skipif(
        importlib.util.find_spec("test.test_asyncio") is None,
        reason="this Python is installed without its own test suite",
    ),
]

TIMEOUT_SECONDS = 400
# Module -> how many of its tests pass at least, on every Python.
QUICK = {"taskgroups": 30, "runners": 18, "streams": 55}
REST = {
    "waitfor": 14,
    **{"locks": 65, "queues": 40, "timeouts": 20, "pep492": 10, "threads": 5, "context": 1},
    **{"futures2": 3, "futures": 140, "tasks": 280, "server": 1, "sock_lowlevel": 9},
    **{"buffered_proto": 1, "events": 80, "protocols": 5, "transports": 7, "selector_events": 95, "sslproto": 13},
    **{"subprocess": 25, "ssl": 20, "eager_task_factory": 35, "staggered": 3},
}


@cache
def results(order: str, module: str, before: str = "") -> dict[str, tuple[str, str]]:
    """By name of test: passed, failed, skipped or left out, and what it said. ``before`` is executed first."""
    program = (
        f"import sys\n{before}\nimport asyncio_under_detrun\n"
        f"asyncio_under_detrun.main({order!r}, 0, {f'test_{module}.'!r})"
    )
    return outcomes_of(program, TIMEOUT_SECONDS)


def assert_they_pass(module: str, least: int) -> None:
    if importlib.util.find_spec(f"test.test_asyncio.test_{module}") is None:
        pytest.skip("this Python has no such module")
    found = results("fifo", module)
    assert {name: text for name, (outcome, text) in found.items() if outcome == "failed"} == {}
    assert sum(outcome == "passed" for outcome, _ in found.values()) >= least


@pytest.mark.parametrize("module", QUICK)
def test_asyncios_tests_pass_on_the_simulated_loop(module: str) -> None:
    assert_they_pass(module, QUICK[module])


@pytest.mark.slow
@pytest.mark.parametrize("module", REST)
def test_the_rest_of_them_passes_too(module: str) -> None:
    assert_they_pass(module, REST[module])


def test_a_loop_that_calls_back_in_the_wrong_order_fails_them() -> None:
    """The negative twin: what is wrong would be seen."""
    broken = (
        "from detrun_scheduler.asyncio_host.line import Line\n"
        "put = Line.put\n"
        "def behind(line, lane):\n"
        "    put(line, lane)\n"
        "    if len(line.lanes) > 2:\n"
        "        line.lanes[-1], line.lanes[-2] = line.lanes[-2], line.lanes[-1]\n"
        "Line.put = behind"
    )
    assert "failed" in {outcome for outcome, _ in results("fifo", "queues", broken).values()}


def table() -> str:
    """The table of ``docs/compatibility.md``, in Markdown, and how often each reason leaves out a test."""
    lines = ["| module | asyncio's own loop | detrun | left out |", "|---|---:|---:|---:|"]
    totals = [0, 0, 0]
    reasons: Counter[str] = Counter()
    for module in (*QUICK, *REST):
        stock, ours = results("stock", module), results("fifo", module)
        passed = [name for name, (outcome, _) in stock.items() if outcome == "passed"]
        if not passed:
            continue
        alike = sum(ours.get(name, ("", ""))[0] == "passed" for name in passed)
        left_out = [ours[name][1] for name in passed if ours.get(name, ("", ""))[0] == "left out"]
        reasons.update(left_out)
        row = [len(passed), alike, len(left_out)]
        totals = [total + one for total, one in zip(totals, row, strict=True)]
        lines.append(f"| `test_{module}` | {row[0]} | {row[1]} | {row[2]} |")
    lines.append(f"| **all** | **{totals[0]:,}** | **{totals[1]:,}** | **{totals[2]}** |")
    lines += ["", "| tests | why they are left out |", "|---:|---|"]
    lines += [f"| {count} | {reason} |" for reason, count in reasons.most_common()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
