"""`Speed`: how long a worker computes for a batch: in proportion to the batch, and now and then much longer.

A straggler is slow always; any worker is slow for a moment, by an exponential time on top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import detrun


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one worker.

    Attributes:
        image_seconds: for one image.
        jitter: the mean of the exponential time on top, as a share of the batch's.
    """

    image_seconds: float
    jitter: float = 0.3

    def seconds(self, images: Any) -> Any:
        """For a batch of so many, drawn."""
        return self.image_seconds * images * (1.0 + detrun.exponential(self.jitter))
