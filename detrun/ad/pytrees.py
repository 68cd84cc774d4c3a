"""Trees of numbers: what a state or an event may be made of, and how every number in it is reached.

A tree is a leaf, a constant, or a container of trees. Leaves carry derivatives: floats and `Value`s, and any type added
with `register_leaf` (tensors come in that way). Constants are structure and pass through untouched: None, booleans,
ints, complex numbers, text, bytes, members of enumerations. Containers are tuples, lists, dicts, named tuples and
dataclasses, of exactly these types: a subclass may hold what we cannot see. Anything else is refused with its path,
since a number inside it would be silently treated as a constant.

Leaves are visited in the order in which the containers hold them. A mapped tree shares leaves and constants with the
original, never a container, so either may be changed without the other. One container held in two places becomes two.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from detrun.ad.value import Value, lift, primal_of
from detrun_scheduler.errors import UsageError

Tree = TypeVar("Tree")


@dataclasses.dataclass(frozen=True, slots=True)
class LeafType:
    """How leaves of one kind are treated. Plain and tracked leaves may be of different types, as float and `Value`.

    Attributes:
        name: how packed bytes call the kind; never change it.
        track: plain -> tracked, a new leaf of the tape. A tracked leaf is returned as it is.
        plain: tracked -> plain. A plain leaf is returned as it is.
        id_of: tracked -> id on the tape.
        zero: leaf -> an adjoint of zero.
        pack: leaf -> (id, or -1 if it is plain, and anything msgpack holds).
        unpack: the inverse of ``pack``.
    """

    name: str
    track: Callable[[Any], Any]
    plain: Callable[[Any], Any]
    id_of: Callable[[Any], int]
    zero: Callable[[Any], Any]
    pack: Callable[[Any], tuple[int, Any]]
    unpack: Callable[[int, Any], Any]


def _unpack_number(value_id: int, primal: Any) -> Value | float:
    if value_id < 0:
        return float(primal)
    value = Value.__new__(Value)
    value.primal, value.id = float(primal), value_id
    return value


NUMBER = LeafType(
    name="number",
    track=lift,
    plain=primal_of,
    id_of=lambda value: int(value.id),
    zero=lambda leaf: 0.0,
    pack=lambda leaf: (leaf.id if isinstance(leaf, Value) else -1, primal_of(leaf)),
    unpack=_unpack_number,
)

LEAF_TYPES: dict[type, LeafType] = {float: NUMBER, Value: NUMBER}
CONSTANT_TYPES = frozenset({type(None), bool, int, complex, str, bytes})


def register_leaf(kind: type, leaf_type: LeafType) -> None:
    """Let exactly ``kind`` be a leaf from here on."""
    assert kind not in LEAF_TYPES, f"{kind.__name__} is a leaf already"
    LEAF_TYPES[kind] = leaf_type


def map_leaves(function: Callable[[Any], Any], tree: Tree) -> Tree:
    """The same tree with ``function`` applied to every leaf. Raises `UsageError` for a type that no tree may hold."""
    try:
        mapped: Tree = _mapped(function, tree)
    except _Unknown:
        raise _refusal(tree) from None
    return mapped


def copy(tree: Tree) -> Tree:
    """The same tree in new containers."""
    kind = type(tree)
    if kind is float or kind is Value or kind in CONSTANT_TYPES:
        return tree
    return map_leaves(_itself, tree)


def track(tree: Tree) -> Tree:
    """Every leaf becomes a leaf of the tape, if it is not tracked yet."""
    return map_leaves(lambda leaf: LEAF_TYPES[type(leaf)].track(leaf), tree)


def plain(tree: Tree) -> Tree:
    """Every leaf without its history."""
    return map_leaves(lambda leaf: LEAF_TYPES[type(leaf)].plain(leaf), tree)


def leaves(tree: object) -> list[Any]:
    """Every leaf, in order."""
    found: list[Any] = []
    map_leaves(found.append, tree)
    return found


def id_of(leaf: Any) -> int:
    """The id of a tracked leaf."""
    return LEAF_TYPES[type(leaf)].id_of(leaf)


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


def make_record(kind: type, values: list[Any]) -> Any:
    """A dataclass or named tuple with these fields; its ``__init__`` is not run, for it could make another one."""
    if issubclass(kind, tuple):
        return tuple.__new__(kind, values)
    record = object.__new__(kind)
    for name, value in zip(fields_of(kind) or (), values, strict=True):
        object.__setattr__(record, name, value)  # frozen ones, too
    return record


# Facts about classes that no run can change; an empty tuple stands for "not looked at", see `fields_of`.
_fields: dict[type, tuple[str, ...] | None] = {}


class _Unknown(Exception):
    pass


def _itself(leaf: Any) -> Any:
    return leaf


def _mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    kind = type(tree)
    if kind in LEAF_TYPES:
        return function(tree)
    if kind in CONSTANT_TYPES:
        return tree
    if kind is tuple:
        return tuple([_mapped(function, one) for one in tree])
    if kind is dict:
        return {key: _mapped(function, one) for key, one in tree.items()}
    if kind is list:
        return [_mapped(function, one) for one in tree]
    if isinstance(tree, enum.Enum):
        return tree
    names = fields_of(kind)
    if names is None:
        raise _Unknown
    return make_record(kind, [_mapped(function, getattr(tree, name)) for name in names])


def _refusal(tree: Any) -> UsageError:
    path, kind = next(_strangers(tree, ""))
    where = f"at {path}" if path else "as a whole"
    return UsageError(
        f"a state or event holds a {kind.__module__}.{kind.__qualname__} {where}: neither a number, a constant nor a "
        "known container. Use floats, ints, text, tuples, lists, dicts, named tuples or dataclasses (not subclasses)"
    )


def _strangers(tree: Any, path: str) -> Iterator[tuple[str, type]]:
    """Path and type of everything that no tree may hold: the slow way, for the message."""
    kind = type(tree)
    if kind in LEAF_TYPES or kind in CONSTANT_TYPES or isinstance(tree, enum.Enum):
        return
    if kind is dict:
        for key, one in tree.items():
            yield from _strangers(one, f"{path}[{key!r}]")
    elif kind in (list, tuple):
        for place, one in enumerate(tree):
            yield from _strangers(one, f"{path}[{place}]")
    elif (names := fields_of(kind)) is not None:
        for name in names:
            yield from _strangers(getattr(tree, name), f"{path}.{name}")
    else:
        yield path, kind
