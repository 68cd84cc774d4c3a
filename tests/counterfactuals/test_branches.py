"""Branches of a run at its draws: the same by re-execution and by fork, bit by bit."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import trio

import detrun
from detrun.counterfactuals.branch import Branch
from detrun.counterfactuals.branches import Branches
from detrun.counterfactuals.costs import Costs
from detrun_recorder.snapshots import can_fork

ONE, ZERO = True, False

forking = pytest.mark.skipif(not can_fork(), reason="this system has no fork")


async def binomial(params: dict[str, float]) -> float:
    """The square of how many of six tasks win; a winner takes two more steps, and an unrelated task logs the time."""
    wins = detrun.Atomic(0)
    log = detrun.Atomic(1.0)

    async def one() -> None:
        await trio.sleep(detrun.exponential(1.0))
        if detrun.bernoulli(params["p"]):
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            wins.fetch_add(1)

    async def unrelated() -> None:
        for _ in range(4):
            await trio.sleep(0.3)
            log.store(log.load() * 0.5 + detrun.uniform())

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(one)
        nursery.start_soon(unrelated)
    return float(wins.load()) ** 2 + log.load()


def threads(params: dict[str, float]) -> float:
    """The same with threads that are interrupted at lines."""
    wins = [0]

    def one() -> None:
        if detrun.bernoulli(params["p"]):
            seen = wins[0]
            wins[0] = seen + 1

    workers = [threading.Thread(target=one, name=f"one-{number}") for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return float(wins[0]) ** 2


def second_draws(count: int) -> list[tuple[str, int]]:
    return [("main/one" + (f"[{number}]" if number else ""), 1) for number in range(count)]


def contents(branch: Branch) -> tuple[Any, ...]:
    return branch.loss, branch.steps, branch.digest, branch.what_if, branch.recording.to_bytes()


@forking
@pytest.mark.parametrize("strategy", ["random", "fifo"])
def test_a_fork_and_a_re_execution_give_the_same_branch_bit_by_bit(strategy: str) -> None:
    params = {"p": 0.4}
    base = detrun.record(binomial, params, seed=4, strategy=strategy)
    forces = [{address: bits} for address in second_draws(6) for bits in (ONE, ZERO)]
    forces.append({second_draws(6)[1]: ONE, second_draws(6)[4]: ONE})
    forces.append({("main/one", 99): ONE})  # never met
    branches = Branches(binomial, (params,), base.recording)
    run, forked = branches.run_all(forces, "run"), branches.run_all(forces, "fork")
    assert [contents(one) for one in run] == [contents(one) for one in forked]
    # Of each pair one is what happened, and the other differs by whole wins.
    for one, zero in zip(run[0:12:2], run[1:12:2], strict=True):
        assert (one.first_difference is None) != (zero.first_difference is None)
        assert base.result in (one.loss, zero.loss)
        assert one.loss > zero.loss
    assert run[-1].first_difference is None
    assert run[-1].digest == base.digest


@forking
def test_threads_at_lines_fork_in_the_middle_of_a_step() -> None:
    params = {"p": 0.5}
    base = detrun.record(threads, params, seed=2, preemption="line", include=[__name__])
    forces = [{(f"main/one-{number}", 0): bits} for number in range(4) for bits in (ONE, ZERO)]
    branches = Branches(threads, (params,), base.recording)
    run, forked = branches.run_all(forces, "run"), branches.run_all(forces, "fork")
    assert [contents(one) for one in run] == [contents(one) for one in forked]
    assert len({one.loss for one in run}) > 1


def test_a_pair_differs_by_what_the_draw_decides_and_by_nothing_else() -> None:
    """d/dp E[Bin(6, p)^2] for the base run's other draws: flipping one of w other wins changes the square by 2w + 1."""
    params = {"p": 0.4}
    base = detrun.record(binomial, params, seed=7)
    branches = Branches(binomial, (params,), base.recording)
    for address in second_draws(6):
        one, zero = branches.run({address: ONE}), branches.run({address: ZERO})
        difference = one.loss - zero.loss
        assert difference == round(difference)
        assert round(difference) % 2 == 1


