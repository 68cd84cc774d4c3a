"""`RaceWatch`: race detection as a scope of runs, and replays that look for races where the recorded run did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

import outcome

from detrun.execution.options import header_extra
from detrun.execution.replayed_run import ReplayedRun
from detrun.execution.scope import RunScope
from detrun.execution.what_if_run import WhatIfRun
from detrun.races.detector import DataRaceError, Race
from detrun.races.happens_before import HappensBefore
from detrun_recorder.recording import Recording
from detrun_scheduler.choices import Oracle
from detrun_scheduler.footprints.accesses import AccessObserver
from detrun_scheduler.run import ActiveRun, RunHooks


class CurrentObserver:
    """The observer of a `Preemption` that serves many runs: passes accesses on to the watch of the present one.

    Args:
        always: another observer, which is told first, whether or not there is a watch.
    """

    def __init__(self, always: Any = None) -> None:
        self.always = always
        self.observer: AccessObserver | None = None

    def about_to_run(self, frame: FrameType, offset: int) -> None:
        """See `AccessObserver`."""
        if self.always is not None:
            self.always.about_to_run(frame, offset)
        if self.observer is not None:
            self.observer.about_to_run(frame, offset)


class RaceWatch(RunScope):
    """Race detection for runs, one after the other.

    Attributes:
        fails: a run with a race that would have ended well ends with a `DataRaceError`.
        found: the races of the last run.
    """

    def __init__(self, fails: bool = True) -> None:
        self.fails = fails
        self.found: list[Race] = []
        self._watching: HappensBefore | None = None
        self._passing_on: CurrentObserver | None = None

    @property
    def recorded_as(self) -> Mapping[str, Any]:
        """So that a replay looks for races, too, if they are failures."""
        return {"races": True} if self.fails else {}

    def contribute(self, hooks: RunHooks) -> None:
        """Watch what the run does to its objects."""
        self._watching = HappensBefore()
        hooks.watchers.append(self._watching)

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """Watch what it does to trio's, and under preemption at opcodes to attributes and elements."""
        assert self._watching is not None
        preemption = run.preemption
        if preemption is not None and preemption.by_opcode and preemption.observer is None:
            preemption.observer = CurrentObserver()
        observer = None if preemption is None else preemption.observer
        if isinstance(observer, CurrentObserver):
            observer.observer = AccessObserver(self._watching)
            self._passing_on = observer
        self.found = self._watching.begin(run).races
        return args

    def end(self, ended: outcome.Outcome[Any]) -> outcome.Outcome[Any]:
        """A race fails the run, or is a note of its failure."""
        self.close()
        if self.found and self.fails:
            if not isinstance(ended, outcome.Error):
                return outcome.Error(DataRaceError(self.found))
            ended.error.add_note("\n".join(map(str, self.found)))
        return ended

    def close(self) -> None:
        """Watch no longer."""
        if self._watching is not None:
            self._watching.end()
        if self._passing_on is not None:
            self._passing_on.observer = None
        self._watching = self._passing_on = None


def replayed_run(recording: Recording, resync: bool = False, strategy: str | Oracle | None = None) -> ReplayedRun:
    """The replay of a recording, which looks for races if the recorded run failed by them."""
    return ReplayedRun(recording, resync, strategy, _watch_of(recording))


def what_if_run(recording: Recording, strategy: str | Oracle | None = None) -> WhatIfRun:
    """The what-if replay of a recording, which looks for races in the same case."""
    return WhatIfRun(recording, strategy, _watch_of(recording))


def _watch_of(recording: Recording) -> RaceWatch | None:
    return RaceWatch() if header_extra(recording).get("races") is True else None
