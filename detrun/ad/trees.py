"""Trees of numbers: one walker for states, events, messages' records, effects and arguments of torch functions.

A tree is a leaf, a constant, or a container of trees. `Trees` describes one kind of tree: which types are leaves, which
pass as constants, and, as an explicit policy, what happens to an object that it does not know (`UnknownContainer`). No
kind drops a number: what is not reached is refused with its path, such as ``args[0].queue[2]``.

- `STATES`, the states, events and params of machines: leaves are floats and `Value`s; containers exactly tuple, list
  and dict, named tuples and dataclasses. ``REFUSE``.
- Arguments of external effects, with their models and vjps (`detrun.effects.derivatives`): every object except a
  container is a leaf; containers are also subclasses of tuple, list and dict, cells and buffers. ``OPAQUE``.
- Arguments of torch functions (`detrun.ad.torch_entry`): the same without cells and buffers. ``OPAQUE``.
- Messages (`detrun.messages.pack`, which writes bytes as it goes): leaves are floats, `Value`s and arrays; containers
  exactly tuple, list and dict, and dataclasses. ``REFUSE``.

In all of them: members of enumerations are constants. Keys of dicts are structure: they are not visited, and refused if
they hold a `Value` (as an attribute; a `Value` itself has no hash). Attributes of a dataclass beyond its fields do not
belong to the tree, and are refused if they hold one. An iterator is not asked for its items. Objects that are not known
are searched by `detrun.ad.hidden_values`, within its bounds.

Leaves are visited in the order in which the containers hold them. `Trees.map` shares leaves and constants with the
original, never a container, so either may be changed without the other. One container held in two places becomes two.
"""

from __future__ import annotations

import dataclasses
import enum
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeVar

from detrun.ad.forward import TangentValue
from detrun.ad.hidden_values import Part, hidden_beyond, hidden_value
from detrun.ad.value import Value, lift, primal_of
from detrun_scheduler.errors import DetrunError, NotDifferentiableError, UsageError

Tree = TypeVar("Tree")


class UnknownContainer(enum.Enum):
    """Policy for an object that is neither a leaf, a constant nor a known container."""

    REFUSE = "refuse"
    """It raises, with its path."""
    OPAQUE = "opaque"
    """It is a leaf. If it holds a `Value`, it raises, with the path of the `Value`."""


class Parts(NamedTuple):
    """A container taken apart."""

    children: Collection[Any]
    segments: Iterable[str]  # of the paths of the children: ``[0]``, ``['key']``, ``.field``
    rebuild: Callable[[list[Any]], Any]  # new children -> a new container of this kind


