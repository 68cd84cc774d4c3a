"""`ParameterServer`: the program of the node that holds the weights.

Each request has a task of its own, so that an answer may wait, for the staleness bound or for a checkpoint, while
others are served. While a checkpoint is written no update is applied.
"""

from __future__ import annotations

from typing import Any

import trio

import detrun
from detrun_scenarios.frame.news import News
from detrun_scenarios.training.invariants import Monitor
from detrun_scenarios.training.losses import Meter
from detrun_scenarios.training.messages import Alive, Join, Joined, Push, Refused, Weights
from detrun_scenarios.training.model.network import WEIGHTS
from detrun_scenarios.training.model.optimizer import optimizer_of
from detrun_scenarios.training.model.tensors import tensor_of, torch
from detrun_scenarios.training.parameter_server.cells import Cells
from detrun_scenarios.training.parameter_server.checkpoints import Checkpoint
from detrun_scenarios.training.parameter_server.sessions import Session, Sessions
from detrun_scenarios.training.parts import Parts
from detrun_scenarios.training.settings import Settings

SERVER = "server"
LOOK_SECONDS = 0.02  # from one look for silent workers to the next
DENSE_BYTES = 8 * WEIGHTS


class ParameterServer:
    """See the module.

    Attributes:
        cells, sessions, version: of the process that runs, as soon as it has recovered.
    """

    cells: Cells
    sessions: Sessions

    def __init__(self, first: Any, settings: Settings, monitor: Monitor, meter: Meter, parts: Parts) -> None:
        self._node = detrun.this_node()
        self._first, self._settings, self._monitor, self._meter = first, settings, monitor, meter
        self._parts = parts
        self._checkpoints = parts.checkpoints(self._node.disk)
        self._checkpoint = 0  # number of the last
        self._moved = News()  # of clocks
        self.version = 0

    async def run(self) -> None:
        """Recover, and serve until the node stops."""
        await self._recover()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._save_regularly, name="checkpoints")
            nursery.start_soon(self._look_regularly, name="looks")
            while True:
                envelope = await self._node.receive_envelope()
                worker, message = envelope.sender.name, envelope.message
                if isinstance(message, Alive):
                    self.sessions.session_of(worker, message.state)
                elif isinstance(message, Join):
                    nursery.start_soon(self._join, worker, message, name="join")
                else:
                    nursery.start_soon(self._push, worker, message, name="push")

    async def _recover(self) -> None:
        boot = await self._checkpoints.boot()
        found = await self._checkpoints.restore()
        if found is None:
            found = Checkpoint(0, 0, {}, self._first, torch().zeros_like(self._first))
        self._monitor.restored(found)
        self._checkpoint, self.version = found.number, found.version
        self.cells = self._parts.cells(found.weights, found.moments, optimizer_of(self._settings))
        self.sessions = self._parts.sessions(boot, found.batches, self._settings.staleness)
        self._meter.server_is_up(found.number)

    # Requests.

    async def _join(self, worker: str, join: Join) -> None:
        async with self.cells.lock:
            session = self.sessions.begin(worker)
            self._monitor.joined(worker, session.clock)
            batch = self.sessions.batches.get(worker, 0)
            joined = Joined(join.attempt, session.number, batch, self.version, self.cells.weights())
        self._send(worker, joined, DENSE_BYTES)
        self._moved.tell()

    async def _push(self, worker: str, push: Push) -> None:
        async with self.cells.lock_of(worker):
            session = self.sessions.session_of(worker, push.session)
            if session is None:
                self._send(worker, Refused(push.session), 0)
                return
            if self.sessions.is_new(session, push):
                self._monitor.takes(worker, push)
                await self._apply(worker, session, push)
        await self._gate(worker, session, self.sessions.drawn_bound())
        async with self.cells.lock:
            answer = Weights(push.session, push.number, self.version, self.cells.weights())
        self._send(worker, answer, DENSE_BYTES)

    async def _apply(self, worker: str, session: Session, push: Push) -> None:
        gradient = torch().zeros(WEIGHTS, dtype=torch().float64).index_add(0, push.indices, push.values)
        gradient = tensor_of(self.sessions.share(session)) * gradient
        staleness = self.version - push.version
        await self.cells.apply(gradient, staleness)
        self.version += 1
        self.sessions.count(worker, session, push)
        self._monitor.applied(worker, push, gradient, staleness, self.cells, self.sessions.open)
        self._meter.update_is_applied()
        self._moved.tell()

    async def _gate(self, worker: str, session: Session, bound: int) -> None:
        """Wait until the worker may go on, or its session is over."""
        while self.sessions.open.get(worker) is session and not self.sessions.may_go_on(session, bound):
            await self._moved.wait()

    def _send(self, worker: str, message: object, size: int) -> None:
        self._meter.bytes_are_sent(size)
        self._node.send(worker, message, size=64 + size)

    # What goes on beside them.

    async def _look_regularly(self) -> None:
        while True:
            await trio.sleep(LOOK_SECONDS)
            self.sessions.end_the_silent()
            self._moved.tell()

    async def _save_regularly(self) -> None:
        while True:
            await trio.sleep(self._settings.checkpoint_interval)
            async with self.cells.lock:
                self._checkpoint += 1
                self._meter.checkpoint_begins(self._checkpoint)
                checkpoint = Checkpoint(
                    self._checkpoint,
                    self.version,
                    dict(self.sessions.batches),
                    self.cells.weights(),
                    self.cells.moments(),
                )
                self._monitor.checkpointed(checkpoint)
                await self._checkpoints.save(checkpoint)
                self._meter.checkpoint_is_saved(checkpoint.number)
