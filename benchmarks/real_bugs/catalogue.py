"""The bugs by name: the library, the release that has the bug, the release without it, and where it was reported.

Importing this needs none of the libraries. The programs are in `programs/`, one a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Concurrency = Literal["threads", "tasks"]

MODULE = "benchmarks.real_bugs.programs"
PYTHON_WITH, PYTHON_WITHOUT = (3, 11), (3, 13)


@dataclass(frozen=True, slots=True)
class RealBug:
    """One reported bug.

    Attributes:
        name: of the program's module; the library and the number of the report.
        library: as pip calls it, or ``Python``.
        buggy, fixed: releases of the library; of Python if that is the library.
        report: the issue or pull request.
        kind: what goes wrong, in words.
        concurrency: what runs side by side.
        packages: the modules in which threads must be interrupted for it; empty for tasks.
        action: what has to happen between steps for it, as an argument of `detrun.explore`; empty for nothing.
        beside: what else has to be installed, as requirements.
        beside_fixed: the same for the fixed release, where it differs.
    """

    name: str
    library: str
    buggy: str
    fixed: str
    report: str
    kind: str
    concurrency: Concurrency = "tasks"
    packages: tuple[str, ...] = ()
    action: str = ""
    beside: tuple[str, ...] = ()
    beside_fixed: tuple[str, ...] | None = None

    def requirements(self, is_fixed: bool) -> list[str]:
        """What pip has to install for the one or the other."""
        if self.library == "Python":
            return []
        beside = self.beside if not is_fixed or self.beside_fixed is None else self.beside_fixed
        return [f"{self.library}=={self.fixed if is_fixed else self.buggy}", *beside]

    def python(self, is_fixed: bool) -> tuple[int, int]:
        """The version of Python for the one or the other."""
        return PYTHON_WITHOUT if is_fixed and self.library == "Python" else PYTHON_WITH

    @property
    def module(self) -> str:
        """Where `main` is."""
        return f"{MODULE}.{self.name}"


def _threads(
    name: str, library: str, buggy: str, fixed: str, report: str, kind: str, *packages: str, **more: Any
) -> RealBug:
    return RealBug(name, library, buggy, fixed, report, kind, "threads", packages, **more)


GITHUB = "https://github.com"
CHECK_THEN_ACT, ITERATION, DEADLOCK = "check, then act", "changed while iterated", "deadlock"
CANCELLATION, TIMEOUT = "cancellation", "time-out in the middle"
ANYIO = ("anyio==4.3.0",)

BUGS: tuple[RealBug, ...] = (
    RealBug(
        "anyio_728", "anyio", "4.3.0", "4.4.0", f"{GITHUB}/agronholm/anyio/issues/728", "item lost on cancellation"
    ),
    RealBug(
        "anyio_1075", "anyio", "4.12.1", "4.13.0", f"{GITHUB}/agronholm/anyio/pull/1075", "wake-up lost on time-out"
    ),
    RealBug(
        "httpcore_642",
        "httpcore",
        "0.17.2",
        "1.0.9",
        f"{GITHUB}/encode/httpcore/issues/642",
        TIMEOUT,
        action="early_timers",
        beside=ANYIO,
    ),
    RealBug(
        "httpcore_785",
        "httpcore",
        "0.17.3",
        "1.0.9",
        f"{GITHUB}/encode/httpcore/issues/785",
        CANCELLATION,
        beside=ANYIO,
    ),
    RealBug(
        "trio_websocket_158",
        "trio-websocket",
        "0.10.1",
        "0.10.2",
        f"{GITHUB}/python-trio/trio-websocket/issues/158",
        CHECK_THEN_ACT,
    ),
    RealBug(
        "trio_websocket_182",
        "trio-websocket",
        "0.10.3",
        "0.10.4",
        f"{GITHUB}/python-trio/trio-websocket/pull/182",
        "wake-up missing",
    ),
    RealBug(
        "starlette_1438",
        "starlette",
        "0.20.4",
        "0.21.0",
        f"{GITHUB}/encode/starlette/issues/1438",
        CANCELLATION,
        beside=ANYIO,
    ),
    _threads(
        "psycopg_pool_1300",
        "psycopg-pool",
        "3.3.0",
        "3.3.1",
        f"{GITHUB}/psycopg/psycopg/issues/1300",
        CHECK_THEN_ACT,
        "psycopg_pool",
        beside=("psycopg[binary]==3.3.4",),
    ),
    _threads(
        "psycopg_pool_230",
        "psycopg-pool",
        "3.1.0",
        "3.1.1",
        f"{GITHUB}/psycopg/psycopg/issues/230",
        "order of two steps",
        "psycopg_pool",
        beside=("psycopg[binary]==3.3.4",),
    ),
    _threads("loguru_1183", "loguru", "0.7.2", "0.7.3", f"{GITHUB}/Delgan/loguru/issues/1183", ITERATION, "loguru"),
    _threads(
        "opentelemetry_4892",
        "opentelemetry-sdk",
        "1.39.1",
        "1.40.0",
        f"{GITHUB}/open-telemetry/opentelemetry-python/issues/4892",
        CHECK_THEN_ACT,
        "opentelemetry",
    ),
    _threads(
        "prometheus_363",
        "prometheus-client",
        "0.5.0",
        "0.6.0",
        f"{GITHUB}/prometheus/client_python/issues/363",
        "re-entry from the collector",
        "prometheus_client",
        action="collections",
    ),
    _threads(
        "cachetools_188",
        "cachetools",
        "4.1.1",
        "4.2.0",
        f"{GITHUB}/tkem/cachetools/pull/188",
        CHECK_THEN_ACT,
        "cachetools",
    ),
    _threads(
        "zict_69",
        "zict",
        "2.2.0",
        "3.0.0",
        f"{GITHUB}/dask/zict/issues/69",
        "broken structure",
        "zict",
        "*/heapdict.py",
        beside_fixed=(),
        beside=("heapdict==1.0.1",),
    ),
    _threads(
        "sqlalchemy_12302",
        "sqlalchemy",
        "2.0.37",
        "2.0.51",
        f"{GITHUB}/sqlalchemy/sqlalchemy/issues/12302",
        "published unfinished",
        "sqlalchemy",
    ),
    _threads(
        "urllib3_1252",
        "urllib3",
        "1.26.15",
        "1.26.16",
        f"{GITHUB}/urllib3/urllib3/issues/1252",
        "use after close",
        "urllib3",
    ),
    _threads(
        "functools_87634", "Python", "3.11", "3.13", f"{GITHUB}/python/cpython/issues/87634", DEADLOCK, "functools"
    ),
)


def bug(name: str) -> RealBug:
    """The bug called ``name``.

    Raises:
        KeyError: there is none.
    """
    return {one.name: one for one in BUGS}[name]