class Trees:
    """One kind of tree.

    Args:
        name: what messages call such a tree.
        leaf_types: exact types that are leaves.
        constant_types: exact types that are structure.
        unknown: the policy for all other objects. With ``OPAQUE``, subclasses of list, tuple and dict are containers.
        open: takes apart containers that only the user of these trees knows.
        advice: the way out, for messages.
    """

    def __init__(
        self,
        name: str,
        *,
        unknown: UnknownContainer,
        advice: str,
        leaf_types: Collection[type] = (),
        constant_types: Collection[type] = (),
        open: Callable[[Any], Parts | None] | None = None,
    ) -> None:
        self.name = name
        self.unknown = unknown
        self._advice = advice
        self._structure = frozenset(constant_types) | {float, str, int, bytes, bool, type(None)}  # of harmless keys
        self._open = open
        self._leaf_types, self._constant_types = frozenset(leaf_types), frozenset(constant_types)
        self._mapped = self._mapper()

    def map(self, function: Callable[[Any], Any], tree: Tree, path: str = "") -> Tree:
        """The same tree in new containers with ``function`` applied to every leaf.

        Raises:
            UsageError: an object that such a tree may not hold.
            NotDifferentiableError: a `Value` out of reach.
        """
        try:
            mapped: Tree = self._mapped(function, tree)
        except _Stranger:
            raise self._refusal(tree, path) from None
        return mapped

    def replace(self, function: Callable[[Any], Any], tree: Tree, path: str = "") -> Tree:
        """`map` that keeps every container in which ``function`` gave back the very leaves; the same errors."""
        try:
            replaced: Tree = self._replaced(function, tree)
        except _Stranger:
            raise self._refusal(tree, path) from None
        return replaced

    def leaves(self, tree: object, path: str = "") -> list[Any]:
        """Every leaf, in order; the same errors."""
        found: list[Any] = []
        try:
            self._collect(tree, found.append)
        except _Stranger:
            raise self._refusal(tree, path) from None
        return found

    def leaves_with_paths(self, tree: object, path: str = "") -> Iterator[tuple[str, Any]]:
        """(path, leaf) of every leaf, in order; the same errors, before the first leaf."""
        try:
            return iter(list(self._visited(tree, path)))
        except _Stranger:
            raise self._refusal(tree, path) from None

    def _mapper(self) -> Callable[..., Any]:
        leaf_types, constant_types, structure = self._leaf_types, self._constant_types, self._structure
        check_keys, check_attributes, other = self._check_keys, self._check_attributes, self._other

        # A closure over a few names: machines map every event and state, and attributes would cost a tenth more.
        def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
            kind = type(tree)
            if kind in leaf_types:
                return function(tree)
            if kind in constant_types:
                return tree
            if kind is tuple:
                return tuple([mapped(function, one) for one in tree])
            if kind is dict:
                if not structure.issuperset(map(type, tree)):
                    check_keys(tree)
                return {key: mapped(function, one) for key, one in tree.items()}
            if kind is list:
                return [mapped(function, one) for one in tree]
            if isinstance(tree, enum.Enum):
                return tree
            names = fields_of(kind)
            if names is None:
                return other(function, tree)
            if len(getattr(tree, "__dict__", ())) > len(names):
                check_attributes(tree, names)
            return make_record(kind, [mapped(function, getattr(tree, name)) for name in names])

        return mapped

    def _other(self, function: Callable[[Any], Any], tree: Any) -> Any:
        parts = self._parts(tree)
        if parts is not None:
            return parts.rebuild([self._mapped(function, one) for one in parts.children])
        self._check_opaque(tree)
        return function(tree)

    def _replaced(self, function: Callable[[Any], Any], tree: Any) -> Any:
        parts = self._parts(tree)
        if parts is None:
            return self._mapped(function, tree)
        made = [self._replaced(function, one) for one in parts.children]
        if all(new is old for new, old in zip(made, parts.children, strict=True)):
            return tree
        return parts.rebuild(made)

    def _collect(self, tree: Any, add: Callable[[Any], None]) -> None:
        kind = type(tree)
        if kind in self._leaf_types:
            add(tree)
        elif kind is tuple or kind is list:
            for one in tree:
                self._collect(one, add)
        elif kind not in self._constant_types:
            parts = self._parts(tree)
            if parts is not None:
                for one in parts.children:
                    self._collect(one, add)
            elif not isinstance(tree, enum.Enum):
                self._check_opaque(tree)
                add(tree)

    def _visited(self, tree: Any, path: str) -> Iterator[tuple[str, Any]]:
        parts = self._parts(tree)
        if parts is None:
            found: list[Any] = []
            self._collect(tree, found.append)
            yield from ((path, leaf) for leaf in found)
            return
        for segment, one in zip(parts.segments, parts.children, strict=True):
            yield from self._visited(one, path + segment)

    def _parts(self, tree: Any, *, checked: bool = True) -> Parts | None:
        """The parts of a container that such trees have; None for anything else."""
        kind = type(tree)
        if kind in self._leaf_types or kind in self._constant_types or isinstance(tree, enum.Enum):
            return None
        opened = self._open(tree) if self._open is not None else None
        if opened is not None:
            return opened
        exact = self.unknown is UnknownContainer.REFUSE
        names = fields_of(kind)
        if names is not None:
            if checked:
                self._check_attributes(tree, names)
            children = [getattr(tree, name) for name in names]
            return Parts(children, map(".{}".format, names), partial(make_record, kind))
        if kind is dict or (isinstance(tree, dict) and not exact):
            if checked:
                self._check_keys(tree)
                self._check_attributes(tree, ())
            return Parts(tree.values(), (f"[{key!r}]" for key in tree), partial(_mapping, tree))
        if kind in (list, tuple) or (isinstance(tree, list | tuple) and not exact):
            if checked:
                self._check_attributes(tree, ())
            return Parts(tree, map("[{}]".format, range(len(tree))), kind)
        return None

    def _check_keys(self, tree: dict[Any, Any]) -> None:
        if any(type(key) not in self._structure and hidden_value(key) for key in tree):
            raise _Stranger

    def _check_attributes(self, tree: Any, names: tuple[str, ...]) -> None:
        if len(getattr(tree, "__dict__", ())) > len(names) and hidden_beyond(tree, names):
            raise _Stranger

    def _check_opaque(self, tree: Any) -> None:
        if self.unknown is UnknownContainer.REFUSE:
            raise _Stranger
        if not isinstance(tree, Value) and hidden_value(tree, self._opened) is not None:
            raise _Stranger

    def _opened(self, tree: Any) -> Iterable[Part] | None:
        opened = self._open(tree) if self._open is not None else None
        return None if opened is None else zip(opened.segments, opened.children, strict=True)

    def _refusal(self, tree: Any, path: str) -> DetrunError:
        return next(self._refusals(tree, path))

    def _refusals(self, tree: Any, path: str) -> Iterator[DetrunError]:
        """An error for everything that made the walk give up: the slow way, for messages."""
        kind = type(tree)
        if kind in self._leaf_types or kind in self._constant_types or isinstance(tree, enum.Enum):
            return
        parts = self._parts(tree, checked=False)
        if isinstance(tree, dict) and parts is not None:
            for key in tree:
                found = None if type(key) in self._structure else hidden_value(key)
                if found is not None:
                    yield self._out_of_reach(f"{path} key {key!r:.40}{found.path}", found.holder)
        if parts is not None:
            found = hidden_beyond(tree, fields_of(kind) or ())
            if found is not None:
                yield self._out_of_reach(path + found.path, found.holder)
            for segment, one in zip(parts.segments, parts.children, strict=True):
                yield from self._refusals(one, path + segment)
        elif self.unknown is UnknownContainer.REFUSE:
            where = f"at {path}" if path else "as a whole"
            yield UsageError(
                f"{self.name} holds a {_name(kind)} {where}: neither a number, a constant nor a known container. "
                f"{self._advice}"
            )
        elif not isinstance(tree, Value):
            found = hidden_value(tree, self._opened)
            if found is not None:
                yield self._out_of_reach(f"{path}{found.path}", found.holder)

    def _out_of_reach(self, path: str, holder: type) -> NotDifferentiableError:
        return NotDifferentiableError(
            f"{self.name} holds a Value at {path}, in a {_name(holder)}, where its derivative would be lost. "
            f"{self._advice}, or float(v) if it is to count as a constant"
        )


