"""Parameters of a gradient that are tensors or modules: leaves with ids, next to the Values.

A tensor reaches the program as a new leaf with the same numbers, so that its caller's own is never touched; a module
reaches it as itself, each of its parameters that require grad marked with an id while the run lasts. Their gradients
are adjoints like any others: windows hand them over, and what comes out at the end goes into the result and, as torch
users expect, into ``.grad`` of the module's parameters and of tensors that require grad.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detrun.ad import state
from detrun.ad.tensor_adjoints import TensorAdjoint
from detrun.ad.torch_bridge import MARK, entry, is_tensor, set_mark
from detrun_scheduler.errors import UsageError


def is_tensor_parameter(parameter: object) -> bool:
    """Whether this is a tensor, or a module with parameters."""
    return is_tensor(parameter) or hasattr(type(parameter), "named_parameters")


class TensorParameters:
    """The tensors and modules among the parameters of one gradient.

    Raises:
        UsageError: a tensor of a dtype without derivatives.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.given = {name: one for name, one in params.items() if is_tensor_parameter(one)}
        for name, one in self.given.items():
            for key, tensor in self._tensors(one):
                if not tensor.is_floating_point():
                    raise UsageError(
                        f"gradient: parameter {name!r} {key} is of {tensor.dtype}, which has no derivative"
                    )
        self.ids: list[int] = []  # in the order of `_tensors` of all that were given

    def __bool__(self) -> bool:
        return bool(self.given)

    @property
    def on_accelerator(self) -> bool:
        """Whether some tensor is elsewhere than in memory that ``fork`` copies."""
        return any(tensor.device.type != "cpu" for _, tensor in self._all())

    def number(self, first_id: int) -> None:
        """Say which ids the tensors have if the next one is ``first_id``. A tensor that two modules share has one."""
        self.ids = []
        known: list[tuple[Any, int]] = []
        for _, tensor in self._all():
            leaf_id = next((one for other, one in known if other is tensor), first_id + len(known))
            if leaf_id == first_id + len(known):
                known.append((tensor, leaf_id))
            self.ids.append(leaf_id)

    def prepare(self, serial: int) -> dict[str, Any]:
        """Give out the ids, in the run with this serial number; the result is what the program gets."""
        self.number(state.peek_id())
        for leaf_id in sorted(set(self.ids)):
            allotted = entry((), _no_parents)
            assert allotted == leaf_id, (allotted, leaf_id)
        handed: dict[str, Any] = {}
        ids = iter(self.ids)
        for name, one in self.given.items():
            handed[name] = one.detach().clone().requires_grad_() if is_tensor(one) else one
            for _, tensor in self._tensors(handed[name]):
                set_mark(tensor, next(ids), serial)
        return handed

    def release(self) -> None:
        """The run has ended: modules are ordinary again."""
        for _, tensor in self._all():
            if hasattr(tensor, MARK):
                delattr(tensor, MARK)

    def gradients(self, adjoints: Mapping[int, Any]) -> dict[str, Any]:
        """By name: a tensor for a tensor, a dict by parameter name for a module; zeros where no adjoint arrived."""
        ids = iter(self.ids)
        found: dict[str, Any] = {}
        for name, one in self.given.items():
            by_key = {}
            for key, tensor in self._tensors(one):
                adjoint: Any = adjoints.get(next(ids))
                arrived = isinstance(adjoint, TensorAdjoint)
                by_key[key] = adjoint.tensor.to(tensor) if arrived else tensor.detach().new_zeros(tensor.shape)
            found[name] = by_key[""] if is_tensor(one) else by_key
        return found

    def accumulate(self, gradients: Mapping[str, Any]) -> None:
        """Add them to ``.grad`` where torch would."""
        done: list[Any] = []
        for name, one in self.given.items():
            for key, tensor in self._tensors(one):
                # Two modules may share a tensor; its gradient is whole in both places.
                if tensor.requires_grad and tensor.is_leaf and not any(tensor is other for other in done):
                    done.append(tensor)
                    gradient = gradients[name] if is_tensor(one) else gradients[name][key]
                    tensor.grad = gradient.clone() if tensor.grad is None else tensor.grad + gradient

    def _all(self) -> list[tuple[str, Any]]:
        return [found for one in self.given.values() for found in self._tensors(one)]

    @staticmethod
    def _tensors(one: Any) -> list[tuple[str, Any]]:
        if is_tensor(one):
            return [("", one)]
        return [(key, tensor) for key, tensor in one.named_parameters() if tensor.requires_grad]


def _no_parents(adjoint: Any) -> tuple[()]:
    return ()
