"""One controlled execution of a program.

`execute` is the one place where a program meets everything that a run controls: the loop with its oracle, the
generators and clocks of the process, the garbage collector, and the count of `Value` ids. It leaves the process as it
found it. `NewRun` and `ReplayedRun` call it, with an oracle that decides the run and a journal that is recorded or
compared.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import outcome
import trio

from detrun.ad import state
from detrun.ad.sums import SumsOfValues
from detrun.execution.backends import runs_in_asyncio, wrong_backend
from detrun.execution.options import Options, preemption_of
from detrun.execution.program import Main, is_synchronous
from detrun.execution.scope import RunScope
from detrun.execution.thread_errors import with_thread_errors
from detrun_recorder.canonical import canonical
from detrun_scheduler.asyncio_host.imported import is_imported
from detrun_scheduler.choices import Oracle
from detrun_scheduler.environment.environment import ControlledEnvironment
from detrun_scheduler.errors import DeadlockError, DetrunError, StepLimitError, UsageError
from detrun_scheduler.frozen_heap import frozen_heap, is_frozen
from detrun_scheduler.journal import Journal
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.run import ActiveRun, DrawWatcher, RunHooks, Verifier


def execute(
    main: Main,
    args: Sequence[object],
    *,
    oracle: Oracle,
    seed: int,
    journal: Journal,
    verifier: Verifier | None = None,
    options: Options | None = None,
    scope: RunScope | None = None,
    hooks: RunHooks | None = None,
    compared: Callable[[RunLoop, outcome.Outcome[Any]], None] | None = None,
) -> tuple[RunLoop, outcome.Outcome[Any]]:
    """Run ``main(*args)`` once under full control; see `ControlledProgram.execute`."""
    return ControlledProgram(main, options or Options()).execute(
        args,
        oracle=oracle,
        seed=seed,
        journal=journal,
        verifier=verifier,
        scope=scope,
        hooks=hooks,
        compared=compared,
    )


class ControlledProgram:
    """A program and the options of its runs, with all that follows from these alone: found out once for many runs.

    An async function is the main task; any other function is the main simulated thread.

    Args:
        main: a program that `check_main` has accepted.
    """

    __slots__ = ("_as_thread", "_hooks", "_in_asyncio", "_preemption", "main", "options")

    def __init__(self, main: Main, options: Options) -> None:
        self.main = main
        self.options = options
        self._preemption = preemption_of(main, options)
        self._as_thread = is_synchronous(main)
        self._in_asyncio = not self._as_thread and runs_in_asyncio(main, options.backend)
        self._hooks: RunHooks | None = None  # of runs that nothing takes part in; nothing is added to them

    def execute(
        self,
        args: Sequence[object],
        *,
        oracle: Oracle,
        seed: int,
        journal: Journal,
        verifier: Verifier | None = None,
        scope: RunScope | None = None,
        hooks: RunHooks | None = None,
        compared: Callable[[RunLoop, outcome.Outcome[Any]], None] | None = None,
    ) -> tuple[RunLoop, outcome.Outcome[Any]]:
        """Run ``main(*args)`` once; return its loop and how it ended.

        Args:
            scope: surrounds the run, outside of ``options.watch``; its `Value`s may be arguments of the program.
            hooks: of the caller; completed by the options and the scopes, and used for this run only.
            compared: called when the program has ended, before ``scope`` is told so: a scope may end the process there.

        Errors of the run itself (deadlock, divergence, step limit) come back as the outcome, so that the caller can
        finish the recording first.
        """
        main, options, watch = self.main, self.options, self.options.watch
        if hooks is None and scope is None and not hasattr(oracle, "step_taken"):
            hooks = self._hooks or self._common_hooks()
        else:
            hooks = _completed(hooks or RunHooks(), options, scope)
            step_taken = getattr(oracle, "step_taken", None)
            if step_taken is not None:
                hooks.after_step.append(step_taken)
        loop = RunLoop(
            oracle,
            seed=seed,
            journal=journal,
            max_steps=options.max_steps,
            verifier=verifier,
            instruments=options.instruments,
            strict_exception_groups=options.strict_exception_groups,
            restrict_keyboard_interrupt_to_checkpoints=options.restrict_keyboard_interrupt_to_checkpoints,
            preemption=self._preemption,
            hooks=hooks,
        )
        environment = ControlledEnvironment(seed, loop.virtual_clock)
        state.begin_run()
        if options.terms is not None:
            options.terms.begin()
        collecting = gc.isenabled()
        gc.disable()
        try:
            with environment:
                surrounding = _surrounding(loop, options, scope, hooks.draws, main)
                if surrounding is None:
                    ended = self._within(loop, args, scope)
                else:
                    with surrounding:
                        ended = self._within(loop, args, scope)
            if type(ended) is outcome.Error and not self._as_thread:
                ended = outcome.Error(wrong_backend(ended.error, self._in_asyncio) or ended.error)
            if loop.thread_failures and options.thread_errors:
                ended = with_thread_errors(loop.thread_failures, ended)
            if compared is not None:
                compared(loop, ended)
            if options.terms is not None:
                ended = options.terms.added_to(ended)
            if scope is not None:
                ended = scope.end(ended)
        finally:
            if watch is not None:
                watch.close()
            if scope is not None:
                scope.close()
            state.end_run()
            if collecting:
                gc.enable()
        return loop, ended

    def _within(self, loop: RunLoop, args: Sequence[object], scope: RunScope | None) -> outcome.Outcome[Any]:
        """How the program ends, where everything is under control."""
        watch = self.options.watch
        if scope is not None:
            args = scope.begin(loop, args)
        if watch is not None:
            args = watch.begin(loop, args)
        ended = _outcome_of(loop, self.main, args, self._as_thread, self._in_asyncio)
        if loop.costs:
            from detrun.primitives.costs import with_costs  # few programs declare any

            ended = with_costs(loop.costs, ended)
        return ended if watch is None else watch.end(ended)

    def _common_hooks(self) -> RunHooks:
        """Hooks of a run without a scope or a caller's wishes, kept for the next where the options have none either."""
        hooks = _completed(RunHooks(), self.options, None)
        if hooks.actor is None and hooks.draws is None and self.options.watch is None and not hooks.after_step:
            self._hooks = hooks
        return hooks


