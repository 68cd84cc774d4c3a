"""`StagedTape`: one taped run in which stages have their rules, and what each of them carried.

Two sweeps, from the loss and from the score of the policy stages, cross every boundary by its rule. What a stage
carried is what arrives at the parameters from the adjoints of the numbers that came out of it; the error of a stage
with differences is what arrives from those adjoints times the errors of its Jacobian. Runs without stages pay nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from detrun.ad.reverse import add_seeds, backward, refuse_foreign
from detrun.ad.tape import Tape
from detrun.ad.tensor_parameters import TensorParameters
from detrun.ad.torch_bridge import LeafGradients
from detrun.ad.value import Value
from detrun.effects import stage_calls
from detrun.effects.stage_calls import Replaced, StageCalls, StageNotes
from detrun.gradients.policy.baselines import LINEAR
from detrun.gradients.policy.decisions import DecisionLog
from detrun.gradients.policy.reach import PlacedCosts
from detrun.gradients.policy.returns_to_go import Apart, apart
from detrun.gradients.policy.scored_run import rest_of
from detrun.gradients.policy.scores import ScoredDraws, Scores
from detrun.gradients.whole_tape import WholeTape
from detrun.primitives.draw_log import WatchedDraws
from detrun_scheduler.run import ActiveRun, RunHooks


class StagedDraws(ScoredDraws):
    """Between a run and its draws: those of policy stages are scored, each to its stage.

    Attributes:
        stages: what the stages of the run have done.
        decided: the decisions of all policy stages, in order; each has the name of its stage for a tag.
        by_stage: their scores.
    """

    __slots__ = ("by_stage", "decided", "stages")

    def __init__(self) -> None:
        super().__init__(Scores())
        self.terms = None
        self.stages = StageCalls()
        self.decided = DecisionLog()
        self.by_stage: dict[str, Scores] = {}

    def stand_before(self, run: Any) -> None:
        """See `stage_calls.watcher`."""
        run.draws = self

    @contextmanager
    def scoring(self, name: str) -> Iterator[None]:
        """The draws in this block are decisions of a stage."""
        before = self.scores, self.terms, self.decided.tag
        if name not in self.by_stage:
            self.by_stage[name] = Scores()
            self.by_stage[name].log = self.decided
        self.scores = self.terms = self.by_stage[name]
        self.decided.tag = name
        try:
            yield
        finally:
            self.scores, self.terms, self.decided.tag = before

    def came_out(self, outcome: Any) -> Any:
        """See `DrawWatcher`."""
        return WatchedDraws.came_out(self, outcome) if self.terms is None else super().came_out(outcome)


@dataclass(frozen=True, slots=True)
class Tried:
    """One number that goes into one call of a finite stage, chosen at random among all.

    Attributes:
        name: of the stage.
        above, below: the call with the results that it has a step above and below.
        width: of both steps.
        into: by parameter, how the number moves with it, over the probability of this choice.
        path, score: how the loss and the score move with the number, if what follows the stage is linear.
    """

    name: str
    above: Replaced
    below: Replaced
    width: float
    into: Mapping[str, float]
    path: float
    score: float


class StagedTape(WholeTape):
    """The tape of a run with stages.

    Args:
        numbers: the parameters.
        level: which of their falling temperatures relaxed stages have; None: the last.
        replaced: a call of a finite stage that has another result.
        chooses: chooses one crossing of a finite stage, to be followed with the results on both sides; None: none.

    Attributes:
        tried: what it has chosen; None if there is nothing to choose.
        score: by parameter, the derivative of the log-probability of all decisions of policy stages; empty without any.
        notes: by stage, plain data of what it did and carried.
    """

    def __init__(
        self,
        numbers: dict[str, float],
        tensors: TensorParameters,
        level: int | None = None,
        replaced: Replaced | None = None,
        chooses: random.Random | None = None,
    ) -> None:
        super().__init__(numbers, tensors, 0, measures_validity=False)
        self.chooses = chooses
        self.tried: Tried | None = None
        self.score: dict[str, float] = {}
        self.notes: dict[str, dict[str, Any]] = {}
        self._draws = StagedDraws()
        self._draws.stages.level, self._draws.stages.replaced = level, replaced
        self._costs = PlacedCosts(self._draws.decided)

    def contribute(self, hooks: RunHooks) -> None:
        """Costs are placed among the decisions of policy stages."""
        super().contribute(hooks)
        hooks.costs = self._costs

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """Stages find their rules in force."""
        stage_calls.honoured = self._draws
        self._draws.decided.begin(run)
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
        seeds: dict[int, float] = {}
        for scores in self._draws.by_stage.values():
            add_seeds(seeds, scores.seeds.items())
        with LeafGradients(keep=True):
            by_path = self._carried(tape, {loss.id: 1.0} if isinstance(loss, Value) else {})
            by_score = self._carried(tape, seeds) if seeds else {}
            if self._draws.by_stage:
                self.score = self._arriving(tape, seeds)
            apart = self._apart(tape, loss)
            self._choose(tape, {loss.id: 1.0} if isinstance(loss, Value) else {}, seeds)
            for name, notes in stages.items():
                scores = self._draws.by_stage.get(name, Scores())
                self.notes[name] = {
                    "derivative": notes.derivative,
                    "setting": notes.setting,
                    "temperatures": notes.temperatures,
                    "baseline": notes.baseline,
                    "apart": apart.get(name),
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

    def _apart(self, tape: Tape, loss: Any) -> dict[str, Apart]:
        """By policy stage, its decisions, if what they answer for or a baseline tells them apart."""
        stages, decisions = self._draws.stages.stages, self._draws.decided.decisions
        if not self._costs and not any(one.baseline == LINEAR for one in stages.values()):
            return {}
        to_go = self._costs.to_go(rest_of(loss, self._costs))
        ids = {name: value.id for name, value in self.values.items()}
        found = {}
        for name in self._draws.by_stage:
            places = [place for place, decision in enumerate(decisions) if decision.tag == name]
            found[name] = apart(tape, ids, [decisions[one] for one in places], [to_go[one] for one in places])
        return found

    def _choose(self, tape: Tape, by_path: Mapping[int, float], by_score: Mapping[int, float]) -> None:
        """Choose one number that goes into a call of a finite stage; say what the linear rule makes of it."""
        crossings = [
            (name, notes, crossing, place)
            for name, notes in self._draws.stages.stages.items()
            for crossing in notes.crossings
            for place in range(len(crossing.inputs))
        ]
        if self.chooses is None or not crossings:
            return
        name, notes, crossing, place = self.chooses.choice(crossings)
        assert notes.setting is not None
        above, below = crossing.sides[place]
        slopes = [(up - down) / (2.0 * notes.setting) for up, down in zip(above, below, strict=True)]

        def linear(seeds: Mapping[int, float]) -> float:
            adjoints = backward(tape, seeds, wanted=crossing.outputs) if seeds else {}
            return math.fsum(
                adjoints.get(one, 0.0) * slope for one, slope in zip(crossing.outputs, slopes, strict=True)
            )

        self.tried = Tried(
            name,
            Replaced(name, crossing.call, above),
            Replaced(name, crossing.call, below),
            2.0 * notes.setting,
            {one: len(crossings) * by for one, by in self._arriving(tape, {crossing.inputs[place]: 1.0}).items()},
            linear(by_path),
            linear(by_score),
        )

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
