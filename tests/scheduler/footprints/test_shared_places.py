"""Places learnt from a few runs: the lines that touch what several threads touch, and preemption at these alone."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
import trio

import detrun
from detrun_scheduler.errors import UsageError
from detrun_scheduler.footprints.places import Places, place
from detrun_scheduler.footprints.shared_places import SharedPlaces
from detrun_scheduler.strategies import make
from detrun_scheduler.threads.preemption import Preemption

HERE = str(Path(__file__).resolve())
WIDE = (HERE, "fractions", "numbers")


class Ledger:
    def __init__(self) -> None:
        self.entries: list[int] = []
        self.table: dict[str, int] = {}
        self.total = 0  # never changed
        self.rate = 2
        self.own: list[list[int]] = [[], []]

    def add(self, number: int) -> int:
        amount = self.rate * number  # only read
        self.entries.append(amount)  # changed by a method written in C
        self.table["last"] = number  # changed by an instruction
        mine: list[int] = []
        mine.append(number)  # of one thread
        self.found().count = number  # the object comes out of a call
        return sum(mine)

    def found(self) -> Any:
        return self.__dict__.setdefault("counter", Counter())


class Counter:
    count = 0


def two_add() -> None:
    ledger = Ledger()
    together(*(lambda number=number: ledger.add(number) for number in (1, 2)))


def together(*bodies: Callable[[], object]) -> None:
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def learnt(main: Callable[..., Any], runs: int = 4, include: tuple[str, ...] = (HERE,)) -> frozenset[str] | None:
    shared = SharedPlaces()
    with Preemption("opcode", include, observer=shared) as preemption:
        for seed in range(runs):
            detrun.explore(main, schedules=1, seed=seed, preemption=preemption, directory=None, shrink=False)
    return shared.places()


def line_of(text: str) -> str:
    number = next(number for number, line in enumerate(Path(HERE).read_text().splitlines(), 1) if text in line)
    codes = [compile(Path(HERE).read_text(), HERE, "exec")]
    for code in codes:  # grows meanwhile
        codes += [one for one in code.co_consts if isinstance(one, CodeType)]
    (inside,) = [code for code in codes[1:] if number in {line for *_, line in code.co_lines()}]
    return place(HERE, inside.co_qualname, number - inside.co_firstlineno)


def test_lines_that_touch_what_two_threads_touch_and_one_changes_are_places() -> None:
    places = learnt(two_add)
    assert places is not None
    for text in ("# changed by a method", "# changed by an instruction", "# the object comes"):
        assert line_of(text) in places
    for text in ("# only read", "# never changed", "# of one thread"):
        assert line_of(text) not in places


def test_what_main_does_before_its_threads_start_makes_no_place() -> None:
    def program() -> None:
        ledger = Ledger()
        ledger.add(0)  # before
        together(lambda: ledger.add(1))
        ledger.add(2)

    assert learnt(program) == frozenset()


def test_where_tasks_run_beside_threads_nothing_is_ruled_out() -> None:
    async def program() -> None:
        ledger = Ledger()
        async with trio.open_nursery() as nursery:
            for number in (1, 2):
                nursery.start_soon(trio.to_thread.run_sync, ledger.add, number)

    assert learnt(program) is None


class Account:
    """A lost update amid much work that no other thread sees."""

    def __init__(self) -> None:
        self.balance = 0.0

    def deposit(self, amount: int) -> None:
        rest = sum((Fraction(amount, 7) ** power for power in range(1, 5)), Fraction(0))
        before = self.balance
        self.balance = before + amount + 0 * float(rest)


def two_deposit() -> float:
    account = Account()
    together(lambda: account.deposit(1), lambda: account.deposit(2))
    return account.balance


@pytest.mark.parametrize("granularity", ["line", "opcode"])
def test_a_wide_include_costs_few_steps_where_only_places_are_preempted(granularity: str) -> None:
    places = learnt(two_deposit, include=WIDE)
    assert places is not None
    wide = detrun.record(two_deposit, seed=1, preemption=Preemption(granularity, WIDE))  # type: ignore[arg-type]
    narrow = detrun.record(two_deposit, seed=1, preemption=Preemption(granularity, WIDE, only_at=places))  # type: ignore[arg-type]
    none = detrun.record(two_deposit, seed=1)
    assert none.steps < narrow.steps < none.steps + 60
    assert wide.steps > 4 * narrow.steps
    again = detrun.replay(two_deposit, recording=narrow.recording)
    assert (again.digest, again.steps) == (narrow.digest, narrow.steps)


@pytest.mark.one_python
def test_a_wide_include_costs_few_schedules_where_only_places_are_preempted() -> None:
    """The seeds are fixed, so it passes always or never."""
    places = learnt(two_deposit, include=WIDE)

    def schedules(only_at: frozenset[str] | None) -> int:
        """Until the update is lost, over four campaigns."""
        count = 0
        with Preemption("opcode", WIDE, only_at=only_at) as preemption:
            for campaign in range(4):
                strategy = make("pct")
                for seed in range(100 * campaign, 100 * campaign + 60):
                    count += 1
                    run = detrun.record(two_deposit, seed=seed, strategy=strategy, preemption=preemption)  # type: ignore[arg-type]
                    if run.result != 3:
                        break
        return count

    assert schedules(None) > 3 * schedules(places)


def test_a_place_names_a_file_a_function_in_it_and_a_line_of_that() -> None:
    source = "\n\nclass A:\n    def f(self):\n        pass\n\n        return 1\n"
    for above in (0, 3):  # it stays where it is when the file grows above it
        code = compile("#\n" * above + source, "/home/x/a/b.py", "exec")
        (a,) = [one for one in code.co_consts if isinstance(one, CodeType)]
        (f,) = [one for one in a.co_consts if isinstance(one, CodeType)]
        places = Places(["a/b.py:A.f+1", "a/b.py:A.f+3", "a/b.py:A.g+2", "c/b.py:A.f+2"])
        assert places.lines_of(f) == {5 + above, 7 + above}
        assert places.has(f, 7 + above)
        assert not places.has(f, 6 + above)
        assert Places([]).lines_of(f) == frozenset()
    for name in ("b.py", "a/b.py:12", "a/b.py:f+x", ":f+1"):
        with pytest.raises(UsageError, match=f"{re.escape(repr(name))} is no place"):
            Places([name])
