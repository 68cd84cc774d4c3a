"""Threads are tasks to the explorer: the same strategies, verdicts and explanations, with preemption at opcodes."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from detrun import UsageError, explore


class Account:
    """Plain state."""

    def __init__(self) -> None:
        self.balance = 0


def threads(*functions: Any) -> None:
    started = [threading.Thread(target=function) for function in functions]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def lost() -> None:
    account = Account()

    def add() -> None:
        value = account.balance
        account.balance = value + 1

    threads(add, add)
    assert account.balance == 2


def apart() -> None:
    accounts = [Account() for _ in range(3)]

    def add(account: Account) -> Any:
        def run() -> None:
            account.balance = account.balance + 1

        return run

    threads(*map(add, accounts))
    assert [account.balance for account in accounts] == [1, 1, 1]


@pytest.mark.parametrize(
    "strategy",
    [
        *("random", "portfolio", "bounded:1", "dpor"),
        *(pytest.param(one, marks=pytest.mark.one_python) for one in ("pct", "pos", "urw", "subset")),
    ],
)
@pytest.mark.parametrize("preemption", ["line", "opcode"])
def test_a_lost_update_between_threads_is_found(strategy: str, preemption: str) -> None:
    if (strategy, preemption) == ("dpor", "line"):
        with pytest.raises(UsageError, match="opcode"):
            explore(lost, strategy=strategy, preemption=preemption, directory=None)
        return
    result = explore(lost, strategy=strategy, preemption=preemption, schedules=2_000, directory=None)
    assert result.failure is not None
    assert isinstance(result.failure.exception, AssertionError)
    assert result.failure.shrunk is not None
    assert result.failure.shrunk.after[0] == 1


def test_without_preemption_plain_threads_have_nothing_to_interleave() -> None:
    assert explore(lost, strategy="dfs", directory=None).verdict == "holds"


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="open: the monitored accesses of 3.13 give no name yet")
def test_the_explanation_names_the_plain_attribute() -> None:
    failure = explore(lost, preemption="opcode", directory=None).failure
    assert failure is not None
    assert failure.explanation is not None
    assert failure.explanation.resource == "Account[0].balance"
    assert failure.explanation.pair is not None
    assert {one.verb for one in failure.explanation.pair} <= {"reads", "changes"}


def test_partial_order_reduction_sees_that_objects_are_apart() -> None:
    """Finding the objects is ordered, so a few schedules and not one; all interleavings are far more than 50,000."""
    result = explore(apart, strategy="dpor", preemption="opcode", schedules=500, directory=None)
    assert result.verdict == "holds"
    assert result.schedules <= 24


@pytest.mark.one_python
def test_workers_of_an_executor_preempt_too() -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        found = explore(lost, preemption="line", executor=executor, strategy="random", directory=None)
    alone = explore(lost, preemption="line", strategy="random", directory=None)
    assert found.failure is not None
    assert alone.failure is not None
    assert found.failure.schedule == alone.failure.schedule


def test_include_without_preemption_is_refused_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="include"):
        explore(lost, preemption="sync", include=["somewhere"], directory=None)
    with pytest.raises(UsageError, match="include"):
        explore(lost, strategy="dfs", include=["somewhere"], directory=None)