def test_other_arguments_go_with_forced_draws() -> None:
    base = detrun.record(binomial, {"p": 0.4}, seed=7)
    branches = Branches(binomial, ({"p": 0.4},), base.recording)
    everyone = branches.run({("main/one", 1): ZERO}, {"p": 0.999})
    assert 25.0 <= everyone.loss < 36.0


@forking
def test_a_branch_that_fails_raises_what_its_program_raised_by_either_way() -> None:
    async def program(params: dict[str, float]) -> float:
        await trio.lowlevel.checkpoint()
        if detrun.bernoulli(params["p"]):
            raise ValueError("no luck")
        return 1.0

    base = detrun.record(program, {"p": 0.01}, seed=1)
    branches = Branches(program, ({"p": 0.01},), base.recording)
    for way in ("run", "fork"):
        with pytest.raises(ValueError, match="no luck"):
            branches.run_all([{("main", 0): ONE}], way)


def test_a_loss_that_is_no_number_is_refused() -> None:
    async def program(params: dict[str, float]) -> str:
        return "done"

    base = detrun.record(program, {"p": 0.5})
    with pytest.raises(detrun.UsageError, match="must return one number"):
        Branches(program, ({"p": 0.5},), base.recording).run({})


def test_forks_are_chosen_where_they_save_more_than_they_cost() -> None:
    early, late = ("main", 0), ("main", 1)
    costs = Costs(1000, {early: 0, late: 900})
    assert not costs.forks_are_cheaper([[late]] * 5)  # nothing is known of the run yet
    costs.ran(1000, 1.0)
    costs.fork_seconds = 0.01
    assert costs.forks_are_cheaper([[late]] * 2)  # 0.9 s of 2, for three forks
    assert not costs.forks_are_cheaper([[late]])
    assert not costs.forks_are_cheaper([[early]] * 5)
    assert costs.forks_are_cheaper([[("main", 7)]] * 5)  # somewhere: half of each run is saved, less one run
    costs.fork_seconds = 1.0
    assert not costs.forks_are_cheaper([[late]] * 2)
    costs.ran(1000, 0.0005)
    costs.fork_seconds = None
    assert not costs.forks_are_cheaper([[late]] * 2)  # not even worth to try a fork out
    assert costs.fork_seconds is None


@forking
def test_the_way_is_chosen_by_what_was_measured() -> None:
    params = {"p": 0.4}
    base = detrun.record(binomial, params, seed=4)
    forces = [{address: ZERO} for address in second_draws(3)]
    branches = Branches(binomial, (params,), base.recording)
    losses = [one.loss for one in branches.run_all(forces)]
    assert branches.costs.step_seconds is not None
    branches.costs.step_seconds, branches.costs.fork_seconds = 1.0, 0.0
    assert [one.loss for one in branches.run_all(forces)] == losses
    assert all(address in branches.costs.draw_steps for address in second_draws(3))


@forking
def test_the_recording_of_a_branch_replays_exactly_and_is_the_base_of_others() -> None:
    params = {"p": 0.4}
    base = detrun.record(binomial, params, seed=4)
    first, second = second_draws(2)
    for way in ("run", "fork"):
        (branch,) = Branches(binomial, (params,), base.recording).run_all([{first: ONE}], way)
        assert detrun.replay(binomial, params, recording=branch.recording).digest == branch.digest
        (further,) = Branches(binomial, (params,), branch.recording).run_all([{second: ONE}], way)
        both = Branches(binomial, (params,), base.recording).run({first: ONE, second: ONE})
        assert round(further.loss - both.loss) == further.loss - both.loss  # the first draw is still forced
        assert detrun.replay(binomial, params, recording=further.recording).digest == further.digest
