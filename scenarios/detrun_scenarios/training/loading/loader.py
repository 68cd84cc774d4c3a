"""`Loader`: a thread that makes batches ahead of the worker that takes them, in order.

It makes at most `PREFETCHED` and then waits. Where the worker has to begin elsewhere, at a batch that it is told to,
the thread is stopped and another one begins there.

A worker writes the number of its next batch to a bookmark on its disk whenever one is done with, so that a process that
is started again can make batches before anyone has told it where to begin. The bookmark is a guess: the last batch
may have counted although the process died before it knew, and a server may have gone back to a checkpoint.
"""

from __future__ import annotations

import queue
import threading
import time

import trio

import detrun
from detrun_scenarios.training.model.digits import Batch, Shard

PREFETCHED = 2
READ_SECONDS = 0.002  # for one batch
BOOKMARK = "/bookmark"


class Loader:
    """Of one worker's process."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._disk = detrun.this_node().disk
        self._prefetch: _Prefetch | None = None

    async def begin(self, counted: int) -> None:
        """Go on at a batch.

        Args:
            counted: how many of this worker's batches have been applied, as those say who apply them.
        """
        self._seek(self.first(counted, await self._bookmark()))

    def first(self, counted: int, bookmark: int | None) -> int:
        """The batch to go on with."""
        return counted

    async def take(self) -> Batch:
        """The next batch, as soon as it is there."""
        assert self._prefetch is not None
        return await trio.to_thread.run_sync(self._prefetch.take, abandon_on_cancel=True)

    async def done(self, batch: Batch) -> None:
        """This batch has been applied."""
        async with await self._disk.open_file(BOOKMARK, "wb", buffering=0) as file:
            await file.write(str(batch.number + 1).encode())

    def close(self) -> None:
        """Stop the thread."""
        if self._prefetch is not None:
            self._prefetch.stop()

    def _seek(self, number: int) -> None:
        if self._prefetch is not None and self._prefetch.next == number:
            return
        self.close()
        self._prefetch = _Prefetch(self._shard, number)

    async def _bookmark(self) -> int | None:
        if not await self._disk.exists(BOOKMARK):
            return None
        found = await self._disk.path(BOOKMARK).read_bytes()
        return int(found) if found else None


class _Prefetch:
    """A thread that makes batches from one number on.

    Attributes:
        next: the number of the batch that is taken next.
    """

    def __init__(self, shard: Shard, first: int) -> None:
        self.next = first
        self._shard = shard
        self._made: queue.Queue[Batch] = queue.Queue(PREFETCHED)
        self._is_stopped = False
        threading.Thread(target=self._make, args=(first,), name="prefetch", daemon=True).start()

    def take(self) -> Batch:
        """Wait for the next batch; in a thread."""
        batch = self._made.get()
        self.next = batch.number + 1
        return batch

    def stop(self) -> None:
        """Let the thread end; what it has made is dropped."""
        self._is_stopped = True
        while not self._made.empty():
            self._made.get_nowait()

    def _make(self, number: int) -> None:
        while not self._is_stopped:
            time.sleep(READ_SECONDS)
            self._made.put(self._shard.batch(number))
            number += 1