def _surrounding(
    loop: RunLoop, options: Options, scope: RunScope | None, draws: DrawWatcher | None, main: Main
) -> AbstractContextManager[object] | None:
    """What some runs need beside a controlled environment; None: nothing.

    Programs get Values from the scope of their runs, and from nowhere else. Where tasks of asyncio's are looked for
    that nothing refers to, what is older than the run is left out, or each look would go through all of it.
    """
    hides_heap = options.thread_errors and is_imported() and not is_frozen()
    if scope is None and draws is None and not hides_heap:
        return None
    with ExitStack() as stack:
        if hides_heap:
            stack.enter_context(frozen_heap())
        if scope is not None:
            stack.enter_context(SumsOfValues())
        if draws is not None:
            stack.enter_context(_watched_generators(loop, draws, main))
        return stack.pop_all()


def _watched_generators(loop: RunLoop, draws: DrawWatcher, main: Main) -> AbstractContextManager[None]:
    """Numbers of `random` are draws of this run."""
    from detrun.primitives.draw_log import WatchedDraws  # needed in watched runs only
    from detrun.primitives.random_draws import watched_generators

    return watched_generators(loop, draws, main) if isinstance(draws, WatchedDraws) else nullcontext()


def _completed(hooks: RunHooks, options: Options, scope: RunScope | None) -> RunHooks:
    """``hooks`` with what the options and the scopes of a run add to them."""
    hooks.reports_thread_errors = bool(options.thread_errors)
    hooks.thread_rules = options.thread_rules
    hooks.step_timeout = options.step_timeout
    hooks.asyncio_order = options.asyncio_order or "any"
    hooks.actor = options.actor()
    hooks.draws = options.watched_draws()
    if options.fault_lengths is not None:
        hooks.fault_shares = options.fault_lengths
    if options.observe is not None:
        hooks.after_step.append(_Observer(options.observe))
    for one in (scope, options.watch):
        if one is not None:
            one.contribute(hooks)
    return hooks


def _outcome_of(
    loop: RunLoop, main: Main, args: Sequence[object], as_thread: bool, in_asyncio: bool
) -> outcome.Outcome[Any]:
    """How the run ended, errors of the run itself included."""
    try:
        return loop.run(main, *args, as_thread=as_thread, in_asyncio=in_asyncio)
    except (DeadlockError, StepLimitError) as error:
        # Their tracebacks show nothing but the loop, and lead from there to all who called it: where one of those keeps
        # the error, as the caller of a `Run` does, that is a cycle of garbage for each run that fails.
        return outcome.Error(error.with_traceback(None))
    except (DetrunError, trio.TrioInternalError) as error:
        return outcome.Error(error)


class _Observer:
    """Makes a value that the user watches part of the digest, at every step after which it has changed."""

    def __init__(self, observe: Callable[[], object]) -> None:
        self.observe = observe
        self.last: bytes | None = None

    def __call__(self, run: ActiveRun) -> None:
        try:
            value = canonical(self.observe())
        except Exception as error:
            raise UsageError(
                f"observe raised {type(error).__name__}: {error}; it is called after every step, the first of which "
                "comes before the program has begun"
            ) from error
        if value != self.last:
            self.last = value
            run.observe("observe", value)
