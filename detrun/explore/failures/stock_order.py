"""Whether a failure of an asyncio program comes in the order of asyncio's own loop, too.

A schedule may fail in an order of tasks that the stock loop has only where a reply or a timer comes later. The shrunk
failure is run once more with ``asyncio_order="fifo"``: its turns apply where they are turns of threads or actions, and
the tasks of each loop go on first come, first served.
"""

from __future__ import annotations

from dataclasses import replace

from detrun.explore.failures.trials import Trial, TrialRunner
from detrun_scheduler.endings import exception_leaves
from detrun_scheduler.errors import StepLimitError


def in_stock_order(runner: TrialRunner, failing: Trial) -> str:
    """How ``failing`` ends in the stock order, as a sentence; empty where there is no other order, or no end.

    Args:
        runner: of the trial.
        failing: a trial that fails.
    """
    program = runner.program
    if not failing.in_asyncio or program.options.asyncio_order == "fifo":
        return ""
    in_order = replace(program, options=replace(program.options, asyncio_order="fifo"))
    stock = TrialRunner(in_order, runner.seed, runner.spans).not_much_longer_than(failing).try_turns(failing.turns)
    order = "in the order of asyncio's own loop (asyncio_order='fifo')"
    if stock.error is None:
        return f"passes {order}: it takes a task that is late"
    if stock.signature == failing.signature:
        return f"fails {order}, too"
    if any(isinstance(leaf, StepLimitError) for leaf in exception_leaves(stock.error)):
        return ""
    return f"fails otherwise {order}: {stock.signature}"
