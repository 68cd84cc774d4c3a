"""What a run adds to the registries of the standard library ends with it."""

from __future__ import annotations

import io
import logging
import logging.config
import threading
from multiprocessing import util
from multiprocessing.pool import ThreadPool
from typing import Any

import detrun

CONFIGURATION: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(levelname)s %(message)s"}},
    "handlers": {"kept": {"class": "logging.StreamHandler", "formatter": "plain", "stream": io.StringIO()}},
    "root": {"handlers": ["kept"], "level": "INFO"},
    "loggers": {"of.the.run": {"handlers": ["kept"], "level": "DEBUG", "propagate": False}},
}


def logs() -> str:
    """Two threads log through handlers that the run has configured."""
    logging.config.dictConfig(CONFIGURATION)
    stream = logging.getLogger("of.the.run").handlers[0].stream  # type: ignore[attr-defined]  # a StreamHandler
    stream.seek(0)
    stream.truncate()

    def work() -> None:
        logging.getLogger("of.the.run").debug("hello")

    threads = [threading.Thread(target=work) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return str(stream.getvalue())


def test_runs_that_configure_logging_are_alike() -> None:
    runs = [detrun.record(logs, seed=3) for _ in range(3)]
    assert {run.result for run in runs} == {"DEBUG hello\nDEBUG hello\n"}
    assert len({run.digest for run in runs}) == 1
    assert detrun.replay(logs, recording=runs[0].recording).digest == runs[0].digest


def test_loggers_have_the_handlers_and_levels_of_before() -> None:
    logger, handler = logging.getLogger("of.before"), logging.StreamHandler(io.StringIO())
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR)
    before = list(logging.root.handlers), logging.root.level

    def main() -> list[Any]:
        logging.config.dictConfig({**CONFIGURATION, "disable_existing_loggers": True})
        logging.getLogger("of.a.library").addHandler(logging.NullHandler())
        return [list(logger.handlers), logger.disabled]

    try:
        assert detrun.record(main).result == [[handler], True]
        assert detrun.explore(main, schedules=3, directory=None).failure is None
        assert (logger.handlers, logger.level, logger.disabled) == ([handler], logging.ERROR, False)
        assert (logging.root.handlers, logging.root.level) == before
        of_the_run = logging.getLogger("of.the.run")
        assert (of_the_run.handlers, of_the_run.level, of_the_run.propagate) == ([], logging.NOTSET, True)
        assert {type(one) for one in logging.getLogger("of.a.library").handlers} == {logging.NullHandler}
    finally:
        logger.removeHandler(handler)


def test_a_pool_that_a_run_leaves_behind_is_not_ended_at_exit() -> None:
    kept: list[Any] = []

    def main() -> None:
        kept.append(ThreadPool(2))

    before = dict(util._finalizer_registry)  # type: ignore[attr-defined]  # private
    detrun.record(main)
    assert util._finalizer_registry == before  # type: ignore[attr-defined]  # private


def test_a_finalizer_of_a_real_thread_stays_where_threads_have_small_numbers() -> None:
    thread: Any = threading.Thread()
    thread._ident = 4096  # as on Windows
    finalizer = util.Finalize(None, print, (thread,), exitpriority=0)
    try:
        detrun.record(lambda: None)
        assert finalizer.still_active()
    finally:
        finalizer.cancel()
