"""The database as a scenario: the right system survives faults, replays, and what must be true of it can be false."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import trio

import detrun
from detrun_scenarios.database import SCENARIO, pictures
from detrun_scenarios.database.database import database
from detrun_scenarios.database.invariants import REPLICATED, astray, committed_rows, missing, unfitting
from detrun_scenarios.database.server.machine import Hardware
from detrun_scenarios.database.settings import Settings
from detrun_scenarios.database.story import Story
from detrun_scenarios.database.transactions.transaction import Transaction
from detrun_scenarios.database.workload.mixes import EVEN_SHARES, tpcc_mix
from detrun_scenarios.database.workload.runs import WORKLOADS
from detrun_scenarios.database.workload.terminals import Done, Habits, Observed
from detrun_scenarios.database.workload.tpcc import Scale, tpcc
from detrun_scenarios.frame.measured import quantile
from detrun_scenarios.frame.pictures import spans
from tests.scenarios.whole import check_found_and_replayed, frozen_difference, program_of, survived

of = partial(program_of, SCENARIO)


def survives(seeds: range) -> None:
    """Every run fails by itself if anything is wrong; and all that is declared has been looked at in each."""
    looked_at = {one.name: one.looked_at for one in survived(of("small"), seeds)}
    # Only some runs have a replica.
    assert all(looked_at[one.name] >= (1 if one.name == REPLICATED else len(seeds)) for one in SCENARIO.invariants)


@pytest.mark.one_python
def test_the_right_system_survives_fifty_seeds_with_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client asks twice: a third of the steps of a small run, with the same faults and as much recovery."""
    small = WORKLOADS["small"]
    monkeypatch.setitem(WORKLOADS, "small", replace(small, habits=replace(small.habits, transactions=2)))
    survives(range(50))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("first", range(0, 2_000, 500))
def test_the_right_system_survives_two_thousand_seeds_with_faults(first: int) -> None:
    survives(range(first, first + 500))


def test_a_run_is_replayed_to_the_same_digest() -> None:
    run = detrun.record(of("small"), {}, seed=3)
    assert detrun.replay(of("small"), {}, recording=run.recording).digest == run.digest


@pytest.mark.slow
def test_a_run_has_the_same_digest_in_a_fresh_process_under_another_hash_seed() -> None:
    found = detrun.check_determinism(of("small"), {}, seed=3, fresh_process=True)
    assert not found.failed


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_large_workload_takes_a_hundred_thousand_steps_and_has_every_loss() -> None:
    run = detrun.record(of("large"), {}, seed=0)
    assert run.steps >= 100_000
    assert all(run.result[loss.name] > 0.0 for loss in SCENARIO.losses)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("loss", ["mean_latency", "p99_latency"])
def test_latencies_move_on_a_frozen_schedule_as_their_local_derivative_says(loss: str) -> None:
    run = detrun.gradient(of("medium", loss), SCENARIO.defaults, seed=1, validity=False)
    assert run.grads["group_commit_delay"] > 0.1
    difference = frozen_difference(of("medium", loss), {"group_commit_delay": 0.0005}, "group_commit_delay", 1e-9)
    assert difference == pytest.approx(run.grads["group_commit_delay"], rel=1e-4)


@pytest.mark.slow
def test_in_the_story_the_power_goes_twice_and_a_replica_follows() -> None:
    figure_module = pytest.importorskip("matplotlib.figure")
    story = Story()
    detrun.record(story.tell, SCENARIO.defaults, seed=0)
    states = [
        one.state for one, _, _ in spans([one.time for one in story.samples], story.samples, lambda one: one.state)
    ]
    assert states == ["recovers", "serves", *2 * ["off", "recovers", "serves"]]
    assert all(one.durable <= one.log_end for one in story.samples if one.state == "serves")
    assert max(one.applied for one in story.samples) > 0.8 * max(one.durable for one in story.samples)
    assert None in {one.outcome for one in story.asked}
    figure = figure_module.Figure()
    pictures.draw_story(figure, story)
    assert len(figure.axes) == 3


