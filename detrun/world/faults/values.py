"""The values of a fault plan's keys: their checks, and the form in which a plan keeps them.

One `FaultPlanError` for whatever is wrong, with the fault's kind, the key and the value. Lists become tuples, so that a
plan is hashable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from detrun_scheduler.errors import UsageError


class FaultPlanError(UsageError):
    """A fault plan is not one; the message names the fault, the key and what it must be."""


def checked(kind: str, name: str, value: Any, metadata: Mapping[str, Any]) -> Any:
    """``value`` in the form in which a plan keeps it; ``metadata`` of its field says what it must be.

    Raises:
        FaultPlanError: it is something else.
    """
    expected = metadata.get("is")
    problem = ""
    match expected:
        case "seconds":
            problem = _problem_of_number(value, metadata["least"])
        case "positive":
            problem = _problem_of_number(value, 0.0) or ("" if value > 0 else "must be more than 0")
        case "probability":
            problem = _problem_of_number(value, 0.0) or ("" if value <= 1 else "must be a number from 0 to 1")
        case "count":
            problem = "" if type(value) is int and value >= 0 else "must be a whole number of at least 0"
        case "truth":
            problem = "" if type(value) is bool else "must be true or false"
        case "text":
            problem = "" if isinstance(value, str) else "must be a text"
        case "one of":
            options = metadata["options"]
            problem = "" if value in options else f"must be one of {', '.join(map(repr, filter(None, options)))}"
        case "interval":
            value, problem = _interval(value)
        case "names":
            value, problem = _names(value)
        case "groups":
            value, problem = _groups(value)
    if problem:
        raise FaultPlanError(f"{kind}: {name}={value!r} {problem}")
    return value


def _problem_of_number(value: Any, least: float) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "must be a finite number"
    return "" if value >= least else f"must be at least {least:g}"


def _interval(value: Any) -> tuple[Any, str]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return value, "must be two times, [first, last]"
    first, last = value
    problem = _problem_of_number(first, 0.0) or _problem_of_number(last, 0.0)
    return (first, last), problem or ("" if first <= last else "must not end before it begins")


def _names(value: Any) -> tuple[Any, str]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        return value, "must be a list of names of nodes"
    return tuple(value), ""


def _groups(value: Any) -> tuple[Any, str]:
    if not isinstance(value, list | tuple):
        return value, "must be a list of groups, each a list of names of nodes"
    groups = []
    for one in value:
        group, problem = _names(one)
        if problem or not group:
            return value, "must be a list of groups, each a list of names of nodes"
        groups.append(group)
    return tuple(groups), ""
