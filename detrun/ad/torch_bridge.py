"""The bridge between Values and torch: the only module that imports torch, and only when it is asked to.

A tensor that requires grad belongs to torch's graph, which stays torch's. The tape knows where numbers cross:

- *in* (`to_tensor`, or a `Value` as an argument of any torch function): a leaf of torch's graph with an id on the
  tape, whose adjoint is a tensor and is handed on to the Values that it was made from (`detrun.ad.torch_entry`);
- *out* (`from_tensor`, a `Buffer` or a message that takes a tensor, a loss): an entry whose pullback runs torch's
  backward down to the leaves that it depends on;
- *through* (`track`, messages): out and in again, for tensors. What lies before is one entry, so a long chain of
  tensors costs one pass and not one for each exit.

Leaves that came in by no such way, such as the parameters of a module that is not in ``params``, get their gradient
added to ``.grad``, as torch does.

Windows: torch's graph is kept by the tensors themselves, in taped windows and in others, and survives ``fork`` with
them. A local tensor, or one in an `Atomic`, that was computed in an earlier window thus still leads to its leaves,
whose ids are those of the earlier window. Nothing is cut and nothing lost; what it costs is the memory of that graph,
for as long as the program holds the tensor. `track` lets go of it.

A parameter that was changed in place differs from the number that its id stands for, and torch's own version counters
see changes of what its operations saved: both raise `NotDifferentiableError`. Other tensors may be changed in place as
in torch. Comparisons of tensors are torch's, and are not reported as discontinuity sites; ``item()`` and other ways to
bare numbers are listed as detachments (`detrun.ad.torch_exits`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

from detrun.ad import state
from detrun.ad.tape import NO_PARENT
from detrun.ad.tensor_adjoints import ElementShare, TensorAdjoint
from detrun.ad.torch_exits import watch
from detrun.ad.value import Value
from detrun_scheduler import current
from detrun_scheduler.environment.hidden_state import in_real_thread
from detrun_scheduler.errors import NotDifferentiableError, UsageError

MARK = "_detrun_mark"  # attribute of a leaf that has an id


class Mark(NamedTuple):
    """The id that a leaf stands for."""

    serial: int  # of the run
    id: int
    version: int  # torch's count of changes in place when the id was given


def load() -> Any:
    """The module torch. Raises `UsageError` naming the extra if it is not installed."""
    found = sys.modules.get("torch")
    if found is not None:
        return found
    try:
        # Its first import takes hundreds of locks, which in a run would be steps that no replay has.
        return in_real_thread(partial(import_module, "torch"))
    except ImportError:
        raise UsageError(
            "this needs torch, which is not installed; install it with: pip install 'detrun[torch]'"
        ) from None


def is_tensor(one: object) -> bool:
    """Whether this is a tensor. A process in which torch was never imported has none."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(one, torch.Tensor)


def requires_grad(one: Any) -> bool:
    """Whether this is a tensor with a derivative to lose."""
    return is_tensor(one) and one.requires_grad


def from_tensor(tensor: Any) -> Value:
    """The `Value` of a tensor with one element; its adjoint goes into torch's backward.

    Raises:
        UsageError: more or fewer elements.
        NotDifferentiableError: see the module's opening; those about saved tensors come with the sweep.
    """
    if tensor.numel() != 1:
        raise UsageError(f"from_tensor: a tensor of shape {tuple(tensor.shape)} is not one number")
    value = Value.__new__(Value)
    value.primal = float(tensor.item())
    value.id = exit_entry(tensor)
    return value


def number_of(tensor: Any) -> Value | float:
    """`from_tensor` if the tensor requires grad, its bare number if not."""
    if tensor.requires_grad:
        return from_tensor(tensor)
    if tensor.numel() != 1:
        raise UsageError(f"a tensor of shape {tuple(tensor.shape)} is not one number")
    number: float = tensor.item()
    return number


def values_of(tensor: Any) -> list[Any]:
    """The elements, last axis fastest: plain numbers, or Values if the tensor requires grad. One backward for all."""
    primals: list[Any] = tensor.detach().reshape(-1).tolist()
    if not tensor.requires_grad:
        return primals
    node = node_of(tensor)
    like = tensor.detach()
    values = []
    for place, primal in enumerate(primals):
        value = Value.__new__(Value)
        value.primal = primal
        value.id = entry([node], _element(like, place))
        values.append(value)
    return values


