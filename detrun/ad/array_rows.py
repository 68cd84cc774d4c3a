"""Functions of numbers on arrays of numpy that hold numbers or `Value`s: elementwise, and along a dimension.

numpy is not imported here: an array comes with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from detrun.ad.value import Value


def is_array(one: Any) -> bool:
    """Whether this is an array of numpy with at least one dimension."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(one, numpy.ndarray) and one.ndim > 0


def elementwise(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function of each element, of arrays and numbers that are broadcast against each other."""
    numpy: Any = sys.modules["numpy"]
    boxed = [one if is_array(one) else _boxed(numpy, one) for one in arguments]
    return _plain(numpy, numpy.frompyfunc(function, len(arguments), 1)(*boxed))


def along(function: Callable[[list[Any]], Any], array: Any, dim: int | None) -> Any:
    """The function of each row along a dimension, or of all elements; a row that it gives stays in its place."""
    numpy: Any = sys.modules["numpy"]
    if dim is None:
        return function(array.reshape(-1).tolist())
    moved = numpy.moveaxis(array, dim, -1)
    rows = [function(row.tolist()) for row in moved.reshape(-1, moved.shape[-1])]
    if rows and not isinstance(rows[0], list):
        return _plain(numpy, _object(numpy, rows).reshape(moved.shape[:-1]))
    flat = _object(numpy, [one for row in rows for one in row])
    return _plain(numpy, numpy.moveaxis(flat.reshape(moved.shape), -1, dim))


def _object(numpy: Any, numbers: list[Any]) -> Any:
    found = numpy.empty(len(numbers), dtype=object)
    found[:] = numbers
    return found


def _boxed(numpy: Any, one: Any) -> Any:
    found = numpy.empty((), dtype=object)
    found[()] = one
    return found


def _plain(numpy: Any, found: Any) -> Any:
    """Floats, if there is no `Value` among them."""
    return found if any(isinstance(one, Value) for one in found.flat) else found.astype(float)
