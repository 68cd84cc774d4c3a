"""The end of a run: its outcome, its digest, and the last entry of its recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import outcome

from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.execution.scope import RunScope
from detrun_recorder.canonical import canonical
from detrun_recorder.contents import End
from detrun_recorder.recording import Recording
from detrun_scheduler.endings import exception_leaves
from detrun_scheduler.errors import DetrunError, text_of
from detrun_scheduler.journal import Journal
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.run import DrawWatcher

if TYPE_CHECKING:
    from detrun_recorder.resync_replay import ResyncReport
    from detrun_recorder.what_if import WhatIfReport


@dataclass(slots=True)
class Finished:
    """A run that has ended, with its recording closed or compared."""

    outcome: outcome.Outcome[Any]
    recording: Recording
    digest: str
    steps: int
    virtual_time: float
    resync: ResyncReport | None = None
    what_if: WhatIfReport | None = None
    draws: DrawWatcher | None = None  # what stood between the run and its draws
    costs: Sequence[Any] = ()  # declared parts of the loss


class Execution(Protocol):
    """What decides a run, and where its journal goes: a `NewRun` or a `ReplayedRun`."""

    def execute(self, main: Main, args: Sequence[object], options: Options, scope: RunScope | None = None) -> Finished:
        """Run ``main(*args)``."""


def final_digest(journal: Journal, ended: outcome.Outcome[Any]) -> bytes:
    """The digest of a whole run: its journal's, and its result or the class and arguments of its exception."""
    hasher = blake2b(journal.hasher.digest(), digest_size=16)
    if isinstance(ended, outcome.Error):
        error = ended.error
        # Messages of our own errors name files and lines, which do not belong to the run.
        hasher.update(canonical(type(error).__qualname__ if isinstance(error, DetrunError) else error))
    else:
        assert isinstance(ended, outcome.Value)
        hasher.update(canonical(ended.value))
    return hasher.digest()


def end_of(loop: RunLoop, digest: bytes, ended: outcome.Outcome[Any]) -> End:
    """What a recording says last."""
    leaves = exception_leaves(ended.error) if isinstance(ended, outcome.Error) else []
    others = f" (and {len(leaves) - 1} more)" if len(leaves) > 1 else ""
    return End(
        steps=loop.steps_at_end,
        virtual_time=loop.time_at_end,
        digest=digest,
        outcome="error" if leaves else "ok",
        error_type=type(leaves[0]).__qualname__ if leaves else None,
        error_text=text_of(leaves[0]) + others if leaves else None,
        counts={"tasks": loop.host.queue.spawned, "objects": len(loop.object_labels)},
    )


def raised_interrupt(ended: outcome.Outcome[Any]) -> TypeGuard[outcome.Error]:
    """Whether a `KeyboardInterrupt` ended the run, on its own or in the groups that nurseries make of it."""
    leaves = exception_leaves(ended.error) if isinstance(ended, outcome.Error) else []
    return any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves)