def track(tensor: Any) -> Any:
    """The same numbers under an id of their own, so that torch's graph behind them can be forgotten.

    In a long run, track the tensors that carry state from step to step: an exit then goes back to the last one only,
    and outside a taped window nothing older is kept. A tensor that does not require grad is returned as it is.
    """
    if not tensor.requires_grad:
        return tensor
    return from_leaf(tensor.detach().clone(), node_of(tensor))


def draw_from(distribution: Any, bits: int) -> Any:
    """A draw that is a function of ``bits`` alone; the generators of all devices are left as they were."""
    torch = load()
    with torch.random.fork_rng():
        torch.manual_seed(bits)
        return distribution.rsample() if distribution.has_rsample else distribution.sample()


def copies_with_history(tensors: Iterable[Any]) -> dict[int, Any]:
    """Copies of those tensors that lead to Values, by the identity of each: a memo for ``copy.deepcopy``.

    torch refuses to copy a tensor that was computed from others, and of a leaf it copies the numbers alone. Other
    tensors, and parameters that the program made itself, are left to torch. A process without torch has no tensors, and
    they are not looked for.
    """
    if "torch" not in sys.modules:
        return {}
    return {
        id(one): one.clone()
        for one in tensors
        if requires_grad(one) and (not one.is_leaf or getattr(one, MARK, None) is not None)
    }


# Marks and entries.


def set_mark(leaf: Any, leaf_id: int, serial: int | None = None) -> None:
    """Say that ``leaf`` stands for an id."""
    watch()
    setattr(leaf, MARK, Mark(_serial() if serial is None else serial, leaf_id, leaf._version))


def from_leaf(tensor: Any, leaf_id: int) -> Any:
    """The numbers of ``tensor``, which becomes a leaf that stands for an id.

    The program gets a copy and not the leaf, which torch would not let it change in place: on plain floats it may.
    """
    set_mark(tensor.requires_grad_(), leaf_id)
    with load().enable_grad():
        return tensor.clone()


def _serial() -> int:
    return current.run.serial if current.run is not None else 0


def entry(parents: Sequence[int], pullback: Callable[[Any], Iterable[Any]]) -> int:
    entry_id = next(state.ids)
    if state.taping:
        assert state.tape is not None
        state.tape.add_wide(tuple(parents), pullback)
    return entry_id


def _element(like: Any, place: int) -> Callable[[float], list[ElementShare]]:
    return lambda adjoint: [ElementShare(like, place, adjoint)]


def node_of(tensor: Any) -> int:
    """The id that stands for a tensor: its own if it is a marked leaf."""
    mark = getattr(tensor, MARK, None) if tensor.is_leaf else None
    return _checked(tensor, mark) if mark is not None else exit_entry(tensor)


def exit_entry(tensor: Any) -> int:
    """An entry whose pullback goes from ``tensor`` down to the leaves of torch's graph."""
    if not state.taping:
        return next(state.ids)
    torch = load()
    # A change in place gives the same tensor another history, and a view of it too; a copy keeps the one it has now.
    with torch.enable_grad():
        tensor = tensor.clone()
    marked, others = _leaves(tensor)
    ids = [_checked(leaf, getattr(leaf, MARK)) for leaf in marked]

    def pullback(adjoint: Any) -> list[Any]:
        if not marked and not others:
            return []
        given = (
            adjoint.tensor.to(tensor)
            if isinstance(adjoint, TensorAdjoint)
            else torch.full_like(tensor.detach(), adjoint)
        )
        try:
            found = torch.autograd.grad(tensor, [*marked, *others], given, retain_graph=True, allow_unused=True)
        except RuntimeError as error:
            raise NotDifferentiableError(
                f"torch cannot go backward from a tensor of shape {tuple(tensor.shape)}: {error}. Do not change in "
                "place what operations have saved, and call backward(retain_graph=True) in a program that is itself "
                "differentiated"
            ) from None
        if _leaf_gradients is not None:
            for leaf, gradient in zip(others, found[len(marked) :], strict=True):
                if gradient is not None:
                    _leaf_gradients.add(leaf, gradient)
        return [0.0 if gradient is None else TensorAdjoint(gradient) for gradient in found[: len(marked)]]

    return entry(ids, pullback)


