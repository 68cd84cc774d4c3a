"""Grains: where the threads of a schedule can be interrupted, and the grains that suit the code that its threads run.

`Grain` is what a failing schedule carries, so that it can be run again. `scopes_for` finds those of a program:
lines and instructions of the project, of each installed package, and of each pure-Python module of the standard library
whose code several of its threads run. A package has grains of its own, since a race inside it needs no interruption
outside.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from detrun.execution.program import Main
from detrun_scheduler.errors import UsageError
from detrun_scheduler.threads.simulated_thread import MAIN_IDENT
from detrun_scheduler.threads.watched_code import WatchedCode, project_include
from detrun_scheduler.user_code import installed_package, is_detrun_file, standard_module

Census = Mapping[str, Collection[int]]

# Of all schedules, as long as every grain shows something new at each: so much for those of a kind together.
WEIGHT_SYNC, WEIGHT_PROJECT, WEIGHT_INSTALLED, WEIGHT_STANDARD = 1.0, 2.0, 1.0, 1.0
# In one schedule, and at most half of its steps, so that a computation of many lines ends within the step limit.
INTERRUPTS_MAX = 10_000

# Packages that carry calls on or that detrun stands on, and modules without state that threads could share.
_CARRIERS = frozenset(
    {"_pytest", "coverage", "greenlet", "hypothesis", "outcome", "pluggy", "py", "pytest", "sniffio", "trio"}
)
_STATELESS = frozenset(
    {"_collections_abc", "_pydatetime", "_pydecimal", "_strptime", "abc", "ast", "base64", "bisect"}
    | {"codecs", "contextlib", "dataclasses", "datetime", "dis", "encodings", "enum", "fnmatch", "fractions"}
    | {"genericpath", "heapq", "importlib", "inspect", "io", "json", "keyword", "linecache", "locale", "ntpath"}
    | {"numbers", "opcode", "operator", "os", "pathlib", "posixpath", "pprint", "re", "reprlib", "shlex", "stat"}
    | {"string", "struct", "textwrap", "threading", "token", "tokenize", "traceback", "types", "typing", "unittest"}
    | {"urllib", "uuid", "warnings"}
)


@dataclass(frozen=True, slots=True)
class Grain:
    """Where the threads of a schedule can be interrupted.

    Attributes:
        preemption, include, exclude, only_at, interrupts_max: as in `Options`.
    """

    preemption: str = "sync"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only_at: tuple[str, ...] | None = None
    interrupts_max: int | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """Code that is watched, at lines in some schedules and at instructions in others."""

    include: tuple[str, ...]
    weight: float


def project_scope(main: Main, include: Sequence[str], census: Census) -> tuple[Scope, ...]:
    """The project of ``main`` and what the user includes; nothing if no thread ran code of theirs."""
    try:
        patterns = (*project_include(main), *include)
    except UsageError:  # a callable without code of its own
        patterns = tuple(include)
    watched = WatchedCode(patterns)
    return (Scope(patterns, WEIGHT_PROJECT),) if any(file in watched for file in census) else ()


def scopes_for(main: Main, include: Sequence[str], exclude: Sequence[str], census: Census) -> list[Scope]:
    """What to watch in a program.

    Args:
        include: watched with the project.
        exclude: what is not watched at all.
        census: by file, the threads in which its code runs.
    """
    project = project_scope(main, include, census)
    known = [WatchedCode(scope.include) for scope in project]
    excluded = WatchedCode(exclude)
    installed: dict[str, set[int]] = {}
    standard: dict[str, set[int]] = {}
    # The tasks of an async program are on no thread that is counted, and may run the same code.
    beside = set() if any(MAIN_IDENT in threads for threads in census.values()) else {MAIN_IDENT}
    for file, threads in census.items():
        if file.startswith("<") or file in excluded or any(file in one for one in known):
            continue
        path = os.path.abspath(file)
        if is_detrun_file(path):
            continue
        package, module = installed_package(path), standard_module(path)
        if package:
            if package not in _CARRIERS:
                installed.setdefault(_named(package), set(beside)).update(threads)
        elif module:
            if module not in _STATELESS:
                standard.setdefault(module, set(beside)).update(threads)
        else:
            folder = os.path.join(os.path.dirname(path), "")
            installed.setdefault(folder, set(beside)).update(threads)
    found = list(project)
    for names, weight in ((installed, WEIGHT_INSTALLED), (standard, WEIGHT_STANDARD)):
        # A package that one thread alone runs meets nothing of its own in another.
        shared = sorted(name for name, threads in names.items() if len(threads) > 1)
        found += [Scope((name,), weight / len(shared)) for name in shared]
    return found


def _named(package: str) -> str:
    spec = getattr(sys.modules.get(package), "__spec__", None)
    regular = spec is not None and spec.has_location  # a namespace package has no one place
    return package if regular else f"*/site-packages/{package}/*"
