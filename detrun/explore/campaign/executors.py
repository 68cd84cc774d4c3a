"""Execution of the pieces of a campaign in other processes: forked ones of this machine, or by an executor.

The rule: reports come back in the order of the pieces, so that merging them, and what is found first, does not depend
on which was faster. Once a piece has failed, later ones are taken back and whatever they find is dropped.
Which executors there are, and what they need, `detrun.execution.worker_processes` says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any

from detrun.execution.worker_processes import WorkerProcesses, working
from detrun.explore.campaign.pieces import Report, run_piece
from detrun.explore.campaign.program import Program, prepared
from detrun_scheduler.choices import Oracle

PIECES_PER_WORKER = 4
SMALLEST_PIECE = 8

Explored = tuple[Program, Oracle]


def _run_in_turn(explored: Explored, knowledge: Any, seed: int, first: int, size: int) -> Report:
    program, oracle = explored
    with prepared(program, oracle) as prepared_program:
        return run_piece(prepared_program, oracle, knowledge, seed, first, size)


class Workers:
    """Pieces go to processes."""

    def __init__(self, program: Program, processes: WorkerProcesses[Explored, Report]) -> None:
        self.program = program
        self.processes = processes

    def run(self, knowledge: Any, seed: int, first: int, count: int) -> Iterator[Report]:
        """The reports of ``count`` schedules from ``first`` on, in order, up to one that ends the campaign."""
        size = max(SMALLEST_PIECE, -(-count // (self.processes.count * PIECES_PER_WORKER)))
        pieces = [(start, min(size, first + count - start)) for start in range(first, first + count, size)]
        with contextlib.closing(self.processes.in_order([(knowledge, seed, *piece) for piece in pieces])) as reports:
            for report in reports:
                yield report
                if report.found is not None and not self.program.policy.keep_going:
                    return


@contextlib.contextmanager
def exploring(program: Program, oracle: Oracle, executor: Executor | None, workers: int) -> Iterator[Workers]:
    """`Workers` for the length of a block."""
    with working(_run_in_turn, (program, oracle), executor, workers) as processes:
        yield Workers(program, processes)
