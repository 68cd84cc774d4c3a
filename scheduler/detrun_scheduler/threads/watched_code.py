"""The code under test, as source files: threads are preempted there, and its accesses are observed.

The rule: by default the program's own package, or its file if it is in none; `include` patterns take its place,
`exclude` patterns take files out again. A pattern with a slash, a star or the ending ``.py`` is matched against the
absolute path of a file (``fnmatch``; a relative pattern may begin anywhere); any other names a module or package, with
everything below it. Detrun's own files are never watched.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from functools import partial
from importlib.util import find_spec
from typing import Any

from detrun_scheduler.errors import UsageError
from detrun_scheduler.user_code import is_user_file


class WatchedCode:
    """Decides by file name, and remembers."""

    def __init__(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        self.include = tuple(map(_expanded, include))
        self.exclude = tuple(map(_expanded, exclude))
        self._known: dict[str, bool] = {}

    def __contains__(self, filename: str) -> bool:
        """Whether code compiled from ``filename`` (a ``co_filename``) is watched."""
        known = self._known.get(filename)
        if known is None:
            known = self._known[filename] = self._decide(filename)
        return known

    def _decide(self, filename: str) -> bool:
        if filename.startswith("<frozen"):
            return False
        path = filename if filename.startswith("<") else os.path.abspath(filename)
        if not any(_matches(path, pattern) for pattern in self.include):
            return False
        # A pattern as wide as "*" must not watch the scheduler itself: it would preempt its own decisions.
        if not is_user_file(filename) and _OWN in path:
            return False
        return not any(_matches(path, pattern) for pattern in self.exclude)


_OWN = os.sep + "detrun_scheduler" + os.sep


def _matches(path: str, pattern: str) -> bool:
    return path.startswith(pattern) if pattern.endswith(os.sep) else path == pattern or fnmatch(path, pattern)


def _expanded(pattern: str) -> str:
    """A path, a path pattern, or a directory ending in a slash."""
    if not pattern:
        raise UsageError("include and exclude do not take an empty string; name a module or give a path pattern")
    if "/" in pattern or os.sep in pattern or "*" in pattern or pattern.endswith(".py") or pattern.startswith("<"):
        if os.path.isabs(pattern) or pattern.startswith(("*", "<")):
            return pattern
        return os.path.abspath(pattern) if os.path.exists(pattern) else f"*{os.sep}{pattern}"
    return _place_of_module(pattern)


def _place_of_module(name: str) -> str:
    module = sys.modules.get(name)
    try:
        spec = getattr(module, "__spec__", None) or find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.submodule_search_locations:
        return os.path.abspath(next(iter(spec.submodule_search_locations))) + os.sep
    origin = getattr(module, "__file__", None) or (spec.origin if spec is not None else None)
    if origin is None or not os.path.exists(origin):
        raise UsageError(f"no module {name!r} has a source file; name a module, or give a pattern such as '*/app/*.py'")
    return os.path.abspath(origin)


def default_include(main: Callable[..., Any]) -> tuple[str, ...]:
    """The package of the program, or its file."""
    function: Any = main
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None) or getattr(getattr(type(function), "__call__", None), "__code__", None)  # noqa: B004
    if code is None:
        raise UsageError(f"cannot tell where {main!r} is defined; say what to preempt with include=")
    package = getattr(sys.modules.get(getattr(function, "__module__", "") or ""), "__package__", None)
    if package:
        return (package.partition(".")[0],)
    filename: str = code.co_filename
    return (filename if filename.startswith("<") else os.path.abspath(filename),)
