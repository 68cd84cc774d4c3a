"""`gradient`: derivatives of a program's loss; ``kind`` says what they mean, and so does the result."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import trio

from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.gradients.averaged_local import AveragedLocal
from detrun.gradients.expected.estimator import Expected
from detrun.gradients.finite.finite import finite_gradient
from detrun.gradients.finite.options import FiniteOptions
from detrun.gradients.local import LocalOptions, local_gradient
from detrun.gradients.parameters import check_params
from detrun.gradients.policy.policy import PolicyOptions, policy_gradient
from detrun.gradients.policy.reuse import reused_gradient
from detrun.gradients.relaxed.relaxed import RelaxedOptions, relaxed_gradient
from detrun.gradients.result import Gradient
from detrun.gradients.sampling.averaged import sampled_gradient
from detrun.gradients.sampling.collector import SoFar, sampling_of
from detrun.gradients.sampling.functionals import MEAN, functional_of
from detrun.gradients.sampling.program import Bounds, SampledProgram
from detrun.gradients.sampling.sample import Estimator
from detrun.races.watch import replayed_run
from detrun_recorder.recording import Recording, open_recording
from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import UsageError
from detrun_scheduler.watchdog import STEP_TIMEOUT

KINDS = ("local", "expected", "policy", "finite", "relaxed")
OPTIONS_OF_KIND = {
    "local": ("of",),
    "expected": ("of", "pairs", "on_unknown"),
    "finite": ("of", "difference", "schedule", "step", "bounds"),
    "relaxed": ("of", "temperature", "smoothing"),
    "policy": ("of", "baseline", "continuous", "reuse"),
}
SAMPLES = 100  # of the kinds that are means over seeds


def gradient(
    main: Main,
    params: Mapping[str, Any],
    *,
    recording: Recording | str | os.PathLike[str] | bytes | None = None,
    seed: int = 0,
    kind: str = "local",
    mode: str = "reverse",
    strategy: str | Oracle = "random",
    snapshots: int | None = None,
    window: int | None = None,
    memory: int | None = None,
    credit: int = 0,
    validity: bool = True,
    verify: bool | None = None,
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
    early_timers: int = 0,
    collections: int = 0,
    backend: str = "auto",
    asyncio_order: str | None = None,
    samples: int | str | None = None,
    target_error: float | None = None,
    samples_max: int | None = None,
    confidence: float | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: Callable[[SoFar], None] | None = None,
    of: str | None = None,
    baseline: str | None = None,
    continuous: str | None = None,
    reuse: Sequence[Recording | str | os.PathLike[str] | bytes] | None = None,
    difference: str | None = None,
    schedule: str | None = None,
    step: float | Mapping[str, float] | None = None,
    bounds: Bounds | None = None,
    temperature: float | Sequence[float] | None = None,
    smoothing: float | Mapping[str, float] | Sequence[float | Mapping[str, float]] | None = None,
    pairs: int | None = None,
    on_unknown: str | None = None,
) -> Gradient:
    """Differentiate the loss that ``main(params)`` returns with respect to each parameter.

    Args:
        main: a function, async or not, of one dict of parameters that returns a number.
        params: name -> number, tensor or ``nn.Module``. The program receives numbers as `Value`s.
        recording: differentiate this recorded run; None makes a run with ``seed`` and ``strategy``.
        kind: what the gradient means. ``"local"``: sensitivity of this run on its frozen schedule; with ``samples``,
            the mean of that over runs with independent seeds. ``"expected"``: the derivative of the mean loss over
            draws and schedules, jumps included. ``"policy"``: of the mean loss, by the score of draws, effects and
            choices of the scheduler whose probabilities the parameters move. ``"finite"``: differences of the mean
            loss. ``"relaxed"``: of a program softened by `detrun.relaxed`, or smoothed.
        mode: ``"reverse"``, or ``"forward"`` for few parameters in memory that does not grow with the run.
        snapshots: differentiate in bounded memory, keeping at most so many forked snapshots of the run.
        window: steps taped at a time; chosen from ``snapshots`` or ``memory`` by default.
        memory: bytes that the tape of one window may take.
        credit: report so many steps that carried most of each parameter's gradient.
        validity: measure how far each parameter can move before the schedule would change.
        verify: run the program on plain numbers, too, in a forked process, and hold the run with Values to that, since
            code that looks at types may do something else with them. None: once for each program, unless other
            threads are running or torch is loaded. A run of a recording is always compared with it.
        observe: as it was for `detrun.record`, if it was given there.
        preemption, include, exclude, thread_errors, max_steps, backend, asyncio_order: as for `detrun.record`; a
            recording's own by default.
        early_timers, collections: of a new run, as for `detrun.record`; a recording has its own.
        samples: how many independent seeds to average over, which follow from ``seed``; ``"auto"`` for as many as
            ``target_error`` asks for. By default one run for ``"local"``, and 100 samples for other kinds.
        target_error: go on until the confidence interval of each derivative is at most this share of it to either side
            (0.05 by default), or until ``samples_max`` (10,000 by default).
        confidence: of the intervals, 0.95 by default.
        executor: any ``concurrent.futures.Executor`` of processes takes the samples; the program is pickled. The result
            is the same for any executor and any number of workers.
        workers: so many forked processes of this machine take them, unless there is an executor.
        progress: called after each sample with what is known so far.
        of: what of the loss of samples is differentiated: ``"mean"`` (the default), ``"quantile:P"``, or ``"cvar:P"``,
            the mean of the worst 1 - P of all runs; `detrun.gradients.sampling.functionals` says how, and `shifts`
            there for ``"expected"``, ``"policy"`` and what moves all parameters at once.
        baseline: ``kind="policy"``: what is taken off the loss: ``"leave-one-out"`` (the default), the mean of the
            other samples; ``"fitted"``, the best one for each parameter, learned from them; ``"linear"``, what they
            predict from what is known before each decision (see `detrun.baseline`); ``"twin"``, the loss of a second
            run with the same seed, in which these draws come out anew; or ``"none"``.
        continuous: ``kind="policy"``: ``"score"`` (the default) treats continuous draws as decisions, too;
            ``"pathwise"`` lets them move with their parameters, with less variance, and misses what flips by it.
        reuse: ``kind="policy"``: recordings of the program, made with ``params=`` near these, which are weighted by how
            much more likely their decisions are now; no new run is made.
        difference: ``kind="finite"``: ``"central"`` (the default), ``"forward"``, or ``"simultaneous"`` for many
            parameters: all move at once, each up or down at random.
        schedule: ``kind="finite"``: ``"free"`` (the default) makes each side of a difference a run of its own with the
            same seed; ``"frozen"`` has it follow the schedule of the unmoved run while that fits: less noise where
            tasks compete, for a few times the CPU.
        step: ``kind="finite"``: how far each parameter moves, one number or one by name; by default chosen from the
            noise of a few runs.
        bounds: ``kind="finite"``: by name, ``(low, high)``, either of them None. Steps that are wider than these, tried
            to choose a step or to judge its bias, are left out where they lead beyond. The step itself is yours.
        temperature: ``kind="relaxed"``: of the program's calls of `detrun.relaxed`; or falling ones, of which the last
            counts and the others show the trend.
        smoothing: ``kind="relaxed"``: for code that calls none: the width over which parameters are perturbed normally,
            one number or one by name; or a list of such.
        strategy: as for `detrun.record`. For ``kind="expected"`` a random walk is that of ``"weighted"``, in which two
            runs of one seed keep the order of what they have in common.
        pairs: ``kind="expected"``: of the draws at which the loss of a run may jump, so many are tried otherwise in
            each sample, chosen at random and weighted; 2 by default.
        on_unknown: ``kind="expected"``: ``"refuse"`` (the default) raises where the loss may jump and no density is
            known; ``"report"`` leaves that out, and the bias statement names it.

    Other arguments are as for `detrun.record`.

    Raises:
        UsageError: unknown kind, a parameter of another type, or as for `detrun.record`.
        DivergenceError: the program with these parameters is not the recorded one, or does something else with Values
            than with floats.
        NotDifferentiableError: the loss is not a number, or its derivative does not exist.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown kind of gradient {kind!r}; choose one of {', '.join(KINDS)}")
    of_kind = _of_kind(
        kind,
        {
            "of": of,
            "baseline": baseline,
            "continuous": continuous,
            "reuse": reuse,
            "difference": difference,
            "schedule": schedule,
            "step": step,
            "bounds": bounds,
            "temperature": temperature,
            "smoothing": smoothing,
            "pairs": pairs,
            "on_unknown": on_unknown,
        },
    )
    sampling = sampling_of(
        seed=seed,
        samples=samples if samples is not None or target_error is not None or kind == "local" else SAMPLES,
        target_error=target_error,
        samples_max=samples_max,
        confidence=confidence,
        executor=executor,
        workers=workers,
        progress=progress,
    )
    surroundings = Options(
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
        backend=backend,
        asyncio_order=asyncio_order,
    )
    opened = recording if isinstance(recording, Recording) or recording is None else open_recording(recording)
    functional = functional_of(of_kind.pop("of", MEAN))
    if functional is not None and sampling is None:
        raise UsageError(f"gradient: of={of!r} is about samples; give samples=N or 'auto', too")
    if sampling is not None:
        if opened is not None:
            raise UsageError(
                "gradient: a recording is one run, and samples are runs with other seeds; leave out one of them"
            )
        if mode != "reverse" or snapshots is not None or window is not None or memory is not None or credit:
            raise UsageError(
                "gradient: mode, snapshots, window, memory and credit are for the gradient of one run; leave them out, "
                "or leave out samples"
            )
        if kind == "expected" and strategy == "random":
            # A random walk, too, in which two runs of one seed keep the order of what they have in common.
            strategy = "weighted"
        program = SampledProgram.of(main, params, surroundings, strategy)
        if kind == "policy":
            reused = of_kind.pop("reuse", None)
            if reused is None:
                return policy_gradient(program, sampling, PolicyOptions(**of_kind), functional)
            if samples is not None or target_error is not None or executor is not None or workers or baseline:
                raise UsageError(
                    "gradient: reuse= brings its samples and their baseline; leave out samples, target_error, "
                    "executor, workers and baseline"
                )
            if functional is not None:
                raise UsageError(f"gradient: reuse= gives the mean, not of={of!r}; make new runs, samples=N")
            return reused_gradient(program, reused, PolicyOptions(**of_kind), confidence)
        if kind == "finite":
            return finite_gradient(program, sampling, FiniteOptions(**of_kind), functional)
        if kind == "relaxed":
            return relaxed_gradient(program, sampling, RelaxedOptions(**of_kind), functional)
        estimator: Estimator = (
            Expected(program, **of_kind, of=functional) if kind == "expected" else AveragedLocal(program, of=functional)
        )
        return sampled_gradient(estimator, sampling, functional)
    execution = replayed_run(opened) if opened is not None else NewRun(seed, strategy, params=check_params(params))
    if opened is not None and (early_timers or collections):
        raise UsageError("early_timers and collections are for new runs: a recording says when its run acted by itself")
    options = LocalOptions(
        mode=mode,
        snapshots=snapshots,
        window=window,
        memory=memory,
        credit=credit,
        validity=validity,
        verify=verify,
        of_run=surroundings,
    )
    return local_gradient(main, params, execution, options)


def _of_kind(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given for this kind; raises `UsageError` for one that goes with another."""
    given = {name: option for name, option in options.items() if option is not None}
    for name, option in given.items():
        if name not in OPTIONS_OF_KIND.get(kind, ()):
            kinds = " or ".join(repr(one) for one, names in OPTIONS_OF_KIND.items() if name in names)
            raise UsageError(f"gradient: {name}={option!r:.80} goes with kind={kinds}, not with {kind!r}; leave it out")
    return given
