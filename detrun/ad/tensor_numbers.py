"""Tensors and modules of a sampled gradient as numbers under names: ``w[0, 1]``, ``net.0.weight[3]``.

Samples are averaged number by number, and finite differences move single numbers; the caller gives and gets tensors.
The program gets them as it does in a gradient of one run: a tensor as a copy, a module as itself. A sample must not
depend on those before it, so what a run does to a module's parameters and buffers is undone when it ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from detrun.ad.tensor_parameters import TensorParameters
from detrun.ad.torch_bridge import is_tensor, load
from detrun_scheduler.errors import UsageError

COARSE = 1e-6  # tensors that tell numbers apart by less than this, relative, can be moved by a small step


class TensorNumbers(TensorParameters):
    """The tensors and modules among the parameters of one sampled gradient.

    Attributes:
        names: of the numbers of each tensor, by parameter and by the tensor's key in it; "" where it is the parameter.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self._own = {name: one for name, one in self.given.items() if not is_tensor(one) or one.is_leaf}
        self.given = {name: one.detach().clone() if is_tensor(one) else one for name, one in self.given.items()}
        self.names = {
            name: {
                key: list(_names(f"{name}.{key}" if key else name, tuple(tensor.shape)))
                for key, tensor in self._tensors(one)
            }
            for name, one in self.given.items()
        }
        self._kept = {
            name: {key: one.detach().clone() for key, one in module.state_dict(keep_vars=True).items()}
            for name, module in self.given.items()
            if not is_tensor(module)
        }

    def numbers(self) -> dict[str, float]:
        """All of them."""
        return self.flat({name: self._by_key(name) for name in self.given})

    def flat(self, tensors: Mapping[str, Any]) -> dict[str, float]:
        """The numbers of tensors that are given as `gradients` gives them, or by key."""
        found: dict[str, float] = {}
        for name, by_key in self.names.items():
            whole = tensors[name]
            for key, names in by_key.items():
                tensor = whole[key] if isinstance(whole, Mapping) else whole
                found.update(zip(names, tensor.detach().reshape(-1).tolist(), strict=True))
        return found

    def shaped(self, numbers: Mapping[str, float]) -> dict[str, Any]:
        """The inverse of `flat`: by parameter a tensor like it, or a dict of them for a module."""
        torch = load()
        found: dict[str, Any] = {}
        for name, by_key in self.names.items():
            tensors = {
                key: torch.tensor([numbers[one] for one in by_key[key]], dtype=torch.float64)
                .reshape(tensor.shape)
                .to(tensor)
                for key, tensor in self._tensors(self.given[name])
            }
            found[name] = tensors[""] if is_tensor(self.given[name]) else tensors
        return found

    def handed(self, numbers: Mapping[str, float]) -> dict[str, Any]:
        """What a program gets that runs without a tape, with these numbers."""
        torch = load()
        moved = self.shaped(numbers)
        found: dict[str, Any] = {}
        for name, one in self.given.items():
            if is_tensor(one):
                found[name] = moved[name].requires_grad_()
                continue
            with torch.no_grad():
                for key, tensor in self._tensors(one):
                    _put(tensor, moved[name][key])
            found[name] = one
        return found

    def accumulate(self, gradients: Mapping[str, Any]) -> None:
        """Add them to ``.grad`` of what the caller gave, where torch would."""
        copies, self.given = self.given, self._own
        super().accumulate(gradients)
        self.given = copies

    def restore(self) -> None:
        """A run has ended: modules have the numbers that they were given with, and no marks."""
        self.release()
        if not self._kept:
            return
        with load().no_grad():
            for name, kept in self._kept.items():
                for key, tensor in self.given[name].state_dict(keep_vars=True).items():
                    _put(tensor, kept[key])

    def check_can_move(self) -> None:
        """Raise `UsageError` if a tensor is too coarse for a small step."""
        for name, one in self.given.items():
            for _, tensor in self._tensors(one):
                if load().finfo(tensor.dtype).eps > COARSE:
                    raise UsageError(
                        f"gradient: parameter {name!r} is of {tensor.dtype}, too coarse for small steps; pass it "
                        "as torch.float32 or torch.float64"
                    )

    def _by_key(self, name: str) -> dict[str, Any]:
        return dict(self._tensors(self.given[name]))


def _put(tensor: Any, numbers: Any) -> None:
    """Other numbers in a tensor, beside its version: a tape that was made before may go backward when they are back."""
    tensor.data.copy_(numbers)


def _names(prefix: str, shape: tuple[int, ...]) -> Iterator[str]:
    if not shape:
        yield prefix
        return
    for place in range(prod(shape)):
        index = []
        for size in reversed(shape):
            place, rest = divmod(place, size)
            index.append(str(rest))
        yield f"{prefix}[{', '.join(reversed(index))}]"
