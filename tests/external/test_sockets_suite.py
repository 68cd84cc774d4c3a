"""CPython's own tests of sockets, TLS, selectors, servers, HTTP and other protocols over simulated sockets.

Each test runs in a run of its own, in simulated threads over the network of ``localhost``; `sockets_under_detrun` says
how, `sockets_exclusions` what is left out and why. Run this file as a script to print the table of
``docs/compatibility.md``, which compares with the operating system's sockets.
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
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("test.test_socket") is None or importlib.util.find_spec("test.test_asyncio") is None,
        reason="this Python is installed without its own test suite",
    ),
]

TIMEOUT_SECONDS = 400
# Module -> how many of its tests pass at least, on every Python that has it.
LEAST = {
    **{"socket": 300, "selectors": 60, "socketserver": 18, "httplib": 100, "httpservers": 55, "http_cookies": 20},
    **{"http_cookiejar": 70, "urllib2_localnet": 20, "xmlrpc": 80, "smtplib": 70, "ftplib": 80, "poplib": 60},
    **{"imaplib": 80, "telnetlib": 15, "timeout": 7, "ssl": 150, "poll": 6, "epoll": 9, "docxmlrpc": 9},
    **{"asyncore": 80, "asynchat": 25, "smtpd": 150, "nntplib": 70},
}


@cache
def results(order: str, module: str, before: str = "") -> dict[str, tuple[str, str]]:
    """By name of test: passed, failed, skipped or left out, and what it said. ``before`` is executed first."""
    program = (
        f"import sys\n{before}\nimport sockets_under_detrun\n"
        f"sockets_under_detrun.main({order!r}, 0, {f'test_{module}.'!r})"
    )
    return outcomes_of(program, TIMEOUT_SECONDS)


@pytest.mark.parametrize("module", LEAST)
def test_cpythons_tests_pass_over_simulated_sockets(module: str) -> None:
    if importlib.util.find_spec(f"test.test_{module}") is None:
        pytest.skip("this Python has no such module")
    found = results("fifo", module)
    assert {name: text for name, (outcome, text) in found.items() if outcome == "failed"} == {}
    assert sum(outcome == "passed" for outcome, _ in found.values()) >= LEAST[module]


def test_a_socket_that_loses_a_byte_fails_them() -> None:
    """The negative twin: what is wrong would be seen."""
    broken = (
        "from detrun.world.network.tcp import Connection\nread = Connection.read\n"
        "Connection.read = lambda self, size: read(self, size)[:-1]"
    )
    assert "failed" in {outcome for outcome, _ in results("fifo", "httpservers", broken).values()}


def table() -> str:
    """The table of ``docs/compatibility.md``, in Markdown, and how often each reason leaves out a test."""
    lines = ["| module | the system's sockets | detrun | left out |", "|---|---:|---:|---:|"]
    totals = [0, 0, 0]
    reasons: Counter[str] = Counter()
    for module in LEAST:
        stock, ours = results("stock", module), results("fifo", module)
        passed = [name for name, (outcome, _) in stock.items() if outcome == "passed"]
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
