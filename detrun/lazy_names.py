"""Public names of a package that are imported when they are first used, to keep ``import detrun`` short.

Rule: a lazy name behaves like any other attribute, also where a submodule has the same name (``detrun.explore`` is the
function, the package behind it is reached by importing from it). Each is found once and kept.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


def install(package: str, names: Mapping[str, str]) -> None:
    """Let the module called ``package`` find each of ``names``, name -> module, on first use."""
    found: dict[str, Any] = {}

    class Package(ModuleType):
        """A package with names that are found on first use."""

        def __dir__(self) -> list[str]:
            return sorted({*super().__dir__(), *names})

    def lazy(name: str) -> property:
        def get(self: ModuleType) -> Any:
            if name not in found:
                found[name] = getattr(import_module(names[name]), name)
            return found[name]

        def put(self: ModuleType, value: Any) -> None:
            # The import system binds a submodule to its package; the public name keeps its meaning.
            if not isinstance(value, ModuleType):
                found[name] = value

        return property(get, put)

    for name in names:
        setattr(Package, name, lazy(name))
    sys.modules[package].__class__ = Package
