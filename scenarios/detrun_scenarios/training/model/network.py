"""The network: 64 pixels, a layer of tanh, ten logits; its loss is the cross-entropy. 910 weights in one flat tensor.

A gradient is taken by torch. Where the weights themselves carry a derivative, because a step size or a momentum is
differentiated, the gradient is taken with its own graph, so that what is built on it can be differentiated again.
"""

from __future__ import annotations

from typing import Any

from detrun_scenarios.training.model.digits import Batch, Images
from detrun_scenarios.training.model.tensors import torch

PIXELS, HIDDEN, CLASSES = 64, 12, 10
LAYERS = (PIXELS * HIDDEN + HIDDEN, HIDDEN * CLASSES + CLASSES)  # weights of each, its biases at the end
WEIGHTS = sum(LAYERS)


def first_weights(seed: int) -> Any:
    """Normal numbers with the variance of one over the inputs of a layer; biases are 0."""
    import numpy

    numbers = numpy.random.default_rng(seed)
    first = numbers.standard_normal(PIXELS * HIDDEN) / PIXELS**0.5
    second = numbers.standard_normal(HIDDEN * CLASSES) / HIDDEN**0.5
    return torch().tensor(numpy.concatenate([first, numpy.zeros(HIDDEN), second, numpy.zeros(CLASSES)]))


def logits(weights: Any, pixels: Any) -> Any:
    """Shape (count, 10)."""
    first, second = weights.split(LAYERS)
    hidden = torch().tanh(pixels @ first[:-HIDDEN].view(PIXELS, HIDDEN) + first[-HIDDEN:])
    return hidden @ second[:-CLASSES].view(HIDDEN, CLASSES) + second[-CLASSES:]


def batch_loss(weights: Any, batch: Batch) -> Any:
    """The mean over a batch."""
    each = torch().nn.functional.cross_entropy(logits(weights, batch.pixels), batch.digits, reduction="none")
    return (each * batch.weights).sum()


def gradient(weights: Any, batch: Batch) -> Any:
    """Of the batch's loss by the weights."""
    carries = weights.requires_grad or batch.weights.requires_grad
    at = weights if weights.requires_grad else weights.detach().requires_grad_()
    (found,) = torch().autograd.grad(batch_loss(at, batch), at, create_graph=carries)
    return found


def mean_loss(weights: Any, images: Images) -> Any:
    """The mean over images."""
    return torch().nn.functional.cross_entropy(logits(weights, images.pixels), images.digits)


def accuracy(weights: Any, images: Images) -> float:
    """The share of images whose digit has the largest logit."""
    right: float = (logits(weights, images.pixels).argmax(dim=1) == images.digits).double().mean().item()
    return right
