"""Bytes for states and events, and back: msgpack with five extension types, and no pickle.

What comes back has the types that went in: tuples stay tuples, ints of any size stay ints, a `Value` keeps its id, so
that a kept state can wait on disk while its run goes on. Records (dataclasses, named tuples) and members of
enumerations are written as the qualified name of their class and looked up among the classes that this codec has packed
before or was given; a class is never imported by name, so that opening a file runs nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

import msgpack

from detrun.ad import trees
from detrun.ad.trees import fields_of, make_record
from detrun.ad.value import Value
from detrun.messages.extensions import TREE_INTEGER, TREE_LEAF, TREE_MEMBER, TREE_RECORD, TREE_TUPLE
from detrun_scheduler.errors import RecordingFormatError, UsageError


class StateCodec:
    """Packs trees as `detrun.ad.trees` describes them.

    Args:
        types: dataclasses, named tuples and enumerations that bytes from elsewhere may name.
    """

    def __init__(self, types: Iterable[type] = ()) -> None:
        self._types = {_name(kind): kind for kind in types}
        self._packer = msgpack.Packer(default=self._extension, strict_types=True, use_bin_type=True)

    def pack(self, tree: object) -> bytes:
        """Raises `UsageError` for what no tree may hold."""
        try:
            packed: bytes = self._packer.pack(tree)
        except (TypeError, ValueError, OverflowError) as error:
            self._packer.reset()
            trees.copy(tree)  # names the place of what no tree may hold
            raise UsageError(f"a state or event cannot be packed: {error}") from error
        return packed

    def unpack(self, packed: bytes | bytearray) -> Any:
        """Raises `RecordingFormatError` for bytes that `pack` did not make, and for classes it does not know."""
        try:
            return msgpack.unpackb(packed, ext_hook=self._restored, strict_map_key=False, raw=False)
        except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
            raise RecordingFormatError(f"a packed state or event does not decode: {error}") from error

    def _nested(self, tree: object) -> bytes:
        # The packer is busy with the outer tree, and it is not reentrant.
        packed: bytes = msgpack.packb(tree, default=self._extension, strict_types=True, use_bin_type=True)
        return packed

    def _extension(self, one: Any) -> msgpack.ExtType:
        kind = type(one)
        if kind is tuple:
            return msgpack.ExtType(TREE_TUPLE, self._nested(list(one)))
        if kind is int:
            return msgpack.ExtType(TREE_INTEGER, one.to_bytes(one.bit_length() // 8 + 1, "little", signed=True))
        if kind is Value:
            return msgpack.ExtType(TREE_LEAF, self._nested(["number", one.id, one.primal]))
        if kind is complex:
            return msgpack.ExtType(TREE_RECORD, self._nested(["complex", one.real, one.imag]))
        if isinstance(one, enum.Enum):
            self._types.setdefault(_name(kind), kind)
            return msgpack.ExtType(TREE_MEMBER, self._nested([_name(kind), one.name]))
        names = fields_of(kind)
        if names is None:
            raise TypeError(f"a {_name(kind)} is neither a number, a constant nor a known container")
        self._types.setdefault(_name(kind), kind)
        return msgpack.ExtType(TREE_RECORD, self._nested([_name(kind), *(getattr(one, name) for name in names)]))

    def _restored(self, code: int, payload: bytes) -> Any:
        if code == TREE_INTEGER:
            return int.from_bytes(payload, "little", signed=True)
        if code not in (TREE_TUPLE, TREE_RECORD, TREE_MEMBER, TREE_LEAF):
            raise ValueError(f"there is no extension type {code}")
        parts = msgpack.unpackb(payload, ext_hook=self._restored, strict_map_key=False, raw=False)
        if not isinstance(parts, list):
            raise ValueError(f"extension type {code} holds a {type(parts).__name__}, not a list")
        if code == TREE_TUPLE:
            return tuple(parts)
        if not parts or not isinstance(parts[0], str):
            raise ValueError(f"extension type {code} does not begin with a name")
        name, *values = parts
        if code == TREE_LEAF:
            return _number(name, *values)
        if name == "complex":
            return complex(*values)
        kind = self._types.get(name)
        if kind is None:
            raise ValueError(f"there is an object of class {name}; name the class in types=(…)")
        if code == TREE_MEMBER:
            return _member(kind, values)
        fields = fields_of(kind)
        if fields is None or len(values) != len(fields):
            raise ValueError(f"{name} has other fields now than when this was written")
        return make_record(kind, values)


def _number(name: str, value_id: int, primal: float) -> Value | float:
    if name != "number":
        raise ValueError(f"there is a leaf of kind {name!r}, which this version of detrun does not know")
    if value_id < 0:
        return float(primal)
    value = Value.__new__(Value)
    value.primal, value.id = float(primal), value_id
    return value


def _member(kind: type, names: list[Any]) -> Any:
    if issubclass(kind, enum.Enum) and len(names) == 1 and isinstance(names[0], str):
        member = kind.__members__.get(names[0])
        if member is not None:
            return member
    raise ValueError(f"{_name(kind)} has no member {names!r:.60}")


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
