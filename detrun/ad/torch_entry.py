"""Values into torch: `to_tensor`, and Values as arguments of torch's own functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detrun.ad import notes, state
from detrun.ad.forward import TangentValue
from detrun.ad.tensor_adjoints import TensorAdjoint
from detrun.ad.torch_bridge import entry, from_leaf, is_tensor, load, number_of, values_of
from detrun.ad.trees import Trees, UnknownContainer
from detrun.ad.value import Value
from detrun_scheduler.errors import NotDifferentiableError, UsageError


def to_tensor(values: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of numbers and `Value`s whose gradient flows back to the Values.

    Args:
        values: a number or nested sequences of numbers and Values; or a `Buffer`.
        dtype: a floating dtype, ``torch.float64`` by default, as Values are.
        device: where to put it.

    Raises:
        UsageError: torch is missing, or rows are ragged.
        NotDifferentiableError: in forward mode, or a dtype that holds no fractions.
    """
    torch = load()
    items: list[Any] = []
    shape = _flatten(values, items)
    carrying = [(place, item) for place, item in enumerate(items) if isinstance(item, Value)]
    primals = [item.primal if isinstance(item, Value) else item for item in items]
    tensor = torch.tensor(primals, dtype=dtype or torch.float64, device=device).reshape(shape)
    if not carrying:
        return tensor
    if any(isinstance(value, TangentValue) for _, value in carrying):
        raise NotDifferentiableError("forward mode does not pass through torch; use mode='reverse'")
    if not tensor.is_floating_point():
        raise NotDifferentiableError(f"to_tensor: dtype {tensor.dtype} would cut the history of Values; use a float")
    places = [place for place, _ in carrying]

    def pullback(adjoint: TensorAdjoint) -> list[float]:
        flat = adjoint.tensor.reshape(-1).tolist()
        return [flat[place] for place in places]

    return from_leaf(tensor, entry([value.id for _, value in carrying], pullback))


ARGUMENTS = Trees(
    "the call of a torch function",
    leaf_types=(Value, float, int, bool, str, type(None)),
    unknown=UnknownContainer.OPAQUE,
    advice="Pass it in a list, tuple or dict",
)


def call_with_values(function: Any, args: Any, kwargs: Any) -> Any:
    """Stands for ``function``, which torch was asked to call, if a `Value` is among its arguments.

    A Value takes the dtype of the floating tensors beside it, as a Python number would, so that a run on floats
    computes the same.

    Raises:
        NotDifferentiableError: a `Value` in an object that is not list, tuple, dict or record; see `detrun.ad.trees`.
    """
    torch = load()
    positional = [leaf for leaf in ARGUMENTS.leaves(args, "args") if is_tensor(leaf)]
    tensors = positional + [leaf for leaf in ARGUMENTS.leaves(kwargs, "kwargs") if is_tensor(leaf)]
    dtypes = [tensor.dtype for tensor in tensors if tensor.is_floating_point()]
    dtype = dtypes[0] if dtypes else torch.get_default_dtype() if positional else torch.float64
    for other in dtypes[1:]:
        dtype = torch.promote_types(dtype, other)

    def lifted(leaf: Any) -> Any:
        return to_tensor(leaf, dtype=dtype) if isinstance(leaf, Value) else leaf

    result = function(*ARGUMENTS.replace(lifted, args, "args"), **ARGUMENTS.replace(lifted, kwargs, "kwargs"))
    if state.noting and _is_bare(result):
        notes.detachment()  # no derivative passes through this function, or torch.no_grad is on
    return result


def _is_bare(result: Any) -> bool:
    """Whether there are fractions in it, and none with a derivative."""
    found = [one for one in (result if isinstance(result, tuple | list) else (result,)) if is_tensor(one)]
    return any(one.is_floating_point() for one in found) and not any(one.requires_grad for one in found)


def _flatten(values: Any, items: list[Any]) -> tuple[int, ...]:
    """Append the numbers of nested sequences to ``items`` and return their shape."""
    if isinstance(values, Value) or not hasattr(values, "__len__"):
        items.append(number_of(values) if is_tensor(values) else values)
        return ()
    if is_tensor(values):
        items.extend(values_of(values))
        return tuple(values.shape)
    if isinstance(values, Mapping | str | bytes):
        raise UsageError(f"to_tensor: {values!r:.100} is not a sequence of numbers; pass its values as a list")
    rows = values.tolist() if hasattr(values, "tolist") else values
    shapes = [_flatten(row, items) for row in rows]
    for row, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise UsageError(f"to_tensor: ragged rows: row 0 has shape {shapes[0]}, row {row} has shape {shape}")
    return (len(shapes), *(shapes[0] if shapes else ()))
