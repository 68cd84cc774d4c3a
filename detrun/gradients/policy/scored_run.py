"""One scored run: its loss, the derivative of the loss along its path, and its score."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import outcome

from detrun.ad import state
from detrun.ad.reverse import add_seeds, backward, refuse_foreign
from detrun.ad.tape import Tape
from detrun.ad.tensor_numbers import TensorNumbers
from detrun.ad.torch_bridge import is_tensor, number_of
from detrun.ad.value import Value
from detrun.execution.scope import RunScope
from detrun.gradients.policy.decisions import Decision, DecisionLog
from detrun.gradients.policy.reach import Affecting, PlacedCosts
from detrun.gradients.policy.returns_to_go import Apart, apart
from detrun.gradients.policy.scores import ScoredDraws, Scores
from detrun.gradients.timing import TimingSites
from detrun.primitives.costs import Cost
from detrun.primitives.forcing import Address
from detrun_scheduler.clock import primal_of
from detrun_scheduler.run import ActiveRun, RunHooks

# Sites that are draws. The score, or the program's own declaration, takes care of them.
OF_DRAWS = ("bernoulli", "poisson", "choice", "binomial", "geometric")


class ScoredRun(RunScope):
    """Tapes a run and sweeps it twice, from the loss and from the score.

    Args:
        numbers: the parameters.
        scores: what collects the scores.
        continuous: continuous draws are decisions, too.
        force: outcomes of draws, by address.
        tensors: among the parameters.
        tells_apart: decisions are told apart, also where the program declares no costs.
        watches: what happens before what is watched, for costs that say on what they depend.

    Attributes:
        apart: the decisions, each with its score and what it answers for; None unless they are told apart.
        costs: of the run.
        along_path: by parameter, the derivative of the loss with every scored decision as it came out.
        score: by parameter, the derivative of the log-probability of those decisions.
        sites: what a parameter decided without a draw, by kind and place, and how often.
        others: generators that gave numbers without a score, see `detrun.primitives.draw_log.DrawLog.others`.
        weighs: whether the program has given weights to tasks that are `Value`s.
    """

    def __init__(
        self,
        numbers: dict[str, float],
        scores: Scores,
        continuous: bool,
        force: Mapping[Address, Any] | None = None,
        *,
        tensors: TensorNumbers | None = None,
        tells_apart: bool = False,
        watches: bool = False,
    ) -> None:
        self.numbers = numbers
        self.tensors = TensorNumbers({}) if tensors is None else tensors
        self.force = force
        self.scores = scores
        self.continuous = continuous
        self.values: dict[str, Value] = {}
        self.along_path: dict[str, float] = {}
        self.score: dict[str, float] = {}
        self.sites: Counter[str] = Counter()
        self.weighs = False
        self.others: tuple[str, ...] = ()
        self._draws: ScoredDraws | None = None
        self.tells_apart = tells_apart
        self.apart: Apart | None = None
        self._log = scores.log = DecisionLog()
        self._watching = Affecting() if watches else None
        self.costs = PlacedCosts(self._log, self._watching)
        self._run: ActiveRun | None = None

    def contribute(self, hooks: RunHooks) -> None:
        """Watch draws, and where timing decides."""
        hooks.draws = self._draws = self.draws_for(self.scores)
        hooks.time_observer = TimingSites()
        hooks.costs = self.costs
        if self._watching is not None:
            hooks.watchers.append(self._watching)

    def draws_for(self, scores: Scores) -> ScoredDraws:
        """What scores the draws."""
        return ScoredDraws(scores, self.continuous, self.force)

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """Start the tape; the parameters are its first entries."""
        self._run = run
        self._log.begin(run)
        if self._watching is not None:
            self._watching.begin(run)
            self._log.epoch_of = self._watching.epoch_of
        state.start_tape()
        self.values = {name: Value(number) for name, number in self.numbers.items()}
        return ({**self.values, **self.tensors.prepare(run.serial)},)

    def end(self, ended: outcome.Outcome[Any]) -> outcome.Outcome[Any]:
        """Sweep back from the loss and from the score."""
        loss: Any = ended.value if isinstance(ended, outcome.Value) else None
        if is_tensor(loss) and loss.numel() == 1:
            loss = number_of(loss)  # while its entry finds a tape
        tape = state.stop_tape()
        weights = self._run.weights if self._run is not None else None
        self.weighs = weights is not None and weights.has_values
        self._run = None
        if self._draws is not None:
            self.others = self._draws.others
        if isinstance(ended, outcome.Value):
            ids = {name: value.id for name, value in self.values.items()}
            for found, seeds in (
                (self.along_path, {loss.id: 1.0} if isinstance(loss, Value) else {}),
                (self.score, self.scores.seeds),
            ):
                wanted = [*ids.values(), *self.tensors.ids]
                adjoints = backward(tape, seeds, wanted=wanted) if seeds else {}
                refuse_foreign(adjoints, tape.first_id)
                found.update({name: float(adjoints.get(one, 0.0)) for name, one in ids.items()})
                if self.tensors:
                    found.update(self.tensors.flat(self.tensors.gradients(adjoints)))
            if (self.tells_apart and isinstance(loss, Value | float | int)) or self.costs:
                to_go = self.costs.to_go(rest_of(loss, self.costs))
                by_tensor = partial(self._of_tensors, tape) if self.tensors else None
                self.apart = apart(tape, ids, self._log.decisions, to_go, by_tensor)
            for site in tape.sites:
                if site.kind not in OF_DRAWS:
                    self.sites[str(site)] += site.count
        return ended

    def _of_tensors(self, tape: Tape, decision: Decision) -> dict[str, float]:
        """The score of one decision by each number of the tensors: torch goes backward only, so by its own sweep."""
        seeds: dict[int, float] = {}
        add_seeds(seeds, decision.seeds)
        adjoints = backward(tape, seeds, wanted=self.tensors.ids)
        return self.tensors.flat(self.tensors.gradients(adjoints))

    def close(self) -> None:
        """Watch no longer."""
        if self._watching is not None:
            self._watching.end()


def rest_of(loss: Any, costs: Sequence[Cost]) -> float:
    """What a program returned beside its costs."""
    return float(primal_of(loss)) - math.fsum(float(primal_of(cost.value)) for cost in costs)
