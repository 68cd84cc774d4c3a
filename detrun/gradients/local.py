"""The local gradient: how the loss of this very run responds to its parameters while the schedule stays frozen.

The program runs with `Value`s for parameters while the tape is on, either anew under a strategy or as a recording
says, in which case the digest must come out as recorded; then the tape is swept backward from the loss. Every branch,
timeout, message order and winner stays as it was: the result is the derivative of the loss along the recorded
interleaving, and its validity says how far a parameter can move before that interleaving would change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import outcome

from detrun.ad import state
from detrun.ad.diagnostics import NearMargin, diagnose, peak_bytes
from detrun.ad.growth import AdjointGrowth
from detrun.ad.reverse import backward, refuse_foreign
from detrun.ad.tape import Tape
from detrun.ad.tensor_parameters import TensorParameters, is_tensor_parameter
from detrun.ad.torch_bridge import LeafGradients, is_tensor, number_of, use_one_thread, use_threads
from detrun.ad.validity import Validity, validity
from detrun.ad.value import Value
from detrun.execution.finished import Execution
from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.execution.replayed_run import ReplayedRun
from detrun.execution.scope import RunScope
from detrun.gradients.credit import CreditTotals, ParameterUses, credit_report, mark_step
from detrun.gradients.result import Gradient, RunDiagnostics
from detrun.gradients.tangents import Tangents
from detrun.gradients.timing import TimingSites
from detrun.gradients.windowed import reverse_in_windows, window_steps_for
from detrun_scheduler.errors import NotDifferentiableError, UsageError
from detrun_scheduler.run import ActiveRun, RunHooks

BIAS = (
    "sensitivity of this run on its frozen schedule: branches, timeouts, event order and discrete draws do not move, "
    "so it is not the derivative of an expectation"
)

DEFAULT_SNAPSHOTS = 30
ENTRY_BYTES = 150  # of one tape entry, with the numbers it keeps alive and its share of the sweep


def check_params(params: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among the parameters, as floats; the others are tensors and modules.

    Raises:
        UsageError: no mapping, or one of them has no name or is neither a finite number nor a tensor or module.
    """
    if not isinstance(params, Mapping):
        raise UsageError(f"gradient: params={params!r:.80} is no dict; pass params={{'name': number, ...}}")
    if not params:
        raise UsageError("gradient: no parameters given; pass params={'name': number, ...}")
    checked = {}
    for name, number in params.items():
        if not isinstance(name, str):
            raise UsageError(f"gradient: parameter {name!r} must have a text for its name")
        if is_tensor_parameter(number):
            continue
        if hasattr(number, "shape") and number.shape:
            raise UsageError(
                f"gradient: parameter {name!r} is an array of shape {tuple(number.shape)}; pass a torch tensor, or "
                "each number under a name of its own"
            )
        if isinstance(number, bool) or not hasattr(number, "__float__") or not _is_finite(number):
            raise UsageError(f"gradient: parameter {name!r} is {number!r:.80}, which is not a finite number")
        checked[name] = float(number)
    return checked


def _is_finite(number: Any) -> bool:
    try:
        return math.isfinite(float(number))
    except OverflowError:  # an int beyond all floats
        return False


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """How to take a local gradient; the fields are keyword arguments of `detrun.gradient`."""

    mode: str = "reverse"
    snapshots: int | None = None
    window: int | None = None
    memory: int | None = None
    credit: int = 0
    max_steps: int | None = None

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
    threads = use_one_thread()
    try:
        run = _in_windows if options.windowed else _on_one_tape
        gradient = run(main, numbers, tensors, execution, options, Options(max_steps=options.max_steps))
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
        Tangents(numbers) if options.mode == "forward" else WholeTape(numbers, tensors, options.credit)
    )
    finished = execution.execute(main, (), run_options, scope)
    loss = loss_of(main, finished.outcome)
    gradient = Gradient(
        value=float(loss.primal if isinstance(loss, Value) else loss),
        grads=scope.grads,
        kind="local",
        std_error=dict.fromkeys(scope.grads, 0.0),
        samples=1,
        bias=BIAS,
        validity=scope.validity,
        diagnostics=scope.diagnostics,
        recording=finished.recording,
        digest=finished.digest,
    )
    gradient.diagnostics.taped_steps = finished.steps if options.mode == "reverse" else 0
    gradient.diagnostics.peak_bytes = peak_bytes()
    if isinstance(scope, WholeTape):
        gradient.credit = {name: credit_report(totals, finished.recording) for name, totals in scope.credits.items()}
    _warn(gradient, isinstance(loss, Value))
    return gradient


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
        main, numbers, tensors, recording, snapshots=snapshots, window=window, credit=options.credit
    )
    diagnostics = RunDiagnostics(
        entries=totals.entries,
        sites_passed=totals.sites_passed,
        nearest_margins=[NearMargin(*one) for one in totals.margins],
        detachments=[
            (place.rpartition(":")[0], int(place.rpartition(":")[2]), count)
            for place, count in sorted(totals.detachments.items())
        ],
        windows=totals.windows,
        window_steps=window,
        snapshots=snapshots,
        forward_steps=totals.forward_steps,
        taped_steps=totals.taped_steps,
        entries_in_a_window_max=totals.entries_in_a_window_max,
        peak_bytes=max(totals.peak_bytes_max, peak_bytes()),
    )
    growth = AdjointGrowth(largest=totals.growth)
    diagnostics.adjoint_growth = growth.segments()
    verdict = growth.verdict()
    if verdict is not None:
        diagnostics.warnings.append(verdict)
    if totals.leaf_gradients_lost:
        diagnostics.warnings.append(
            "torch tensors outside params received gradient too; in windows their .grad is not filled. Pass their "
            "module in params, or tape the run as a whole"
        )
    gradient = Gradient(
        value=swept.loss,
        grads=grads,
        kind="local",
        std_error=dict.fromkeys(grads, 0.0),
        samples=1,
        bias=BIAS,
        validity={},  # margins of one window depend on parameters through all earlier ones
        diagnostics=diagnostics,
        recording=recording,
        digest=digest or (recording.end.digest.hex() if recording.end is not None else ""),
        credit={name: credit_report(one, recording) for name, one in totals.credits().items()},
    )
    _warn(gradient, swept.has_loss)
    return gradient


