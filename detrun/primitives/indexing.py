"""Cells named by an index: a view (offset, shape, strides), or a list of offsets to copy.

The meaning is numpy's, for positions, slices, ``...``, one list of positions or booleans on one axis, and a mask of the
whole shape. Lists on two axes are refused: numpy zips them, which few readers expect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from operator import index as to_int
from typing import Any

from detrun_scheduler.errors import NotDifferentiableError, UsageError


@dataclass(frozen=True, slots=True)
class Layout:
    """The cells of a view: position ``i`` of an axis with stride ``s`` is ``i * s`` past the offset."""

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def dense(cls, shape: tuple[int, ...]) -> Layout:
        """Cells from 0 on without gaps, last axis fastest."""
        strides = [1]
        for size in reversed(shape[1:]):
            strides.append(strides[-1] * size)
        return cls(0, shape, tuple(reversed(strides)))

    @property
    def reversed_axes(self) -> Layout:
        """The same cells with the axes in the other order."""
        return Layout(self.offset, self.shape[::-1], self.strides[::-1])

    def offsets(self) -> list[int]:
        """The offsets of all cells, last axis fastest."""
        return _sums(self.offset, [_steps(*axis) for axis in zip(self.shape, self.strides, strict=True)])

    def cell(self, position: int) -> int:
        """The offset of a position on the only axis."""
        return self.offset + checked_position(position, 0, self.shape[0]) * self.strides[0]


@dataclass(frozen=True, slots=True)
class Copy:
    """Cells that form no view, and the shape of their copy."""

    shape: tuple[int, ...]
    offsets: list[int]


def resolve(index: Any, layout: Layout) -> Layout | Copy:
    """The cells that ``index`` names in a view. A layout without axes is one cell.

    Raises:
        IndexError: out of range, too many indices, or a mask of another shape.
        TypeError: a part of another type than an index.
        UsageError: lists on two axes.
        NotDifferentiableError: a `Value` as an index.
    """
    parts = list(index) if isinstance(index, tuple) else [index]
    if len(parts) == 1 and _is_list(parts[0]):
        mask = _whole_mask(parts[0], layout.shape)
        if mask is not None:
            chosen = [offset for offset, taken in zip(layout.offsets(), mask, strict=True) if taken]
            return Copy((len(chosen),), chosen)
    parts = _one_for_each_axis(parts, layout.shape)
    if sum(map(_is_list, parts)) > 1:
        raise UsageError(f"index {index!r} lists positions on two axes; index one axis at a time")
    offset, listed = layout.offset, False
    shape: list[int] = []
    strides: list[int] = []
    steps: list[Sequence[int]] = []  # of each axis that remains
    for axis, (part, size, stride) in enumerate(zip(parts, layout.shape, layout.strides, strict=True)):
        if isinstance(part, slice):
            positions = range(*part.indices(size))
            shape.append(len(positions))
            strides.append(stride * positions.step)
            steps.append(_steps(len(positions), stride * positions.step))
            offset += positions.start * stride
        elif _is_list(part):
            listed = True
            named = _named_positions(part, axis, size)
            shape.append(len(named))
            steps.append([position * stride for position in named])
        else:
            offset += checked_position(part, axis, size) * stride
    if listed:
        return Copy(tuple(shape), _sums(offset, steps))
    return Layout(offset, tuple(shape), tuple(strides))


def checked_position(part: Any, axis: int, size: int) -> int:
    """A position counted from the start of its axis."""
    try:
        position = to_int(part)
    except NotDifferentiableError:
        raise
    except TypeError:
        raise TypeError(
            f"buffer indices must be integers, slices, '...', or lists of positions or booleans, not {part!r}"
        ) from None
    if not -size <= position < size:
        raise IndexError(f"buffer index {position} is out of range for axis {axis}, which has {size} positions")
    return position if position >= 0 else position + size


def _steps(count: int, stride: int) -> list[int]:
    return [position * stride for position in range(count)]


def _sums(origin: int, axes: Sequence[Sequence[int]]) -> list[int]:
    if len(axes) == 1:
        return [origin + one for one in axes[0]]
    return [origin + sum(parts) for parts in product(*axes)]


def _one_for_each_axis(parts: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """``...`` and axes that are not named are taken whole."""
    gaps = [place for place, part in enumerate(parts) if part is Ellipsis]
    missing = len(shape) - len(parts) + len(gaps)
    if len(gaps) > 1 or missing < 0:
        raise IndexError(f"too many indices: {len(parts) - len(gaps)} and {len(gaps)} '...' for shape {shape}")
    place = gaps[0] if gaps else len(parts)
    return [*parts[:place], *[slice(None)] * missing, *parts[place + len(gaps) :]]


def _is_list(part: Any) -> bool:
    return isinstance(part, list) or bool(getattr(part, "shape", ()))


def _listed(part: Any) -> list[Any]:
    return list(part if isinstance(part, list) else part.tolist())


def _named_positions(part: Any, axis: int, size: int) -> list[int]:
    """The positions that a list, or a mask of one axis, names."""
    listed = _listed(part)
    if listed and all(isinstance(one, bool) for one in listed):
        if len(listed) != size:
            raise IndexError(f"a mask of {len(listed)} booleans for axis {axis}, which has {size} positions")
        return [position for position, taken in enumerate(listed) if taken]
    return [checked_position(one, axis, size) for one in listed]


def _whole_mask(part: Any, shape: tuple[int, ...]) -> list[bool] | None:
    """The booleans of a mask of the whole shape, last axis fastest; None if this is none."""
    items, found = _listed(part), []
    while items and all(isinstance(item, list) for item in items):
        found.append(len(items))
        items = [one for item in items for one in item]
    if not found or not all(isinstance(item, bool) for item in items):
        return None
    sizes = [after // before for before, after in zip([1, *found], [*found, len(items)], strict=True)]
    if tuple(sizes) != shape:
        raise IndexError(f"a mask of shape {tuple(sizes)} for a buffer of shape {shape}")
    return items
