"""Contents for a `Buffer`: nested sequences, numpy arrays, torch tensors and buffers, as a shape and items.

Nothing is broadcast and nothing is padded here. numpy and torch are never imported: an array comes with its library.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from numbers import Real
from typing import Any

from detrun.ad.value import Value
from detrun.primitives.cells import Cells, Memory
from detrun_scheduler.errors import UsageError


def memory_of(values: Any, name: str | None) -> tuple[tuple[int, ...], Memory]:
    """The shape of ``values`` and a memory of its own that holds them.

    Raises:
        UsageError: ragged rows, no axis at all, or something that holds no real numbers.
    """
    if is_tensor(values):
        shape = tuple(values.shape)
        cells = values.detach().to("cpu", copy=True).reshape(-1)
        kind = _kind(str(values.dtype), values.dtype.is_floating_point, values.dtype.is_complex)
        items = flattened(values)[1] if values.requires_grad else ()
    elif is_array(values):
        shape = tuple(values.shape)
        cells = values.reshape(-1).copy()
        kind = _kind(str(values.dtype), values.dtype.kind == "f", values.dtype.kind not in "fiub")
        items = ()
    else:
        shape, items = ((), [values]) if isinstance(values, Value | Real) else flattened(values)
        cells, kind = array("d", bytes(8 * len(items))), "float64"
    if not shape:
        raise UsageError(
            f"Buffer({values!r}): a single number has no axis to index; use detrun.Atomic or Shared for it"
        )
    memory = Memory(cells, kind, name)
    for offset, item in enumerate(items):
        memory.put(offset, item)
    return shape, memory


def like(memory: Memory, contents: Sequence[Any]) -> Memory:
    """A memory with cells of the same type that holds ``contents``."""
    cells: Any = memory.cells
    made: Cells
    if isinstance(cells, array):
        made = array("d", bytes(8 * len(contents)))
    elif hasattr(cells, "new_zeros"):
        made = cells.new_zeros(len(contents))
    else:
        made = type(cells)(len(contents), cells.dtype)
    copied = Memory(made, memory.kind)
    for offset, content in enumerate(contents):
        copied.put(offset, content)
    return copied


def items_for(content: Any, shape: tuple[int, ...], verb: str) -> Sequence[Any]:
    """The items that ``content`` puts into cells of ``shape``, one item for each; a single number goes to all of them.

    Raises:
        UsageError: the shapes differ.
    """
    if isinstance(content, Value | Real) or (hasattr(content, "shape") and not tuple(content.shape)):
        return [content] * prod(shape)
    found, items = flattened(content)
    if found != shape:
        raise UsageError(f"cannot {verb} shape {found} with cells of shape {shape}; only single numbers are broadcast")
    return items


def flattened(content: Any) -> tuple[tuple[int, ...], list[Any]]:
    """Shape and items, last axis fastest."""
    if hasattr(content, "read_flat"):
        return content.shape, content.read_flat()
    if is_tensor(content):
        from detrun.ad.torch_bridge import values_of

        return tuple(content.shape), values_of(content)
    if is_array(content):
        return tuple(content.shape), content.reshape(-1).tolist()
    if isinstance(content, str | bytes | Mapping) or not isinstance(content, Iterable):
        raise UsageError(f"a buffer holds numbers and Values, not {type(content).__name__} {content!r}")
    items = list(content)
    if all(isinstance(item, Value | Real) or (hasattr(item, "shape") and not tuple(item.shape)) for item in items):
        return (len(items),), items
    shapes, rows = zip(*map(flattened, items), strict=True)
    for row, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise UsageError(f"ragged rows: row 0 has shape {shapes[0]}, row {row} has shape {shape}")
    return (len(items), *shapes[0]), [item for row in rows for item in row]


def nested(flat: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """Nested lists of ``shape``; the inverse of `flattened`."""
    if len(shape) <= 1:
        return flat
    size = prod(shape[1:])
    return [nested(flat[row * size : (row + 1) * size], shape[1:]) for row in range(shape[0])]


def is_tensor(content: Any) -> bool:
    """Whether this is a torch tensor, without asking for torch."""
    return hasattr(type(content), "detach")


def is_array(content: Any) -> bool:
    """Whether this is a numpy array of numbers, as opposed to one of objects."""
    return hasattr(content, "dtype") and hasattr(content, "tolist") and not getattr(content.dtype, "hasobject", True)


def _kind(dtype: str, floating: bool, unsupported: bool) -> str:
    if unsupported or "float128" in dtype:
        raise UsageError(f"a buffer holds real numbers of at most 64 bits, not {dtype}")
    if not floating:
        return "integer"
    return "float64" if dtype.endswith("float64") else "narrow"
