"""`Sent`: notes of the numbers in a run's messages that are Values, made by `pack` and read by `unpack`.

The notes are in the process and never in the bytes (`detrun.messages.pack` says why). They are a function of the run
alone, so a replay and a forked window find the same. Cost: eight bytes for each number of a message that carries a
`Value`, and twelve for each message. In forward mode the Values themselves are kept, for their tangents.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b
from typing import Any
from zlib import crc32

from detrun.ad import torch_bridge
from detrun.ad.forward import TangentValue
from detrun.ad.tape import NO_PARENT
from detrun.ad.value import Value
from detrun_scheduler import current
from detrun_scheduler.errors import DetrunError

OUTSIDE = bytes(8)  # the token of a message packed outside a run


class UnpackingError(DetrunError):
    """The bytes do not come from `pack`, are damaged, or belong to another run."""


class Sent:
    """The messages that one run has packed: which of their numbers are Values."""

    def __init__(self, serial: int, seed: object) -> None:
        self.serial = serial
        self.token = blake2b(f"detrun.pack {seed!r}".encode(), digest_size=8).digest()
        self.ids = array("q")  # of messages that carry Values: one for each number, NO_PARENT for a plain one
        self.starts = array("q")  # by message: where its ids begin, -1 if it carries none
        self.checksums = array("I")
        self.moving: dict[int, TangentValue] = {}  # place in `ids` -> the number itself, in forward mode

    def add(self, numbers: list[Any], checksum: int) -> None:
        """Note a message with these numbers."""
        ids = [number.id if isinstance(number, Value) else torch_bridge.id_in_message(number) for number in numbers]
        self.checksums.append(checksum)
        if all(one == NO_PARENT for one in ids):
            self.starts.append(-1)
            return
        start = len(self.ids)
        self.starts.append(start)
        self.ids.extend(ids)
        for place, number in enumerate(numbers, start):
            if isinstance(number, TangentValue):
                self.moving[place] = number


_sent: Sent | None = None


def sent_in(run: Any) -> Sent:
    global _sent
    if _sent is None or _sent.serial != run.serial:
        _sent = Sent(run.serial, run.seed)
    return _sent


def checksum_of(token: bytes, number: int, body: bytes) -> int:
    return crc32(body, crc32(token + number.to_bytes(8, "big")))


def numbers_of(token: bytes, number: int, checksum: int) -> tuple[Sent, int] | None:
    """The place where the ids of a message begin; None if all its numbers are plain."""
    if token == OUTSIDE:
        return None
    run = current.run
    if run is None:
        raise UnpackingError(
            f"message {number} was packed in a run and is unpacked outside one, where tape ids mean nothing; "
            "unpack(..., detach=True) takes plain numbers"
        )
    sent = sent_in(run)
    if token != sent.token:
        raise UnpackingError(
            f"message {number} belongs to a run with another seed (token {token.hex()}, this run's is "
            f"{sent.token.hex()}); its tape ids mean other numbers here. unpack(..., detach=True) takes plain numbers"
        )
    if number >= len(sent.starts) or sent.checksums[number] != checksum:
        raise UnpackingError(
            f"message {number} was not packed in this run, which has packed {len(sent.starts)}: it is left over from "
            "an earlier run, or another program's with the same seed. unpack(..., detach=True) takes plain numbers"
        )
    return None if sent.starts[number] < 0 else (sent, sent.starts[number])
