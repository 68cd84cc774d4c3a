"""Settings of a marked test: the command line over the mark, the mark over the configuration file.

A mark takes the keyword arguments of `detrun.explore` that say what is explored. Those that say how to go about it
(``NOT_FOR_MARKS``) belong to the command line and the configuration.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pytest

import detrun
from detrun_scheduler.errors import UsageError

NOT_FOR_MARKS = frozenset(
    {"confirm", "directory", "executor", "gradient_of", "progress", "resume", "target", "workers"}
)
_NUMBERS = frozenset({"schedules", "seed", "max_steps"})
_IN_CONFIGURATION = ("schedules", "seed", "strategy", "preemption", "max_steps")
_ON_COMMAND_LINE = ("schedules", "seed", "strategy", "preemption")


def allowed_in_marks() -> list[str]:
    """The names that a mark may give."""
    parameters = inspect.signature(detrun.explore).parameters.values()
    keywords = [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    return [name for name in keywords if name not in NOT_FOR_MARKS]


def settings_of(item: pytest.Item) -> dict[str, Any]:
    """Keyword arguments for `detrun.explore`.

    Raises:
        UsageError: the mark or the configuration file says something that cannot be.
    """
    found: dict[str, Any] = {}
    backend = _backend_said_elsewhere(item)
    if backend is not None:
        found["backend"] = backend
    for name in _IN_CONFIGURATION:
        text = item.config.getini(f"detrun_{name}")
        if text:
            found[name] = _number(f"detrun_{name}", text) if name in _NUMBERS else text
    allowed = allowed_in_marks()
    # The nearest mark comes first: a mark of the test itself wins over one of its class or module.
    for mark in reversed(list(item.iter_markers("detrun"))):
        if mark.args:
            raise UsageError(f"pytest.mark.detrun: takes keyword arguments only, got {mark.args[0]!r}")
        unknown = [name for name in mark.kwargs if name not in allowed]
        if unknown:
            raise UsageError(f"pytest.mark.detrun: unknown argument {unknown[0]!r}; it takes {', '.join(allowed)}")
        found.update(mark.kwargs)
    for name in _ON_COMMAND_LINE:
        given = item.config.getoption(f"detrun_{name}")
        if given is not None:
            found[name] = given
    # What is known to fail adds up: a test's own, and the project's.
    ignore = [*found.get("ignore", ()), *item.config.getini("detrun_ignore")]
    ignore += item.config.getoption("detrun_ignore") or ()
    if ignore:
        found["ignore"] = ignore
    return found


def _backend_said_elsewhere(item: pytest.Item) -> str | None:
    """Whose async function the test is, where a mark of another plugin's says so."""
    given: Any = getattr(item, "funcargs", {}).get("anyio_backend")  # a name, or a name and options
    named = given[0] if isinstance(given, tuple) else given
    return next((one for one in ("asyncio", "trio") if one == named or item.get_closest_marker(one) is not None), None)


def accepted_by(function: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``settings`` that ``function`` takes."""
    parameters = inspect.signature(function).parameters
    return {name: value for name, value in settings.items() if name in parameters}


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{name} = {text!r} in the configuration file is not valid; give a whole number") from None
