"""Reverse mode in bounded memory: the local gradient of a long run, taped one window of steps at a time.

The run is cut into windows. A forked process holds the run as it was at the start of some window; `reverse` in a
process at window ``i`` reverses the windows up to ``j``: while more than one is left, a forked child runs on, without
a tape, to the best place to split and reverses what lies behind it, while this process sleeps as the snapshot of
``i``; the last one is taped and swept here. What comes back from a child are adjoints of `Value` ids, which are the
same in every process because ids are allotted with the tape on and off alike. So the gradient is bit-equal to that of
one whole tape.

The order of the forks is that of treeverse with binomial splits (`detrun.ad.revolve`): with ``snapshots`` processes
it takes the fewest forward steps possible. Where there is no ``fork``, each window is reached by running the program
again from its start, which costs a number of steps quadratic in the windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

import outcome

from detrun.ad import state
from detrun.ad.diagnostics import NearMargin, diagnose, nearest_places, peak_bytes
from detrun.ad.growth import AdjointGrowth
from detrun.ad.path_strength import PathStrengths
from detrun.ad.reverse import backward, refuse_foreign
from detrun.ad.revolve import split
from detrun.ad.tensor_parameters import TensorParameters
from detrun.ad.torch_bridge import LeafGradients, decoded, encoded, is_tensor, number_of, use_one_thread
from detrun.ad.value import Value
from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.execution.scope import RunLeftError, RunScope
from detrun.gradients.credit import CreditTotals, ParameterUses, mark_step
from detrun.gradients.result import RunDiagnostics
from detrun.gradients.timing import TimingSites
from detrun.races.watch import replayed_run
from detrun_recorder.recording import Recording
from detrun_recorder.snapshots import IN_CHILD, can_fork, fail, fork_here, in_fork, reply, silence
from detrun_scheduler.run import ActiveRun, RunHooks

WINDOW_STEPS_MIN, WINDOW_STEPS_MAX = 256, 50_000
NEAREST_MARGINS = 5


@dataclass(slots=True)
class WindowTotals:
    """Totals over the processes of one gradient."""

    windows: int = 0
    forward_steps: int = 0
    taped_steps: int = 0
    entries: int = 0
    entries_in_a_window_max: int = 0
    peak_bytes_max: int = 0  # resident memory of the largest process
    sites_passed: int = 0
    leaf_gradients_lost: int = 0  # gradients of torch leaves without an id, whose `.grad` dies with its process
    margins: list[tuple[str, str, float, int]] = field(default_factory=list)
    ties: list[str] = field(default_factory=list)  # sites that `Value`s passed with a margin of 0
    detachments: dict[str, int] = field(default_factory=dict)  # "file:line" -> count
    growth: dict[int, float] = field(default_factory=dict)  # segment -> largest adjoint
    # parameter -> (step -> contribution, sum of absolute contributions, sum of contributions)
    credit: dict[str, tuple[dict[int, float], float]] = field(default_factory=dict)
    credit_kept: int = 0

    def credits(self) -> dict[str, CreditTotals]:
        """The credit of each parameter."""
        return {name: CreditTotals(dict(largest), absolute) for name, (largest, absolute) in self.credit.items()}

    def diagnostics(self, window_steps: int, snapshots: int, *, ties: bool = True) -> RunDiagnostics:
        """The totals of a whole run, as its gradient reports them; ``ties`` are warned of unless validity tells."""
        growth = AdjointGrowth(largest=self.growth)
        warnings = []
        if self.leaf_gradients_lost:
            warnings.append(
                "torch tensors outside params received gradient too; in windows their .grad is not filled. Pass their "
                "module in params, or tape the run as a whole"
            )
        warnings += [
            f"this run is decided exactly at a tie ({place}): if a parameter moves it, the smallest change may take "
            "another schedule, and the derivative is at best one-sided"
            for place in (self.ties if ties else ())
        ]
        return RunDiagnostics(
            entries=self.entries,
            sites_passed=self.sites_passed,
            nearest_margins=[NearMargin(*one) for one in self.margins],
            detachments=[
                (place.rpartition(":")[0], int(place.rpartition(":")[2]), count)
                for place, count in sorted(self.detachments.items())
            ],
            adjoint_growth=growth.segments(),
            warnings=warnings,
            windows=self.windows,
            window_steps=window_steps,
            snapshots=snapshots,
            forward_steps=self.forward_steps,
            taped_steps=self.taped_steps,
            entries_in_a_window_max=self.entries_in_a_window_max,
            peak_bytes=max(self.peak_bytes_max, peak_bytes()),
        )

    def add(self, other: dict[str, Any]) -> None:
        """Add the totals of a child, as its reply carries them."""
        for name in (
            "windows",
            "forward_steps",
            "taped_steps",
            "entries",
            "sites_passed",
            "leaf_gradients_lost",
        ):
            setattr(self, name, getattr(self, name) + other[name])
        for name in ("entries_in_a_window_max", "peak_bytes_max"):
            setattr(self, name, max(getattr(self, name), other[name]))
        near = nearest_places((NearMargin(*one) for one in (*self.margins, *other["margins"])), NEAREST_MARGINS)
        self.margins = [(one.kind, one.where, one.margin, one.passes) for one in near]
        self.ties = list(dict.fromkeys([*self.ties, *other["ties"]]))[:NEAREST_MARGINS]
        for place, count in other["detachments"].items():
            self.detachments[place] = self.detachments.get(place, 0) + count
        for segment, largest in other["growth"].items():
            self.growth[segment] = max(self.growth.get(segment, 0.0), largest)
        for name, (largest, absolute) in other["credit"].items():
            known = self.credits().get(name, CreditTotals())
            totals = CreditTotals(known.largest, known.absolute + absolute)
            totals.add_kept(largest, self.credit_kept)
            self.credit[name] = (totals.largest, totals.absolute)


@dataclass(slots=True)
class Swept:
    """The outcome of reversing some windows."""

    # Of ids older than the windows, counted from the first of the run: floats, and tensors as `torch_bridge.encoded`.
    adjoints: dict[int, Any]
    loss: float = 0.0
    has_loss: bool = False  # the program ended in these windows with a loss that carries a derivative
    totals: dict[str, Any] = field(default_factory=dict)
    # Strengths of paths, of the same ids, see `detrun.ad.path_strength`; and the largest with its id.
    strengths: dict[int, float] = field(default_factory=dict)
    peak: tuple[float, int] = (0.0, -1)


def window_steps_for(steps: int, snapshots: int) -> int:
    """The window by default, in steps.

    So long that each window is run forward only once (one window for each snapshot, and one more), unless that makes
    the tape of a window large; and no shorter than is worth a fork.
    """
    once = -(-steps // (snapshots + 1))
    return min(max(WINDOW_STEPS_MIN, once), WINDOW_STEPS_MAX)


def reverse_in_windows(
    main: Main,
    numbers: dict[str, float],
    tensors: TensorParameters,
    recording: Recording,
    *,
    snapshots: int,
    window: int,
    credit: int,
    options: Options,
) -> tuple[Swept, WindowTotals, dict[str, Any]]:
    """The adjoints of the parameters, over windows of ``window`` steps with at most ``snapshots`` processes.

    Returns:
        What was swept, the totals, and the gradient by parameter name.
    """
    windows = max(1, -(-recording.steps // window))
    controller = WindowController(main, numbers, tensors, recording, window, windows, snapshots, credit, options)
    swept = controller.run()
    refuse_foreign(swept.adjoints, 0)
    totals = WindowTotals(credit_kept=credit)
    totals.add(swept.totals)
    grads: dict[str, Any] = {name: swept.adjoints.get(index, 0.0) for index, name in enumerate(numbers)}
    tensors.number(len(numbers))
    adjoints = {tensor_id: decoded(swept.adjoints.get(tensor_id, 0.0)) for tensor_id in tensors.ids}
    return swept, totals, grads | tensors.gradients(adjoints)


class WindowController(RunScope):
    """Drives one run through its windows; lives on in every forked process."""

    def __init__(
        self,
        main: Main,
        numbers: dict[str, float],
        tensors: TensorParameters,
        recording: Recording,
        window: int,
        windows: int,
        snapshots: int,
        credit: int,
        options: Options,
    ) -> None:
        self.main, self.numbers, self.tensors, self.recording = main, numbers, tensors, recording
        self.window, self.windows, self.snapshots = window, windows, snapshots
        self.options = options
        self.values: dict[str, Value] = {}
        self.credit = credit  # steps to keep in the credit report; 0 for none
        self.totals = WindowTotals(credit_kept=credit)
        self.at = 0  # the window whose start this process stands at, or runs to
        self.until = windows  # this process reverses the windows from `at` up to here
        self.spare = snapshots - 1  # snapshots that may sleep besides this process
        self.known = Swept({})  # what came back from behind `until`

    def run(self) -> Swept:
        """Reverse the whole run; where there is ``fork`` the calling process itself runs nothing of it."""
        if can_fork():
            return Swept(**in_fork(self._execute))
        for window in reversed(range(self.windows)):
            self.at = window
            self.totals.forward_steps += self.at * self.window
            try:
                self._execute()
            except _WindowSwept as done:
                self.known, self.until = done.swept, self.at
        return self.known

    def _execute(self) -> None:
        replayed_run(self.recording).execute(self.main, (), self.options, self)

    # The two ends of a run (see `RunScope`).

    def contribute(self, hooks: RunHooks) -> None:
        """The run pauses at the start of each window."""
        hooks.time_observer = TimingSites()
        if self.credit:
            hooks.after_step.append(mark_step)
        hooks.at_pause = self._at_pause if can_fork() else self._at_pause_without_fork
        hooks.first_pause = 0 if can_fork() else self.at * self.window

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """The parameters are the first ids."""
        self.values = {name: Value(number) for name, number in self.numbers.items()}
        return ({**self.values, **self.tensors.prepare(run.serial)},)

    def end(self, ended: outcome.Outcome[Any]) -> NoReturn:
        """The program has ended in this process, whose window, the last one, is taped."""
        if isinstance(ended, outcome.Error):
            raise ended.error
        assert isinstance(ended, outcome.Value)
        loss = ended.value
        if is_tensor(loss):
            loss = number_of(loss)  # while its entry finds a tape
        self.known.has_loss = isinstance(loss, Value)
        self.known.loss = float(loss.primal if isinstance(loss, Value) else loss)
        self.known.adjoints = {loss.id - state.first_id: 1.0} if isinstance(loss, Value) else {}
        self.known.strengths = dict(self.known.adjoints)
        self._sweep()

    # In a process that stands at the start of a window, or at the end of the window that it taped.

    def _at_pause(self, run: ActiveRun) -> float:
        try:
            if state.taping:
                self._sweep()
            use_one_thread()  # if torch came in since
            return self._reverse(run)
        except BaseException as error:
            # This process is a snapshot or its child: the program must not be unwound in it.
            fail(error)

    def _reverse(self, run: ActiveRun) -> float:
        """Reverse the windows from `at` to `until`; return the step at which the run is to pause next."""
        while self.until - self.at > 1:
            ahead = self.until - self.at
            place = self.at + (split(ahead, self.spare + 1) if self.spare else ahead - 1)
            repeated = self.until < self.windows
            answer = fork_here(quiet=repeated)
            if answer is IN_CHILD:
                if repeated:
                    self._trust(run)
                forward_steps = (place - self.at) * self.window
                self.totals = WindowTotals(forward_steps=forward_steps, credit_kept=self.credit)
                self.at, self.spare = place, self.spare - 1
                return float(place * self.window)
            self.known, self.until = Swept(**answer), place
            self.totals.add(self.known.totals)
        if self.until < self.windows:
            silence()
            self._trust(run)
        return self._tape()

    def _trust(self, run: ActiveRun) -> None:
        """Stop comparing with the recording: another process has compared the steps from here on already."""
        run.stop_comparing()

    def _at_pause_without_fork(self, run: ActiveRun) -> float:
        if state.taping:
            self._sweep()
        return self._tape()

    def _tape(self) -> float:
        state.start_tape().mark(self.at * self.window)
        return float((self.at + 1) * self.window) if self.at + 1 < self.windows else math.inf

    def _sweep(self) -> NoReturn:
        """Sweep the window taped here and answer the process that waits for it."""
        tape = state.stop_tape()
        first = state.first_id
        growth = AdjointGrowth(origin=first)
        known = self.known
        paths = PathStrengths({first + entry: strength for entry, strength in known.strengths.items()})
        paths.peak, paths.peak_id = known.peak[0], known.peak[1] + first
        paths.sweep(tape)
        known.strengths = {entry - first: strength for entry, strength in paths.handed.items()}
        known.peak = paths.peak, paths.peak_id - first
        uses = ParameterUses.of(tape, {name: value.id for name, value in self.values.items()}) if self.credit else None
        seeds = {first + entry: decoded(adjoint) for entry, adjoint in known.adjoints.items()}
        with LeafGradients(keep=not can_fork()) as leaves:
            adjoints = backward(tape, seeds, wanted=uses.wanted if uses is not None else (), growth=growth)
        known.adjoints = {
            entry - first: encoded(adjoint) for entry, adjoint in adjoints.items() if entry < tape.first_id
        }
        credit = {}
        if uses is not None:
            for name, contributions in uses.contributions(adjoints).items():
                totals = CreditTotals()
                totals.add(contributions, self.credit)
                credit[name] = (totals.largest, totals.absolute)
        steps = self.recording.steps - self.at * self.window
        found = diagnose([tape], nearest_max=NEAREST_MARGINS)
        self.totals.add(
            asdict(
                WindowTotals(
                    windows=1,
                    taped_steps=min(steps, self.window),
                    entries=len(tape),
                    entries_in_a_window_max=len(tape),
                    peak_bytes_max=peak_bytes(),
                    sites_passed=found.sites_passed,
                    leaf_gradients_lost=leaves.count if can_fork() else 0,
                    margins=[(one.kind, one.where, one.margin, one.passes) for one in found.nearest_margins],
                    ties=[str(one) for one in tape.sites if one.is_tied],
                    detachments={f"{file}:{line}": count for file, line, count in found.detachments},
                    growth=growth.largest,
                    credit=credit,
                )
            )
        )
        known.totals = asdict(self.totals)
        if can_fork():
            reply(asdict(known))
        raise _WindowSwept(known)


class _WindowSwept(RunLeftError):
    """Leaves a run whose window is swept, where there is no fork."""

    def __init__(self, swept: Swept) -> None:
        super().__init__("the window is swept")
        self.swept = swept