def _warn(gradient: Gradient, depends: bool) -> None:
    diagnostics = gradient.diagnostics
    gradient.warnings = list(diagnostics.warnings)
    if not depends:
        gradient.warnings.append("the loss is a plain number: it does not depend on any parameter through Values")
    for name, near in gradient.validity.items():
        if near.radius == 0.0:
            gradient.warnings.append(
                f"{name} is exactly where this run is decided ({near.site}): the smallest change may take another "
                "schedule, and the derivative is at best one-sided"
            )
    if diagnostics.detachments:
        file, line, count = diagnostics.detachments[0]
        others = len(diagnostics.detachments) - 1
        more = f" and at {others} more places" if others else ""
        gradient.warnings.append(f"the bare number was taken out of a Value at {file}:{line} ({count} times){more}")


class WholeTape(RunScope):
    """Tapes a run from end to end and sweeps it before its ids are forgotten."""

    def __init__(self, numbers: dict[str, float], tensors: TensorParameters, credit: int) -> None:
        self.numbers = numbers
        self.tensors = tensors
        self.credit = credit  # steps to keep in the credit report; 0 for none
        self.credits: dict[str, CreditTotals] = {}
        self.values: dict[str, Value] = {}
        self.grads: dict[str, Any] = {}
        self.validity: dict[str, Validity] = {}
        self.diagnostics = RunDiagnostics()

    def contribute(self, hooks: RunHooks) -> None:
        """Note where timing decides, and which step an entry belongs to."""
        hooks.time_observer = TimingSites()
        if self.credit:
            hooks.after_step.append(mark_step)

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """Start the tape; the parameters are its first entries."""
        state.start_tape()
        self.values = {name: Value(number) for name, number in self.numbers.items()}
        # The program gets a copy: what it does to the dict must not lose us a parameter.
        return ({**self.values, **self.tensors.prepare(run.serial)},)

    def end(self, ended: outcome.Outcome[Any]) -> outcome.Outcome[Any]:
        """Sweep back from the loss, if the program returned one."""
        loss: Any = ended.value if isinstance(ended, outcome.Value) else None
        if is_tensor(loss) and loss.numel() == 1:
            loss = number_of(loss)  # while its entry finds a tape
        tape = state.stop_tape()
        if isinstance(ended, outcome.Value):
            self._sweep(tape, loss)
        return ended

    def _sweep(self, tape: Tape, loss: Any) -> None:
        ids = {name: value.id for name, value in self.values.items()}
        growth = AdjointGrowth(origin=state.first_id)
        if isinstance(loss, Value):
            uses = ParameterUses.of(tape, ids) if self.credit else None
            wanted = [*ids.values(), *self.tensors.ids, *(uses.wanted if uses is not None else ())]
            with LeafGradients(keep=True):
                adjoints = backward(tape, {loss.id: 1.0}, wanted=wanted, growth=growth)
            refuse_foreign(adjoints, tape.first_id)
            self.grads = {name: adjoints[one] for name, one in ids.items()} | self.tensors.gradients(adjoints)
            if uses is not None:
                for name, contributions in uses.contributions(adjoints).items():
                    self.credits[name] = CreditTotals()
                    self.credits[name].add(contributions, self.credit)
        else:
            self.grads = {**dict.fromkeys(ids, 0.0), **self.tensors.gradients({})}
        self.validity = validity(tape, ids)
        self.diagnostics = RunDiagnostics.of(diagnose([tape], growth))


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


def loss_of(main: Main, ended: outcome.Outcome[Any]) -> Value | float:
    """The number that the program returned; raises what it raised.

    Raises:
        NotDifferentiableError: it returned something else.
    """
    loss = ended.unwrap()
    if is_tensor(loss) and loss.numel() == 1:
        return number_of(loss)
    if isinstance(loss, Value) or (isinstance(loss, int | float) and not isinstance(loss, bool)):
        return loss
    name = getattr(main, "__qualname__", repr(main))
    raise NotDifferentiableError(f"{name} returned {loss!r}; to be differentiated it must return one number, the loss")
