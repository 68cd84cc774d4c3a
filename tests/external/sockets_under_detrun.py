"""Runs CPython's own tests of sockets and of what stands on them, each in a detrun run of its own.

Called by `test_sockets_suite` in a fresh process. Prints one JSON list [name, outcome, text] for each test. Each runs
in simulated threads over the network of ``localhost`` and virtual time, or with ``order == "stock"`` outside of runs.
"""

from __future__ import annotations

import importlib
import json
import sys
import unittest
from functools import partial
from operator import call
from typing import Any

from asyncio_under_detrun import cases_of, controlled
from sockets_exclusions import EXCLUSIONS, NOWHERE
from suite_outcomes import exclusion, outcome_of

from detrun_scheduler.frozen_heap import frozen_heap

MODULES = (
    *("socket", "selectors", "socketserver", "httplib", "httpservers", "http_cookies", "http_cookiejar"),
    *("urllib2_localnet", "xmlrpc", "smtplib", "ftplib", "poplib", "imaplib", "telnetlib", "timeout"),
    *("ssl", "poll", "epoll", "docxmlrpc", "asyncore", "asynchat", "smtpd", "nntplib"),
)


class _WithFixtures(unittest.TestSuite):
    """One test with what its class and its module set up."""

    def run(self, result: unittest.TestResult, debug: bool = False) -> unittest.TestResult:
        result.shouldStop = False
        return super().run(result, debug)


def main(order: str, seed: int, only: str) -> None:
    """``order``: ``"stock"`` for no run, or a strategy's ``asyncio_order``."""
    within: Any = call if order == "stock" else partial(controlled, order=order, seed=seed)
    for short in MODULES:
        if only and not f"test_{short}.".startswith(only.partition(".")[0] + "."):
            continue
        try:
            module = importlib.import_module(f"test.test_{short}")
        except (ImportError, unittest.SkipTest) as error:
            print(json.dumps([f"test_{short}", "absent", str(error)]), flush=True)
            continue
        with frozen_heap():
            for case in cases_of(module):
                name = f"test_{short}.{type(case).__qualname__}.{getattr(case, '_testMethodName', '')}"
                if only not in name:
                    continue
                reason = exclusion(name, EXCLUSIONS)
                if reason is not None and (order != "stock" or reason in NOWHERE):
                    print(json.dumps([name, "left out", reason]), flush=True)
                    continue
                print(json.dumps([name, *outcome_of(_WithFixtures([case]), within)]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "")
