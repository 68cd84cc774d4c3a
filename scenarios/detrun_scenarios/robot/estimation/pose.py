"""`Pose`: what the filter tells those who control, under a seal by which a pose that was read in parts is known."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.robot.estimation.belief import HEADING, SPEED, TURN, Belief, X, Y


class Pose(NamedTuple):
    """What a reader sees.

    Attributes:
        number: of the publication.
        stamp: by the clock of the brain.
        doubt: the square root of the variance of the position, in metres.
        seal: of the other numbers, together. Only the invariant reads it: it belongs to these or to others.
    """

    number: Any
    stamp: Any
    x: Any
    y: Any
    heading: Any
    speed: Any
    turn: Any
    doubt: Any
    seal: Any


def pose_of(number: int, stamp: Any, belief: Belief) -> Pose:
    """What is published of a belief."""
    mean, covariance = belief.mean, belief.covariance
    doubt = detrun.sqrt(covariance[X][X] + covariance[Y][Y])
    numbers = number, stamp, mean[X], mean[Y], mean[HEADING], mean[SPEED], mean[TURN], doubt
    return Pose(*numbers, seal_of(numbers))


def seal_of(numbers: Sequence[Any]) -> int:
    """One number that goes with these: others have another, except by a chance of 2⁻⁴⁸."""
    packed = struct.pack(f"{len(numbers)}d", *(plain(one) for one in numbers))
    return int.from_bytes(hashlib.blake2b(packed, digest_size=6).digest())
