"""A campaign: schedules by the thousand in epochs, each of which knows what the ones before have learnt.

Epochs grow from 16 schedules to 512, so that a strategy learns soon and workers are kept busy later. Within one, what
a strategy knows does not change, so the epoch can be cut into pieces that run anywhere (`executors.py`) and the result
is the same for any number of workers; a test holds it to that. Searches go on from where they were and run here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import nullcontext
from typing import Any

from detrun.execution.interruption import Interruption
from detrun.explore.campaign.executors import Workers, exploring
from detrun.explore.campaign.mixture import Mixed, Mixture
from detrun.explore.campaign.pieces import Report, run_piece
from detrun.explore.campaign.program import Program, prepared
from detrun.explore.campaign.resumption import SavedCampaign
from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import UsageError
from detrun_scheduler.strategies.campaigns import Learning, Search

FIRST_EPOCH, LARGEST_EPOCH = 16, 512
REPORT_SECONDS = 0.1

Progress = Callable[[Report], None]


class Campaign:
    """Runs the schedules of one exploration.

    Args:
        schedules: how many at most.
        time_limit: real seconds after which no new schedule begins; None for no limit. With it, how many schedules
            are run depends on the machine; what each of them does still does not.
        progress: called from time to time with what is known so far.
        saved: where the campaign goes on from and is written to after each epoch.
    """

    def __init__(
        self,
        program: Program,
        oracle: Oracle,
        *,
        seed: int,
        schedules: int,
        time_limit: float | None = None,
        executor: Executor | None = None,
        workers: int = 1,
        progress: Progress | None = None,
        saved: SavedCampaign | None = None,
    ) -> None:
        for name, count in (("schedules", schedules), ("workers", workers)):
            if not isinstance(count, int) or count < 1:
                raise UsageError(f"explore: {name}={count!r} is not valid; give an integer of at least 1")
        if not isinstance(seed, int):
            raise UsageError(f"explore: seed={seed!r} is not valid; give an integer")
        if time_limit is not None and not (isinstance(time_limit, int | float) and time_limit > 0):
            raise UsageError(
                f"explore: time_limit={time_limit!r} is not valid; give a positive number of seconds, or None "
                "for no limit"
            )
        self.program = program
        self.oracle = oracle
        self.seed = seed
        self.schedules = schedules
        self.deadline = None if time_limit is None else time.monotonic() + time_limit
        self.executor = executor
        self.workers = workers
        self.progress = progress
        self.interruption = Interruption()
        self.knowledge: Any = None  # what the strategy has learnt from `done`, and from nothing later
        self.done = Report(0)  # what earlier epochs showed
        self.saved = saved
        self.size = FIRST_EPOCH  # of the next epoch; between FIRST_EPOCH and LARGEST_EPOCH
        self.reported = 0.0  # when progress was last told, on the monotonic clock
        self.stop_reason = ""  # empty unless `done` has stopped
        self.remarks: list[str] = []  # what did not work and did not matter to the schedules

    @property
    def runs_here(self) -> bool:
        """Whether schedules run in this process: one after the other, as a search and a foreign oracle need it."""
        return (self.executor is None and self.workers == 1) or not isinstance(self.oracle, Learning)

    def run(self) -> Report:
        """Run until a failure, the end of a search, or a limit."""
        with self.interruption, nullcontext(True) if self.saved is None else self.saved.held() as is_ours:
            self._resume(is_ours)
            if self.runs_here:
                with prepared(self.program, self.oracle) as self.program:
                    self._epochs(None)
            else:
                with exploring(self.program, self.oracle, self.executor, self.workers) as workers:
                    self._epochs(workers)
        return self.done

    def _resume(self, is_ours: bool) -> None:
        """Go on from what is saved. What another process is adding to is read, too, but not written."""
        if self.saved is not None and (before := self.saved.load()) is not None:
            self.done, self.knowledge = before
            self._check_knowledge()
            while self.size < LARGEST_EPOCH and 2 * self.size - FIRST_EPOCH <= self.done.schedules:
                self.size *= 2
        if not is_ours:
            self.saved = None
            self.remarks.append(
                "another process is going on with this campaign: this one began from what was saved, and saves nothing"
            )

    def _check_knowledge(self) -> None:
        """Raise `UsageError` unless the strategy can go on from what was saved."""
        assert self.saved is not None
        if isinstance(self.oracle, Learning):
            try:
                self.oracle.tell(self.knowledge)
                self.oracle.merged(self.knowledge, self.oracle.learnt())
            except Exception as error:
                raise UsageError(
                    f"{self.saved.path} does not hold what the strategy has learnt ({type(error).__name__}: {error}); "
                    "delete it to start anew"
                ) from error

    def _epochs(self, workers: Workers | None) -> None:
        done = self.done
        going_on = self.program.policy.keep_going
        while done.schedules < self.schedules and not (done.exhausted or done.stopped):
            if done.found and not going_on:
                break
            first = done.schedules
            whole = first + self.size <= self.schedules
            for report in self._epoch(workers, first, min(self.size, self.schedules - first)):
                if isinstance(self.oracle, Learning):
                    self.knowledge = self.oracle.merged(self.knowledge, report.knowledge)
                done.include(report)
                if workers is not None and self._watch(Report(done.schedules)):
                    done.stopped = True
                    break
            self.size = min(2 * self.size, LARGEST_EPOCH)
            # A part of an epoch is not saved: the schedules after it would know more than they may.
            if self.saved is not None and whole and not done.stopped and (going_on or not done.found):
                self._save()

    def _save(self) -> None:
        assert self.saved is not None
        try:
            self.saved.save(self.done, self.knowledge)
        except UsageError as error:
            # What was found so far is worth more than what could be resumed.
            self.remarks.append(str(error))
            self.saved = None

    def _epoch(self, workers: Workers | None, first: int, count: int) -> Iterator[Report]:
        if first == 0 and isinstance(self.oracle, Mixture):
            return self._scouting(workers, self.oracle, count)
        return self._pieces(workers, self.knowledge, first, count)

    def _scouting(self, workers: Workers | None, mixture: Mixture, count: int) -> Iterator[Report]:
        """The first epoch of a mixture: what its first three schedules show of the threads, the others may know."""
        known, first = Mixed(), 0
        for size in (1, 1, 1, count):
            for report in self._pieces(workers, known, first, min(size, count - first)):
                yield report
                if report.stopped or (report.found is not None and not self.program.policy.keep_going):
                    return
                known = mixture.scouted(known, report.knowledge)
            first += size
            if first >= count:
                return

    def _pieces(self, workers: Workers | None, knowledge: Any, first: int, count: int) -> Iterator[Report]:
        if workers is not None:
            return workers.run(knowledge, self.seed, first, count)
        return iter([run_piece(self.program, self.oracle, knowledge, self.seed, first, count, self._watch)])

    def _watch(self, piece: Report) -> bool:
        """Whether to stop; tells about progress."""
        if self.interruption.requested:
            self.stop_reason = "interrupted"
            return True
        if self.deadline is None and self.progress is None:
            return False
        now = time.monotonic()
        if self.deadline is not None and now >= self.deadline:
            self.stop_reason = "the time limit was reached"
            return True
        if self.progress is not None and now - self.reported >= REPORT_SECONDS:
            self.reported = now
            self.progress(self._so_far(piece))
        return False

    def _so_far(self, piece: Report) -> Report:
        total = Report(0)
        total.include(self.done)
        total.include(piece)
        return total


def is_search(oracle: Oracle) -> bool:
    """Whether ``oracle`` enumerates schedules instead of sampling them."""
    return isinstance(oracle, Search)
