"""``--detrun-replay``: one schedule of one test, from a recording or from a token.

A recording is replayed exactly. If the test has been changed so that this is impossible, the order of its steps is
followed as far as the test still resembles what was recorded, and the report says so: after a repair one wants to know
whether that schedule passes now. A token has nothing to compare with; its choices are made as far as they exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import detrun
from detrun.explore.explorer import AUTO, DEFAULT_MAX_STEPS
from detrun.testing.marked_test import AnyTest, TestEnded
from detrun.testing.settings import accepted_by
from detrun_recorder.recording import Recording, open_recording
from detrun_recorder.token import PREFIX, ScheduleToken, from_token
from detrun_scheduler.errors import DivergenceError, UsageError
from detrun_scheduler.strategies.given import GivenSchedule

# What the mark or the command line may say today, but the recording knows.
RECORDED = ("exclude", "include", "max_steps", "preemption", "strategy", "thread_errors")


@dataclass(frozen=True, slots=True)
class ReplayedFailure:
    """A schedule to run again.

    Attributes:
        name: what the user called it.
        source: what it is.
    """

    name: str
    source: Recording | ScheduleToken

    @property
    def target(self) -> str | None:
        """The test that it is of, as far as the source says."""
        return self.source.target

    def run(self, test: AnyTest, settings: Mapping[str, Any]) -> tuple[BaseException | None, str]:
        """Run ``test`` under the schedule: what it raised, and what to say about it."""
        if isinstance(self.source, ScheduleToken):
            run, manner = self._by_token(test, self.source, settings)
        else:
            run, manner = self._by_recording(test, self.source, settings)
        error = run.exception
        if isinstance(error, TestEnded | UsageError):
            raise error
        return error, f"{manner}: {'it passes' if error is None else 'it fails'}"

    def _by_token(self, test: AnyTest, token: ScheduleToken, settings: Mapping[str, Any]) -> tuple[detrun.Run, str]:
        given = {"max_steps": DEFAULT_MAX_STEPS, "thread_errors": True, **accepted_by(detrun.record, settings)}
        given.update(seed=token.seed, strategy=GivenSchedule(token.choices))
        if token.preemption is not None or given.get("preemption") == AUTO:
            given.update(preemption=token.preemption, include=token.include, exclude=token.exclude)
            given["max_steps"] = None if given["max_steps"] is None else max(given["max_steps"], token.steps + 1)
        return detrun.record(test, raise_errors=False, **given), "ran the schedule of the token"

    def _by_recording(self, test: AnyTest, recording: Recording, settings: Mapping[str, Any]) -> tuple[detrun.Run, str]:
        given = accepted_by(detrun.replay, settings)
        for name in RECORDED:
            given.pop(name, None)
        try:
            return detrun.replay(
                test, recording=recording, raise_errors=False, **given
            ), f"replayed {self.name} exactly"
        except DivergenceError as error:
            divergence = str(error).splitlines()[0]
        run = detrun.replay(test, recording=recording, mode="resync", raise_errors=False, **given)
        report = run.resync
        assert report is not None
        if not report.unmatched and report.steps == recording.steps:
            # What it raised reads otherwise: introspection of an assert shows addresses, for one.
            return run, f"replayed {self.name}, every step as recorded"
        return run, (
            f"{self.name} cannot be replayed exactly ({divergence}); "
            f"followed it for {report.matched:,} of {report.steps:,} steps"
        )


def replayed_failure(given: str, directory: Path) -> ReplayedFailure:
    """What the option's value means, a path relative to ``directory`` or a token.

    Raises:
        RecordingFormatError: it is neither.
        UsageError: there is no such file.
    """
    if given.lstrip().lower().startswith(PREFIX):
        return ReplayedFailure("the token", from_token(given))
    return ReplayedFailure(given, open_recording(directory / given))
