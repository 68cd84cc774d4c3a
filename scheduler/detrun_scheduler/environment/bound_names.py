"""Names that modules took before a run: ``from time import monotonic`` means the run's clock inside a run, too.

`ReplacedNames` changes what ``time.monotonic`` is; a module that took the function by name, as a default argument or as
a class attribute still holds the real one. So when a run begins, each place that holds a function or class which is
replaced in its own module gets what stands there now, and gets it back when the run ends, unless the program has put
something else there meanwhile. Looked through are loaded modules and the program's own function: global names,
attributes of classes and of objects that a module names, default arguments, closures, and the globals of generated
functions. What a container, a ``functools.partial`` or an object behind other objects holds stays real.

Modules that must keep the real thing are left alone: detrun, trio and what carries them, the modules whose names are
replaced, and the tools that watch a run from outside. Names taken inside a run are what the run's modules give.

Cost, on the development machine: a process looks through its modules once, 17 ms for 350 and 130 ms for 1,850 (torch);
later runs compare the modules and the number of names in each, 15 µs for 400, and what ``__main__`` names, a few; in a
campaign (`StayingReplaced`) all is left in place, and only a module that has come is looked through, 1 µs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from types import FunctionType, ModuleType
from typing import Any

from detrun_scheduler.environment.addresses import address_of
from detrun_scheduler.environment.name_places import BoundPlace, ClassAttribute, Place, Scan, is_generated, names_of
from detrun_scheduler.environment.staying import STAYING

# Packages whose names are never changed: each needs the real clock, lock or thread to do its part around a run.
EXEMPT = frozenset(
    {
        *("detrun", "detrun_scheduler", "detrun_recorder", "detrun_pytest"),
        *("trio", "outcome", "greenlet", "sniffio"),
        # Their names are replaced one by one, or stay as they are for a reason given where that is done.
        *("threading", "_thread", "time", "os", "posix", "nt", "random", "uuid", "queue", "_queue", "logging"),
        "socket",
        *("signal", "_signal", "_posixsubprocess", "importlib", "_frozen_importlib", "_frozen_importlib_external"),
        *("sys", "builtins", "gc", "faulthandler"),
        # They test, trace and debug what runs.
        *("pytest", "_pytest", "pluggy", "hypothesis", "execnet", "xdist", "coverage", "pydevd", "_pydevd_bundle"),
        *("_pydev_bundle", "_pydevd_frame_eval", "debugpy"),
    }
)


class BoundNames:
    """Every place that holds one of ``originals``; one per process.

    Args:
        sources: for each original, the module and the name there under which the run's replacement is found.
        fixed: originals and what stands for each in every run.
    """

    def __init__(self, sources: Iterable[tuple[ModuleType, Iterable[str]]], fixed: Iterable[tuple[Any, Any]]) -> None:
        self._originals: dict[int, Any] = {}
        self._sources: dict[int, tuple[dict[str, Any], str]] = {}
        self._fixed: dict[int, Any] = {}
        for original, replacement in fixed:
            self._originals[address_of(original)] = original
            self._fixed[address_of(original)] = replacement
        for module, names in sources:
            for name in names:
                original = vars(module).get(name)
                if callable(original) and address_of(original) not in self._originals:
                    self._originals[address_of(original)] = original
                    self._sources[address_of(original)] = vars(module), name
        self._scanned: dict[str, tuple[Any, int]] = {}  # the modules by name, with the number of their names
        self._found: dict[str, list[BoundPlace]] = {}
        self._modules: list[Any] = []  # those that were looked through last, and how many names each had
        self._namespaces: list[dict[str, Any]] = []
        self._sizes: list[int] = []
        # Of `__main__`: the addresses of what its names stood for; the functions and classes among that, which are kept
        # so that their addresses stay theirs; the places found on them.
        self._main: tuple[list[int], list[Any], list[BoundPlace]] = ([], [], [])
        self._put: list[tuple[Place, Any, Any]] = []  # place, what was there, what was put there
        self._stays = False

    def install(self, main: Callable[..., Any] | None = None) -> None:
        """Put the run's functions and classes in every place; what they are must have been replaced already.

        Args:
            main: the program, which may be defined in no module.
        """
        if self._stays:
            if len(sys.modules) == len(self._modules):
                return
            self.leave()  # a module that is looked through anew has to show its originals
        if not self._has_same_modules() or list(map(len, self._namespaces)) != self._sizes:
            self._scan_modules()
        self._scan_main()
        for found in self._found.values():
            self._put_all(found)
        self._put_all(self._scan_program(main))

    def restore(self) -> None:
        """Put back what was there, or leave it to the end of the campaign."""
        if not STAYING.campaigns:
            self.leave()
        elif not self._stays:
            self._stays = True
            STAYING.add(self)

    def leave(self) -> None:
        """Put back what was there wherever the program has not put something else."""
        self._stays = False
        for place, before, put in self._put:
            if place.get() is put:
                place.put(before)
        self._put.clear()

    def _put_all(self, found: Iterable[BoundPlace]) -> None:
        for place, held, original in found:
            key = address_of(original)
            source = self._sources.get(key)
            replacement = self._fixed[key] if source is None else source[0][source[1]]
            if replacement is original or place.get() is not held:
                continue
            if type(place) is ClassAttribute and (held is not original or not hasattr(type(original), "__get__")):
                # A builtin function does not become a method; nor must what stands for it.
                replacement = staticmethod(replacement)
            place.put(replacement)
            self._put.append((place, held, replacement))

    # Looking through.

    def _has_same_modules(self) -> bool:
        try:  # identity first, four times as fast as asking for it alone
            return list(sys.modules.values()) == self._modules
        except Exception:  # something that cannot be compared has taken the place of a module
            return False

    def _scan_modules(self) -> None:
        """Look through modules that have come or changed."""
        modules = dict(sys.modules)
        for name, module in modules.items():
            known = self._scanned.get(name)
            if known is None or known[0] is not module or known[1] != len(names_of(module)):
                self._scan_module(name, module)
        for name in self._scanned.keys() - modules.keys():
            del self._scanned[name]
            self._found.pop(name, None)
        self._modules = list(modules.values())
        self._namespaces = list(map(names_of, modules.values()))
        self._sizes = list(map(len, self._namespaces))

    def _scan_main(self) -> None:
        """Look through what a person binds anew between runs; functions and classes only where others have come."""
        namespace = names_of(sys.modules["__main__"])
        addresses, _, found = self._main
        now = list(map(address_of, namespace.values()))
        if now != addresses:
            scan = Scan(self._originals, namespace)
            scan.definitions("__main__")
            found = scan.found
            kept = [value for value in namespace.values() if type(value) is FunctionType or isinstance(value, type)]
            self._main = now, kept, found
        scan = Scan(self._originals, namespace)
        scan.objects()
        self._found["__main__"] = found + scan.found

    def _scan_module(self, name: str, module: Any) -> None:
        namespace = names_of(module)
        self._scanned[name] = module, len(namespace)
        self._found.pop(name, None)
        if name.partition(".")[0] not in EXEMPT:
            scan = Scan(self._originals, namespace)
            scan.module(name)
            if scan.found:
                self._found[name] = scan.found

    def _scan_program(self, main: Callable[..., Any] | None) -> list[BoundPlace]:
        function: Any = main
        while isinstance(function, partial):
            function = function.func
        function = getattr(function, "__func__", function)
        if type(function) is not FunctionType:
            return []
        namespace = function.__globals__
        name = namespace.get("__name__")
        scan = Scan(self._originals, namespace)
        if is_generated(namespace):
            scan.module(str(name))
        if function.__closure__ or function.__defaults__:
            scan.function(function)
        return scan.found
