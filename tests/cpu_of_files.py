"""The CPU seconds of each test file, and at the end of a session the files that took most.

Collecting a file counts, since it imports what only that file needs, and so do fixtures and the processes that tests
have waited for. What several files import or start together falls to the first of them. CPU seconds, since other work
lengthens everything else: the budget in CONTRIBUTING.md is about them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator

import pytest

SHOWN = 10


def cpu_seconds() -> float:
    """Used by this process and by those that it has waited for."""
    return sum(os.times()[:4])


class CpuOfFiles:
    """A pytest plugin."""

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Import a file, look through a directory."""
        begun = cpu_seconds()
        try:
            return (yield)
        finally:
            self._seconds[collector.nodeid.partition("::")[0]] += cpu_seconds() - begun

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Run a test, with the fixtures that are made for it and end with it."""
        begun = cpu_seconds()
        try:
            return (yield)
        finally:
            self._seconds[item.nodeid.partition("::")[0]] += cpu_seconds() - begun

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the slowest where there are several."""
        if len(self._seconds) > SHOWN:
            terminalreporter.section(f"slowest {SHOWN} files, CPU seconds")
            for file, seconds in self._seconds.most_common(SHOWN):
                terminalreporter.line(f"{seconds:7.1f} {file}")
