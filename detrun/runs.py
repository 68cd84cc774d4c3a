"""Recording and replaying a program: `record`, `replay`, and the `Run` that both return."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import outcome
import trio

from detrun.execution.finished import Finished
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun_recorder.recording import Recording, open_recording
from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import DivergenceError, UsageError, text_of
from detrun_scheduler.run import DrawWatcher
from detrun_scheduler.watchdog import STEP_TIMEOUT

if TYPE_CHECKING:
    from detrun.inspection.moments import Moment
    from detrun.primitives.costs import Cost
    from detrun.primitives.draw_log import DrawLog
    from detrun.primitives.forcing import Address
    from detrun_recorder.resync_replay import ResyncReport
    from detrun_recorder.token import ScheduleToken
    from detrun_recorder.what_if import WhatIfReport


SHOWN_MAX = 500  # characters of a result or an error
REPLAY_MODES = ("strict", "resync", "what-if")
ADDRESSES_SHOWN = 5
COSTS_SHOWN = 5  # names


@dataclass(slots=True)
class Run:
    """One finished run.

    Attributes:
        outcome: how the main task ended, an ``outcome.Value`` or ``outcome.Error``.
        recording: what was decided; of a strict or resync replay, the recording that was replayed.
        digest: hex; equal for equal runs in every process, of the same Python minor version and platform.
        steps: steps taken.
        virtual_time: seconds on the run's clock at its end.
        resync: how far a resync replay could follow its recording; None for other runs.
        what_if: of a what-if replay, the first difference from the recording that it followed; None for other runs.
        draws: the random draws of the run, if it was asked to keep them; else None.
        forces_used: addresses of the forced draws that the run made, in its order.
        forces_unmet: addresses that no draw of the run had.
        costs: what the program declared of its loss (`detrun.cost`), in order; the result is their sum and what it
            returned.
        program: what was run, with its arguments and options, so that `at` can run it again.
    """

    outcome: outcome.Outcome[Any]
    recording: Recording
    digest: str
    steps: int
    virtual_time: float
    resync: ResyncReport | None = None
    what_if: WhatIfReport | None = None
    draws: DrawLog | None = field(default=None, repr=False, compare=False)
    forces_used: tuple[Address, ...] = ()
    forces_unmet: tuple[Address, ...] = ()
    costs: tuple[Cost, ...] = field(default=(), repr=False)
    program: tuple[Main, Sequence[object], Options] | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        """The run in a few lines, one fact in each."""
        error = self.exception
        if error is None:
            first, ended = "a run that returned", repr(self.result)
        else:
            first, ended = "a run that failed", f"{type(error).__name__}: {text_of(error)}".removesuffix(": ")
        facts = {
            "error" if error is not None else "result": ended if len(ended) <= SHOWN_MAX else ended[:SHOWN_MAX] + " …",
            "steps": f"{self.steps:,}",
            "time": f"{self.virtual_time:.9g} s, virtual",
            "seed": f"{self.recording.seed}, strategy {self.recording.strategy or 'random'}",
            "digest": self.digest,
        }
        if self.costs:
            facts["costs"] = _summed(self.costs)
        if self.forces_used or self.forces_unmet:
            unmet = f"; never drawn: {_listed(self.forces_unmet)}" if self.forces_unmet else ""
            facts["forced"] = f"{_listed(self.forces_used) or 'no draw'}{unmet}"
        if self.resync is not None:
            facts["resync"] = f"{self.resync.matched:,} of {self.resync.steps:,} steps as recorded"
        if self.what_if is not None:
            facts["what if"] = str(self.what_if)
        return "\n".join([first, *(f"  {name:<7} {value}" for name, value in facts.items())])

    @property
    def result(self) -> Any:
        """What the program returned; raises what it raised."""
        if isinstance(self.outcome, outcome.Error):
            raise self.outcome.error
        assert isinstance(self.outcome, outcome.Value)
        return self.outcome.value

    @property
    def exception(self) -> BaseException | None:
        """What the program raised, or None."""
        return self.outcome.error if isinstance(self.outcome, outcome.Error) else None

    def at(self, *, step: int | None = None, virtual_time: float | None = None) -> AbstractContextManager[Moment]:
        """The run as it was after ``step`` steps, or at ``virtual_time``: ``with run.at(step=100) as moment:``.

        The program is replayed up to there, with the arguments that it was given, and held while the block runs;
        `detrun.inspection.time_travel` says exactly where that is, and `detrun.inspection.moments` what a `Moment`
        shows.

        Raises:
            UsageError: neither or both of step and time, or one that the run does not have.
            DivergenceError: the program does not do again what it did; also if its arguments have changed meanwhile.
        """
        from detrun.inspection.time_travel import at

        if self.program is None or self.resync is not None:
            raise UsageError("at: only a run that was recorded or strictly replayed can be gone back into")
        main, args, options = self.program
        return at(main, args, self.recording, step=step, virtual_time=virtual_time, options=options)


def _summed(costs: Sequence[Cost]) -> str:
    """The costs of a run, by name."""
    named: dict[str, list[float]] = {}
    for cost in costs:
        named.setdefault(cost.name, []).append(float(cost.value))
    shown = [f"{name} {sum(values):.9g} in {len(values):,}" for name, values in list(named.items())[:COSTS_SHOWN]]
    more = len(named) - COSTS_SHOWN
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def _listed(addresses: Sequence[Address]) -> str:
    shown = ", ".join(f"{stream} [{index}]" for stream, index in addresses[:ADDRESSES_SHOWN])
    more = len(addresses) - ADDRESSES_SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown


def record(
    main: Main,
    *args: object,
    seed: int = 0,
    strategy: str | Oracle = "random",
    to: str | os.PathLike[str] | None = None,
    max_steps: int | None = None,
    step_timeout: float | None = STEP_TIMEOUT,
    observe: Callable[[], object] | None = None,
    instruments: Sequence[trio.abc.Instrument] = (),
    strict_exception_groups: bool = True,
    restrict_keyboard_interrupt_to_checkpoints: bool = False,
    preemption: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    thread_errors: bool = False,
    early_timers: int = 0,
    collections: int = 0,
    force: Mapping[Address, Any] | None = None,
    draws: bool = False,
    backend: str = "auto",
    asyncio_order: str | None = None,
    raise_errors: bool = True,
    target: str | None = None,
    params: Mapping[str, float] | None = None,
) -> Run:
    """Run ``main(*args)`` under a strategy and keep what it decided.

    Args:
        main: an async function, as for ``trio.run``, or an ordinary one, which runs as a simulated thread.
        seed: decides the schedule and all randomness of the run.
        strategy: ``"random"``, ``"fifo"``, ``"pct"``, or an oracle.
        to: write the recording to this path while running; None keeps it in memory.
        max_steps: raise `StepLimitError` after so many steps.
        step_timeout: raise `StalledError` when one step has waited for so many real seconds, or has computed for ten
            times as many. None: never.
        observe: called after every step; what it returns counts for the digest whenever it changes.
        instruments, strict_exception_groups, restrict_keyboard_interrupt_to_checkpoints: as for ``trio.run``.
        preemption: where simulated threads can be interrupted: at operations on locks, queues and detrun's own objects
            (``"sync"``, the default), and at every ``"line"`` or ``"opcode"`` of the code under test.
        include, exclude: which code that is: names of modules and packages, or patterns of paths; by default the
            project of ``main``, without what is installed in its folder.
        thread_errors: an exception that comes out of a thread uncaught is one of the program, as in
            `detrun.explore`. By default it goes to ``threading.excepthook`` and the program goes on, as in life.
        early_timers: so many times, at steps that follow from the seed, the next timer fires although tasks can run, as
            if the step before had taken so long.
        collections: so many times, at steps that follow from the seed, the garbage collector runs, so that finalizers
            and callbacks of weak references run in the middle of the program.
        force: draws that come out as this says, by address: ``{("main/worker[2]", 0): True}`` for the first draw of
            that task, ``{("key 'demand'", 3): 7}`` for a draw with a key. What can be forced, and to what,
            `detrun.primitives.forcing` says. The recording keeps it, and `Run` says which draws the run made.
        draws: keep a log of all random draws, as ``run.draws``.
        backend: whose async function ``main`` is, ``"trio"`` or ``"asyncio"``, which then runs it; by default what its
            code and its module name, and trio if they name both. An ordinary function starts event loops itself.
        asyncio_order: in which order tasks of asyncio go on. ``"any"``, the default: any of them may be late; callbacks
            keep their order, and no step of a task overtakes a callback that was queued before it. ``"fifo"``: the
            order of asyncio's own loop.
        raise_errors: raise what the program raises, as ``trio.run`` does, with the finished `Run` as the exception's
            attribute ``detrun_run``; False returns a `Run` whose ``exception`` it is.
        target: how the recording names the program, ``path.py:function``; found out from ``main`` by default.
        params: written to the recording's header, for programs that were given parameters.

    Raises:
        UsageError: ``main`` is not a function, the strategy is unknown, or a run is active already.
        HiddenStateError, DeadlockError, StepLimitError, StalledError: see each.
    """
    options = Options(
        max_steps=max_steps,
        step_timeout=step_timeout,
        observe=observe,
        instruments=instruments,
        strict_exception_groups=strict_exception_groups,
        restrict_keyboard_interrupt_to_checkpoints=restrict_keyboard_interrupt_to_checkpoints,
        preemption=preemption,
        include=tuple(include),
        exclude=tuple(exclude),
        thread_errors=thread_errors,
        early_timers=early_timers or None,
        collections=collections or None,
        force=force,
        draws=draws,
        backend=backend,
        asyncio_order=asyncio_order,
    )
    finished = NewRun(seed, strategy, to, target, params or {}).execute(main, args, options)
    return _run(
        finished, (main, args, options), raise_errors, f"detrun replay {os.fspath(to)}" if to is not None else None
    )


def _run(
    finished: Finished,
    program: tuple[Main, Sequence[object], Options],
    raise_errors: bool,
    command: str | None,
) -> Run:
    run = Run(
        finished.outcome,
        finished.recording,
        finished.digest,
        finished.steps,
        finished.virtual_time,
        finished.resync,
        finished.what_if,
        costs=tuple(finished.costs),
        program=program,
    )
    if finished.draws is not None:
        _add_draws(run, finished.draws)
    error = run.exception
    if error is not None and raise_errors:
        error.detrun_run = run  # type: ignore[attr-defined]
        if command is not None:
            error.add_note(f"recorded; to run it again: {command}")
        raise error
    return run


def _add_draws(run: Run, watched: DrawWatcher) -> None:
    from detrun.primitives.draw_log import WatchedDraws

    if isinstance(watched, WatchedDraws):
        run.draws = watched.log
        if watched.forces is not None:
            run.forces_used, run.forces_unmet = tuple(watched.forces.used), tuple(watched.forces.unmet)


def replay(
    main: Main,
    *args: object,
    recording: Recording | str | os.PathLike[str] | bytes,
    mode: str = "strict",
    strategy: str | Oracle | None = None,
    max_steps: int | None = None,
    step_timeout: float | None = STEP_TIMEOUT,
    observe: Callable[[], object] | None = None,
    instruments: Sequence[trio.abc.Instrument] = (),
    strict_exception_groups: bool = True,
    restrict_keyboard_interrupt_to_checkpoints: bool = False,
    preemption: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    thread_errors: bool | None = None,
    draws: bool = False,
    force: Mapping[Address, Any] | None = None,
    backend: str = "auto",
    asyncio_order: str | None = None,
    raise_errors: bool = True,
) -> Run:
    """Run ``main(*args)`` again as a recording says.

    Args:
        main: the recorded program, or an edited one with ``mode="resync"``.
        args: its arguments as they were, or others with ``mode="what-if"``.
        recording: a `Recording`, a path, the bytes of a file, or a schedule token (``detrun1-...``).
        mode: ``"strict"`` reproduces the run exactly or stops at the first difference. ``"resync"`` follows the
            recorded order of steps as far as the program still resembles it, and reports where it does not.
            ``"what-if"`` answers what the run would have been with other arguments: it follows the recorded choices
            while they fit, whatever the values, reports the first step that is not the recorded one
            (``run.what_if.first_difference``; None: the order of steps is the same), goes on from there with the
            recorded order of all tasks that the difference does not reach, and records what came out.
        strategy: chooses where the recording is silent; the recording's own by default. After the first difference of
            a what-if replay: the tasks' recorded order by default.
        observe: as it was for `record`, if it was given there.
        preemption, include, exclude, thread_errors, backend, asyncio_order: the recording's own by default. Draws that
            were forced in the recorded run are forced in the same way.
        draws: as for `record`.
        force: draws that come out otherwise, as for `record`; with ``mode="what-if"`` only, in place of those that the
            recording forces.

    Other arguments are as for `record`.

    Raises:
        DivergenceError: a strict replay left its recording.
        RecordingFormatError: the file is not a recording or is damaged.
        UsageError: unknown mode, or as for `record`.
    """
    if mode not in REPLAY_MODES:
        raise UsageError(f"unknown replay mode {mode!r}; choose one of {', '.join(REPLAY_MODES)}")
    if force is not None and mode != "what-if":
        raise UsageError(
            f"replay: force= makes another run than the recorded one, and mode={mode!r} repeats it; choose "
            "mode='what-if'"
        )
    options = Options(
        max_steps=max_steps,
        step_timeout=step_timeout,
        observe=observe,
        instruments=instruments,
        strict_exception_groups=strict_exception_groups,
        restrict_keyboard_interrupt_to_checkpoints=restrict_keyboard_interrupt_to_checkpoints,
        preemption=preemption,
        include=tuple(include),
        exclude=tuple(exclude),
        thread_errors=thread_errors,
        draws=draws,
        force=force,
        backend=backend,
        asyncio_order=asyncio_order,
    )
    # What is needed to replay is not needed to record.
    from detrun.races.watch import replayed_run, what_if_run
    from detrun_recorder.token import from_token, is_token

    if isinstance(recording, str) and is_token(recording):
        if mode == "what-if":
            raise UsageError(
                "a token says too little to follow with other arguments: it has no steps to compare; replay it, keep "
                "the recording (record(...), or detrun record), and follow that"
            )
        finished = _follow_token(from_token(recording), main, args, options)
    else:
        opened = recording if isinstance(recording, Recording) else open_recording(recording)
        execution = (
            what_if_run(opened, strategy) if mode == "what-if" else replayed_run(opened, mode == "resync", strategy)
        )
        finished = execution.execute(main, args, options)
    return _run(finished, (main, args, options), raise_errors, None)


def _follow_token(token: ScheduleToken, main: Main, args: Sequence[object], options: Options) -> Finished:
    """Run with the choices of a token. It has nothing else to compare with than how many steps there were."""
    from detrun_scheduler.strategies.given import GivenSchedule

    finished = NewRun(token.seed, GivenSchedule(token.choices)).execute(main, args, options.with_token(token))
    if finished.steps != token.steps:
        raise DivergenceError(
            f"the token is of a run of {token.steps:,} steps, but this run took {finished.steps:,}: the program or its "
            "arguments are not those of the token; replay a recording file to see where they part"
        )
    return finished
