"""`explore`: runs a program under many schedules, and returns a verdict and a report of the schedule that fails.

The schedules are those of a campaign (`campaign/campaign.py`). The first that fails is shrunk, explained, and recorded
(`failures/failure.py`); the recording is kept in a directory, and the next exploration of the same program tries what
is kept there first. What is reported is a function of the program, the seed, the strategy, and what is kept; the number
of workers makes no difference.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from detrun.checkers.assertion_catalogue import assertions_of
from detrun.execution.options import Options, preemption_of
from detrun.execution.program import Main, check_main, source_fingerprint, target_of
from detrun.explore.campaign import observed as observed
from detrun.explore.campaign.campaign import Campaign
from detrun.explore.campaign.failed_schedule import FailedSchedule, described
from detrun.explore.campaign.mixture import mixture_of
from detrun.explore.campaign.pieces import Report
from detrun.explore.campaign.program import Program
from detrun.explore.campaign.resumption import SavedCampaign
from detrun.explore.campaign.signatures import FailurePolicy
from detrun.explore.failures.failure import ReportOptions, report_failure
from detrun.explore.failures.kept import KeptFailures
from detrun.explore.tables import table_of
from detrun.explore.verdicts import FAILED, HOLDS, INCONCLUSIVE, PASSED, Exploration, Statistics
from detrun.gradients.parameters import check_params
from detrun.races.watch import RaceWatch
from detrun_recorder.shared_files import unwritable
from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import UsageError
from detrun_scheduler.strategies import make, name_of
from detrun_scheduler.strategies.campaigns import Learning, Search
from detrun_scheduler.strategies.portfolio import Portfolio
from detrun_scheduler.watchdog import STEP_TIMEOUT

DEFAULT_MAX_STEPS = 20_000
KINDS_EXPLAINED_MAX = 10  # of further kinds of failures the schedule is recorded as it was found
AUTO = "auto"


class FailuresNotKeptWarning(UserWarning):
    """The directory for failing schedules cannot be written: what is found is reported, and kept elsewhere."""


def explore(
    main: Main,
    *args: object,
    strategy: str | Oracle = "portfolio",
    schedules: int = 1000,
    seed: int = 0,
    preemption: str = AUTO,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    max_steps: int | None = DEFAULT_MAX_STEPS,
    keep_going: bool = False,
    ignore: Sequence[str] = (),
    time_limit: float | None = None,
    step_timeout: float | None = STEP_TIMEOUT,
    executor: Executor | None = None,
    workers: int = 1,
    shrink: bool = True,
    explain: bool = True,
    confirm: bool = True,
    races: bool = False,
    thread_errors: bool = True,
    early_timers: int | None = None,
    collections: int | None = None,
    backend: str = "auto",
    asyncio_order: str | None = None,
    gradient_of: Mapping[str, float] | None = None,
    directory: str | os.PathLike[str] | None = ".detrun",
    resume: bool = False,
    target: str | None = None,
    progress: Callable[[Report], None] | None = None,
) -> Exploration:
    """Run ``main(*args)`` under many schedules until one fails, or all of them with ``keep_going=True``.

    A schedule fails if main raises, if an exception leaves a thread, if the run deadlocks, or if it takes more than
    ``max_steps`` steps. The program has to be the same each time: what it keeps in globals must not change what it
    does.

    Args:
        main: an async function, of trio or asyncio, or an ordinary one that uses threads or runs asyncio.
        strategy: what chooses: ``"portfolio"``, ``"random"``, ``"pct"``, ``"pos"``, ``"urw"``, ``"subset"``, ``"fifo"``
            sample; ``"bounded"``, ``"dfs"`` and ``"dpor"`` enumerate and may conclude that the program holds.
            ``"pct:5"`` and ``"bounded:1"`` set the depth and the bound. Or an oracle.
        schedules: at most so many.
        seed: decides everything random; schedules of campaigns with different seeds have nothing in common.
        preemption: where threads can be interrupted: ``"sync"``, ``"line"`` and ``"opcode"`` as for `detrun.record`.
            ``"auto"`` mixes the three if the program starts threads, and watches the project, the installed packages
            and the parts of the standard library whose code the threads run; strategies that enumerate, oracles of
            your own and gradients are at ``"sync"`` then.
        include, exclude: what is watched, as for `detrun.record`; with ``"auto"``, what is watched beside the project,
            and what is not watched.
        max_steps: of one schedule; None for no limit.
        keep_going: run all schedules, whether or not some fail, and report every kind of failure that they show. By
            default the first ends the campaign: it is what is repaired first, and the rest may be its consequences.
        ignore: signatures of failures that are known, or shell patterns of them (``"ValueError at bank.py:*"``): such
            schedules are counted, and the campaign goes on.
        time_limit: real seconds after which no new schedule begins.
        step_timeout: real seconds that one step may wait, as for `detrun.record`; no more than ``time_limit``. Where
            one takes longer the exploration ends without a conclusion, and says which call waits.
        executor: any ``concurrent.futures.Executor`` of processes; ``main`` and ``args`` are pickled.
        workers: so many forked processes of this machine, unless there is an executor. Searches run in this process.
        shrink, explain: what to do with a failure.
        confirm: replay the recording of a failure in a fresh process before it is kept and recommended; takes as long
            as importing the program and running it once or a few times. Programs that another process cannot find or
            be given their arguments are not tried, and the failure says so.
        races: a schedule also fails if it shows a data race (`DataRaceError`): on `Shared` and `Buffer`, and with
            ``preemption="opcode"`` on attributes and elements, too. Takes several times as long.
        thread_errors: a schedule also fails if an exception leaves a thread uncaught. False: it goes to
            ``threading.excepthook``, as in life.
        early_timers: so many times in each schedule the next timer fires although tasks can run, as if a step had taken
            so long. None: the portfolio does so in a share of its schedules if the program sets timers, with timers at
            most a second away; other strategies do not.
        collections: so many times in each schedule the garbage collector runs, and with it finalizers and callbacks of
            weak references. None: as above, if the program has such.
        gradient_of: differentiate: ``main`` is called with one dict of these parameters, as for `detrun.gradient`, and
            the result has a table of every schedule with its value and gradient.
        directory: where failing schedules are kept, to be tried first next time; None for nowhere. One that cannot be
            written is warned of at the start (`FailuresNotKeptWarning`) and costs no finding: the failure is reported,
            and its recording kept in the system's directory for temporary files.
        resume: go on from where a campaign of this program with these arguments was when it last stopped.
        backend, asyncio_order: as for `detrun.record`.
        target: how recordings name the program, ``path.py:function``; found out from ``main`` by default.
        progress: called from time to time, between schedules, with a report of what is known so far.

    Raises:
        UsageError: an argument makes no sense, or as for `detrun.record`.
        HiddenStateError, NondeterminismError: the program cannot be explored.
    """
    check_main(main)
    numbers = None if gradient_of is None else check_params(gradient_of)
    if gradient_of is not None and numbers is not None:
        if len(numbers) < len(gradient_of):
            raise UsageError("explore: gradient_of takes numbers only; differentiate tensors with detrun.gradient")
        if args:
            raise UsageError(
                "explore: with gradient_of the program is called with the parameters alone; bind other "
                "arguments with functools.partial"
            )
        args = (dict(numbers),)
    mixture = None
    if preemption == AUTO and gradient_of is None:
        mixture = mixture_of(main, strategy, include, exclude, max_steps)
    options = Options(
        max_steps=max_steps,
        step_timeout=_shorter(step_timeout, time_limit),
        preemption="sync" if preemption == AUTO else preemption,
        include=() if mixture is not None else tuple(include),
        exclude=() if mixture is not None else tuple(exclude),
        watch=RaceWatch() if races else None,
        thread_errors=thread_errors,
        early_timers=early_timers,
        collections=collections,
        backend=backend,
        asyncio_order=asyncio_order,
    ).resolved(main)
    preemption_of(main, options)  # refuses what makes no sense before anything is run
    if isinstance(ignore, str):
        raise UsageError(f"explore: ignore={ignore!r} is a string; give a list of signatures: ignore=[{ignore!r}]")
    policy = FailurePolicy(keep_going, tuple(ignore))
    oracle = mixture if mixture is not None else make(strategy)
    portfolio = oracle if mixture is None else mixture.oracles[0]
    if isinstance(portfolio, Portfolio):
        portfolio.fixed = (early_timers, collections)
        options = replace(options, early_timers=None, collections=None)
    program = Program(main, args, options, numbers, policy)
    name = target if target is not None else target_of(main)
    folder = None if directory is None else Path(directory)
    saved = None
    if resume:
        if folder is None or not isinstance(oracle, Learning) or numbers is not None:
            raise UsageError(
                "explore: resume needs a directory and a strategy that samples, and keeps no gradients; give both, "
                "leave gradient_of out, or pass resume=False"
            )
        if reason := unwritable(folder):
            raise UsageError(
                f"explore: the campaign cannot be kept in {folder}: {reason}; pass another directory, or resume=False"
            )
        acting = () if (early_timers, collections) == (None, None) else (early_timers, collections)
        own = () if options.backend != "asyncio" and asyncio_order is None else (options.backend, asyncio_order)
        where = (*acting, *own, preemption, tuple(include), tuple(exclude), races, thread_errors)
        saved = SavedCampaign(folder, name, (source_fingerprint(main), args, name_of(strategy), seed, max_steps, where))
    campaign = Campaign(
        program,
        oracle,
        seed=seed,
        schedules=schedules,
        time_limit=time_limit,
        executor=executor,
        workers=workers,
        progress=progress,
        saved=saved,
    )
    kept = None if folder is None else KeptFailures(folder)
    not_kept = "" if kept is None else kept.unwritable
    if not_kept:
        warnings.warn(f"{not_kept}; pass another directory, or None", FailuresNotKeptWarning, stacklevel=2)
    started, cpu_started = time.monotonic(), time.process_time()
    report = _tried_again(program, name, kept)
    if keep_going or report.found is None:
        before, report = report, campaign.run()
        report.kinds = {**before.kinds, **report.kinds}
    exploration = Exploration(
        INCONCLUSIVE,
        "",
        report.schedules,
        name_of(strategy),
        seed,
        coverage=report.coverage,
        interrupted_at=report.interrupted,
        statistics=Statistics(
            report.steps,
            report.choices_most,
            report.redundant,
            time.monotonic() - started,
            time.process_time() - cpu_started,
        ),
    )
    report.assertions.declare(assertions_of(main))
    exploration.assertions = report.assertions
    exploration.interrupted = campaign.interruption.requested
    exploration.remarks += campaign.remarks
    exploration.ignored = {signature: kind.count for signature, kind in report.kinds.items() if kind.is_ignored}
    if report.found is not None:
        _report_failures(exploration, program, report, ReportOptions(kept, name, shrink, explain, confirm))
    else:
        exploration.verdict, exploration.reason = _conclusion(report, oracle, campaign.stop_reason)
    if numbers is not None:
        exploration.table = table_of(program, report, numbers)
    return exploration


def _shorter(step_timeout: float | None, time_limit: float | None) -> float | None:
    if not isinstance(time_limit, int | float):
        return step_timeout
    limit = max(time_limit, 1.0)  # below, a loaded machine would end what does not wait
    return limit if step_timeout is None else min(step_timeout, limit)


def _tried_again(program: Program, name: str, kept: KeptFailures | None) -> Report:
    """What the failures that were kept earlier do today."""
    report = Report(0)
    for tried in () if kept is None else kept.try_again(program, name):
        if not program.policy.ignores(tried.signature):
            report.steps += tried.steps
            report.add_failure(tried, program.policy)
            if not program.policy.keep_going:
                break
    return report


def _report_failures(exploration: Exploration, program: Program, report: Report, options: ReportOptions) -> None:
    """Report each kind of failure; the first of them that comes again is the exploration's."""
    kinds = [kind for kind in report.kinds.values() if not kind.is_ignored]
    for number, kind in enumerate(kinds):
        if number == KINDS_EXPLAINED_MAX:
            options = replace(options, shrink=False, explain=False)
        failure = report_failure(program, kind.first, options, kind.count)
        if failure is not None:
            exploration.failures.append(failure)
        else:
            exploration.remarks.append(_not_repeated(kind.first))
    if not exploration.failures:
        exploration.verdict, exploration.reason = INCONCLUSIVE, exploration.remarks.pop(-len(kinds))
        return
    first = exploration.failure = exploration.failures[0]
    exploration.verdict = FAILED
    exploration.reason = f"{_which(first.index)} failed: {described(first.exception)}"
    if len(kinds) > 1:
        others = len(kinds) - 1
        exploration.reason += f" (and {others} other kind{'s' if others > 1 else ''} of failure)"