def _leaves(tensor: Any) -> tuple[list[Any], list[Any]]:
    """The leaves that a tensor depends on, with and without a mark, in the order of a walk down the graph."""
    if not tensor.requires_grad:
        return [], []
    found = []
    if tensor.grad_fn is None:
        found.append(tensor)
    else:
        todo = [tensor.grad_fn]
        seen = {tensor.grad_fn}
        while todo:
            node = todo.pop()
            if node.name() == "torch::autograd::AccumulateGrad":
                found.append(node.variable)
            for parent, _ in reversed(node.next_functions):
                if parent is not None and parent not in seen:
                    seen.add(parent)
                    todo.append(parent)
    return [leaf for leaf in found if hasattr(leaf, MARK)], [leaf for leaf in found if not hasattr(leaf, MARK)]


def _checked(leaf: Any, mark: Mark) -> int:
    """The id of a leaf. Raises `NotDifferentiableError` if the leaf no longer is what the id stands for."""
    shape = tuple(leaf.shape)
    if current.run is not None and mark.serial != current.run.serial:
        raise NotDifferentiableError(
            f"a tensor of shape {shape} was made from Values of another run, whose tape is gone; make it in this run, "
            "or detach() it"
        )
    if leaf._version != mark.version:
        raise NotDifferentiableError(
            f"a tensor of shape {shape} was changed in place {leaf._version - mark.version} times since it stood for "
            "Values or a parameter, so its derivative with respect to them is lost; make a new tensor instead"
        )
    return mark.id


class LeafGradients:
    """While entered, gradients of leaves that have no id are added to their ``.grad``, or only counted.

    Pullbacks also run for validity radii, whose adjoints must not end up in ``.grad``.
    """

    def __init__(self, *, keep: bool) -> None:
        self.keep = keep
        self.count = 0

    def add(self, leaf: Any, gradient: Any) -> None:
        """One more share of a leaf's gradient."""
        self.count += 1
        if self.keep:
            leaf.grad = gradient.clone() if leaf.grad is None else leaf.grad + gradient

    def __enter__(self) -> LeafGradients:
        global _leaf_gradients
        _leaf_gradients = self
        return self

    def __exit__(self, *_: object) -> None:
        global _leaf_gradients
        _leaf_gradients = None


_leaf_gradients: LeafGradients | None = None


# Bytes, for messages and for adjoints between windows.


def id_in_message(number: Any) -> int:
    """The id under which a message carries a number: ``NO_PARENT`` unless it is a tensor that requires grad."""
    return node_of(number) if requires_grad(number) else NO_PARENT


def to_bytes(tensor: Any) -> tuple[str, list[int], bytes]:
    """Name of the dtype, shape, and the elements in this machine's order of bytes."""
    torch = load()
    dense = tensor.detach().to("cpu").contiguous()
    return (
        str(tensor.dtype).removeprefix("torch."),
        list(tensor.shape),
        dense.reshape(-1).view(torch.uint8).numpy().tobytes(),
    )


def from_bytes(dtype: str, shape: Sequence[int], raw: bytes, leaf_id: int = NO_PARENT) -> Any:
    """The inverse of `to_bytes`, on the CPU; with an id, a leaf that stands for it."""
    torch = load()
    kind = getattr(torch, dtype, None)
    if not isinstance(kind, torch.dtype):
        raise UsageError(f"torch has no dtype {dtype!r}")
    tensor = torch.frombuffer(bytearray(raw), dtype=kind) if raw else torch.empty(0, dtype=kind)
    tensor = tensor.reshape(tuple(shape))
    return tensor if leaf_id == NO_PARENT else from_leaf(tensor, leaf_id)


def encoded(adjoint: Any) -> Any:
    """An adjoint as msgpack can carry it."""
    return to_bytes(adjoint.tensor) if isinstance(adjoint, TensorAdjoint) else adjoint


def decoded(adjoint: Any) -> Any:
    """The inverse of `encoded`."""
    return TensorAdjoint(from_bytes(*adjoint)) if isinstance(adjoint, list | tuple) else adjoint


def use_one_thread() -> int:
    """Have torch compute on one thread from here on, and return on how many it did; 0 without torch.

    Its threads do not survive ``fork``, and sums that are split among more of them have other last bits.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return 0
    threads: int = torch.get_num_threads()
    torch.set_num_threads(1)
    return threads


def use_threads(threads: int) -> None:
    """Undo `use_one_thread`."""
    if threads:
        load().set_num_threads(threads)
