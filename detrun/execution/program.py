"""A program as it is given to a run: whether it can be run, and what a recording calls it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import lru_cache, partial
from hashlib import blake2b
from types import FunctionType
from typing import Any

import trio

from detrun_scheduler import current
from detrun_scheduler.errors import UsageError

Main = Callable[..., Any]

# Set while a fresh process imports a program: a script that runs itself then would start processes without end.
only_importing = False


def function_of(main: Main) -> Any:
    """What is called in the end: the function inside `functools.partial`."""
    function: Any = main
    while isinstance(function, partial):
        function = function.func
    return function


def check_main(main: Main) -> None:
    """Raise `UsageError` unless ``main`` is a function, async or not, and no run, nor one of trio's, is around us."""
    if only_importing:
        raise UsageError("it starts a run when it is imported; put that under if __name__ == '__main__'")
    if current.run is not None:
        raise UsageError(
            "a run is active already: record, replay and gradient cannot be called inside a run, nor in two threads "
            "at once"
        )
    if trio.lowlevel.in_trio_run():
        raise UsageError(
            "called inside trio.run: a run drives a trio program by itself; call this outside, or in a thread of its "
            "own (trio.to_thread.run_sync)"
        )
    function = function_of(main)
    if inspect.iscoroutine(main):
        main.close()
        raise UsageError("expected a function, got a coroutine; pass main itself and its arguments: record(main)")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        kind = "an async generator" if inspect.isasyncgenfunction(function) else "a generator"
        raise UsageError(
            f"{getattr(function, '__qualname__', function)} is {kind} function: calling it runs none of it; take the "
            "yield out, or pass a function that iterates over it"
        )
    if not callable(main) or inspect.isclass(function):
        raise UsageError(f"expected a function, got {main!r}")


def is_synchronous(main: Main) -> bool:
    """Whether ``main`` is an ordinary function, which runs as the main simulated thread, and not an async one."""
    if type(main) is FunctionType and not main.__dict__:
        return not main.__code__.co_flags & inspect.CO_COROUTINE  # as below, ten times as fast: asked for each run
    function = function_of(main)
    by_call = getattr(type(function), "__call__", None)  # noqa: B004 (not whether it is callable, but how)
    return not inspect.iscoroutinefunction(function) and not inspect.iscoroutinefunction(by_call)


def target_of(main: Main) -> str:
    """``path.py:function`` of a program, relative to the working directory where it lies below it.

    A callable object says its name by itself: the text by which `detrun.execution.targets` finds it, as the attribute
    ``detrun_target``.
    """
    function = function_of(main)
    own = own_target(function)
    if own is not None:
        return own
    name = getattr(function, "__qualname__", type(function).__qualname__)
    path = _source_path(function)
    return f"{path}:{name}" if path else f"{getattr(function, '__module__', '?')}:{name}"


def own_target(main: Main) -> str | None:
    """What a callable object says that it is found by; None if it says nothing."""
    named = getattr(main, "detrun_target", None)
    return named if isinstance(named, str) else None


def _source_path(function: object) -> str | None:
    code = getattr(function, "__code__", None)
    if code is None or not os.path.isfile(code.co_filename):
        return None
    path = os.path.abspath(code.co_filename)
    here = os.getcwd()
    return os.path.relpath(path, here) if path.startswith(here + os.sep) else path


def source_fingerprint(main: Main) -> str | None:
    """A hash of the source file that defines ``main``, None if there is none."""
    function = function_of(main)
    code = getattr(function, "__code__", None)
    if code is None or not os.path.isfile(code.co_filename):
        return None
    return _hash_of_file(code.co_filename, os.stat(code.co_filename).st_mtime_ns)


@lru_cache(maxsize=64)
def _hash_of_file(path: str, modified_ns: int) -> str:
    with open(path, "rb") as file:
        return blake2b(file.read(), digest_size=8).hexdigest()
