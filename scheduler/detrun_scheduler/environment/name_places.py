"""Places within one namespace where a name is bound to one of some given objects: global names and what hangs on them.

`Scan` looks through global names, attributes of classes and of objects that a module names, default arguments,
closures, and the globals of generated functions. It asks nothing that user code could answer (no ``getattr``, no
``isinstance``), so that lazy objects stay asleep.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CellType, FunctionType, ModuleType
from typing import Any, NamedTuple, Protocol

from detrun_scheduler.environment.addresses import address_of

_IMMUTABLE, _MADE_IN_PYTHON = 1 << 8, 1 << 9  # type flags (CPython's object.h): no assignment, a heap type
_namespace_of_class: Callable[[type], Any] = type.__dict__["__dict__"].__get__
# Whatever is of these types holds no name: most global names of most modules.
_PLAIN = frozenset(
    {
        str,
        int,
        float,
        bool,
        bytes,
        tuple,
        list,
        dict,
        set,
        frozenset,
        type(None),
        ModuleType,
        ModuleSpec,
        SourceFileLoader,
    }
)


class Place(Protocol):
    """Somewhere a name is bound."""

    def get(self) -> Any:
        """What is there, None if there is nothing."""

    def put(self, value: Any) -> None:
        """Put something else there."""


class _Entry(NamedTuple):
    """A global name, or an attribute of an object."""

    namespace: dict[str, Any]
    key: str

    def get(self) -> Any:
        return self.namespace.get(self.key)

    def put(self, value: Any) -> None:
        self.namespace[self.key] = value


class ClassAttribute(NamedTuple):
    owner: type
    key: str

    def get(self) -> Any:
        return _namespace_of_class(self.owner).get(self.key)

    def put(self, value: Any) -> None:
        type.__setattr__(self.owner, self.key, value)  # past the metaclass, which may have rules of its own


class _Default(NamedTuple):
    """A default argument."""

    function: Any  # of type FunctionType
    position: int

    def get(self) -> Any:
        defaults = self.function.__defaults__
        return defaults[self.position] if defaults is not None and self.position < len(defaults) else None

    def put(self, value: Any) -> None:
        defaults = list(self.function.__defaults__ or ())
        defaults[self.position] = value
        self.function.__defaults__ = tuple(defaults)


class _Cell(NamedTuple):
    """A variable of an enclosing function."""

    cell: CellType

    def get(self) -> Any:
        return _content(self.cell)

    def put(self, value: Any) -> None:
        self.cell.cell_contents = value


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # an empty cell
        return None


class BoundPlace(NamedTuple):
    """A place, what it holds outside runs, and which of the functions and classes that is."""

    place: Place
    held: Any  # the original, or a `staticmethod` around it
    original: Any


_NOTHING: dict[str, Any] = {}


def names_of(module: Any) -> dict[str, Any]:
    """The namespace of whatever stands in ``sys.modules``, without asking its ``__getattr__``."""
    try:
        namespace = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return _NOTHING
    return namespace if type(namespace) is dict else _NOTHING


class Scan:
    """The places within one namespace."""

    def __init__(self, originals: dict[int, Any], namespace: dict[str, Any]) -> None:
        self.originals = originals
        self.namespace = namespace
        self.seen: set[int] = set()
        self.found: list[BoundPlace] = []

    def module(self, name: str) -> None:
        """The global names, and what hangs on those that the module itself defines."""
        self.definitions(name)
        self.objects()

    def definitions(self, name: str) -> None:
        """The global names, and what hangs on functions and classes."""
        namespace = self.namespace
        self.names(namespace)
        for value in list(namespace.values()):
            kind = type(value)
            if kind in _PLAIN:
                continue
            if kind is FunctionType:
                if value.__globals__ is namespace:
                    if value.__defaults__ or value.__closure__ or value.__kwdefaults__:
                        self.function(value)
                elif value.__module__ == name:
                    self.function(value)
            elif issubclass(kind, type):  # and not isinstance, which asks a proxy for its class
                self.class_of(name, value)

    def objects(self) -> None:
        """What hangs on objects: only those made by a class of Python code keep what the program gave them."""
        for value in list(self.namespace.values()):
            kind = type(value)
            if kind in _PLAIN or kind is FunctionType or issubclass(kind, type):
                continue
            if kind.__flags__ & _MADE_IN_PYTHON and kind.__dictoffset__:
                self.names(names_of(value))

    def names(self, namespace: dict[str, Any]) -> None:
        originals = self.originals
        if not originals.keys().isdisjoint(map(address_of, namespace.values())):
            for key, value in namespace.items():
                if address_of(value) in originals:
                    self.found.append(BoundPlace(_Entry(namespace, key), value, value))

    def class_of(self, name: str, owner: type) -> None:
        if address_of(owner) in self.seen:
            return
        self.seen.add(address_of(owner))
        members = _namespace_of_class(owner)
        # None: a C type that nothing has readied yet (`_testcapi` has one).
        if members is None or members.get("__module__") != name or owner.__flags__ & _IMMUTABLE:
            return
        namespace = self.namespace
        for value in members.values():
            kind = type(value)
            if kind in _PLAIN:
                continue
            if kind is FunctionType:
                holds = value.__defaults__ or value.__closure__ or value.__kwdefaults__
                if holds or value.__globals__ is not namespace:
                    self.function(value)
            elif kind is property:
                for inner in (value.fget, value.fset):
                    if type(inner) is FunctionType:
                        self.function(inner)
            elif kind is staticmethod or kind is classmethod:
                if type(value.__func__) is FunctionType:
                    self.function(value.__func__)
            elif issubclass(kind, type):
                self.class_of(name, value)
        originals = self.originals
        for key, value in members.items():
            held = value.__func__ if type(value) is staticmethod else value
            if address_of(held) in originals:
                self.found.append(BoundPlace(ClassAttribute(owner, key), value, held))

    def function(self, function: FunctionType) -> None:
        originals, seen = self.originals, self.seen
        if address_of(function) in seen:
            return
        seen.add(address_of(function))
        defaults = function.__defaults__
        if defaults and not originals.keys().isdisjoint(map(address_of, defaults)):
            for index, value in enumerate(defaults):
                if address_of(value) in originals:
                    self.found.append(BoundPlace(_Default(function, index), value, value))
        if function.__kwdefaults__:
            self.names(function.__kwdefaults__)
        if function.__closure__:
            for cell in function.__closure__:
                value = _content(cell)
                if type(value) is FunctionType:
                    self.function(value)
                elif address_of(value) in originals and address_of(cell) not in seen:
                    seen.add(address_of(cell))
                    self.found.append(BoundPlace(_Cell(cell), value, value))
        generated = function.__globals__
        if generated is not self.namespace and address_of(generated) not in seen:
            # attrs and others compile methods with globals of their own; those of a module are looked through by name.
            seen.add(address_of(generated))
            if is_generated(generated):
                self.names(generated)


def is_generated(namespace: dict[str, Any]) -> bool:
    name = namespace.get("__name__")
    module = sys.modules.get(name) if type(name) is str else None
    return module is None or names_of(module) is not namespace
