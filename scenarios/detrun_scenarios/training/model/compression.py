"""Top-k compression with error feedback: only the largest entries of a gradient are sent, what is left is kept.

What was kept is added to the next gradient, so that nothing is lost, only late. The threshold lies between the
magnitudes of two entries, and a ratio that is not a whole number of entries moves it from the one to the other. In a
softened run (`detrun.relaxed`) an entry near the threshold counts in part for the bytes. It is sent whole or kept all
the same: softened selections, each of which feeds the next one, have derivatives that grow without bound.

Source: Stich, Cordonnier and Jaggi, sparsified SGD with memory, NeurIPS 2018; Lin and others, deep gradient
compression, ICLR 2018.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.training.model.tensors import tensor_of, torch

ENTRY_BYTES = 12  # an index of four bytes and a number of eight
SCALE = 0.01  # of a magnitude, for a softened threshold


class Compressed(NamedTuple):
    """What is sent and what is kept.

    Attributes:
        indices, values: of the entries that are sent.
        kept: for the next gradient; a tensor as long as the whole.
        bytes: of the message; a number, or a Value.
    """

    indices: Any
    values: Any
    kept: Any
    bytes: Any


def compressed(gradient: Any, kept: Any, ratio: Any) -> Compressed:
    """The largest entries of ``gradient + kept``, as large a share of all as the ratio says."""
    whole = gradient + kept
    magnitudes = whole.abs()
    margins = magnitudes - _threshold(magnitudes, ratio)
    count = detrun.relaxed.count(margins, scale=SCALE)
    indices = (margins > 0.0).nonzero().reshape(-1)
    size = detrun.from_tensor(count) if count.requires_grad else count.item()
    return Compressed(indices, whole[indices], whole.index_fill(0, indices, 0.0), ENTRY_BYTES * size)


def _threshold(magnitudes: Any, ratio: Any) -> Any:
    """A number with so many magnitudes above it: halfway between two of them where that is a whole number."""
    ordered = magnitudes.sort(descending=True).values
    ordered = torch().cat([2.0 * ordered[:1], ordered, -torch().ones_like(ordered[:1])])
    place = min(max(plain(ratio), 0.0), 1.0) * len(magnitudes) + 0.5
    above = math.floor(place)
    part = tensor_of(ratio) * len(magnitudes) + 0.5 - above
    return ordered[above] + (ordered[above + 1] - ordered[above]) * part
