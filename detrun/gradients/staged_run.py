"""`StagedTape`: one taped run in which stages have their rules, and what each of them carried.

Two sweeps, from the loss and from the score of the policy stages, cross every boundary by its rule. What a stage
carried is what arrives at the parameters from the adjoints of the numbers that came out of it; the error of a stage
with differences is what arrives from those adjoints times the errors of its Jacobian. Runs without stages pay nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from detrun.ad.reverse import backward, refuse_foreign
from detrun.ad.tape import Tape
from detrun.ad.tensor_parameters import TensorParameters
from detrun.ad.torch_bridge import LeafGradients
from detrun.ad.value import Value
from detrun.effects import stage_calls
from detrun.effects.stage_calls import StageCalls, StageNotes
from detrun.gradients.policy.scores import ScoredDraws, Scores
from detrun.gradients.whole_tape import WholeTape
from detrun.primitives.draw_log import WatchedDraws
from detrun_scheduler.run import ActiveRun


class StagedDraws(ScoredDraws):
    """Between a run and its draws: those of policy stages are scored, each to its stage.

    Attributes:
        stages: what the stages of the run have done.
        by_stage: their scores.
    """

    __slots__ = ("by_stage", "stages")

    def __init__(self) -> None:
        super().__init__(Scores())
        self.terms = None
        self.stages = StageCalls()
        self.by_stage: dict[str, Scores] = {}

    @contextmanager
    def scoring(self, name: str) -> Iterator[None]:
        """The draws in this block are decisions of a stage."""
        before = self.scores, self.terms
        self.scores = self.terms = self.by_stage.setdefault(name, Scores())
        try:
            yield
        finally:
            self.scores, self.terms = before

    def came_out(self, outcome: Any) -> Any:
        """See `DrawWatcher`."""
        return WatchedDraws.came_out(self, outcome) if self.terms is None else super().came_out(outcome)


class StagedTape(WholeTape):
    """The tape of a run with stages.

    Attributes:
        score: by parameter, the derivative of the log-probability of all decisions of policy stages; empty without any.
        notes: by stage, plain data of what it did and carried.
    """

    def __init__(self, numbers: dict[str, float], tensors: TensorParameters) -> None:
        super().__init__(numbers, tensors, 0, measures_validity=False)
        self.score: dict[str, float] = {}
        self.notes: dict[str, dict[str, Any]] = {}
        self._draws = StagedDraws()

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """Stages find their rules in force."""
        stage_calls.honoured = self._draws
        return super().begin(run, args)

    def close(self) -> None:
        """And no longer."""
        stage_calls.honoured = None
        super().close()

    def _sweep(self, tape: Tape, loss: Any) -> None:
        super()._sweep(tape, loss)
        stages = self._draws.stages.stages
        if not stages:
            return
        seeds: Counter[int] = Counter()
        for scores in self._draws.by_stage.values():
            for one, weight in scores.seeds.items():
                seeds[one] += weight  # type: ignore[assignment]
        with LeafGradients(keep=True):
            by_path = self._carried(tape, {loss.id: 1.0} if isinstance(loss, Value) else {})
            by_score = self._carried(tape, seeds) if seeds else {}
            if self._draws.by_stage:
                self.score = self._arriving(tape, seeds)
            for name, notes in stages.items():
                scores = self._draws.by_stage.get(name, Scores())
                self.notes[name] = {
                    "derivative": notes.derivative,
                    "setting": notes.setting,
                    "calls": notes.calls,
                    "evaluations": notes.evaluations,
                    "decided": notes.decided,
                    "scored": notes.scored,
                    "held": notes.held,
                    "draws": scores.draws + scores.effects,
                    "unscored": scores.unscored,
                    "own_score": self._arriving(tape, scores.seeds),
                    "path": by_path.get(name, ({}, {})),
                    "score": by_score.get(name, ({}, {})),
                }

    def _carried(self, tape: Tape, seeds: Mapping[int, float]) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
        """By stage, what arrives at the parameters through it, and the estimated error of that."""
        stages = self._draws.stages.stages
        ids = {one for notes in stages.values() for one in notes.outputs if one >= tape.first_id}
        adjoints = backward(tape, seeds, wanted=ids)
        found = {}
        for name, notes in stages.items():
            through = {one: adjoints[one] for one in notes.outputs if one in ids and adjoints[one]}
            found[name] = self._arriving(tape, through), self._arriving(tape, _errors(notes, adjoints))
        return found

    def _arriving(self, tape: Tape, seeds: Mapping[int, float]) -> dict[str, float]:
        ids = {name: value.id for name, value in self.values.items()}
        adjoints = backward(tape, seeds, wanted=ids.values()) if seeds else {}
        refuse_foreign(adjoints, tape.first_id)
        return {name: float(adjoints.get(one, 0.0)) for name, one in ids.items()}


def _errors(notes: StageNotes, adjoints: Mapping[int, float]) -> dict[int, float]:
    """The adjoints of what went into a stage, of the errors of its difference quotients alone."""
    found: dict[int, float] = {}
    for crossing in notes.crossings:
        for output, row in zip(crossing.outputs, crossing.errors, strict=True):
            adjoint = adjoints.get(output, 0.0)
            for one, error in zip(crossing.inputs, row, strict=True):
                if adjoint and error and one >= 0:
                    found[one] = found.get(one, 0.0) + adjoint * error
    return found
