"""The code under test, as source files: threads are preempted there, and its accesses are observed.

By default it is the program's own project (`project_include`). `include` patterns take the place of that, and `exclude`
patterns take files out again. A pattern is one of:

- A directory: the files below it, apart from those of packages that are installed there and of the standard library.
- A text with a slash, a star or the ending ``.py``: it is matched against the absolute path of a file (``fnmatch``); a
  relative pattern may begin anywhere.
- Any other text: a module or package by name, with everything below it.

The rule: Detrun's own files are never watched.
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
from detrun_scheduler.user_code import installed_package, is_detrun_file, standard_module

PROJECT_MARKS = ("pyproject.toml", "setup.py", "setup.cfg", "pytest.ini", "tox.ini", ".git", ".hg")


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
        if is_detrun_file(path):
            return False
        return not any(_matches(path, pattern) for pattern in self.exclude)


def _matches(path: str, pattern: str) -> bool:
    if not pattern.endswith(os.sep):
        return path == pattern or fnmatch(path, pattern)
    # The environment of a project may lie in its own folder.
    return (
        path.startswith(pattern)
        and installed_package(path) == installed_package(pattern)
        and (not standard_module(path) or bool(standard_module(pattern)))
    )


def _expanded(pattern: str) -> str:
    """A path, a path pattern, or a directory ending in a slash."""
    if not pattern:
        raise UsageError("include and exclude do not take an empty string; name a module or give a path pattern")
    if "/" in pattern or os.sep in pattern or "*" in pattern or pattern.endswith(".py") or pattern.startswith("<"):
        if os.path.isdir(pattern):
            return os.path.join(os.path.abspath(pattern), "")
        if os.path.isabs(pattern) or pattern.startswith(("*", "<")):
            return pattern
        if os.path.exists(pattern):
            return os.path.abspath(pattern)
        return f"*{os.sep}{pattern}*" if pattern.endswith(os.sep) else f"*{os.sep}{pattern}"
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


def project_include(main: Callable[..., Any]) -> tuple[str, ...]:
    """The project of the program: the folder of its file, or the nearest around it that has a mark of a project.

    Where there is no such mark it is the folder around the package. A program that is installed is its package.
    """
    _, filename = _defined(main)
    path = os.path.abspath(filename)
    if filename.startswith("<"):
        return filename, os.path.join(os.curdir, "")
    installed = installed_package(path)
    if installed:
        return (installed,)
    if standard_module(path):
        return (path,)
    return (_shown_folder(_project_around(os.path.dirname(path))),)


def _project_around(start: str) -> str:
    found = _projects.get(start)
    if found is None:
        folder = package = start
        while os.path.exists(os.path.join(package, "__init__.py")):
            package = os.path.dirname(package)
        while not any(os.path.exists(os.path.join(folder, mark)) for mark in PROJECT_MARKS):
            folder, below = os.path.dirname(folder), folder
            if folder == below:
                return package
        found = _projects[start] = folder
    return found


# By folder, where there is a mark: every record asks, and it takes thirty looks at the disk.
_projects: dict[str, str] = {}


def _shown_folder(folder: str) -> str:
    # Relative where it can be, so that a recording means the same in another checkout.
    here = os.getcwd()
    near = os.path.commonpath([folder, here]) in (folder, here)
    return os.path.join(os.path.relpath(folder, here) if near else folder, "")


def _defined(main: Callable[..., Any]) -> tuple[Any, str]:
    function: Any = main
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None) or getattr(getattr(type(function), "__call__", None), "__code__", None)  # noqa: B004
    if code is None:
        raise UsageError(f"cannot tell where {main!r} is defined; say what to preempt with include=")
    return function, code.co_filename


def package_include(main: Callable[..., Any]) -> tuple[str, ...]:
    """The package of the program, or its file: what recordings mean that do not say what was watched."""
    function, filename = _defined(main)
    package = getattr(sys.modules.get(getattr(function, "__module__", "") or ""), "__package__", None)
    if package:
        return (package.partition(".")[0],)
    return (filename if filename.startswith("<") else os.path.abspath(filename),)
