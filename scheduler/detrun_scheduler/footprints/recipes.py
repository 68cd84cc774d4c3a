"""Recipes followed: the object that symbolic execution says an instruction has to do with, in a frame that runs.

Lookups are static and run no code of the program. A recipe that leads nowhere, or through a property, gives `MISSING`.
"""

from __future__ import annotations

from types import FrameType, MemberDescriptorType
from typing import Any

from detrun_scheduler.footprints.symbolic_execution import Recipe

MISSING: Any = object()


def follow(recipe: Recipe, frame: FrameType) -> Any:
    """The object that a recipe leads to, or `MISSING`; runs no code of the program."""
    if recipe is None:
        return MISSING
    match recipe:
        case ("constant", value):
            return value
        case ("local", name):
            return frame.f_locals.get(name, MISSING)
        case ("global", name):
            return frame.f_globals.get(name, MISSING)
        case ("attribute", inner, name):
            return _static_attribute(follow(inner, frame), name)
        case ("element", inner, key):
            owner, found = follow(inner, frame), follow(key, frame)
            if type(owner) not in (list, dict) or type(found) not in (int, str):
                return MISSING
            try:
                return owner[found]
            except (LookupError, TypeError):
                return MISSING
    return MISSING


def _static_attribute(owner: Any, name: str) -> Any:
    if owner is MISSING:
        return MISSING
    try:
        own = object.__getattribute__(owner, "__dict__")
        if name == "__dict__":
            return own
    except AttributeError:
        own = {}
    if name in own:
        return own[name]
    for base in type(owner).__mro__:
        found = vars(base).get(name, MISSING)
        if type(found) is MemberDescriptorType:
            try:
                return found.__get__(owner)
            except AttributeError:
                return MISSING
        if found is not MISSING:
            return MISSING if hasattr(type(found), "__get__") else found
    return MISSING


def instance_of(recipe: Recipe, frame: FrameType) -> Any:
    """The object whose attributes a dictionary holds, if it is reached as ``object.__dict__``."""
    match recipe:
        case ("attribute", inner, "__dict__"):
            return follow(inner, frame)
    return MISSING


def is_missing(found: Any) -> bool:
    """Whether a recipe led nowhere."""
    return found is MISSING
