"""`Checkpoints`: the state of a parameter server on its disk, so that a process that starts again goes on from there.

A checkpoint is two files, ``moments.7`` and ``weights.7``, and the file ``latest``, which says that the seventh is the
one to restore, at which version, and how many batches of each worker are in it. Each file is durable before the next is
written, and ``latest`` takes its name by a rename when both others are: whenever the power goes, ``latest`` names a
checkpoint that is whole. Files of earlier ones are removed in the end. Moments that are missing need not be fatal: the
newest that there are take their place, or zeros.

Tensors go through `detrun.pack`, so that a derivative survives the restart as the numbers do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import detrun
from detrun.world.disk.disk import Disk
from detrun_scenarios.training.model.tensors import torch

DIRECTORY = "/checkpoints"
LATEST, BOOTS = f"{DIRECTORY}/latest", f"{DIRECTORY}/boots"
ORDER = ("moments", "weights", "latest")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state after ``version`` updates, and how many batches of each worker they are."""

    number: int
    version: int
    batches: Mapping[str, int]
    weights: Any
    moments: Any


class Checkpoints:
    """Of one server's disk."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    async def boot(self) -> int:
        """Count this process: how many there have been, this one included."""
        if not await self._disk.exists(DIRECTORY):
            await self._disk.mkdir(DIRECTORY)
            await self._disk.fsync_directory("/")
        boots = 1
        if await self._disk.exists(BOOTS):
            boots += int(await self._disk.path(BOOTS).read_bytes())
        await self._write(BOOTS, str(boots).encode())
        return boots

    async def restore(self) -> Checkpoint | None:
        """The latest checkpoint, if there is one."""
        if not await self._disk.exists(LATEST):
            return None
        about = json.loads(await self._disk.path(LATEST).read_bytes())
        number = about["number"]
        weights = await self._read("weights", number)
        moments = [one for one in await self._numbers("moments") if one <= number]
        return Checkpoint(
            number,
            about["version"],
            about["batches"],
            weights,
            await self._read("moments", moments[-1]) if moments else torch().zeros_like(weights),
        )

    def order(self) -> tuple[str, ...]:
        """In which the parts of a checkpoint become durable."""
        return ORDER

    async def save(self, checkpoint: Checkpoint) -> None:
        """Make a checkpoint durable."""
        number = checkpoint.number
        for part in self.order():
            if part == "latest":
                about = {"number": number, "version": checkpoint.version, "batches": checkpoint.batches}
                await self._write(LATEST, json.dumps(about).encode())
            else:
                await self._write(f"{DIRECTORY}/{part}.{number}", detrun.pack(getattr(checkpoint, part)))
        for part in ("weights", "moments"):
            for one in await self._numbers(part):
                if one < number:
                    await self._disk.unlink(f"{DIRECTORY}/{part}.{one}")

    async def _numbers(self, part: str) -> list[int]:
        names = [name.partition(".") for name in await self._disk.listdir(DIRECTORY)]
        return sorted(int(number) for name, _, number in names if name == part and number.isdigit())

    async def _read(self, part: str, number: int) -> Any:
        return detrun.unpack(await self._disk.path(f"{DIRECTORY}/{part}.{number}").read_bytes())

    async def _write(self, path: str, content: bytes) -> None:
        """Put a file in place of another one, whole or not at all."""
        async with await self._disk.open_file(f"{path}.new", "wb", buffering=0) as file:
            await file.write(content)
            await file.fsync()
        await self._disk.rename(f"{path}.new", path)
        await self._disk.fsync_directory(DIRECTORY)
