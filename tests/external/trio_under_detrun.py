"""A pytest plugin that makes ``trio.run`` mean detrun's run loop, for running trio's own test suite.

It is loaded into a pytest process of its own (see ``test_trio_suite.py``), never into detrun's tests. Everything that
trio's tests start through ``trio.run``, ``trio._core.run`` or ``trio.testing.trio_test`` is stepped by a `RunLoop`
under the strategy and seed given on the command line. ``--trio-strategy plain`` leaves trio's own loop in place and
shows what trio itself passes.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import trio
from trio._core import _run
from trio._deprecate import warn_deprecated
from trio_exclusions import exclusions

from detrun_scheduler.loop import RunLoop
from detrun_scheduler.strategies import make

PLAIN = "plain"
TOO_MANY_STEPS = 1_000_000  # a test that livelocks under some schedule shall fail, not hang


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--trio-strategy", default="fifo", help="a strategy of detrun, or 'plain' for trio's own loop")
    parser.addoption("--trio-seed", type=int, default=0)


def pytest_configure(config: pytest.Config) -> None:
    strategy = config.getoption("--trio-strategy")
    if strategy != PLAIN:
        # trio's own generator gives each run its seed, so that a test that seeds it gets what it asks for.
        _run._r.seed(config.getoption("--trio-seed"))
        replacement = run_under(strategy)
        for module in (trio, trio._core, _run):
            module.run = replacement  # type: ignore[attr-defined]  # each has the name


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the excluded tests; under trio's own loop too, so that both runs are of one selection."""
    excluded = exclusions(config.getoption("--trio-strategy"))
    left_out = [item for item in items if _name(item) in excluded]
    items[:] = [item for item in items if _name(item) not in excluded]
    if left_out:
        config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish() -> None:
    """Many of the tests collect garbage, time and again; what was imported has none."""
    gc.freeze()


def _name(item: pytest.Item) -> str:
    module = item.module.__name__.removeprefix("trio.")  # type: ignore[attr-defined]  # of a test function
    return f"{module}::{getattr(item, 'originalname', item.name)}"


def run_under(strategy: str) -> Callable[..., object]:
    """``trio.run`` with the same parameters and errors, on detrun's loop. Each run of the process gets its own seed."""

    def run(
        async_fn: Callable[..., Awaitable[object]],
        *args: object,
        clock: Any = None,
        instruments: Sequence[trio.abc.Instrument] = (),
        restrict_keyboard_interrupt_to_checkpoints: bool = False,
        strict_exception_groups: bool = True,
    ) -> object:
        __tracebackhide__ = True
        if not strict_exception_groups:
            warn_deprecated(
                "trio.run(..., strict_exception_groups=False)",
                version="0.25.0",
                issue=2929,
                instead="the default value of True and rewrite exception handlers to handle ExceptionGroups.",
                use_triodeprecationwarning=True,
            )
        if trio.lowlevel.in_trio_run():
            raise RuntimeError("Attempted to call run() from inside a run()")
        loop = RunLoop(
            make(strategy),
            seed=_run._r.getrandbits(32),
            max_steps=TOO_MANY_STEPS,
            instruments=instruments,
            strict_exception_groups=strict_exception_groups,
            restrict_keyboard_interrupt_to_checkpoints=restrict_keyboard_interrupt_to_checkpoints,
            clock=clock,
        )
        outcome = loop.run(async_fn, *args)
        # Not outcome.unwrap(): like trio.run, leave no extra frame in every traceback.
        if hasattr(outcome, "error"):
            raise outcome.error
        return outcome.value

    return run
