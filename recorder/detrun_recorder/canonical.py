"""The canonical encoding of values, from which digests are made: equal values give equal bytes in every process.

Covered by content: None, booleans, numbers (floats by their bits), strings, bytes, enumerations, lists, tuples, dicts
(in insertion order, which is behaviour), sets (sorted by encoding, since their order is not), dataclasses, exceptions,
numpy arrays and torch tensors. Any other object counts as its class and what it gives to be copied, where its class
says so (`range`, `deque`, `Decimal`, `datetime`, `Path`), or the contents of its ``__dict__`` and slots. Functions,
classes and modules count as their names. An address or a default ``repr`` never counts.

Classes count by qualified name without their module: the module of one program is ``__main__``, a file's or a
package's name, depending on who started it. A differentiable number counts as its primal, so that a run gives the same
digest with and without gradients. Errors of detrun count as their class: their texts name files and lines.

Sharing does not count: ``[x, x]`` equals ``[x, copy(x)]``, because whether two equal values are one object depends on
caches of the interpreter. Every compound is therefore replaced by its hash, kept while the value is encoded, so that
the cost stays linear in the objects however often they share. Only in cycles identity is part of the value: a
reference back into an enclosing object counts as how far out that is, and a second reference to an object with
such a reference as the order in which it was met.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import struct
import sys
import types
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from detrun_scheduler.errors import DetrunError

# Frames of pure Python take no C stack since 3.11: a list nested this deep costs a gigabyte before it fails.
RECURSION_LIMIT = 1_000_000

_pack_double = struct.Struct("<d").pack
_FUNCTION_TYPES = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, type)
_COPYING = ("__reduce__", "__reduce_ex__", "__getstate__")  # a class with its own says what its content is
_CLOSED = sys.maxsize  # no reference out of the object

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,16}\b")


def canonical(value: object) -> bytes:
    """The canonical encoding of ``value``: a scalar's content, a compound's hash; cost is linear in its size."""
    out = bytearray()
    kind = type(value)
    if kind is float:  # the usual observation, ahead of all set-up
        return b"f" + _pack_double(value)
    try:
        _Encoder().encode(value, out)
    except RecursionError:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, RECURSION_LIMIT))
        try:
            out.clear()
            _Encoder().encode(value, out)
        finally:
            sys.setrecursionlimit(limit)
    return bytes(out)


def _sized(tag: bytes, payload: bytes, out: bytearray) -> None:
    out += tag + len(payload).to_bytes(8, "little") + payload


class _Encoder:
    """One value being encoded.

    Invariants: ``depths`` holds exactly the compounds that enclose the present one; whatever is a key of ``known`` or
    ``open`` is alive, so that ids are distinct.
    """

    __slots__ = ("depths", "known", "open", "outermost")

    def __init__(self) -> None:
        self.depths: dict[int, int] = {}  # id of an enclosing compound -> its depth
        self.known: dict[int, tuple[object, bytes]] = {}  # id -> (object, hash) of compounds without a way out
        self.open: dict[int, tuple[object, int]] = {}  # id -> (object, order met) of finished parts of a cycle
        self.outermost = _CLOSED  # least depth referred to since the present compound began

    def encode(self, value: Any, out: bytearray) -> None:
        kind = type(value)
        if value is None or kind is bool:
            out += b"N" if value is None else (b"T" if value else b"F")
        elif kind is float:
            out += b"f" + _pack_double(value)
        elif kind is int:
            _sized(b"i", b"%x" % value, out)  # decimal digits would take quadratic time, and stop at 4,300
        elif kind is str:
            _sized(b"s", value.encode("utf-8", "surrogatepass"), out)
        elif kind is bytes or kind is bytearray or kind is memoryview:
            _sized(b"b", bytes(value), out)
        elif kind is complex:
            out += b"j" + _pack_double(value.real) + _pack_double(value.imag)
        elif hasattr(kind, "primal"):
            self.encode(value.primal, out)
        else:
            self.reference(value, out)

    def reference(self, value: Any, out: bytearray) -> None:
        """A compound, or a reference to one that was met before."""
        key = id(value)
        if key in self.known:
            out += self.known[key][1]
        elif key in self.depths:
            depth = self.depths[key]
            _sized(b"^", b"%d" % (len(self.depths) - depth), out)
            self.outermost = min(self.outermost, depth)
        elif key in self.open:
            _sized(b"&", b"%d" % self.open[key][1], out)
            self.outermost = -1  # what is met depends on the whole: nothing around it can stand for itself
        else:
            before, self.outermost = self.outermost, _CLOSED
            depth = self.depths[key] = len(self.depths)
            body = bytearray()
            self.compound(value, body)
            del self.depths[key]
            hashed = b"#" + blake2b(body, digest_size=16).digest()
            out += hashed
            if self.outermost >= depth:
                self.known[key] = value, hashed
                self.outermost = before
            else:
                self.open[key] = value, len(self.open)
                self.outermost = min(self.outermost, before)

    def compound(self, value: Any, out: bytearray) -> None:
        kind = type(value)
        if isinstance(value, enum.Enum):
            _sized(b"e", f"{kind.__qualname__}.{value.name}".encode(), out)
        elif kind is list or kind is tuple:
            self.sequence(b"l" if kind is list else b"t", value, out)
        elif kind is dict:
            self.sequence(b"d", (part for item in value.items() for part in item), out)
        elif kind is set or kind is frozenset:
            self.members(value, out)
        elif _is_array(value):
            self.array(value, out)
        elif isinstance(value, DetrunError):
            _sized(b"x", kind.__qualname__.encode(), out)
        elif isinstance(value, BaseException):
            _sized(b"x", kind.__qualname__.encode(), out)
            # A rewritten assert quotes default reprs, so its text has addresses.
            words = [_ADDRESS.sub("0x", word) if type(word) is str else word for word in value.args]
            self.sequence(b"t", words, out)
        elif isinstance(value, _FUNCTION_TYPES):
            _sized(b"c", str(value.__qualname__).encode(), out)
        elif isinstance(value, types.ModuleType):
            _sized(b"m", value.__name__.encode(), out)
        else:
            _sized(b"o", kind.__qualname__.encode(), out)
            self.sequence(b"a", (part for item in _state_of(value) for part in item), out)

    def sequence(self, tag: bytes, items: Iterable[Any], out: bytearray) -> None:
        start = len(out)
        out += tag + bytes(8)
        count = 0
        for item in items:
            self.encode(item, out)
            count += 1
        out[start + 1 : start + 9] = count.to_bytes(8, "little")

    def members(self, members: Iterable[Any], out: bytearray) -> None:
        """A set: no member may see in which order the others were met."""
        met = dict(self.open)
        encodings = []
        for member in members:
            encoded = bytearray()
            self.encode(member, encoded)
            encodings.append(bytes(encoded))
            self.open = dict(met)
        _sized(b"S", b"".join(sorted(encodings)), out)

    def array(self, value: Any, out: bytearray) -> None:
        _sized(b"A", f"{value.dtype} {tuple(value.shape)}".encode(), out)
        if not hasattr(value, "detach"):
            # The bytes of an array of objects are addresses.
            if value.dtype.hasobject:
                self.encode(value.tolist(), out)
            else:
                _sized(b"b", value.tobytes(), out)
            return
        torch = sys.modules["torch"]
        dense = value.detach()
        if dense.layout != torch.strided:
            dense = dense.to_dense()
        dense = dense.cpu().resolve_conj().resolve_neg().contiguous()
        _sized(b"b", dense.flatten().view(torch.uint8).numpy().tobytes(), out)


def _is_array(value: Any) -> bool:
    # Asks only libraries that are imported already: an array exists, so its library is.
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    return (numpy is not None and isinstance(value, numpy.ndarray | numpy.generic)) or (
        torch is not None and isinstance(value, torch.Tensor)
    )


def _state_of(value: Any) -> list[tuple[str, Any]]:
    """What an object holds, as names and values."""
    kind = type(value)
    if dataclasses.is_dataclass(value):
        names = [one.name for one in dataclasses.fields(value)]
        return [(name, getattr(value, name)) for name in names if hasattr(value, name)]
    for base in (list, tuple, dict, set, frozenset, int, float, str, bytes, bytearray, types.MappingProxyType):
        if isinstance(value, base):
            return [*_attributes(value), ("*", _plain(base, value))]
    if any(getattr(kind, name, None) is not getattr(object, name) for name in _COPYING):
        made = _copied(value)
        if made is not None:
            return [("*", made)]
    return _attributes(value)


def _attributes(value: Any) -> list[tuple[str, Any]]:
    attributes = getattr(value, "__dict__", None)
    slots = [name for base in reversed(type(value).__mro__) for name in _slots_of(base)]
    state = list(attributes.items()) if isinstance(attributes, dict) else []
    return state + [(name, getattr(value, name)) for name in slots if hasattr(value, name)]


def _plain(base: type, value: Any) -> object:
    # The base's own conversions: a subclass may define what str() or int() give.
    if base in (str, int, float):
        return getattr(base, f"__{base.__name__}__")(value)
    if base is dict or base is types.MappingProxyType:
        return dict(base.items(value))
    return base(base.__iter__(value))  # type: ignore[attr-defined]  # each such base has it


def _copied(value: Any) -> object:
    """What ``copy`` would make the object of, None if it cannot be copied."""
    try:
        made = value.__reduce_ex__(4)
    except Exception:
        return None
    if not isinstance(made, tuple) or len(made) < 2:
        return made
    _, arguments, *rest = made
    # The first argument of `copyreg.__newobj__` is the class, which counts by name as every class does.
    return [arguments, *(list(part) if hasattr(part, "__next__") else part for part in rest)]


def _slots_of(base: type) -> tuple[str, ...]:
    slots = base.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    private = base.__name__.lstrip("_")
    return tuple(
        f"_{private}{name}" if name.startswith("__") and not name.endswith("__") and private else name
        for name in names
        if name not in ("__dict__", "__weakref__")
    )
