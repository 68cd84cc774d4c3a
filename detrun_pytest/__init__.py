"""The part of the pytest plugin that every pytest process loads where detrun is installed; so it costs next to nothing.

It declares the mark and the options and looks for tests with the mark. Only where there is one are detrun and
`detrun.testing.plugin`, which does everything else, imported. That is why it is a package of its own: a module of
``detrun`` cannot be imported without ``detrun``, which takes 250 ms (2 cores, Python 3.11; this package takes 0.5).

The locks of `threading` have to be exchanged before the modules under test are imported, since a lock made at import
stays what it was made as. So it happens before the first ``conftest.py`` if the command line or the project's
configuration file mentions detrun, and otherwise before the first test module that does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

__all__: list[str] = []

MENTION = "detrun"
PLUGIN_NAME = "detrun-explore"
MARK = (
    "detrun(schedules=..., strategy=..., seed=..., preemption=..., max_steps=...): run the test under many schedules, "
    "until one fails; see https://github.com/detrun/detrun/blob/main/docs/pytest.md"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options win over marks, marks over the configuration file."""
    group = parser.getgroup("detrun", "tests marked detrun: run under many schedules")
    group.addoption("--detrun-schedules", type=int, metavar="N", help="schedules to run for each test")
    group.addoption("--detrun-seed", type=int, metavar="N", help="seed of the schedules and of every random draw")
    group.addoption("--detrun-strategy", metavar="NAME", help="who chooses among runnable tasks")
    group.addoption(
        "--detrun-preemption", metavar="WHERE", help="where threads can be interrupted: auto, sync, line, opcode"
    )
    group.addoption(
        "--detrun-ignore",
        action="append",
        metavar="SIGNATURE",
        help="a kind of failure to pass over, as reports spell it, or a shell pattern; may be repeated",
    )
    group.addoption(
        "--detrun-replay", metavar="FILE|TOKEN", help="run the one schedule of a failure again, of the test it is of"
    )
    group.addoption(
        "--detrun-html", metavar="DIRECTORY", help="write why each test failed as an HTML file into a directory"
    )
    parser.addini("detrun_schedules", "schedules to run for each test marked detrun")
    parser.addini("detrun_seed", "seed of the schedules and of every random draw")
    parser.addini("detrun_strategy", "who chooses among runnable tasks")
    parser.addini("detrun_preemption", "where threads can be interrupted: auto, sync, line, opcode")
    parser.addini("detrun_ignore", "kinds of failures to pass over, one a line", type="linelist")
    parser.addini("detrun_max_steps", "steps after which a schedule counts as a livelock")
    parser.addini("detrun_directory", "where failing schedules are kept, from the rootdir on", default=".detrun")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: Sequence[str]) -> None:
    """Exchange the locks before any ``conftest.py`` is imported, if this project is known to use detrun."""
    if any(argument.startswith(f"--{MENTION}") for argument in args) or _mentions_detrun(early_config.inipath):
        _exchange_locks()


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line("markers", MARK)


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Exchange the locks before a test module is imported that has to do with detrun."""
    # Not when pytest makes the collector, which it does of the neighbours of a file that was asked for, too.
    if isinstance(collector, pytest.Module) and _mentions_detrun(collector.path):
        _exchange_locks()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Take over a test that has the mark."""
    if item.get_closest_marker("detrun") is not None:
        _explorer(item.config).take_over(item)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave only the test whose schedule is to be replayed."""
    if config.getoption("detrun_replay") is not None:
        _explorer(config).select_replayed(config, items)


def _mentions_detrun(path: Path | None) -> bool:
    try:
        return path is not None and MENTION.encode() in path.read_bytes()
    except OSError:
        return False  # pytest, which has to read it, says why it cannot


def _exchange_locks() -> None:
    import detrun_scheduler.loop  # noqa: F401 (the exchange is what its import does)


def _explorer(config: pytest.Config) -> ModuleType:
    from detrun.testing import plugin

    if not config.pluginmanager.has_plugin(PLUGIN_NAME):
        config.pluginmanager.register(plugin, PLUGIN_NAME)
    return plugin
