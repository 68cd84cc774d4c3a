"""Numbers of `random` in the draw log: they stay what they are, can be forced, and are watched in such runs only."""

from __future__ import annotations

import random
from functools import partial
from random import gauss
from random import random as unit_number
from typing import Any

import numpy as np
import pytest
import trio

import detrun
from detrun.primitives.draw_log import WAY_OUT
from detrun.primitives.random_draws import NAMES

HELD = [random.random]  # a container keeps the real function


def numbers(rng: Any) -> list[Any]:
    """One of each kind."""
    order = [1, 2, 3, 4]
    rng.shuffle(order)
    return [
        rng.random(),
        rng.uniform(1, 2),
        rng.expovariate(2.0),
        *(rng.gauss(1.0, 2.0) for _ in range(3)),
        rng.normalvariate(0.0, 1.0),
        rng.lognormvariate(0.0, 0.5),
        rng.paretovariate(3.0),
        rng.weibullvariate(1.0, 2.0),
        rng.gammavariate(2.0, 1.0),
        rng.betavariate(2.0, 3.0),
        rng.triangular(0.0, 1.0, 0.3),
        rng.vonmisesvariate(0.0, 1.0),
        rng.choice("abc"),
        rng.choices("abc", k=2),
        rng.choices("abc", [1.0, 2.0, 3.0]),
        rng.choices("abc", cum_weights=[1.0, 3.0, 6.0]),
        rng.randrange(3, 20, 4),
        rng.randrange(5),
        rng.randrange(10, 0, -3),
        rng.randint(1, 6),
        rng.getrandbits(8),
        rng.getrandbits(100),
        rng.randbytes(3),
        rng.sample(range(100), 3),
        order,
        rng.binomialvariate(5, 0.3) if hasattr(rng, "binomialvariate") else 0,
    ]


async def program() -> list[Any]:
    async def worker() -> None:
        found.append([unit_number(), gauss(0.0, 1.0)])

    found: list[Any] = [numbers(random), numbers(random.Random()), numbers(random.Random(7))]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker)
    return found


def test_watched_numbers_are_those_of_other_runs_and_are_logged_where_they_are_drawn() -> None:
    plain = detrun.record(program)
    watched = detrun.record(program, draws=True)
    assert watched.result == plain.result
    assert watched.digest == plain.digest
    log = watched.draws
    assert log is not None
    assert log.others == ()
    streams = {draw.stream for draw in log}
    assert streams == {"random", "random.Random[0]", "random.Random[1]"}
    assert {draw.is_constant for draw in log if draw.stream == "random.Random[1]"} == {True}
    assert not any(draw.is_constant for draw in log if draw.stream != "random.Random[1]")
    by_worker = [draw for draw in log if draw.task == "main/worker"]
    assert [(draw.kind, draw.stream) for draw in by_worker] == [("random.random", "random"), ("random.gauss", "random")]
    assert [draw.outcome for draw in by_worker] == plain.result[3]
    count = sum(draw.stream == "random" for draw in log)
    assert [draw.index for draw in log if draw.stream == "random"] == list(range(count))
    assert "random [3] by main, step 1: random.expovariate(lambd=2.0) = " in str(log)


def test_every_number_with_a_law_is_forced_by_its_outcome_and_leaves_the_others_alone() -> None:
    base = detrun.record(program, draws=True)
    other = detrun.record(program, seed=1, draws=True)
    assert base.draws is not None
    assert other.draws is not None
    twins = {draw.address: draw.outcome for draw in other.draws if draw.bits is not None}
    forced = detrun.record(program, draws=True, force=twins)
    assert forced.draws is not None
    assert set(forced.forces_used) == set(twins)
    assert {draw.kind.removeprefix("random.") for draw in base.draws if draw.address not in twins} == {
        *("gammavariate", "betavariate", "triangular", "vonmisesvariate", "randbytes", "sample", "shuffle"),
        "getrandbits",  # 100 of them
    }
    for before, after in zip(base.draws, forced.draws, strict=True):
        assert after.address == before.address
        if before.address in twins:
            assert after.is_forced
            assert after.outcome == pytest.approx(twins[before.address], rel=1e-9, abs=1e-12)
        else:
            assert after.outcome == before.outcome
    replayed = detrun.replay(program, recording=forced.recording)
    assert replayed.digest == forced.digest
    assert replayed.result == forced.result


def test_a_number_without_a_law_is_not_forced() -> None:
    with pytest.raises(detrun.UsageError, match=r"random.betavariate takes several numbers.*draw with detrun"):
        detrun.record(lambda: random.betavariate(1.0, 2.0), force={("random", 0): 0.5})
    with pytest.raises(detrun.UsageError, match="that has the probability 0"):
        detrun.record(lambda: random.randrange(0, 10, 2), force={("random", 0): 3})


def test_what_is_not_in_the_log_is_named() -> None:
    def foreign() -> float:
        return HELD[0]() + float(np.random.random()) + random.SystemRandom().random()

    log = detrun.record(foreign, draws=True).draws
    assert log is not None
    assert len(log) == 0
    assert set(log.others) == {"random", "numpy.random", "os.urandom"}
    assert str(log).endswith(WAY_OUT)

    def seeds() -> float:
        random.seed(3)
        return random.random()

    log = detrun.record(seeds, draws=True).draws
    assert log is not None
    assert [draw.is_constant for draw in log] == [True]
    assert log.others == ()


def test_nothing_of_it_stays_when_the_run_ends() -> None:
    kept: list[random.Random] = []
    before = {name: getattr(random, name) for name in NAMES}

    def main() -> float:
        kept.append(random.Random())
        return kept[0].random() + partial(gauss, 0.0)(1.0)

    log = detrun.record(main, draws=True).draws
    assert log is not None
    assert [draw.kind for draw in log] == ["random.random", "random.gauss"]
    assert {name: getattr(random, name) for name in NAMES} == before
    assert not vars(kept[0]).keys() & {"random", "gauss"}
    held: Any = kept[0].random
    assert 0.0 <= held() < 1.0
    assert 0.0 <= unit_number() < 1.0


def test_what_a_test_has_put_in_place_of_a_function_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.25)
    run = detrun.record(lambda: random.random(), draws=True)
    assert run.result == 0.25
    assert run.draws is not None
    assert len(run.draws) == 0
