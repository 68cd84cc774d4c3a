"""Adjoints of tensors, in the shape that the reverse sweep asks for: ``0.0 + x``, ``x + y`` and ``bool(x)``.

An id on the tape may stand for a tensor; its adjoint is then a `TensorAdjoint` where a number has a float. What is
added to one is either another or an `ElementShare`, the adjoint of a single element, which costs one addition and no
tensor. Additions happen one by one in the order of the sweep, so handing an adjoint over between windows changes no
bit. This module does not import torch: an adjoint comes with its tensor.
"""

from __future__ import annotations

from typing import Any


class TensorAdjoint:
    """The sum so far. It owns its tensor and adds in place: ``0.0 + x`` is a copy, ``x + y`` is ``x`` itself."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor

    def __radd__(self, zero: float) -> TensorAdjoint:
        return TensorAdjoint(self.tensor.contiguous().clone())

    def __add__(self, share: Any) -> TensorAdjoint:
        if isinstance(share, ElementShare):
            self.tensor.view(-1)[share.place] += share.amount
        elif isinstance(share, TensorAdjoint):
            self.tensor.add_(share.tensor)
        else:
            assert share == 0.0, f"the number {share!r} added to the adjoint of a tensor"
        return self

    def __bool__(self) -> bool:
        return bool(self.tensor.count_nonzero())


class ElementShare:
    """The share that one element, at ``place`` of the flattened tensor ``like``, adds to the adjoint of the whole."""

    __slots__ = ("amount", "like", "place")

    def __init__(self, like: Any, place: int, amount: float) -> None:
        self.like, self.place, self.amount = like, place, amount

    def __radd__(self, zero: float) -> TensorAdjoint:
        return TensorAdjoint(self.like.new_zeros(self.like.shape)) + self
