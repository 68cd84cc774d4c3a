"""The result of an exploration: a verdict, how far it reaches, and the failure, if there is one.

``holds``
    Every schedule within the stated bound was run and none failed.
``passed``
    So many schedules were sampled and none failed; nothing follows for the others.
``failed``
    A schedule failed. It is recorded, and its replay fails in the same way.
``inconclusive``
    None of these: nothing was run, it was stopped, or a failure could not be repeated. The reason says which.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from detrun.checkers.assertions import Tally
from detrun.checkers.inconclusive import InconclusiveError
from detrun.explore.campaign.coverage import Coverage
from detrun.explore.campaign.interruptibility import Interruptibility
from detrun.explore.failures.failure import Failure
from detrun.explore.tables import ScheduleTable
from detrun_scheduler.errors import UsageError

HOLDS, PASSED, FAILED, INCONCLUSIVE = "holds", "passed", "failed", "inconclusive"


@dataclass(slots=True)
class Statistics:
    """What an exploration took."""

    steps: int = 0
    choices_most: int = 0  # in one schedule, in bytes of the schedule
    redundant: int = 0  # schedules run in vain, equivalent to earlier ones
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # of this process, without shrinking and explaining

    def __str__(self) -> str:
        return f"{self.steps:,} steps in {self.seconds:.2f} s"


@dataclass(slots=True)
class Exploration:
    """The result of `detrun.explore`.

    Attributes:
        verdict: ``"holds"``, ``"passed"``, ``"failed"`` or ``"inconclusive"``.
        reason: the verdict in a sentence, with its bound, its number of samples, or why there is none.
        schedules: how many were run; of a failed exploration, up to and including the first that failed.
        strategy: who chose.
        seed: of the campaign.
        failure: the failing schedule, if the verdict is ``"failed"``.
        failures: one of each kind, in the order in which the campaign met them; ``failure`` is the first.
        ignored: how many schedules failed in the ways that were to be ignored, by signature.
        coverage: behaviours seen, and the chance that more schedules show more.
        interrupted_at: where threads could be interrupted, and in how many of the schedules.
        statistics: steps and times.
        table: every schedule with its value and gradient, if ``gradient_of`` was given.
        assertions: what became of each `always`, `sometimes`, `reachable` and `unreachable` of the program.
        remarks: what did not work around it, in sentences: a campaign that could not be saved, for one.
    """

    verdict: str
    reason: str
    schedules: int
    strategy: str
    seed: int
    failure: Failure | None = None
    failures: list[Failure] = field(default_factory=list)
    ignored: dict[str, int] = field(default_factory=dict)
    coverage: Coverage = field(default_factory=Coverage)
    interrupted_at: Interruptibility = field(default_factory=Interruptibility)
    statistics: Statistics = field(default_factory=Statistics)
    table: ScheduleTable | None = None
    interrupted: bool = False
    assertions: Tally = field(default_factory=Tally)
    remarks: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether a schedule failed."""
        return self.verdict == FAILED

    def raise_on_failure(self) -> Exploration:
        """Raise what the failing schedule raised, with the explanation as notes; otherwise return the exploration.

        Raises:
            InconclusiveError: there is no conclusion.
        """
        if self.failure is not None:
            error = self.failure.exception
            noted = getattr(error, "__notes__", ())
            for note in self.notes():
                if note not in noted:
                    error.add_note(note)
            raise error
        if self.verdict == INCONCLUSIVE:
            raise InconclusiveError(self.reason)
        return self

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write why it failed as one HTML file that needs no network; where it is.

        The failing program is run once more for it.

        Raises:
            UsageError: no schedule failed.
            OSError: the file cannot be written.
        """
        from detrun.pages.page import write_page
        from detrun.reports.report import run_page, told_of_failure

        if self.failure is None:
            raise UsageError(f"the exploration {self.verdict}: there is no failure to report; Run.report shows a run")
        return write_page(path, run_page(self.failure.recording, told_of_failure(self.failure)))

    def notes(self) -> list[str]:
        """What a report of the failure should end with."""
        failure = self.failure
        if failure is None:
            return []
        notes = [self.reason]
        if failure.shrunk is not None:
            notes.append(str(failure.shrunk))
        if failure.explanation is not None:
            notes.append(str(failure.explanation))
        if failure.in_stock_order:
            notes.append(failure.in_stock_order)
        notes.append(f"run it again: {failure.command}")
        if (failure.path is None or failure.remarks) and failure.token is not None:
            notes.append(f"token: {failure.token}")
        notes += [f"note: {remark}" for remark in failure.remarks]
        if len(self.failures) > 1:
            kinds = [f"  {line}" for one in self.failures for line in one.kind_text().splitlines()]
            notes.append("\n".join(["kinds of failure:", *kinds]))
        return notes

    def watched(self) -> list[str]:
        """Where threads could be interrupted, and a warning if that was nowhere that is watched."""
        return [line for line in (str(self.interrupted_at), self.interrupted_at.unmet) if line]

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {self.reason}", f"  coverage: {self.coverage}", f"  {self.statistics}"]
        lines += [f"  {line}" for line in self.watched()]
        if self.failure is None:  # a campaign that ended early could not show everything
            lines += [f"  {one}" for one in self.assertions.unmet]
        if self.failure is not None:
            lines += [f"  {line}" for note in self.notes()[1:] for line in note.splitlines()]
        lines += [f"  note: {remark}" for remark in self.remarks]
        if self.table is not None:
            lines.append(str(self.table))
        return "\n".join(lines)
