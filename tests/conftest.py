"""Hypothesis profiles, and which tests a Python runs that is tested beside another one.

The profiles: `ci` (default) draws the same examples every time, `long` draws many new ones.

Chosen by the environment variable HYPOTHESIS_PROFILE; `make test-long` sets it to `long`. Both profiles run
without a deadline and ignore slowness: on a busy machine with two cores a timing says nothing about the code.

Tests marked `one_python` are about what no interpreter changes: programs of benchmarks and scenarios, documents, the
command line, models in plain Python. With ``--share 1/2`` and ``--share 2/2`` two Pythons divide them by files; all
other tests run on both. A file of which all is the other's is not even imported.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.cpu_of_files import CpuOfFiles
from tests.one_python import is_in_part, is_same_on_every_python

settings.register_profile(
    "ci",
    max_examples=20,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long", max_examples=2_000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
# For `make mutants`: an example that fails is enough, it need not become small.
settings.register_profile("mutants", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# Rooms whose tests make thousands of runs, and are not about what a run puts in the place of others' names.
MANY_RUNS = (
    "tests/ad",
    "tests/checkers",
    "tests/counterfactuals",
    "tests/execution",
    "tests/explore",
    "tests/gradients",
    "tests/inspection",
    "tests/machines",
    "tests/minimizing",
    "tests/primitives",
    "tests/races",
    "tests/recorder",
    "tests/scheduler/footprints",
    "tests/scheduler/strategies",
    "tests/world",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--share``: which part of the tests marked `one_python` runs."""
    parser.addoption("--share", metavar="PART/PARTS", help="of the tests marked one_python, run this part of the files")


def pytest_configure(config: pytest.Config) -> None:
    """Sum up CPU seconds by file."""
    config.pluginmanager.register(CpuOfFiles())


@cache  # a file is read once for all that is asked of it
def _is_of_other_part(config: pytest.Config, path: Path) -> bool:
    share = config.getoption("--share")
    if not share:
        return False
    file = path.relative_to(config.rootpath).as_posix()
    try:
        return not is_in_part(file, path.read_text(encoding="utf-8"), share)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the other part's files unread."""
    if not collection_path.is_file() or not collection_path.is_relative_to(config.rootpath):
        return None
    file = collection_path.relative_to(config.rootpath).as_posix()
    return True if is_same_on_every_python(file) and _is_of_other_part(config, collection_path) else None


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what says the same on every Python, and leave the other part's share of it to the other part."""
    for item in items:
        is_ours = item.path.is_relative_to(config.rootpath)  # a test of the suites of trio may run trio's from here
        if is_ours and is_same_on_every_python(item.path.relative_to(config.rootpath).as_posix()):
            item.add_marker("one_python")
    left_out = {
        item for item in items if item.get_closest_marker("one_python") and _is_of_other_part(config, item.path)
    }
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="module", autouse=True)
def _names_stay_replaced(request: pytest.FixtureRequest) -> Iterator[None]:
    """As in a campaign: where hundreds of modules are loaded, replacing names anew is two thirds of a small run."""
    if not str(request.path).startswith(tuple(str(request.config.rootpath / room) for room in MANY_RUNS)):
        yield
        return
    from detrun_scheduler.environment.staying import StayingReplaced

    with StayingReplaced():
        yield


@pytest.fixture
def garbage_of() -> Callable[[Callable[[], object]], int]:
    """Counts the objects that five calls leave to the collector; a campaign runs thousands without one."""

    from detrun_scheduler.frozen_heap import frozen_heap

    def count(once: Callable[[], object]) -> int:
        once()
        gc.disable()
        try:
            with frozen_heap():  # what was left before is not counted
                for _ in range(5):
                    once()
                return gc.collect()
        finally:
            gc.enable()

    return count
