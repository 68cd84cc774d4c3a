"""`Shipper`: a primary's side. It sends the log to every replica that asks for it, as it grows.

Only what is durable here is sent: after any crash of the primary, its log goes on where no replica has been yet. A
batch leaves when it has `replication_batch` records, or after `replication_delay`; so many bytes may be on their way.
The replica says what it has on its disk; what does not get there is sent again from there on, when it says so again.

A replica that wants a part of the log that was freed gets all pages (`copy`).

Sources: PostgreSQL's streaming replication (its walsender, and base backups); go-back-N is the oldest of the sliding
windows (Tanenbaum, "Computer networks").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import trio

import detrun
from detrun import relaxed
from detrun.ad.value import primal_of
from detrun.world.nodes.node import Node
from detrun_scenarios.database.log.changes import Changes
from detrun_scenarios.database.log.records import Checkpoint, Piece
from detrun_scenarios.database.log.recovery import checkpoint
from detrun_scenarios.database.replication.messages import MESSAGE_BYTES, Acknowledged, Batch, Copied, Pages
from detrun_scenarios.database.settings import Settings
from detrun_scenarios.frame.news import News

READ_BYTES = 1 << 16  # of the log at once
SENT_AGAIN_MAX = 20  # a piece of a copy; then the replica is taken to be gone


@dataclass(slots=True)
class Follower:
    """What a primary knows of a replica.

    Attributes:
        acknowledged: its log is durable up to there.
        sent: what lies before it has been sent, or need not be.
        held: the log is kept from there on while pages are copied; None otherwise.
        moment: of the last word from it.
        ahead: records that were read and not sent.
        sent_at: when something was sent last.
        copied: what it says of a copy.
        has_news: told when there may be something to do.
    """

    name: str
    acknowledged: int = 0
    sent: int = 0
    held: int | None = None
    moment: tuple[int, int] = (-1, 0)
    ahead: list[Piece] = field(default_factory=list)
    sent_at: Any = 0.0
    copied: Copied | None = None
    has_news: News = field(default_factory=News)


class Shipper:
    """See the module. `run` is its task, which takes the messages of replicas from the node's mailbox.

    Attributes:
        followers: the replicas that have been heard of, by their names.
    """

    def __init__(self, changes: Changes, settings: Settings) -> None:
        self.node: Node = detrun.this_node()
        self.changes = changes
        self.log = changes.log
        self.settings = settings
        self.followers: dict[str, Follower] = {}
        self._copies = 0
        self._has_acknowledged = News()

    async def run(self) -> None:
        """Serve replicas until the process ends."""
        async with trio.open_nursery() as tasks:
            tasks.start_soon(self._watch_log)
            while True:
                envelope = await self.node.receive_envelope((Acknowledged, Copied))
                name = envelope.sender.name
                if name not in self.followers:
                    self.followers[name] = Follower(name)
                    tasks.start_soon(self._follow, self.followers[name])
                self._heard(self.followers[name], envelope.message)

    def _heard(self, follower: Follower, message: Acknowledged | Copied) -> None:
        if isinstance(message, Copied):
            follower.copied = message
        elif message.moment > follower.moment:
            has_progress = message.end > follower.acknowledged
            is_late = trio.current_time() - follower.sent_at > self.settings.resend_seconds
            follower.moment, follower.acknowledged = message.moment, message.end
            if message.end > follower.sent or (is_late and not has_progress):
                follower.sent = message.end
            self._has_acknowledged.tell()
        follower.has_news.tell()

    async def _watch_log(self) -> None:
        while True:
            await self.log.has_more.wait()
            for follower in self.followers.values():
                follower.has_news.tell()

    async def replicated(self, lsn: int) -> None:
        """Return when a replica has the record at ``lsn`` on its disk."""
        while not any(follower.acknowledged > lsn for follower in self.followers.values()):
            await self._has_acknowledged.wait()

    def keep_from(self) -> int:
        """The log is wanted from there on, as far as that is not too much to keep."""
        acknowledged = min((follower.acknowledged for follower in self.followers.values()), default=0)
        wanted = max(acknowledged, self.log.end - self.settings.keep_bytes)
        return min([wanted, *(one.held for one in self.followers.values() if one.held is not None)])

    # The log.

    async def _follow(self, follower: Follower) -> None:
        log, settings = self.log, self.settings
        while True:
            if follower.acknowledged < log.begin:
                await self._copy(follower)
            elif follower.sent < log.flushed and follower.sent - follower.acknowledged < settings.window_bytes:
                await self._ship(follower)
            else:
                await follower.has_news.wait()

    async def _ship(self, follower: Follower) -> None:
        """Send one batch."""
        begin = follower.sent
        since = trio.current_time()
        is_read = bool(follower.ahead) and follower.ahead[0].lsn == begin
        records = await self._full_batch(follower.ahead if is_read else await self._durable(begin), since)
        if not records or follower.sent != begin:
            return  # that part was freed meanwhile, or the replica wants another one
        count = max(1, int(primal_of(self.settings.replication_batch)))
        data = b"".join(one.data for one in records[:count])
        follower.ahead = records[count:]
        follower.sent, follower.sent_at = begin + len(data), trio.current_time()
        self.node.send(follower.name, Batch(begin, data, since), size=MESSAGE_BYTES + len(data))

    async def _full_batch(self, found: list[Piece], opened: Any) -> list[Piece]:
        """These records and durable ones that follow, when they are enough, or time is over."""
        log, settings = self.log, self.settings
        while found:
            # 1 when the batch is full, else 0; between the two in a softened run.
            fullness = relaxed.threshold(len(found) + 0.5, settings.replication_batch, scale=4.0)
            closes = opened + settings.replication_delay * (1.0 - fullness)
            if closes <= trio.current_time():
                break
            with trio.move_on_at(closes) as until_closed:
                await log.has_more.wait()
            if until_closed.cancelled_caught:
                break
            found = [*found, *await self._durable(found[-1].end)]
        return found

    async def _durable(self, begin: int) -> list[Piece]:
        log = self.log
        if log.flushed <= begin:
            return []
        found = await log.pieces_between(begin, min(log.flushed, begin + READ_BYTES))
        return found or await log.pieces_between(begin, log.flushed)  # a record that is larger than that

    # All pages.

    async def _copy(self, follower: Follower) -> None:
        """Send all pages, each as it is when its turn comes, and have the log sent from where redo has to begin."""
        log, volume = self.log, self.changes.pool.volume
        follower.held = log.begin  # until it is known what is needed
        lsn = await log.master() or await checkpoint(self.changes)
        record = (await log.read(lsn)).record
        assert isinstance(record, Checkpoint)
        start = follower.held = min([lsn, *record.dirty_pages.values()])
        self._copies += 1
        copy, first, count = (self.node.starts, self._copies), 0, volume.pages
        while first < count:
            following = min(first + self.settings.copy_pages, count)
            pages = tuple([await self._page(page_id) for page_id in range(first, following)])
            piece = Pages(copy, first, pages, following == count, start, log.flushed)
            if not await self._delivered(follower, piece, following):
                break
            first = following
        else:
            follower.acknowledged = follower.sent = start
        follower.held = None

    async def _page(self, page_id: int) -> bytes:
        """A page, of which all is durable in the log; empty if it is not there yet."""
        pool = self.changes.pool
        while (frame := pool.frames.get(page_id)) is not None:
            if frame.loaded is not None:
                await frame.loaded.wait()
                continue
            lsn = frame.page.lsn
            if lsn < self.log.flushed:
                return frame.page.sealed()
            await self.log.flush(lsn)
        (data,) = await pool.volume.read(page_id)
        return data

    async def _delivered(self, follower: Follower, piece: Pages, following: int) -> bool:
        """Whether the replica says that it has a piece."""
        wanted = Copied(piece.copy, following)
        for _ in range(SENT_AGAIN_MAX):
            self.node.send(follower.name, piece, size=MESSAGE_BYTES + sum(map(len, piece.pages)))
            with trio.move_on_after(self.settings.resend_seconds):
                while follower.copied != wanted:
                    await follower.has_news.wait()
                return True
        await follower.has_news.wait()  # a replica that is gone says nothing, and gets nothing
        return False
