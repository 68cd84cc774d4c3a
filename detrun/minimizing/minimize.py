"""`minimize`: parameters that make the mean loss of a program small, by gradients of a chosen meaning."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from detrun.execution.interruption import Interruption
from detrun.execution.program import Main, check_main, source_fingerprint, target_of
from detrun.gradients.gradient import KINDS
from detrun.gradients.parameters import numbers_only
from detrun.gradients.sampling.functionals import functional_of
from detrun.minimizing.coordinates import Bounds, Coordinate, coordinates_of
from detrun.minimizing.evaluations import EvaluationLog
from detrun.minimizing.iteration import Iteration, Look
from detrun.minimizing.minimum import Minimum
from detrun.minimizing.resting_place import resting_place
from detrun.minimizing.scipy_methods import by_scipy
from detrun.minimizing.search import BETTER, Search
from detrun.minimizing.steps import Adam, Steps, TorchSteps
from detrun.minimizing.trust_region import TRUST_REGIONS, ByNoise, ByValidity, TrustRegion
from detrun_scheduler.errors import UsageError

OWN = ("samples", "seed", "executor", "workers", "progress", "recording", "mode", "kind", "target_error")


def minimize(
    main: Main,
    params: Mapping[str, float],
    *,
    kind: str,
    optimizer: str | type = "adam",
    rate: float = 0.05,
    iterations: int = 100,
    samples: int = 4,
    held_out: int = 100,
    look_every: int = 10,
    patience: int = 3,
    seed: int = 0,
    bounds: Bounds | None = None,
    log_scaled: Collection[str] = (),
    scales: Mapping[str, float] | None = None,
    trust_region: str | None = None,
    of: str = "mean",
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    workers: int = 1,
    progress: Callable[[Iteration], None] | None = None,
    **options: Any,
) -> Minimum:
    """Minimize the mean of the loss that ``main(params)`` returns.

    Steps are taken in units of each parameter's first value, of its scale, or of its logarithm. Every gradient is one
    of fresh seeds, and of few: many rough steps get further than few exact ones. Looks at held-out seeds are taken at
    the last step, or where steps wander at the mean of the later half of them, and the best look is the result.

    Args:
        params: name -> number; where to begin.
        kind: of gradient, as for `detrun.gradient`: there is no default, since each minimizes something else where the
            loss jumps.
        optimizer: ``"adam"``; a class of ``torch.optim``; or the name of a method of ``scipy.optimize.minimize``, which
            minimizes the mean over one fixed set of ``samples`` seeds.
        rate: the first step of Adam, and the ``lr`` of a class of torch, in those units.
        iterations: at most so many gradients.
        samples: of each gradient. A class of torch does not shorten its steps: there samples grow, up to eightfold,
            where noise exceeds the gradient.
        held_out: seeds on which the loss is looked at, used for nothing else.
        look_every: iterations between two looks.
        patience: stop after so many looks that found no gain of more than its standard error.
        bounds: name -> (low, high), either of them None for no bound.
        log_scaled: names of parameters whose logarithms are moved; they stay positive.
        scales: name -> the length of a step of 1, for a parameter that begins at a small part of its range.
        trust_region: what limits steps besides. ``"validity"``, of kind ``"local"``: a step is half as long as to where
            half of the runs go another way, by the validity of nine. ``"noise"``: a step after which the loss rose by
            more than two standard errors is taken back, and the next is half as long. See
            `detrun.minimizing.trust_region`.
        of: what of the loss is minimized, as for `detrun.gradient`.
        checkpoint: keep every evaluation in this file, and go on from what it holds: after an interruption, a kill, or
            with more ``iterations``.
        executor, workers: as for `detrun.gradient`.
        progress: called after each gradient.
        options: other keyword arguments of `detrun.gradient`. Kind ``"finite"`` without ``step`` moves parameters by
            shares of themselves that fall from 0.3, within the bounds.

    Ctrl-C ends it after the gradient that is being taken, with the best so far; a second time at once.

    Raises:
        UsageError: an argument makes no sense, or the checkpoint is one of another minimization.
        Whatever the program raises, as for `detrun.gradient`.
    """
    check_main(main)
    numbers = numbers_only(params)
    _check(kind, options, rate=rate)
    for name, count, least in (
        ("iterations", iterations, 1),
        ("samples", samples, 2),
        ("held_out", held_out, 2),
        ("look_every", look_every, 1),
        ("patience", patience, 1),
    ):
        if not isinstance(count, int) or count < least:
            raise UsageError(f"minimize: {name}={count!r} must be a whole number of at least {least}")
    coordinates = coordinates_of(numbers, bounds or {}, log_scaled, scales)
    functional = functional_of(of)
    if functional is not None:
        options = {**options, "of": of}
    stepwise = optimizer == "adam" or not isinstance(optimizer, str)
    _check_trust_region(trust_region, kind, stepwise)
    name = optimizer if isinstance(optimizer, str) else f"{optimizer.__module__}.{optimizer.__qualname__}"
    deciding = (
        target_of(main),
        source_fingerprint(main),
        numbers,
        kind,
        name,
        rate,
        samples,
        held_out,
        look_every,
        seed,
        sorted((bounds or {}).items()),
        sorted(log_scaled),
        trust_region,
        sorted((one, repr(option)) for one, option in options.items()),
        *sorted((scales or {}).items()),
    )
    search = Search(
        main=main,
        coordinates=coordinates,
        kind=kind,
        seed=seed,
        samples=samples,
        held_out=held_out,
        of=functional,
        options=options,
        executor=executor,
        workers=workers,
        log=EvaluationLog(checkpoint, deciding),
        progress=progress,
        measures_validity=trust_region == "validity",
    )
    start = [one.of(numbers[one.name]) for one in coordinates]
    with Interruption() as interruption:
        search.look(start)
        if stepwise:
            steps = Adam(len(start), rate) if isinstance(optimizer, str) else TorchSteps(optimizer, start, rate)
            region = _region(trust_region, coordinates, rate)
            reason = _stepwise(search, steps, region, start, iterations, look_every, patience, interruption)
        else:
            assert isinstance(optimizer, str)
            reason = by_scipy(search, optimizer, start, iterations, interruption)
    return _minimum(search, reason)


def _check(kind: str, options: Mapping[str, Any], rate: float) -> None:
    if kind not in KINDS:
        raise UsageError(f"minimize: unknown kind of gradient {kind!r}; choose one of {', '.join(KINDS)}")
    if not isinstance(rate, int | float) or not 0.0 < rate < float("inf"):
        raise UsageError(f"minimize: rate={rate!r} must be a positive number")
    for name in options:
        if name in OWN:
            raise UsageError(f"minimize: {name} is not an option of a minimization; leave it out")


def _stepwise(
    search: Search,
    steps: Steps,
    region: TrustRegion | None,
    at: list[float],
    iterations: int,
    look_every: int,
    patience: int,
    interruption: Interruption,
) -> str:
    """Step by step; why it ended."""
    without = 0
    iterates: list[list[float]] = []
    for number in range(1, iterations + 1):
        value, gradient = search.gradient(at, grows=not steps.shortens)
        error = search.history[-1].value_std_error
        moved = None if region is None else region.back(value, error)
        if moved is None:
            moved = steps.step(at, gradient)
            if region is not None:
                moved = region.limited(at, moved, value, error, gradient, search.radii)
        # Back within the bounds, so that the next step begins where the program was.
        at = [one.of(one.parameter(place)) for one, place in zip(search.coordinates, moved, strict=True)]
        iterates.append(at)
        if interruption.requested:
            search.look(resting_place(iterates))
            return "interrupted"
        if number % look_every == 0 or number == iterations:
            gain = search.look(resting_place(iterates))
            without = 0 if gain.mean > BETTER * gain.std_error else without + 1
            if without == patience:
                return f"the last {patience} looks at held-out seeds found no gain"
    return f"all {iterations:,} iterations were made"


def _check_trust_region(trust_region: str | None, kind: str, stepwise: bool) -> None:
    if trust_region is None:
        return
    if trust_region not in TRUST_REGIONS:
        raise UsageError(
            f"minimize: unknown trust_region={trust_region!r}; choose one of {', '.join(TRUST_REGIONS)}, or None"
        )
    if not stepwise:
        raise UsageError("minimize: methods of scipy choose their own steps; leave out trust_region")
    if trust_region == "validity" and kind != "local":
        raise UsageError(f"minimize: the validity of a run limits local gradients, not {kind} ones; choose 'noise'")


def _region(trust_region: str | None, coordinates: Sequence[Coordinate], rate: float) -> TrustRegion | None:
    if trust_region is None:
        return None
    return ByNoise() if trust_region == "noise" else ByValidity(coordinates, rate)


def _minimum(search: Search, reason: str) -> Minimum:
    best, first = search.looks[search.best], search.looks[0]
    gain = search.gain(first, best)
    return Minimum(
        params=dict(best.at),
        value=best.value,
        std_error=best.value_std_error,
        start=first.value,
        gain=gain.mean,
        gain_std_error=gain.std_error,
        kind=search.kind,
        reason=reason,
        history=search.history,
        looks=[
            Look(after, dict(one.at), one.value, one.value_std_error)
            for after, one in zip(search.looks_after, search.looks, strict=True)
        ],
        runs=search.runs,
        steps=search.steps,
        warnings=list(search.warnings),
    )
