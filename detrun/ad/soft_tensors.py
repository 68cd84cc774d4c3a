"""The soft choices of `detrun.relaxed` on tensors, elementwise or along a dimension, in torch's own operations.

A `Value` beside tensors becomes a tensor of their dtype. At temperature 0 the results are torch's exact ones. Torch's
comparisons are no discontinuity sites, so margins that decide an exact result are looked at once as `Value`s: kinds of
gradients that ask for such sites find them here, too.
"""

from __future__ import annotations

from typing import Any

from detrun.ad import notes, state
from detrun.ad.sites import NEAREST_PER_SITE
from detrun.ad.torch_bridge import is_tensor, load, values_of
from detrun.ad.torch_entry import to_tensor
from detrun.ad.value import Value


def lifted(*arguments: Any) -> list[Any]:
    """Tensors of one dtype; numbers as tensors without dimensions."""
    torch = load()
    tensors = [one for one in arguments if is_tensor(one)]
    dtype = tensors[0].dtype
    for one in tensors[1:]:
        dtype = torch.promote_types(dtype, one.dtype)
    if not dtype.is_floating_point:
        dtype = torch.get_default_dtype()
    device = tensors[0].device
    return [
        one.to(dtype)
        if is_tensor(one)
        else to_tensor(one, dtype=dtype, device=device)
        if isinstance(one, Value)
        else torch.tensor(one, dtype=dtype, device=device)
        for one in arguments
    ]


def where(margin: Any, a: Any, b: Any, soft: float, straight_through: bool) -> Any:
    """``a`` where the margin is positive, else ``b``."""
    torch = load()
    margin, a, b = lifted(margin, a, b)
    if not soft or straight_through:
        _decide(margin)
    exact = torch.where(margin > 0, a, b)
    if not soft:
        return exact
    return _through(b + (a - b) * torch.sigmoid(margin / soft), exact, straight_through)


def clip(x: Any, low: Any, high: Any, soft: float, straight_through: bool) -> Any:
    """Held between two bounds."""
    torch = load()
    x, low, high = lifted(x, low, high)
    exact = torch.minimum(torch.maximum(x, low), high)
    if not soft:
        return exact
    softplus = torch.nn.functional.softplus
    return _through(low + (softplus((x - low) / soft) - softplus((x - high) / soft)) * soft, exact, straight_through)


def extreme(numbers: list[Any], sign: float, dim: int | None, soft: float, straight_through: bool) -> Any:
    """The largest (``sign`` 1) or smallest: of several, elementwise; of one, along a dimension, or of all."""
    torch = load()
    listed = lifted(*numbers)
    if len(listed) > 1:
        x, dim = torch.stack(torch.broadcast_tensors(*listed)), 0
    else:
        x, dim = (listed[0].reshape(-1), 0) if dim is None else (listed[0], dim)
    exact = x.amax(dim) if sign > 0.0 else x.amin(dim)
    if not soft:
        return exact
    return _through(torch.logsumexp(x * (sign / soft), dim) * (sign * soft), exact, straight_through)


def weights(scores: Any, sign: float, dim: int, soft: float, straight_through: bool) -> Any:
    """1 at the highest (``sign`` 1) or lowest score along a dimension, the first of equals; else 0."""
    torch = load()
    (scores,) = lifted(scores)
    moved = scores.movedim(dim, -1)
    best = (moved * sign).argmax(-1, keepdim=True)
    if not soft or straight_through:
        _decide((moved - moved.gather(-1, best)) * sign, best)
    exact = torch.zeros_like(moved).scatter(-1, best, 1.0).movedim(-1, dim)
    if not soft:
        return exact
    return _through(torch.softmax(scores * (sign / soft), dim), exact, straight_through)


def route(scores: Any, options: Any, dim: int, soft: float, straight_through: bool) -> Any:
    """The option of the highest score along a dimension."""
    scores, options = lifted(scores, options)
    return (weights(scores, 1.0, dim, soft, straight_through) * options).sum(dim)


def sort(numbers: Any, dim: int, reverse: bool, soft: float, straight_through: bool) -> Any:
    """In order along a dimension."""
    torch = load()
    (numbers,) = lifted(numbers)
    moved = numbers.movedim(dim, -1)
    exact = torch.sort(moved, dim=-1, descending=reverse, stable=True).values
    if not soft:
        return exact.movedim(-1, dim)
    nearness = torch.softmax((exact.unsqueeze(-1) - moved.unsqueeze(-2)).abs() / -soft, dim=-1)
    found = (nearness * moved.unsqueeze(-2)).sum(-1)
    return _through(found, exact, straight_through).movedim(-1, dim)


def count(margins: Any, dim: int | None, soft: float, straight_through: bool) -> Any:
    """How many are positive, along a dimension or of all."""
    ones = where(margins, 1.0, 0.0, soft, straight_through)
    return ones.sum() if dim is None else ones.sum(dim)


def _decide(margin: Any, best: Any = None) -> None:
    """Look at margins as `Value`s; those at ``best`` along the last dimension decide nothing.

    Where a site keeps its nearest passes only, the others are counted and not looked at: a layer has thousands. The
    same ids are allotted whether notes are taken or not, since the windows of a run must agree about them.
    """
    if not margin.requires_grad:
        return
    torch = load()
    if best is not None:
        others = torch.ones_like(margin, dtype=torch.bool).scatter(-1, best, value=False)
        margin = margin[others]
    margin = margin.reshape(-1)
    sites = state.notebook.sites if state.notebook is not None else None
    kept = NEAREST_PER_SITE if sites is None else sites.kept_per_site
    wider = 0 if kept is None else max(len(margin) - kept, 0)
    if wider:
        margin = margin[margin.detach().abs().argsort(stable=True)[:kept].sort().values]
    for one in values_of(margin):
        _ = one > 0.0
    if wider and sites is not None:
        notes.wider_margins(">", wider)


def _through(soft: Any, exact: Any, straight_through: bool) -> Any:
    return exact.detach() + (soft - soft.detach()) if straight_through else soft
