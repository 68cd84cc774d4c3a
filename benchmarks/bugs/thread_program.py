"""The shape of a thread program that any tool can run: shared state, what each thread does to it, and a final check.

Nothing of detrun is imported here or in the programs, so another tool can take the functions as they are. `main_of`
makes one function of them for tools that run a whole program: it starts a thread for each worker in their order,
joins them in the same order, raises what a worker raised first, and checks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

Worker = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class ThreadProgram:
    """Threads over shared state.

    Attributes:
        setup: makes the state anew.
        workers: what each thread does; one function may occur several times.
        check: raises `AssertionError` if the state that the threads left behind is wrong.
    """

    setup: Callable[[], Any]
    workers: Sequence[Worker]
    check: Callable[[Any], None]


def nothing_to_check(state: Any) -> None:
    """For programs whose bug shows while the threads run."""


def main_of(program: ThreadProgram) -> Callable[[], None]:
    """The whole program as one function without arguments."""
    return partial(run_threads, program)


def run_threads(program: ThreadProgram) -> None:
    """Set up, run a thread for each worker to its end, and check.

    Raises:
        Exception: what a worker raised, the first in time if there were several; else what the check raised.
    """
    state = program.setup()
    raised: list[Exception] = []

    def guarded(worker: Worker) -> Callable[[], None]:
        @wraps(worker)
        def run() -> None:
            try:
                worker(state)
            except Exception as error:  # whatever it is: it is raised again below
                raised.append(error)

        return run

    threads = [threading.Thread(target=guarded(worker)) for worker in program.workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]
    program.check(state)
