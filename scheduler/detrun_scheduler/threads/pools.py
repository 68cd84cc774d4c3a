"""`concurrent.futures` inside a run: CPython's own thread pool and futures, over simulated threads.

The code is CPython's. What in it is not a function of the program gets an order here, by the rule that what a run makes
is ordered by when it was made:

- `wait` and `as_completed` keep futures in sets, and lock them in the order of their addresses.
- A pool joins its workers in the order of a set.

`as_completed` waits until its time-out is more than over, so virtual time has to pass that moment (`_PassingEvent`). At
the end of the main function pools are told to stop before threads are waited for, as the interpreter does at exit. When
a worker is killed at the end of a run, the `GreenletExit` that ends it is not logged, as the pool's code would do with
every exception.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import _base, thread
from functools import partial
from typing import Any

from greenlet import GreenletExit

from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.threads.calling import is_of_the_run, threads_of_call
from detrun_scheduler.threads.locks import Lock
from detrun_scheduler.threads.simulated_thread import SimulatedThread
from detrun_scheduler.threads.threads import Threads

# Seconds. Real time passes between two looks at a clock; it takes some 20 ns.
SHORTEST_WAIT = 1e-9

_futures: Any = _base
_pools: Any = thread
_POOL: Any = thread.ThreadPoolExecutor
_make_future: Callable[..., None] = _base.Future.__init__
_make_pool: Callable[..., None] = _POOL.__init__


def _future_made(self: Any) -> None:
    """`Future.__init__`; in a run it also numbers the future."""
    _make_future(self)
    threads = threads_of_call()
    if threads is not None:
        threads.futures += 1
        self._number_in_run = threads.futures


def _future_hash(self: Any) -> int:
    """Addresses would decide the order in which `as_completed` yields what is done already."""
    number: int | None = vars(self).get("_number_in_run")
    return object.__hash__(self) if number is None else number


class _LockedFutures(_futures._AcquireFutures):  # type: ignore[misc]  # Any
    """The locks of several futures, taken in an order that all who do so agree on: the one in which they were made."""

    def __init__(self, futures: Iterable[Any]) -> None:
        self.futures = sorted(futures, key=hash)


class _Workers(dict[Any, None]):
    """The set of a pool's threads, in the order in which they were started."""

    def add(self, worker: Any) -> None:
        """Put one in."""
        self[worker] = None


def _pool_made(self: Any, *arguments: Any, **keywords: Any) -> None:
    """`ThreadPoolExecutor.__init__`; in a run pools are counted anew, and their workers kept in order."""
    threads = threads_of_call()
    if threads is None:
        _make_pool(self, *arguments, **keywords)
    else:
        self._counter = threads.pools.__next__
        _make_pool(self, *arguments, **keywords)
        self._threads = _Workers()


def _is_no_kill(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], GreenletExit))


class _PassingEvent(threading.Event):
    """An event of which a wait with a time-out takes some time."""

    def wait(self, timeout: Any = None) -> bool:
        """As `threading.Event.wait`, for ``SHORTEST_WAIT`` at least: a wait for no time would be asked for again."""
        return super().wait(timeout if timeout is None else max(timeout, SHORTEST_WAIT))


def _create_and_install_waiters(futures: Any, return_when: Any) -> Any:
    """What `wait` and `as_completed` wait by. The latter waits again at its deadline, until that is past."""
    waiter = NAMES.originals["_create_and_install_waiters"](futures, return_when)
    if type(waiter) is _futures._AsCompletedWaiter and is_of_the_run():
        waiter.event.__class__ = _PassingEvent
    return waiter


NAMES = ReplacedNames(
    _base,
    {"_AcquireFutures": _LockedFutures, "_create_and_install_waiters": _create_and_install_waiters},
    may_stay=True,
)


def install_for_good() -> None:
    """Number the futures and order the pools that will be made in runs; outside they are as ever.

    For good, since a future that was numbered in a run keeps its hash after it.
    """
    _futures.Future.__init__, _futures.Future.__hash__ = _future_made, _future_hash
    _POOL.__init__ = _pool_made
    if not isinstance(_pools._global_shutdown_lock, Lock):
        # Made before detrun was imported. It is held while a worker starts, which is a schedule point.
        _pools._global_shutdown_lock = Lock()


def leave() -> None:
    """The interpreter exits: futures and pools that are made from now on are as ever. Hashes stay."""
    _futures.Future.__init__, _POOL.__init__ = _make_future, _make_pool


def begin_run(threads: Threads) -> None:
    """Stop pools when main ends and keep killed workers out of the log, until the run ends whose threads these are."""
    threads.at_main_end = _stop_pools
    threads.at_end.append(partial(_base.LOGGER.removeFilter, _is_no_kill))
    _base.LOGGER.addFilter(_is_no_kill)


def _stop_pools(threads: Threads) -> None:
    """The main function is over: tell idle workers to go, as the interpreter does when it exits."""
    queues = [
        work
        for worker, work in list(_pools._threads_queues.items())
        if isinstance(simulated := vars(worker).get("_simulated"), SimulatedThread) and simulated.threads is threads
    ]
    if queues:
        threads.at_end.append(partial(setattr, _pools, "_shutdown", _pools._shutdown))
        _pools._shutdown = True
        for work in queues:
            work.put(None)
