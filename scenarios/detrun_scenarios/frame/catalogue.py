"""The scenarios that are installed, by name: packages beside `frame`, studies, and what other distributions add.

A study is a scenario in the room `studies`, which asks one question of a small system of its own or of a larger one.

Another distribution adds a scenario by an entry point of the group ``detrun.scenarios``, whose name is the scenario's::

    [project.entry-points."detrun.scenarios"]
    queue = "my_package.queue:SCENARIO"

A name is looked for here first, and only its own package is imported; the list imports all.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from detrun_scenarios.frame.declaration import Scenario
from detrun_scenarios.frame.names import named
from detrun_scheduler.errors import UsageError

GROUP = "detrun.scenarios"
PACKAGE = __name__.partition(".")[0]
SHARED = ("frame", "commands", "studies")
ROOT = Path(__file__).parents[1]
ROOMS = (PACKAGE, f"{PACKAGE}.studies")


def all_scenarios() -> dict[str, Scenario]:
    """Every scenario by its name, in the order of the names.

    Raises:
        UsageError: one that another distribution adds cannot be loaded.
    """
    return {name: find_scenario(name) for name in sorted({*_own(), *_added()})}


def find_scenario(name: str) -> Scenario:
    """The scenario of that name.

    Raises:
        UsageError: there is none (the message has the near names), or it cannot be loaded.
    """
    own = _own()
    if name in own:
        return _checked(name, import_module(own[name]).SCENARIO)
    added = _added()
    entry_point = named("there is no scenario", name, {**dict.fromkeys(own), **added})
    assert entry_point is not None
    try:
        found = entry_point.load()
    except Exception as error:
        raise UsageError(
            f"scenario {name}, {entry_point.value}, cannot be loaded: {type(error).__name__}: {error}; mend or "
            "uninstall the package that adds it"
        ) from error
    return _checked(name, found)


def folder_of(name: str) -> Path:
    """Where the scenario of that name that comes with detrun has its modules, README and pictures.

    Raises:
        KeyError: none of that name comes with detrun.
    """
    return _folder(_own()[name])


def _folder(package: str) -> Path:
    return ROOT.joinpath(*package.split(".")[1:])


def _own() -> dict[str, str]:
    """The package of each scenario that comes with detrun, by its name."""
    found = {}
    for room in ROOMS:
        for one in pkgutil.iter_modules([str(_folder(room))]):
            if one.ispkg and one.name not in SHARED:
                found[one.name] = f"{room}.{one.name}"
    return found


def _added() -> dict[str, EntryPoint]:
    return {one.name: one for one in entry_points(group=GROUP)}


def _checked(name: str, found: Any) -> Scenario:
    if not isinstance(found, Scenario):
        raise UsageError(f"scenario {name} is {found!r}; its SCENARIO must be a detrun_scenarios Scenario")
    if found.name != name:
        raise UsageError(
            f"scenario {name} calls itself {found.name!r}; give package, entry point and SCENARIO one name"
        )
    return found