def _which(index: int) -> str:
    return f"schedule {index:,}" if index >= 0 else "a schedule kept from an earlier exploration"


def _not_repeated(found: FailedSchedule) -> str:
    return (
        f"{_which(found.index)} failed ({found.error}), but did not fail when it was run again: something that the run "
        "does not control decides; see detrun check"
    )


def _conclusion(report: Report, oracle: Oracle, stop_reason: str) -> tuple[str, str]:
    count = f"{report.schedules:,} schedule{'' if report.schedules == 1 else 's'}"
    ignored = sum(kind.count for kind in report.kinds.values())
    failed = f"{ignored:,} failed in ways that are ignored, none otherwise" if ignored else "none failed"
    if report.exhausted and isinstance(oracle, Search):
        redundant = f" ({report.redundant:,} more were redundant)" if report.redundant else ""
        return HOLDS, f"holds for {oracle.bound()}: {count} run, {failed}{redundant}"
    if report.stalled:
        return INCONCLUSIVE, report.stalled
    if stop_reason:
        return INCONCLUSIVE, f"{stop_reason} after {count}: {failed}" if ignored else (
            f"{stop_reason} after {count}, none of which failed"
        )
    if isinstance(oracle, Search):
        return PASSED, f"{count} run, {failed}, but the search is not complete"
    return PASSED, f"{count} sampled, {failed}"
