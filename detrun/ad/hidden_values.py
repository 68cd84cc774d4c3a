"""Search for a `Value` inside an object that no walker opens, so that its derivative is refused and not dropped.

The search looks into built-in containers (lists, dicts with their keys, deques, sets and their subclasses) and into the
attributes of objects (``__dict__`` and ``__slots__``), nearest first, at `PARTS_MAX` parts at most. It runs no code of
the objects: iterators, functions, methods and properties are left alone, and so are classes, modules, and what belongs
to trio, torch, numpy and detrun, where Values of a run are at home. A tensor that was computed from others counts as a
Value. Cost: half a microsecond a part, nothing in a process without Values.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count, repeat
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, NamedTuple

from detrun.ad import state
from detrun.ad.source_lines import MACHINERY_PACKAGES
from detrun.ad.value import Value

PARTS_MAX = 10_000

_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray, range, slice, type(...)})
_ITERABLES: tuple[Any, ...] = (list, tuple, deque, set, frozenset)
_LEFT_ALONE = (type, ModuleType, FunctionType, MethodType, BuiltinFunctionType, enum.Enum)
_LEFT_PACKAGES = MACHINERY_PACKAGES | {"torch", "numpy", "builtins"}

Part = tuple[str, Any]  # the segment of a path and what lies there

# Takes apart a container that only the asker knows; None for any other object.
Opener = Callable[[Any], Iterable[Part] | None]


class Hidden(NamedTuple):
    """A `Value` that was found."""

    path: str  # from the object that was searched, such as ``.queue[2]``
    holder: type  # of the object that holds it


def hidden_value(one: Any, opener: Opener | None = None) -> Hidden | None:
    """Where ``one`` holds a `Value`, nearest first; None if none was found.

    Args:
        one: any object.
        opener: opens further containers, before anything else is tried.
    """
    if type(one) in _ATOMS or not state.values_exist():
        return None
    seen = {id(one): one}  # holds what was met, so that no address is used twice
    waiting: deque[Part] = deque([("", one)])
    left = PARTS_MAX
    while waiting:
        path, holder = waiting.popleft()
        for segment, part in _parts(holder, opener):
            if isinstance(part, Value) or _is_computed_tensor(part):
                return Hidden(path + segment, type(holder))
            if type(part) not in _ATOMS and id(part) not in seen:
                seen[id(part)] = part
                waiting.append((path + segment, part))
            left -= 1
            if not left:
                return None
    return None


def hidden_beyond(one: Any, names: Iterable[str]) -> Hidden | None:
    """A `Value` in an attribute of ``one`` that is not among ``names``, such as the fields of a dataclass."""
    known = frozenset(names)
    for name, part in _dict_of(one).items():
        if name in known:
            continue
        if isinstance(part, Value) or _is_computed_tensor(part):
            return Hidden(f".{name}", type(one))
        found = hidden_value(part)
        if found is not None:
            return Hidden(f".{name}{found.path}", found.holder)
    return None


def _is_computed_tensor(part: Any) -> bool:
    # A leaf of torch's graph, such as a parameter of a module or an optimizer, gets its gradient from torch.
    return hasattr(type(part), "grad_fn") and part.grad_fn is not None


def _parts(holder: Any, opener: Opener | None) -> Iterator[Part]:
    opened = opener(holder) if opener is not None else None
    if opened is not None:
        yield from opened
        return
    if isinstance(holder, _LEFT_ALONE):
        return
    kind = type(holder)
    # The methods of the base, for a subclass may have others.
    if isinstance(holder, dict | MappingProxyType):
        items = dict.items(holder) if isinstance(holder, dict) else holder.items()
        for key, part in items:
            yield f"[{key!r:.40}]", part
            if type(key) not in _ATOMS:
                yield f" key {key!r:.40}", key
    else:
        for base in _ITERABLES:
            if isinstance(holder, base):
                segments = repeat("{…}") if base in (set, frozenset) else map("[{}]".format, count())
                yield from zip(segments, base.__iter__(holder), strict=False)
    if kind.__module__.partition(".")[0] not in _LEFT_PACKAGES:
        for name, part in _dict_of(holder).items():
            yield f".{name}", part
        for parent in kind.__mro__:
            for name, descriptor in vars(parent).items():
                if type(descriptor) is MemberDescriptorType:
                    try:
                        yield f".{name}", descriptor.__get__(holder)
                    except AttributeError:  # not assigned
                        continue


def _dict_of(one: Any) -> dict[str, Any]:
    try:
        found = object.__getattribute__(one, "__dict__")
    except AttributeError:
        return {}
    return found if type(found) is dict else {}