async def after_some_work(
    spoil: Any = None,
) -> tuple[dict[str, list[tuple[Any, ...]]], Observed, list[str], Counter[str]]:
    """Rows, what clients saw, what trees do not lead to, and what clients asked for, after a power loss."""
    scale = Scale(districts=1)
    async with database(Hardware(), Settings(frames=0), tpcc(scale)) as found:
        await found.ready()
        for client in found.start_clients(2, tpcc_mix(scale, EVEN_SHARES, 2), Habits(transactions=8)):
            await client.ended()
        assert await found.restart() > 0.0
        if spoil is not None:
            await spoil(found.server.store)
        rows = dict(await committed_rows(Transaction(found.server.store, "snapshot")))
        lost = [text for table in found.server.store.tables.values() for text in await astray(table)]
        return rows, found.observed, lost, Counter(done.name for done in found.observed.done)


@pytest.mark.one_python
def test_what_must_be_true_is_true_and_each_of_it_can_be_false() -> None:
    rows, observed, lost, asked = detrun.record(after_some_work, seed=5).result
    assert {"new_order", "payment", "delivery"} <= set(asked)
    assert not [*missing(rows, observed), *unfitting(rows), *lost]

    def without(table: str, observed: Observed = observed) -> str:
        less = {**rows, table: rows[table][:-1]}
        return "; ".join([*missing(less, observed), *unfitting(less)])

    assert "payment" in without("history")
    assert "was of" in without("orders")
    assert "has not its" in without("order_line")
    assert "its districts" in without("district")
    undelivered = Observed(done=[Done("delivery", [1, 1, 7], [rows["district"][0][4]])])
    assert "was delivered by 7" in "; ".join(missing(rows, undelivered))
    poorer = [(*one[:3], one[3] - 1, *one[4:]) for one in rows["customer"]]
    assert "is delivered" in "; ".join(unfitting({**rows, "customer": poorer}))


@pytest.mark.one_python
def test_a_row_that_an_index_does_not_lead_to_is_found() -> None:
    async def lose_an_entry(store: Any) -> None:
        tree = store.tables["item"].indexes["id"].tree
        trail = store.changes.begin()
        await tree.delete(trail, (await tree.scan(b"", b"\xff"))[2])
        await store.changes.log.flush(store.changes.commit(trail))
        store.changes.end(trail)

    _, _, lost, _ = detrun.record(after_some_work, lose_an_entry, seed=5).result
    assert lost == ["index id of item does not lead to (3, 103)"]


def test_frames_are_split_as_wanted_and_never_below_what_tasks_pin() -> None:
    assert Settings(frames=100, buffer_split=0.7, sessions_max=2).capacity == {"index": 70, "heap": 30}
    assert Settings(frames=0, buffer_split=0.7, sessions_max=2).capacity == {"index": 18, "heap": 9}
    assert Settings(frames=0, vacuum_interval=None, sessions_max=2).capacity == {"index": 13, "heap": 7}
    assert Settings(frames=40, buffer_split=0.9, sessions_max=4).capacity == {"index": 28, "heap": 13}


def test_a_quantile_is_one_of_the_values() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert quantile([float(number) for number in range(200)], 0.99) == 197.0


def test_a_client_connects_anew_after_the_server_was_away() -> None:
    async def main() -> tuple[int, int, int]:
        scale = Scale(districts=1, customers=1)
        async with database(Hardware(), Settings(), tpcc(scale)) as found:
            habits = Habits(transactions=10, think_seconds=0.005, patience_seconds=0.05)
            client = found.start_clients(1, tpcc_mix(scale, {"payment": 1.0}, 1), habits)[0]
            await found.ready()
            await trio.sleep(0.02)
            found.node.crash()
            await trio.sleep(0.05)
            found.node.restart()
            await client.ended()
            return len(found.observed.done), len(found.observed.unknown), len(found.servers)

    done, unknown, servers = detrun.record(main).result
    assert done + unknown == 10
    assert done >= 8
    assert servers == 2


@pytest.mark.slow
@pytest.mark.parametrize("bug", [one.name for one in SCENARIO.bugs])
def test_every_planted_bug_is_found_by_default_and_replayed(bug: str) -> None:
    """The rarest shows in one schedule of twenty or so, so that a thousand of them miss it once in 10^9 campaigns."""
    check_found_and_replayed(SCENARIO, bug)


@pytest.mark.slow
@pytest.mark.parametrize("bug", [one.name for one in SCENARIO.bugs])
def test_the_right_system_survives_where_a_bug_is_looked_for(bug: str) -> None:
    options = {**SCENARIO.explore_options, "schedules": 30}
    assert detrun.explore(of("small", spared=bug), {}, directory=None, **options).verdict == "passed"
