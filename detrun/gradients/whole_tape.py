"""Reverse mode on one tape: the whole run is taped, then swept backward from its loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import outcome

from detrun.ad import state
from detrun.ad.diagnostics import diagnose
from detrun.ad.growth import AdjointGrowth
from detrun.ad.path_strength import EXPLODED, VANISHED, PathStrengths
from detrun.ad.reverse import backward, refuse_foreign
from detrun.ad.tape import Tape
from detrun.ad.tensor_parameters import TensorParameters
from detrun.ad.torch_bridge import LeafGradients, is_tensor, number_of
from detrun.ad.validity import Validity, validity
from detrun.ad.value import Value
from detrun.execution.scope import RunScope
from detrun.gradients.adjoint_sizes import adjoint_sizes
from detrun.gradients.credit import CreditTotals, ParameterUses, mark_step
from detrun.gradients.flow import Flow, flows
from detrun.gradients.result import RunDiagnostics
from detrun.gradients.timing import TimingSites
from detrun_scheduler.run import ActiveRun, RunHooks


class WholeTape(RunScope):
    """Tapes a run from end to end and sweeps it before its ids are forgotten."""

    def __init__(
        self, numbers: dict[str, float], tensors: TensorParameters, credit: int, *, measures_validity: bool = True
    ) -> None:
        self.numbers = numbers
        self.tensors = tensors
        self.credit = credit  # steps and flows to keep in the credit report; 0 for none
        self.measures_validity = measures_validity
        self.credits: dict[str, CreditTotals] = {}
        self.flows: dict[str, list[Flow]] = {}
        self.adjoint_sizes: list[tuple[int, float]] = []
        self.values: dict[str, Value] = {}
        self.grads: dict[str, Any] = {}
        self.validity: dict[str, Validity] = {}
        self.diagnostics = RunDiagnostics()
        self.has_pullbacks = False  # something was computed by other means than the tape's: by torch, or an effect

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
            # Flows need the adjoint of every entry.
            every = range(tape.first_id, tape.end_id) if self.credit else ()
            wanted = [*ids.values(), *self.tensors.ids, *every]
            with LeafGradients(keep=True):
                adjoints = backward(tape, {loss.id: 1.0}, wanted=wanted, growth=growth)
            refuse_foreign(adjoints, tape.first_id)
            self.grads = {name: adjoints[one] for name, one in ids.items()} | self.tensors.gradients(adjoints)
            if uses is not None:
                self.adjoint_sizes = adjoint_sizes(tape, adjoints)
                for name, contributions in uses.contributions(adjoints).items():
                    self.credits[name] = CreditTotals()
                    self.credits[name].add(contributions, self.credit)
                    self.flows[name] = flows(tape, ids[name], adjoints, self.credit)
        else:
            self.grads = {**dict.fromkeys(ids, 0.0), **self.tensors.gradients({})}
        self.has_pullbacks = any(callable(partials) for _, partials in tape.wide)
        if self.measures_validity:
            self.validity = validity(tape, ids)
        self.diagnostics = RunDiagnostics.of(diagnose([tape]))
        self.diagnostics.adjoint_growth = growth.segments()
        if isinstance(loss, Value):
            self.diagnostics.warnings += self._growth_warnings(tape, loss, growth)
        self.diagnostics.warnings += [
            f"no recorded operation or comparison used the parameter {name!r}: the program does not read it under this "
            "name, or only its bare number"
            for name, one in ids.items()
            if self.grads[name] == 0.0 and not tape.uses(one)
        ]

    def _growth_warnings(self, tape: Tape, loss: Value, growth: AdjointGrowth) -> list[str]:
        # Adjoints that are large may be sums, and a small one a small number: only then are the paths looked at.
        ids = {name: value.id for name, value in self.values.items()}
        is_large = any(not size <= EXPLODED for size in growth.largest.values())
        if not is_large and all(abs(self.grads[name]) >= VANISHED for name in ids):
            return []
        paths = PathStrengths({loss.id: 1.0})
        paths.sweep(tape, ids.values())
        return paths.verdicts(ids, self.grads, tape.first_id)