class _Stranger(Exception):
    """Ends a walk; `Trees._refusal` finds out why."""


# Trees of machines.

CONSTANT_TYPES = frozenset({type(None), bool, int, complex, str, bytes})

STATES = Trees(
    "a state or event",
    leaf_types=(float, Value, TangentValue),
    constant_types=CONSTANT_TYPES,
    unknown=UnknownContainer.REFUSE,
    advice="Use floats, ints, text, tuples, lists, dicts, named tuples or dataclasses (not subclasses)",
)


def copy(tree: Tree) -> Tree:
    """The same state or event in new containers."""
    kind = type(tree)
    if kind is float or kind is Value or kind in CONSTANT_TYPES:
        return tree
    return STATES.map(_itself, tree)


def track(tree: Tree) -> Tree:
    """A state or event in which every number is a leaf of the tape; a `Value` stays as it is."""
    return STATES.map(lift, tree)


def plain(tree: Tree) -> Tree:
    """A state or event in which every number is without history."""
    return STATES.map(primal_of, tree)


def _itself(leaf: Any) -> Any:
    return leaf


# Records: dataclasses and named tuples.


def fields_of(kind: type) -> tuple[str, ...] | None:
    """The names of the fields of a dataclass or a named tuple; None for any other type."""
    known = _fields.get(kind, ())
    if known == ():
        known = None
        if dataclasses.is_dataclass(kind):
            known = tuple(field.name for field in dataclasses.fields(kind))
        elif issubclass(kind, tuple) and hasattr(kind, "_fields"):
            known = tuple(kind._fields)
        _fields[kind] = known
    return known


def make_record(kind: type, values: Iterable[Any]) -> Any:
    """A dataclass or named tuple with these fields; its ``__init__`` is not run, for it could make another one."""
    if issubclass(kind, tuple):
        return tuple.__new__(kind, values)
    record = object.__new__(kind)
    for name, value in zip(fields_of(kind) or (), values, strict=True):
        object.__setattr__(record, name, value)  # frozen ones, too
    return record


# Facts about classes that no run can change; an empty tuple stands for "not looked at", see `fields_of`.
_fields: dict[type, tuple[str, ...] | None] = {}


def _mapping(like: dict[Any, Any], values: list[Any]) -> dict[Any, Any]:
    items = zip(like, values, strict=True)
    if type(like) is defaultdict:
        return defaultdict(like.default_factory, items)
    return OrderedDict(items) if type(like) is OrderedDict else dict(items)


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
