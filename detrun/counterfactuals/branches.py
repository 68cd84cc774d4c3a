"""`Branches`: one recorded run, and what would have become of it had some of its draws come out otherwise.

A branch follows the base run's choices until its forced draw makes a difference, and then each task's own order
(`detrun_recorder.what_if`). Two ways lead to it, and they give the same run, bit by bit:

- *re-execution*: the program runs from its start. Nothing is needed for it, and for short runs it is the cheapest.
- *fork*: the base run is replayed once, in a process of its own, which forks at each draw that a branch forces; the
  fork goes on with the forced outcome and sends its result back. The steps before the draw are taken once for all
  branches.

Which is cheaper for a set of branches depends on the length of the run, on where the draws lie and on what a fork costs
in this process; all three are measured while branches are made (`Costs`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

from greenlet import greenlet

from detrun.ad.torch_bridge import use_one_thread, use_threads
from detrun.counterfactuals.branch import Branch
from detrun.counterfactuals.costs import Costs
from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.primitives.forcing import Address, Forces, check_force
from detrun.races.watch import what_if_run
from detrun_recorder.recording import Recording
from detrun_recorder.snapshots import IN_CHILD, can_fork, fork_here, in_fork, reply
from detrun_scheduler.errors import DetrunError
from detrun_scheduler.run import ActiveRun

Force = Mapping[Address, Any]


class Branches:
    """The branches of one recorded run.

    Args:
        main, args: the recorded program and what it was given.
        recording: the base run.
        options: what surrounds it, where the recording does not say so.
        draw_steps: by address, the step in which the base run made a draw, as far as that is known; only to choose the
            cheaper way.

    The recording of a branch is the base of another `Branches`, if one is wanted.
    """

    def __init__(
        self,
        main: Main,
        args: Sequence[object],
        recording: Recording,
        options: Options | None = None,
        draw_steps: Mapping[Address, int] | None = None,
    ) -> None:
        self.main, self.args, self.recording = main, tuple(args), recording
        self.options = options or Options()
        self.base_force = self.options.with_recorded(recording, main).force or {}
        self.costs = Costs(recording.steps, dict(draw_steps or {}))

    def run(self, force: Force, *args: object) -> Branch:
        """The branch with these draws forced, and with other arguments if some are given; by re-execution.

        Raises:
            Whatever the program raises in that branch, or how its run failed.
        """
        started = perf_counter()
        options = replace(self.options, force=self.whole(force))
        finished = what_if_run(self.recording).execute(self.main, args or self.args, options)
        self.costs.ran(finished.steps, perf_counter() - started)
        return Branch.of(self.main, finished)

    def whole(self, force: Force) -> dict[Address, Any]:
        """What a branch forces, with what the base run was forced to."""
        return {**self.base_force, **check_force(force)}

    def run_all(self, forces: Sequence[Force], way: str | None = None) -> list[Branch]:
        """A branch for each of ``forces``, in their order.

        Args:
            way: ``"run"`` or ``"fork"``; None chooses the cheaper one as far as is known.

        Raises: as `run`.
        """
        if way == "fork":
            return self._forked(forces)
        if way is not None or not can_fork():
            return [self.run(force) for force in forces]
        done = [] if self.costs.step_seconds is not None else [self.run(force) for force in forces[:1]]
        left = forces[len(done) :]
        if self.costs.forks_are_cheaper([list(force) for force in left]):
            return done + self._forked(left)
        return done + [self.run(force) for force in left]

    def _forked(self, forces: Sequence[Force]) -> list[Branch]:
        tree = _ForkedBranches(self, forces)
        threads = use_one_thread()
        try:
            answers = in_fork(tree.execute)
        except DetrunError:
            answers = [None] * len(forces)  # the base run fails, and with it every branch that does not part before
        finally:
            use_threads(threads)
        branches = []
        for force, answer in zip(forces, answers, strict=True):
            if answer is None:  # made here, to fail with the exception itself
                branches.append(self.run(force))
            else:
                branches.append(Branch.unpacked(answer["branch"], _with_force(answer["header"], self.whole(force))))
                self.costs.draw_steps.update(dict.fromkeys(force, answer["step"]))
        return branches


class _ForkedBranches(Forces):
    """The base run in a process of its own, and in the processes forked from it; what forces their draws.

    Args:
        branches: of which run.
        forces: what the branches force.
    """

    def __init__(self, branches: Branches, forces: Sequence[Force]) -> None:
        super().__init__(branches.base_force)
        self.branches = branches
        self.forces = [branches.whole(force) for force in forces]
        self.answers: list[dict[str, Any] | None] = [None] * len(forces)
        self.waiting: dict[Address, list[int]] = {}  # by address: branches that part there
        for place, force in enumerate(forces):
            for address in force:
                self.waiting.setdefault(address, []).append(place)
        self.left = set(range(len(forces)))  # branches that have not parted
        self.mine = -1  # in a fork: the place of the branch that this process is
        self.parted = 0  # the step in which it left the base run

    def execute(self) -> Any:
        """Replay the base run; returns in every process, with what it is to reply."""
        branches = self.branches
        options = replace(branches.options, force=branches.base_force, forces=self)
        finished = what_if_run(branches.recording).execute(branches.main, branches.args, options)
        branch = Branch.of(branches.main, finished)
        answer = {"branch": branch.packed(), "header": dict(branch.header), "step": self.parted}
        if self.mine >= 0:
            return answer
        # What is left forces draws that the base run does not make.
        for place in self.left:
            self.answers[place] = {**answer, "step": finished.steps}
        return self.answers

    def met(self, run: ActiveRun, address: Address) -> None:
        """The run is about to make a draw: fork for each branch that forces it and has not parted before."""
        for place in self.waiting.get(address, ()) if self.mine < 0 else ():
            if place not in self.left:
                continue
            self.left.discard(place)
            try:
                # Not in the greenlet of a simulated thread: Python's own hooks around a fork take locks, and in there
                # those would be the run's.
                answer = greenlet(fork_here).switch(quiet=True)
            except (DetrunError, OSError):
                continue  # it is made by re-execution
            if answer is IN_CHILD:
                self.mine, self.parted, self.table = place, run.step_index, self.forces[place]
                return
            self.answers[place] = answer
        if self.mine < 0 and not self.left:
            reply(self.answers)


def _with_force(header: Mapping[str, Any], force: Force) -> dict[str, Any]:
    """The header of a branch, made from that of the base run."""
    extra = dict(header["extra"])
    base = extra.pop("what_if_of")
    extra.pop("force", None)
    forced = Options(force=force).header().get("force") if force else None
    return {**header, "extra": {**extra, **({} if forced is None else {"force": forced}), "what_if_of": base}}
