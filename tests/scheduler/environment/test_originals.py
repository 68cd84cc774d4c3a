"""Modules of detrun that are first imported in a run or a campaign keep the functions that runs replace."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import _thread
import sys
import time

import detrun


def main(params):
    import random

    import detrun.checkers.legal_order

    return random.expovariate(1.0 / params["mean"])


detrun.record(lambda: __import__("detrun.execution.worker_processes"))
assert type(sys.modules["detrun.execution.worker_processes"]._busy) is _thread.LockType
detrun.gradient(main, {"mean": 2.0}, kind="policy", samples=2)
assert sys.modules["detrun.primitives.random_draws"].get_ident is _thread.get_ident
assert sys.modules["detrun.checkers.legal_order"].real_seconds is time.monotonic
"""


def test_a_module_that_is_first_imported_in_a_run_or_a_campaign_has_the_real_functions() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)
