"""The derivative of a race: every schedule of a small program with its value and its gradient, and their means.

Each schedule is differentiated on its own frozen interleaving, as `detrun.gradient` does for one run. The means are
over the strategy's distribution: of a random strategy an estimate, each schedule counted as often as it came; of an
exhaustive search the plain average over all schedules, each counted once. Neither is the derivative of the mean with
respect to anything that changes the distribution of schedules itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detrun.explore.campaign.pieces import Report, Sample
from detrun.explore.campaign.program import Program
from detrun.explore.failures.trials import TrialRunner

ROWS_SHOWN = 40
ORDER_CHARACTERS = 60


@dataclass(slots=True)
class ScheduleRow:
    """One schedule.

    Attributes:
        order: the last names of the tasks in the order of their steps, those of the main task left out.
        times: how often the strategy chose it.
    """

    schedule: bytes
    seed: int  # of a run that had it
    order: tuple[str, ...]
    times: int
    value: float
    grads: dict[str, float]


@dataclass(slots=True)
class ScheduleTable:
    """Schedules in the order in which they were met.

    Attributes:
        value, grads: means over the strategy's distribution.
        std_error: standard errors of the mean gradients; zero where the table is complete.
        complete: the strategy has enumerated all schedules within its bound.
    """

    params: dict[str, float]
    rows: list[ScheduleRow] = field(default_factory=list)
    value: float = math.nan
    grads: dict[str, float] = field(default_factory=dict)
    std_error: dict[str, float] = field(default_factory=dict)
    complete: bool = False

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Column names and rows, in words."""
        columns = ["schedule", "times", "value", *(f"d/d{name}" for name in self.params)]
        rows = [
            [_shown(row.order), str(row.times), f"{row.value:.9g}", *(f"{row.grads[name]:.9g}" for name in self.params)]
            for row in self.rows[:ROWS_SHOWN]
        ]
        if len(self.rows) > ROWS_SHOWN:
            rows.append([f"… {len(self.rows) - ROWS_SHOWN:,} more", *[""] * (len(columns) - 1)])
        total = sum(row.times for row in self.rows)
        means = [
            f"{self.grads[name]:.9g}" + (f" ± {self.std_error[name]:.2g}" if self.std_error[name] else "")
            for name in self.params
        ]
        rows.append(["mean", str(total), f"{self.value:.9g}", *means])
        return columns, rows

    def __str__(self) -> str:
        columns, rows = self.cells()
        widths = [max(len(row[at]) for row in [columns, *rows]) for at in range(len(columns))]
        lines = []
        for row in [columns, *rows]:
            cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
            lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip())
        return "\n".join(lines)


def table_of(program: Program, report: Report, params: Mapping[str, float]) -> ScheduleTable:
    """Group the samples of a campaign by schedule."""
    table = ScheduleTable(dict(params), complete=report.exhausted)
    by_content: dict[tuple[Any, ...], ScheduleRow] = {}
    for sample in report.samples:
        # With random draws one schedule has many values.
        content = (sample.schedule, sample.value, tuple(sample.grads.items()))
        row = by_content.get(content)
        if row is None:
            row = by_content[content] = ScheduleRow(
                sample.schedule, sample.seed, (), 0, sample.value, dict(sample.grads)
            )
            table.rows.append(row)
        row.times += 1
    _means(table, report.samples)
    for row in table.rows[:ROWS_SHOWN]:
        row.order = _order(program, row.seed, row.schedule)
    return table


def _means(table: ScheduleTable, samples: Sequence[Sample]) -> None:
    count = len(samples)
    if not count:
        return
    table.value = math.fsum(sample.value for sample in samples) / count
    for name in table.params:
        numbers = [sample.grads[name] for sample in samples]
        mean = math.fsum(numbers) / count
        variance = math.fsum((number - mean) ** 2 for number in numbers) / max(1, count - 1)
        table.grads[name] = mean
        table.std_error[name] = 0.0 if table.complete else math.sqrt(variance / count)


def _order(program: Program, seed: int, schedule: bytes) -> tuple[str, ...]:
    trial = TrialRunner(program, seed).try_schedule(schedule)
    return tuple(path.rpartition("/")[2] for path in trial.order if path not in ("<init>", "main"))


def _shown(order: Sequence[str]) -> str:
    text = " ".join(order)
    return text if len(text) <= ORDER_CHARACTERS else text[: ORDER_CHARACTERS - 1] + "…"
