"""`ReplayedRun`: a recorded run once more, compared with its recording or resynchronized with an edited program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import outcome

from detrun.execution.execute import execute
from detrun.execution.finished import Finished, final_digest, raised_interrupt
from detrun.execution.known_differences import known_differences
from detrun.execution.options import Options
from detrun.execution.program import Main, check_main, source_fingerprint
from detrun.execution.scope import RunLeftError, RunScope
from detrun_recorder.recording import Recording
from detrun_recorder.resync_replay import ResyncReplay
from detrun_recorder.strict_replay import StrictReplay
from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import DivergenceError, UsageError
from detrun_scheduler.journal import Journal
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.run import RunHooks
from detrun_scheduler.strategies import make


@dataclass(slots=True)
class ReplayedRun:
    """A recorded run once more: strictly, or resynchronizing with an edited program."""

    recording: Recording
    resync: bool = False
    strategy: str | Oracle | None = None  # where the recording is silent; its own by default
    watch: RunScope | None = None  # of the run, unless the options bring one

    def execute(self, main: Main, args: Sequence[object], options: Options, scope: RunScope | None = None) -> Finished:
        """Run and compare."""
        check_main(main)
        recording = self.recording
        options = options.with_recorded(recording, main)
        if options.watch is None:
            options = replace(options, watch=self.watch)
        fallback = make(self.strategy if self.strategy is not None else recorded_strategy(recording))
        replayer: StrictReplay | ResyncReplay
        if self.resync:
            replayer = ResyncReplay(recording, fallback)
            journal = Journal(None)
        else:
            changed = recording.header.get("source") not in (None, source_fingerprint(main))
            # The arguments are those of the scope, if there is one, which are not known before the run.
            differences = known_differences(
                recording, main, args if scope is None else None, observed=options.observe is not None
            )
            replayer = StrictReplay(recording, fallback, changed, differences)
            journal = Journal(replayer.chunk_closed)
        digest = b""

        def compared(loop: RunLoop, ended: outcome.Outcome[Any]) -> None:
            nonlocal digest
            if loop.interrupted:
                # Ctrl-C came from outside, and what the program made of it compares with nothing.
                raise ended.error if raised_interrupt(ended) else KeyboardInterrupt
            digest = final_digest(journal, ended)
            if isinstance(replayer, StrictReplay):
                if isinstance(ended, outcome.Error) and isinstance(ended.error, DivergenceError | RunLeftError):
                    raise ended.error  # not what the program did: never an outcome to look at later
                replayer.check_ended(loop, digest, ended)

        loop, ended = execute(
            main,
            args,
            oracle=replayer,
            seed=recording.seed or 0,
            journal=journal,
            verifier=replayer,
            options=options,
            scope=scope,
            hooks=replay_hooks(replayer),
            compared=compared,
        )
        report = replayer.report if isinstance(replayer, ResyncReplay) else None
        return Finished(
            ended,
            recording,
            digest.hex(),
            loop.steps_at_end,
            loop.time_at_end,
            report,
            draws=loop.draws,
            costs=loop.costs,
        )


def replay_hooks(replayer: StrictReplay | ResyncReplay) -> RunHooks:
    """What a replay decides in a run beside its choices: results of effects, and which planned faults are left out."""
    hooks = RunHooks(replayed_effect=replayer.recorded_effect, fault_shares=replayer.recording.fault_lengths)
    if isinstance(replayer, StrictReplay):
        hooks.task_failed = replayer.failure_seen
    return hooks


def recorded_strategy(recording: Recording) -> str:
    """The strategy that made a recording, or the random walk if it was an oracle that has no name here."""
    name = str(recording.header.get("strategy", "random"))
    try:
        make(name)
    except UsageError:
        return "random"
    return name
