"""Process-wide generators repeat inside a run and are untouched by it."""

from __future__ import annotations

import os
import random
import secrets
import tempfile
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest

import detrun
from detrun_scheduler.clock import VirtualClock
from detrun_scheduler.environment.seeding import PreservedGenerators, RunSeeding
from detrun_scheduler.environment.virtual_time import installed
from detrun_scheduler.errors import UsageError


def in_other_thread(call: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


def system_draws() -> list[Any]:
    return [
        os.urandom(8),
        secrets.token_hex(8),
        secrets.randbelow(10**9),
        random.SystemRandom().random(),
        uuid.uuid4(),
        random.random(),
        random.gauss(0, 1),
        random.sample(range(100), 5),
    ]


def test_the_same_seed_gives_the_same_draws_and_another_seed_gives_others() -> None:
    draws = []
    for seed in (1, 1, 2):
        with RunSeeding(seed):
            draws.append(system_draws())
    assert draws[0] == draws[1]
    assert all(first != other for first, other in zip(draws[0], draws[2], strict=True))


def test_draws_without_a_run_do_not_repeat() -> None:
    """The negative twin: what the test above sees is the work of the run."""
    assert system_draws()[:5] != system_draws()[:5]


def replaced_names() -> list[object]:
    return [
        os.urandom,
        getattr(os, "getrandom", None),
        random._urandom,
        *(vars(uuid)[name] for name in sorted(vars(uuid))),
    ]  # type: ignore[attr-defined]


@pytest.mark.parametrize("fails", [False, True])
def test_every_name_and_state_is_the_same_object_or_value_after_a_run(fails: bool) -> None:
    random.gauss(0, 1)  # leaves the second normal cached, which is part of the state
    before, state = replaced_names(), random.getstate()
    try:
        with RunSeeding(3):
            assert not any(os.urandom is one for one in before)
            random.seed(99)
            os.urandom = None  # type: ignore[assignment]  # a program that patches and forgets
            if fails:
                raise RuntimeError
    except RuntimeError:
        pass
    assert all(one is other for one, other in zip(replaced_names(), before, strict=True))
    assert random.getstate() == state


def test_another_thread_draws_from_the_operating_system() -> None:
    with RunSeeding(1):
        ours = os.urandom(8)
        theirs = in_other_thread(lambda: (os.urandom(8), secrets.token_bytes(8), uuid.getnode()))
        node = uuid.getnode()
    with RunSeeding(1):
        assert os.urandom(8) == ours
        again = in_other_thread(lambda: (os.urandom(8), secrets.token_bytes(8)))
    assert theirs[0] not in (ours, again[0])
    assert theirs[1] != again[1]
    assert theirs[2] == uuid.getnode() != node


def test_uuid1_has_the_virtual_time_and_the_node_of_the_run() -> None:
    made = []
    for _ in range(2):
        with RunSeeding(5), installed(VirtualClock()):
            made.append([uuid.uuid1(), uuid.uuid1(), uuid.uuid1(node=7)])
    assert made[0] == made[1]
    first, second, third = made[0]
    assert len({first, second, third}) == 3
    assert second.time == first.time + 1  # virtual time stands still, and a UUID must not repeat
    assert first.version == 1
    assert first.node >> 40 & 1  # a random node
    unix_seconds = (first.time - 0x01B21DD213814000) / 1e7
    assert unix_seconds == 946684800.0


def test_uuid1_outside_a_run_follows_the_real_clock_again() -> None:
    with RunSeeding(5), installed(VirtualClock()):
        uuid.uuid1()
    assert uuid.uuid1().time > 0x01B21DD213814000 + 1_600_000_000 * 10**7


def test_a_function_kept_from_a_run_works_after_it_and_in_the_next_one() -> None:
    with RunSeeding(1):
        kept = os.urandom
        during = kept(8)
    assert kept(8) != kept(8)
    with RunSeeding(1):
        assert kept(8) == during


def test_reading_more_bytes_does_not_shift_the_next_read() -> None:
    with RunSeeding(1):
        short = os.urandom(4)
        second = os.urandom(8)
    with RunSeeding(1):
        assert os.urandom(1000)[:4] == short
        assert os.urandom(8) == second
        assert os.urandom(0) == b""
        with pytest.raises(ValueError, match="negative"):
            os.urandom(-1)


def test_a_temporary_file_takes_no_number_from_the_run_and_its_name_none_for_later(monkeypatch: Any) -> None:
    monkeypatch.setattr(tempfile, "_name_sequence", None)  # as in a fresh process

    def draws() -> tuple[float, float]:
        with tempfile.TemporaryDirectory():
            return random.random(), random.Random().random()

    with RunSeeding(3):
        first = draws()
    with RunSeeding(3):
        assert draws() == first


def test_numpy_is_seeded_and_its_exact_state_comes_back() -> None:
    numpy = pytest.importorskip("numpy")
    numpy.random.standard_normal()  # leaves the second normal cached
    own_bits, state = numpy.random.get_bit_generator(), numpy.random.get_state(legacy=False)
    assert state["has_gauss"]
    draws = []
    for seed in (1, 1, 2):
        with RunSeeding(seed):
            draws.append((numpy.random.rand(), numpy.random.randn(), numpy.random.default_rng().random()))
    assert draws[0] == draws[1]
    assert all(first != other for first, other in zip(draws[0], draws[2], strict=True))
    after = numpy.random.get_state(legacy=False)
    assert numpy.random.get_bit_generator() is own_bits
    assert (after["has_gauss"], after["gauss"]) == (state["has_gauss"], state["gauss"])
    assert (after["state"]["key"] == state["state"]["key"]).all()
    assert after["state"]["pos"] == state["state"]["pos"]


def test_a_numpy_generator_of_another_kind_is_put_aside_and_comes_back() -> None:
    numpy = pytest.importorskip("numpy")
    ordinary = numpy.random.get_bit_generator()
    special = numpy.random.PCG64(4)
    numpy.random.set_bit_generator(special)
    try:
        draws = []
        for _ in range(2):
            with RunSeeding(1):
                draws.append(numpy.random.rand())
        assert draws[0] == draws[1]
        assert numpy.random.get_bit_generator() is special
    finally:
        numpy.random.set_bit_generator(ordinary)


def test_torch_is_seeded_and_its_exact_state_comes_back() -> None:
    torch = pytest.importorskip("torch")
    state, functions = torch.get_rng_state(), (torch.seed, torch.random.seed)
    draws = []
    for seed in (1, 1, 2):
        with RunSeeding(seed):
            draws.append((torch.rand(()).item(), torch.seed(), torch.rand(()).item(), torch.random.seed()))
    assert draws[0] == draws[1] != draws[2]
    assert draws[0][1] != draws[0][3]
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.seed, torch.random.seed) == functions


def test_a_campaign_draws_the_same_as_single_runs_and_restores_once() -> None:
    state = random.getstate()
    with RunSeeding(1):
        alone = system_draws()
    with PreservedGenerators():
        with PreservedGenerators(), RunSeeding(1):
            assert system_draws() == alone
        with RunSeeding(1):
            assert system_draws() == alone
        assert random.getstate() != state  # nothing was read or put back in between: that is the saving
    assert random.getstate() == state


def test_runs_neither_nest_nor_overlap() -> None:
    with RunSeeding(1):
        during = random.getstate()
        with pytest.raises(UsageError, match="already active"):
            RunSeeding(2).enter()
        assert random.getstate() == during
        assert len(os.urandom(4)) == 4
    with RunSeeding(2):
        assert random.getstate() != during


def test_a_seed_that_is_not_an_integer_is_refused() -> None:
    with pytest.raises(UsageError, match=r"seed=1\.5"):
        RunSeeding(1.5)  # type: ignore[arg-type]


def test_names_of_temporary_files_differ_in_a_run() -> None:
    names = detrun.record(lambda: [tempfile.mktemp() for _ in range(3)]).result
    assert len(set(names)) == 3
