"""`WhatIfRun`: a recorded program with other parameters or forced draws, on the recorded choices while they fit.

The run is recorded anew, with the seed and the surroundings of the recording that it follows, so that what came out can
be replayed, looked at and differentiated like any other run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import outcome

from detrun.execution.finished import Finished
from detrun.execution.new_run import recorded, shown_argument
from detrun.execution.options import Options
from detrun.execution.program import Main, check_main, source_fingerprint, target_of
from detrun.execution.replayed_run import recorded_strategy
from detrun.execution.scope import RunScope
from detrun_recorder.header import describe_run
from detrun_recorder.recording import Recording
from detrun_recorder.what_if import WhatIfReplay
from detrun_scheduler.choices import Oracle
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.run import RunHooks
from detrun_scheduler.strategies import make, name_of

# Strategies whose choices after a difference are those that they would have made there in a run of their own, and
# which leave the order of what the difference does not reach alone.
TAKING_OVER = ("fifo", "weighted")


@dataclass(slots=True)
class WhatIfRun:
    """A recorded program once more, otherwise.

    Attributes:
        strategy: chooses after the first difference. None: the recording's own if it is one of `TAKING_OVER`, and the
            tasks' recorded clocks otherwise.
        watch: of the run, unless the options bring one.
        to: where the new recording goes; None: to memory.
    """

    recording: Recording
    strategy: str | Oracle | None = None
    watch: RunScope | None = None
    to: str | os.PathLike[str] | None = None

    def execute(self, main: Main, args: Sequence[object], options: Options, scope: RunScope | None = None) -> Finished:
        """Run, compare and record."""
        check_main(main)
        recording = self.recording
        options = options.with_recorded(recording, main)
        if options.watch is None:
            options = replace(options, watch=self.watch)
        if options.fault_lengths is None and recording.fault_lengths:
            options = replace(options, fault_lengths=recording.fault_lengths)
        own = recorded_strategy(recording)
        chosen = self.strategy if self.strategy is not None else own
        replayer = WhatIfReplay(recording, make(chosen), self.strategy is not None or own in TAKING_OVER)
        # Where the clocks take over it is not the recording's own: a replay of this run would consult that, and a
        # search refuses choices that it has not made.
        header = self._header(main, args, options, name_of(chosen) if replayer.takes_over else "random")

        def compared(loop: RunLoop, ended: outcome.Outcome[Any]) -> None:
            replayer.ended(loop, ended)

        hooks = RunHooks(replayed_effect=replayer.recorded_effect, task_failed=replayer.failure_seen)
        finished = recorded(
            main,
            args,
            options,
            scope,
            oracle=replayer,
            header=header,
            seed=recording.seed or 0,
            to=self.to,
            verifier=replayer,
            hooks=hooks,
            compared=compared,
        )
        finished.what_if = replayer.report
        return finished

    def _header(self, main: Main, args: Sequence[object], options: Options, strategy: str) -> dict[str, Any]:
        recording = self.recording
        parameters = _parameters(recording, args)
        return describe_run(
            target=recording.target or target_of(main),
            seed=recording.seed or 0,
            strategy=strategy,
            arguments=[] if parameters else [shown_argument(argument) for argument in args],
            parameters=parameters,
            source_fingerprint=source_fingerprint(main),
            extra={**options.header(), "what_if_of": recording.digest.hex()},
        )


def _parameters(recording: Recording, args: Sequence[object]) -> Mapping[str, Any]:
    """The parameters that the new recording names, where the old one names some."""
    given = args[0] if len(args) == 1 else None
    if not recording.header.get("parameters") or not isinstance(given, Mapping):
        return {}
    return {str(name): float(value) for name, value in given.items() if isinstance(value, int | float)}
