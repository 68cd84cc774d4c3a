"""Listings have every line that ran, whole, and what happened to the tasks."""

from __future__ import annotations

import io
import threading

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

import detrun
from detrun import explore
from detrun.explore.failures.listing import Listing, Row


def overdrawn() -> None:
    class Bank:
        balance = 100
        is_done = False

        def transfer(self) -> None:
            if self.balance >= 60:
                self.balance -= 60  # written here
                self.is_done = True  # a line after it

    bank = Bank()
    threads = [threading.Thread(target=bank.transfer) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bank.balance >= 0, "the failing line, which is too long to stand in a column beside those of the others"


@pytest.mark.parametrize("preemption", ["line", "opcode"])
def test_every_line_that_a_thread_ran_is_listed_and_the_failing_one(preemption: str) -> None:
    failure = explore(overdrawn, preemption=preemption, schedules=300, directory=None).failure
    assert failure is not None
    assert failure.explanation is not None
    text = str(Listing(failure.explanation.failing, failure.explanation.first_difference))
    assert text.count("self.balance -= 60  # written here") == 2
    assert text.count("self.is_done = True  # a line after it") == 2
    assert "which is too long to stand in a column beside those of the others" in text
    assert "…" not in text


@pytest.mark.parametrize("width", [20, 60, 80, 120, 400])
def test_no_line_is_cut_at_any_width(width: int) -> None:
    failure = explore(overdrawn, preemption="line", schedules=300, directory=None, shrink=False).failure
    assert failure is not None
    assert failure.explanation is not None
    listing = Listing(failure.explanation.failing)
    lines = [line for row in listing.rows for line in row.lines]
    shown = listing.plain(width)
    assert all(line in shown for line in lines)
    if listing.column_widths(width) is not None:
        assert max(map(len, shown.splitlines())) <= width


def test_a_sleep_reads_as_trios_and_a_fault_is_listed() -> None:
    async def main() -> None:
        async with detrun.World() as world:
            server = world.node("server")

            async def serve() -> None:
                await trio.sleep(10)

            server.start(serve)
            plan = detrun.world.FaultPlan([detrun.world.Crash(node="server", at=1.0, down_seconds=0.5)])
            async with detrun.world.inject(plan, world):
                await trio.sleep(2)
                raise ValueError

    failure = explore(main, schedules=2, directory=None, shrink=False).failure
    assert failure is not None
    assert failure.explanation is not None
    text = str(Listing(failure.explanation.failing))
    assert "→ waits in trio.sleep" in text
    assert "⚡ " in text
    assert "crash" in text


ROWS = st.lists(
    st.builds(
        Row,
        st.integers(0, 99),
        st.sampled_from("abcde"),
        st.lists(st.text("xyz =()", min_size=1, max_size=70), min_size=1),
    ),
    max_size=6,
)


@given(ROWS, st.integers(30, 200))
def test_a_terminal_of_any_width_shows_every_letter_of_every_line_and_is_not_overrun(
    rows: list[Row], width: int
) -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, width=width, force_terminal=True, color_system="truecolor", highlight=False)
    console.print(Listing(rows).rich_table(width))
    shown = Text.from_ansi(terminal.getvalue()).plain
    assert all(len(line) <= width for line in shown.splitlines())
    for letter in "xyz=()":
        assert shown.count(letter) >= sum(text.count(letter) for row in rows for text in row.lines)


def test_each_task_has_a_colour_of_its_own_on_a_terminal_and_the_deciding_turn_stands_out() -> None:
    rows = [Row(0, "a", ["one"]), Row(1, "b", ["two"]), Row(2, "a", ["three"], is_critical=True)]
    table = Listing(rows).rich_table(120)
    cells = [cell for column in list(table.columns)[1:] for cell in column.cells]
    styles = [cell.style for cell in cells if isinstance(cell, Text) and cell.plain]
    assert styles == ["cyan", "bold yellow", "green"]
