"""The data: 1,797 handwritten digits of eight by eight pixels, which scikit-learn ships.

Three hundred are kept for validation. The others are dealt to the workers, whose shards have nothing in common. A shard
is gone through epoch by epoch, each in an order of its own. A batch has a number, counted over all epochs, and is a
function of the shard, the seed of the order, the size and that number: so a batch can be named in a message and made
again after a crash.

A size need not be whole: the last image of a batch then counts for the part that is left over.

Source: Alpaydin and Kaynak (1998), optical recognition of handwritten digits, by ``sklearn.datasets.load_digits``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.training.model.tensors import tensor_of, torch

VALIDATION = 300


class Images(NamedTuple):
    """Pixels between 0 and 1, shape (count, 64), and what they show, shape (count,)."""

    pixels: Any
    digits: Any


class Batch(NamedTuple):
    """Images with the weight of each in the mean, which is a tensor of sum 1."""

    number: int
    pixels: Any
    digits: Any
    weights: Any


@cache
def digits() -> tuple[Images, Images]:
    """The images to learn from, and those for validation. Read once in a process, and never changed.

    Raises:
        ModuleNotFoundError: scikit-learn or torch is not installed.
    """
    import numpy
    from sklearn.datasets import load_digits

    pixels, shown = load_digits(return_X_y=True)
    order = numpy.random.default_rng(0).permutation(len(shown))
    pixels = torch().tensor(pixels[order] / 16.0)
    shown = torch().tensor(shown[order])
    return Images(pixels[VALIDATION:], shown[VALIDATION:]), Images(pixels[:VALIDATION], shown[:VALIDATION])


@dataclass(frozen=True, slots=True)
class Shard:
    """What one worker learns from, in one run.

    Orders are kept here and end with the run: numpy takes a lock to draw one, which is a step of the run, so that an
    order kept from a run before would leave these steps out.

    Attributes:
        rank, workers: whose it is, of how many.
        size: of a batch, in images.
        seed: of the orders of all epochs.
    """

    rank: int
    workers: int
    size: Any
    seed: int
    _orders: dict[int, tuple[int, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def batch(self, number: int) -> Batch:
        """The batch of that number, from 0."""
        images, _ = digits()
        own = range(self.rank, len(images.digits), self.workers)
        count = math.ceil(plain(self.size))
        epoch, place = divmod(number, len(own) // count)
        order = self._order(epoch, len(own))
        chosen = [own[at] for at in order[place * count : (place + 1) * count]]
        share = tensor_of(self.size) - (count - 1)
        whole = torch().ones(count - 1, dtype=torch().float64)
        weights = torch().cat([whole, share.reshape(1)]) / tensor_of(self.size)
        return Batch(number, images.pixels[chosen], images.digits[chosen], weights)

    def _order(self, epoch: int, count: int) -> tuple[int, ...]:
        import numpy

        if epoch not in self._orders:
            drawn = numpy.random.default_rng([self.seed, self.rank, epoch]).permutation(count)
            self._orders[epoch] = tuple(drawn.tolist())
        return self._orders[epoch]
