"""Execution of the pieces of a campaign: in this process, in forked processes of this machine, or by an executor.

The rule: reports come back in the order of the pieces, so that merging them, and what is found first, does not depend
on which was faster. Once a piece has failed, later ones are taken back and whatever they find is dropped.

An executor needs no more than the interface of ``concurrent.futures.Executor``: a process pool, ``dask.distributed``'s
``client.get_executor()``, ``mpi4py.futures.MPIPoolExecutor``. Its workers get the program pickled, so it must be a
function of an importable module, with arguments that can be pickled. The local pool forks and needs no pickling; its
processes end with this one, however it ends.
An executor of threads is refused, since runs own their process.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from _thread import allocate_lock
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from itertools import count
from typing import Any

from detrun.execution.orphans import end_with_parent
from detrun.explore.campaign.pieces import Report, run_piece
from detrun.explore.campaign.program import Program, prepared
from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import UsageError

PIECES_PER_WORKER = 4
SMALLEST_PIECE = 8

_inherited: dict[int, tuple[Program, Oracle]] = {}  # programs of this process and, by fork, of its workers
_keys = count(1)
_busy = allocate_lock()  # held while a piece runs in this process; of Python's own making, since pieces replace names


def _run_inherited(key: int, knowledge: Any, seed: int, first: int, size: int) -> Report:
    program, oracle = _inherited[key]
    return _run_in_turn(program, oracle, knowledge, seed, first, size)


def _run_given(program: Program, oracle: Oracle, knowledge: Any, seed: int, first: int, size: int) -> Report:
    if not _busy.acquire(blocking=False):
        raise UsageError(
            "executor: a worker was given two pieces at once, but a run owns its process; let each worker run one task "
            "at a time (dask: threads_per_worker=1 of a LocalCluster, or `dask worker --nthreads 1`)"
        )
    try:
        return _run_in_turn(program, oracle, knowledge, seed, first, size)
    finally:
        _busy.release()


def _run_in_turn(program: Program, oracle: Oracle, knowledge: Any, seed: int, first: int, size: int) -> Report:
    with prepared(program, oracle) as prepared_program:
        return run_piece(prepared_program, oracle, knowledge, seed, first, size)


class Workers:
    """Pieces go to an executor.

    Args:
        executor: any executor of processes; None makes a pool of ``workers`` forked ones.
    """

    def __init__(self, program: Program, oracle: Oracle, executor: Executor | None, workers: int) -> None:
        # Imported here: they cost a third of `import detrun`, and few campaigns need them.
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

        if isinstance(executor, ThreadPoolExecutor):
            raise UsageError("executor: a run owns its process, so threads cannot explore; use a ProcessPoolExecutor")
        self.program = program
        self.oracle = oracle
        self.workers = workers if executor is None else _size_of(executor)
        self.key = 0
        self.executor: Executor
        self.own: Executor | None = None
        if executor is None:
            # Workers fork when the first piece is submitted, so they find the program here.
            self.key = next(_keys)
            _inherited[self.key] = (program, oracle)
            self.own = ProcessPoolExecutor(
                workers,
                mp_context=multiprocessing.get_context("fork"),
                initializer=end_with_parent,
                initargs=(os.getpid(),),
            )
            self.executor = self.own
        else:
            self.executor = executor
            try:
                pickle.dumps((program, oracle))
            except Exception as error:
                raise UsageError(
                    f"the program cannot be sent to the executor's workers ({error}); make it a function at the top "
                    "of an importable module, or use workers=N, which forks"
                ) from error

    def run(self, knowledge: Any, seed: int, first: int, count: int) -> Iterator[Report]:
        """The reports of ``count`` schedules from ``first`` on, in order, up to one that ends the campaign."""
        size = max(SMALLEST_PIECE, -(-count // (self.workers * PIECES_PER_WORKER)))
        pieces = [(start, min(size, first + count - start)) for start in range(first, first + count, size)]
        futures = [self._submit(knowledge, seed, *piece) for piece in pieces]
        try:
            for future in futures:
                report = future.result()
                yield report
                if report.found is not None and not self.program.policy.keep_going:
                    return
        finally:
            for future in futures:
                future.cancel()

    def _submit(self, knowledge: Any, seed: int, first: int, size: int) -> Future[Report]:
        if self.own is not None:
            return self.executor.submit(_run_inherited, self.key, knowledge, seed, first, size)
        return self.executor.submit(_run_given, self.program, self.oracle, knowledge, seed, first, size)

    def close(self) -> None:
        """End the processes that are ours."""
        _inherited.pop(self.key, None)
        if self.own is not None:
            self.own.shutdown(wait=True, cancel_futures=True)


def _size_of(executor: Executor) -> int:
    size = getattr(executor, "_max_workers", None)
    return size if isinstance(size, int) and size > 0 else os.cpu_count() or 1


@contextlib.contextmanager
def working(program: Program, oracle: Oracle, executor: Executor | None, workers: int) -> Iterator[Workers]:
    """`Workers` for the length of a block."""
    made = Workers(program, oracle, executor, workers)
    try:
        yield made
    finally:
        made.close()
