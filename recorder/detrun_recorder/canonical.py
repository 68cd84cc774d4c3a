"""Bytes for a value that are equal in every process whenever the value is: what digests are made of.

Covered by content: None, booleans, integers, floats (by bits), strings, bytes, enumerations, lists, tuples, dicts (in
insertion order, which is behaviour), sets (sorted by encoding, since their order is not), dataclasses, exceptions,
ranges, numpy arrays and torch tensors. A differentiable number counts as its primal, so that a run gives the same
digest with and without gradients. Any other object counts as its class and the contents of its ``__dict__`` and
slots; an address or a default ``repr`` never counts. A reference back into an enclosing object counts as its depth.
"""

from __future__ import annotations

import dataclasses
import enum
import struct
from typing import Any

_pack_double = struct.Struct("<d").pack


def canonical(value: object) -> bytes:
    """The canonical encoding of ``value``; cost and size are linear in it."""
    out = bytearray()
    _encode(value, out, [])
    return bytes(out)


def _sized(tag: bytes, payload: bytes, out: bytearray) -> None:
    out += tag + len(payload).to_bytes(8, "little") + payload


def _encode(value: Any, out: bytearray, enclosing: list[int]) -> None:
    kind = type(value)
    if value is None or kind is bool:
        out += b"N" if value is None else (b"T" if value else b"F")
    elif kind is float:
        out += b"f" + _pack_double(value)
    elif kind is int:
        _sized(b"i", str(value).encode(), out)
    elif kind is str:
        _sized(b"s", value.encode("utf-8", "surrogatepass"), out)
    elif kind in (bytes, bytearray, memoryview):
        _sized(b"b", bytes(value), out)
    elif hasattr(kind, "primal"):
        _encode(value.primal, out, enclosing)
    elif id(value) in enclosing:
        # The enclosing objects are alive, so their ids are distinct; only the depth enters the encoding.
        _sized(b"^", str(enclosing.index(id(value))).encode(), out)
    else:
        enclosing.append(id(value))
        _encode_compound(value, out, enclosing)
        enclosing.pop()


def _encode_compound(value: Any, out: bytearray, enclosing: list[int]) -> None:
    kind = type(value)
    if isinstance(value, enum.Enum):
        _sized(b"e", f"{_class_name(kind)}.{value.name}".encode(), out)
    elif kind in (list, tuple):
        _sequence(b"l" if kind is list else b"t", value, out, enclosing)
    elif kind is dict:
        _sequence(b"d", [part for item in value.items() for part in item], out, enclosing)
    elif kind in (set, frozenset):
        members = []
        for member in value:
            encoded = bytearray()
            _encode(member, encoded, enclosing)
            members.append(bytes(encoded))
        _sized(b"S", b"".join(sorted(members)), out)
    elif hasattr(value, "dtype") and hasattr(value, "shape"):
        _encode_array(value, out)
    elif isinstance(value, BaseException):
        _sized(b"x", _class_name(kind).encode(), out)
        _sequence(b"t", value.args, out, enclosing)
    elif callable(value) and hasattr(value, "__qualname__"):
        _sized(b"c", f"{getattr(value, '__module__', '')}.{value.__qualname__}".encode(), out)
    else:
        _sized(b"o", _class_name(kind).encode(), out)
        if dataclasses.is_dataclass(value):
            names = [one.name for one in dataclasses.fields(value)]
            state = [(name, getattr(value, name)) for name in names if hasattr(value, name)]
        else:
            state = list(getattr(value, "__dict__", {}).items())
            slots = [name for base in kind.__mro__ for name in _slots_of(base)]
            state += [(name, getattr(value, name)) for name in slots if hasattr(value, name)]
            if isinstance(value, list | tuple | set | frozenset):
                state.append(("*", list(value) if isinstance(value, list | tuple) else set(value)))
            elif isinstance(value, dict):
                state.append(("*", dict(value)))
            elif isinstance(value, int | float | str | bytes):
                state.append(("*", _plain(value)))
        _sequence(b"a", [part for item in state for part in item], out, enclosing)


def _plain(value: Any) -> object:
    for base in (int, float, str, bytes):
        if isinstance(value, base):
            return base(value)
    raise AssertionError(type(value))


def _slots_of(base: type) -> tuple[str, ...]:
    slots = base.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if not name.startswith("__"))


def _encode_array(value: Any, out: bytearray) -> None:
    if hasattr(value, "detach"):  # a torch tensor, without importing torch
        value = value.detach().cpu().contiguous()
        data = bytes(value.flatten().view(value.new_empty(0, dtype=_byte_type(value)).dtype).numpy())
    else:
        data = value.tobytes()
    _sized(b"A", f"{value.dtype} {tuple(value.shape)}".encode(), out)
    _sized(b"b", data, out)


def _byte_type(value: Any) -> Any:
    import sys

    return sys.modules["torch"].uint8


def _sequence(tag: bytes, items: Any, out: bytearray, enclosing: list[int]) -> None:
    out += tag + len(items).to_bytes(8, "little")
    for item in items:
        _encode(item, out, enclosing)


def _class_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
