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
from detrun.execution.what_if_run import Address
from detrun.races.watch import what_if_run
from detrun_recorder.recording import Recording
from detrun_recorder.snapshots import IN_CHILD, can_fork, fork_here, in_fork, reply
from detrun_recorder.what_if import WhatIfReplay
from detrun_scheduler.errors import DetrunError

Force = Mapping[Address, int]


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
        self.costs = Costs(recording.steps, dict(draw_steps or {}))

    def run(self, force: Force, *args: object) -> Branch:
        """The branch with these draws forced, and with other arguments if some are given; by re-execution.

        Raises:
            Whatever the program raises in that branch, or how its run failed.
        """
        started = perf_counter()
        execution = replace(what_if_run(self.recording), force=dict(force))
        finished = execution.execute(self.main, args or self.args, self.options)
        self.costs.ran(finished.steps, perf_counter() - started)
        return Branch.of(self.main, finished)

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
                branches.append(Branch.unpacked(answer["branch"], answer["header"]))
                self.costs.draw_steps.update(dict.fromkeys(force, answer["step"]))
        return branches


class _ForkedBranches:
    """The base run in a process of its own, and in the processes forked from it.

    Args:
        branches: of which run.
        forces: what the branches force.
    """

    def __init__(self, branches: Branches, forces: Sequence[Force]) -> None:
        self.branches = branches
        self.forces = forces
        self.answers: list[dict[str, Any] | None] = [None] * len(forces)
        self.waiting = set(range(len(forces)))
        self.mine: int | None = None  # in a fork: the place of the branch that this process is
        self.parted = 0  # the step in which it left the base run
        self.execution = what_if_run(branches.recording)

    def execute(self) -> Any:
        """Replay the base run; returns in every process, with what it is to reply."""
        branches = self.branches
        watched = [address for force in self.forces for address in force]
        self.execution = replace(what_if_run(branches.recording), at_draw=self._at_draw, watched=watched)
        finished = self.execution.execute(branches.main, branches.args, branches.options)
        branch = Branch.of(branches.main, finished)
        answer = {"branch": branch.packed(), "header": dict(branch.header), "step": self.parted}
        if self.mine is not None:
            return answer
        # What is left forces draws that the base run does not make.
        for place in self.waiting:
            self.answers[place] = {**answer, "step": finished.steps}
        return self.answers

    def _at_draw(self, address: Address, replayer: WhatIfReplay) -> None:
        """The run is about to make a draw that a branch forces: fork for each that has not parted before."""
        if self.mine is not None:
            return
        assert replayer.run is not None
        for place in sorted(self.waiting):
            force = self.forces[place]
            if address not in force:
                continue
            self.waiting.discard(place)
            try:
                # Not in the greenlet of a simulated thread: Python's own hooks around a fork take locks, and in there
                # those would be the run's.
                answer = greenlet(fork_here).switch(quiet=True)
            except (DetrunError, OSError):
                continue  # it is made by re-execution
            if answer is IN_CHILD:
                self.mine, self.parted = place, replayer.run.step_index
                replayer.forced = {self.execution.stream_of(one): bits for one, bits in force.items()}
                return
            self.answers[place] = answer
        if not self.waiting:
            reply(self.answers)
