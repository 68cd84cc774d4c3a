"""Local gradient: the derivative of the loss of one run on its frozen schedule.

The program runs with `Value`s for parameters, either as a new run under a strategy or as a recording says, in which
case the digest must come out as recorded. In reverse mode the tape is swept backward from the loss, as a whole
(`whole_tape`) or in windows (`windowed`); in forward mode (`tangents`) the loss brings its tangents along. Every
branch, timeout, message order and winner stays as it was. The validity of the result says how far a parameter can move
before the schedule would change.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import outcome

from detrun.ad import state
from detrun.ad.diagnostics import peak_bytes
from detrun.ad.path_strength import PathStrengths
from detrun.ad.tensor_parameters import TensorParameters
from detrun.ad.torch_bridge import use_one_thread, use_threads
from detrun.ad.validity import Validity
from detrun.ad.value import Value, primal_of
from detrun.execution.finished import Execution
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.execution.replayed_run import ReplayedRun
from detrun.execution.scope import RunScope
from detrun.gradients.flips import FlipFinder
from detrun.gradients.forward_runs import validity_by_forward_run
from detrun.gradients.loss import loss_of
from detrun.gradients.parameters import check_params
from detrun.gradients.plain_run import PlainRun, is_due
from detrun.gradients.result import Gradient, build
from detrun.gradients.sides import OneSided
from detrun.gradients.tangents import Tangents
from detrun.gradients.whole_tape import WholeTape
from detrun.gradients.windowed import reverse_in_windows, window_steps_for
from detrun_recorder.recording import Recording
from detrun_scheduler.errors import UsageError
from detrun_scheduler.run import ActiveRun

DEFAULT_SNAPSHOTS = 30
ENTRY_BYTES = 150  # of one tape entry, with the numbers it keeps alive and its share of the sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    """Options of a local gradient; all but ``of_run`` are keyword arguments of `detrun.gradient`."""

    mode: str = "reverse"
    snapshots: int | None = None
    window: int | None = None
    memory: int | None = None
    credit: int = 0
    validity: bool = True
    verify: bool | None = None
    of_run: Options = field(default_factory=Options)

    @property
    def windowed(self) -> bool:
        """Whether the run is to be taped in windows."""
        return self.snapshots is not None or self.window is not None or self.memory is not None

    def check(self) -> None:
        """Raise `UsageError` for values that make no sense, or not together."""
        if self.mode not in ("reverse", "forward"):
            raise UsageError(f"unknown mode {self.mode!r}; choose 'reverse' or 'forward'")
        for name, least in (("snapshots", 1), ("window", 1), ("memory", 1), ("credit", 0)):
            number = getattr(self, name)
            kinds = int | float if name == "memory" else int
            if number is not None and (not isinstance(number, kinds) or not number >= least):
                raise UsageError(f"gradient: {name}={number!r} must be a whole number of at least {least}")
        if self.mode == "forward" and (self.windowed or self.credit):
            raise UsageError("forward mode keeps no tape: snapshots, window, memory and credit go with mode='reverse'")
        if self.window is not None and self.memory is not None:
            raise UsageError("gradient: window and memory exclude each other: memory chooses the window")


def local_gradient(main: Main, params: Mapping[str, float], execution: Execution, options: LocalOptions) -> Gradient:
    """The local gradient of the run that ``execution`` decides."""
    options.check()
    numbers = check_params(params)
    tensors = TensorParameters(params)
    if tensors and options.mode == "forward":
        raise UsageError("forward mode does not pass through torch; use mode='reverse' for tensors and modules")
    run = _in_windows if options.windowed else _on_one_tape
    of_run = options.of_run if isinstance(execution, NewRun) else options.of_run.of_replays()
    threads = use_one_thread()
    try:
        plain = None
        if isinstance(execution, NewRun) and is_due(main, options.verify):
            plain = PlainRun(main, numbers, tensors, execution, of_run)
        gradient = run(main, numbers, tensors, execution, options, of_run)
        if plain is not None:
            plain.compare(gradient, CountedValues(numbers, tensors))
    finally:
        tensors.release()
        use_threads(threads)
    tensors.accumulate(gradient.grads)
    return gradient


def _on_one_tape(
    main: Main,
    numbers: dict[str, float],
    tensors: TensorParameters,
    execution: Execution,
    options: LocalOptions,
    run_options: Options,
) -> Gradient:
    scope: WholeTape | Tangents = (
        Tangents(numbers, measures_validity=options.validity)
        if options.mode == "forward"
        else WholeTape(numbers, tensors, options.credit, measures_validity=options.validity)
    )
    finished = execution.execute(main, (), run_options, scope)
    loss = loss_of(main, finished.outcome)
    diagnostics = scope.diagnostics
    diagnostics.taped_steps = finished.steps if options.mode == "reverse" else 0
    diagnostics.peak_bytes = peak_bytes()
    through_torch = isinstance(scope, WholeTape) and scope.has_pullbacks and "torch" in sys.modules
    validity = {} if through_torch else scope.validity
    finder, sides = _beside(main, numbers, tensors, loss, validity, finished.recording, run_options)
    return build(
        loss,
        scope.grads,
        depends=isinstance(loss, Value),
        diagnostics=diagnostics,
        recording=finished.recording,
        digest=finished.digest,
        validity=scope.validity,
        credits=scope.credits,
        flows=scope.flows if isinstance(scope, WholeTape) else {},
        adjoint_sizes=scope.adjoint_sizes if isinstance(scope, WholeTape) else [],
        one_sided=sides,
        flips=finder,
    )


def _in_windows(
    main: Main,
    numbers: dict[str, float],
    tensors: TensorParameters,
    execution: Execution,
    options: LocalOptions,
    run_options: Options,
) -> Gradient:
    if tensors.on_accelerator:
        raise UsageError(
            "windows are forked processes, and memory of an accelerator cannot be forked; move the tensors to the CPU, "
            "or leave out snapshots, window and memory"
        )
    recording = execution.recording if isinstance(execution, ReplayedRun) else None
    digest = ""
    ids_per_step = 1.0
    if recording is None or options.memory is not None:
        counting = CountedValues(numbers, tensors)
        finished = execution.execute(main, (), run_options, counting)
        loss_of(main, finished.outcome)
        recording, digest = finished.recording, finished.digest
        ids_per_step = counting.ids / max(1, finished.steps)
    snapshots = options.snapshots if options.snapshots is not None else DEFAULT_SNAPSHOTS
    if options.window is not None:
        window = options.window
    elif options.memory is not None:
        window = max(1, int(options.memory / (ENTRY_BYTES * max(ids_per_step, 1e-3))))
    else:
        window = window_steps_for(recording.steps, snapshots)
    swept, totals, grads = reverse_in_windows(
        main,
        numbers,
        tensors,
        recording,
        snapshots=snapshots,
        window=window,
        credit=options.credit,
        options=run_options.of_replays(),
    )
    validity = (
        validity_by_forward_run(main, numbers, recording, run_options.of_replays())
        if options.validity and not tensors
        else {}
    )
    diagnostics = totals.diagnostics(window, snapshots, ties=not validity)
    paths = PathStrengths(swept.strengths, *swept.peak)
    diagnostics.warnings += paths.verdicts({name: place for place, name in enumerate(numbers)}, grads, 0)
    finder, sides = _beside(main, numbers, tensors, swept.loss, validity, recording, run_options)
    return build(
        swept.loss,
        grads,
        depends=swept.has_loss,
        diagnostics=diagnostics,
        recording=recording,
        digest=digest or (recording.end.digest.hex() if recording.end is not None else ""),
        credits=totals.credits(),
        validity=validity,
        one_sided=sides,
        flips=finder,
    )


def _beside(
    main: Main,
    numbers: dict[str, float],
    tensors: TensorParameters,
    loss: Value | float,
    validity: Mapping[str, Validity],
    recording: Recording,
    run_options: Options,
) -> tuple[FlipFinder | None, dict[str, OneSided]]:
    """What finds the flips of the run, and the derivatives on both sides where a parameter is at a tie."""
    if tensors:
        return None, {}
    finder = FlipFinder(main, numbers, recording, run_options.of_replays())
    return finder, finder.sides_at_ties(validity, primal_of(loss))


class CountedValues(RunScope):
    """Runs with `Value`s and without a tape, to learn how many ids a step allots."""

    def __init__(self, numbers: dict[str, float], tensors: TensorParameters) -> None:
        self.numbers = numbers
        self.tensors = tensors
        self.ids = 0

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """The parameters as `Value`s, and as tensors."""
        values = {name: Value(number) for name, number in self.numbers.items()}
        return ({**values, **self.tensors.prepare(run.serial)},)

    def end(self, ended: outcome.Outcome[Any]) -> outcome.Outcome[Any]:
        """Count."""
        self.ids = state.peek_id() - state.first_id
        return ended
