"""`WorkerProcesses`: the same function, called with other arguments, in forked processes or by an executor.

An executor needs no more than the interface of ``concurrent.futures.Executor``: a process pool, ``dask.distributed``'s
``client.get_executor()``, ``mpi4py.futures.MPIPoolExecutor``. Its workers get what the calls share pickled, so a
program must be a function of an importable module, with arguments that can be pickled. The local pool forks and needs
no pickling; its processes end with this one, however it ends.
An executor of threads is refused, since runs own their process.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, Future
from itertools import count
from typing import Any, Generic, TypeVar

from detrun.execution.orphans import end_with_parent
from detrun_scheduler.environment.originals import allocate_lock
from detrun_scheduler.errors import UsageError

Shared = TypeVar("Shared")
Result = TypeVar("Result")

_inherited: dict[int, tuple[Callable[..., Any], Any]] = {}  # of this process and, by fork, of its workers
_keys = count(1)
_busy = allocate_lock()  # held while work is done in this process


def _call_inherited(key: int, *arguments: Any) -> Any:
    work, shared = _inherited[key]
    return work(shared, *arguments)


def _call_given(work: Callable[..., Any], shared: Any, *arguments: Any) -> Any:
    if not _busy.acquire(blocking=False):
        raise UsageError(
            "executor: a worker was given two pieces at once, but a run owns its process; let each worker run one task "
            "at a time (dask: threads_per_worker=1 of a LocalCluster, or `dask worker --nthreads 1`)"
        )
    try:
        return work(shared, *arguments)
    finally:
        _busy.release()


class WorkerProcesses(Generic[Shared, Result]):
    """Calls ``work(shared, *arguments)`` elsewhere.

    Args:
        work: a function of a module.
        shared: what every call needs.
        executor: any executor of processes; None makes a pool of ``workers`` forked ones.
    """

    def __init__(self, work: Callable[..., Result], shared: Shared, executor: Executor | None, workers: int) -> None:
        # Imported here: they cost a third of `import detrun`, and few programs need them.
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

        if isinstance(executor, ThreadPoolExecutor):
            raise UsageError("executor: a run owns its process, so threads cannot run any; use a ProcessPoolExecutor")
        self.work = work
        self.shared = shared
        self.count = workers if executor is None else _size_of(executor)
        self.key = 0
        self.executor: Executor
        self.own: Executor | None = None
        if executor is None:
            # Workers fork when the first piece is submitted, so they find what is shared here.
            self.key = next(_keys)
            _inherited[self.key] = (work, shared)
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
                pickle.dumps(shared)
            except Exception as error:
                raise UsageError(
                    f"the program cannot be sent to the executor's workers ({error}); make it a function at the top "
                    "of an importable module, or use workers=N, which forks"
                ) from error

    def submit(self, *arguments: Any) -> Future[Result]:
        """Begin a call."""
        if self.own is not None:
            return self.executor.submit(_call_inherited, self.key, *arguments)
        return self.executor.submit(_call_given, self.work, self.shared, *arguments)

    def in_order(self, calls: list[tuple[Any, ...]]) -> Generator[Result, None, None]:
        """The results of calls with these arguments, in order. What the caller does not wait for is taken back."""
        futures = [self.submit(*arguments) for arguments in calls]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """End the processes that are ours."""
        _inherited.pop(self.key, None)
        if self.own is not None:
            self.own.shutdown(wait=True, cancel_futures=True)


def _size_of(executor: Executor) -> int:
    size = getattr(executor, "_max_workers", None)
    return size if isinstance(size, int) and size > 0 else os.cpu_count() or 1


@contextlib.contextmanager
def working(
    work: Callable[..., Result], shared: Shared, executor: Executor | None, workers: int
) -> Iterator[WorkerProcesses[Shared, Result]]:
    """`WorkerProcesses` for the length of a block."""
    made = WorkerProcesses(work, shared, executor, workers)
    try:
        yield made
    finally:
        made.close()
