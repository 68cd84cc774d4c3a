"""By default a campaign of threads mixes where they can be interrupted, and widens what is watched."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun.explore.campaign.grains import scopes_for
from detrun.explore.campaign.mixture import Mixed, Mixture
from detrun.explore.explorer import explore
from detrun_recorder.recording import open_recording
from detrun_recorder.token import from_token, to_token

BANK = """
class Bank:
    def __init__(self):
        self.accounts = {"ann": 100, "bob": 0}

    def transfer(self, amount):
        if self.accounts["ann"] >= amount:
            self.accounts["ann"] -= amount
            self.accounts["bob"] += amount
"""
MAIN = """
import threading

import {module}


def main():
    bank = {module}.Bank()
    threads = [threading.Thread(target=bank.transfer, args=(60,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bank.accounts["ann"] >= 0


def passing():
    bank = {module}.Bank()
    threads = [threading.Thread(target=bank.transfer, args=(30,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""

Project = Callable[[str, str], Any]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Makes a program whose bank lies in a folder of that name, and returns its module."""
    known = set(sys.modules)
    monkeypatch.chdir(tmp_path)

    def make(folder: str, name: str) -> Any:
        place = tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.py").write_text(BANK)
        (tmp_path / f"runs_{name}.py").write_text(MAIN.format(module=name))
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.syspath_prepend(str(place))
        importlib.invalidate_caches()
        return importlib.import_module(f"runs_{name}")

    yield make
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.mark.parametrize(("folder", "watched"), [(".", "in ./"), ("lib/site-packages", "in installed_bank")])
def test_a_race_in_another_file_or_in_an_installed_package_is_found_by_default(
    project: Project, folder: str, watched: str
) -> None:
    program = project(folder, "plain_bank" if folder == "." else "installed_bank")
    assert explore(program.main, preemption="sync", schedules=50, directory=None).verdict == "passed"
    found = explore(program.main, directory=None, shrink=False, explain=False)
    assert found.verdict == "failed"
    passed = explore(program.passing, schedules=64, directory=None)
    assert watched in str(passed)
    assert "threads interrupted at: operations on locks and queues" in str(passed)


def test_what_is_found_is_replayed_from_its_recording_its_token_and_its_kept_file(
    project: Project, tmp_path: Path
) -> None:
    program = project(".", "kept_bank")
    found = explore(program.main, directory=tmp_path / "kept", confirm=False)
    failure = found.failure
    assert failure is not None
    assert failure.path is not None
    assert failure.shrunk is not None
    assert failure.shrunk.after[0] == 1
    extra = open_recording(failure.path).header["extra"]
    assert extra["preemption"] in ("line", "opcode")
    assert extra["include"] == ["./"]
    assert failure.token is not None
    for recording in (failure.path, failure.token):
        again = detrun.replay(program.main, recording=recording, raise_errors=False)
        assert isinstance(again.exception, AssertionError)
    # The schedule that is kept is run where it was found, whatever is asked for now.
    kept = explore(program.main, preemption="sync", directory=tmp_path / "kept", shrink=False, confirm=False).failure
    assert kept is not None
    assert (kept.index, kept.recording.digest) == (-1, failure.recording.digest)


def test_neither_workers_nor_a_second_time_nor_a_pause_change_a_mixed_campaign(
    project: Project, tmp_path: Path
) -> None:
    program = project(".", "same_bank")
    whole = explore(program.passing, schedules=112, directory=None)
    assert len(whole.interrupted_at.places) == 3
    for other in (
        explore(program.passing, schedules=112, directory=None),
        explore(program.passing, schedules=112, workers=2, directory=None),
    ):
        assert (other.coverage, other.statistics.steps) == (whole.coverage, whole.statistics.steps)
        assert {key: place.schedules for key, place in other.interrupted_at.places.items()} == {
            key: place.schedules for key, place in whole.interrupted_at.places.items()
        }
    explore(program.passing, schedules=48, directory=tmp_path, resume=True)
    resumed = explore(program.passing, schedules=112, directory=tmp_path, resume=True)
    assert (resumed.coverage, resumed.statistics.steps) == (whole.coverage, whole.statistics.steps)


@pytest.mark.parametrize("strategy", ["portfolio", "pct"])
def test_a_program_without_threads_has_the_schedules_of_its_strategy(strategy: str) -> None:
    async def main() -> None:
        cell = detrun.Shared(0)

        async def add() -> None:
            value = cell.value
            await trio.lowlevel.checkpoint()
            cell.value = value + 1

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(add)

    mixed = explore(main, strategy=strategy, schedules=100, directory=None)
    plain = explore(main, strategy=strategy, preemption="sync", schedules=100, directory=None)
    assert (mixed.coverage, mixed.statistics.steps) == (plain.coverage, plain.statistics.steps)
    assert "interrupted" not in str(mixed)


def test_a_search_and_a_gradient_stay_at_synchronization(project: Project) -> None:
    program = project(".", "searched_bank")
    searched = explore(program.passing, strategy="bounded:1", directory=None)
    assert set(searched.interrupted_at.places) == {("sync", ())}


def test_more_steps_of_lines_are_no_livelock() -> None:
    def count() -> None:
        total = 0
        for number in range(200):
            total += number

    def main() -> None:
        threads = [threading.Thread(target=count) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert explore(main, preemption="line", max_steps=300, schedules=40, directory=None).verdict == "failed"
    mixed = explore(main, max_steps=300, schedules=40, directory=None)
    assert mixed.verdict == "passed"
    assert len(mixed.interrupted_at.places) == 3


def test_interruptions_beyond_the_most_are_rare_in_a_replay_too() -> None:
    def count() -> None:
        for _ in range(100):
            pass

    def main() -> None:
        threads = [threading.Thread(target=count) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def ran(most: int | None) -> Any:
        options = Options(preemption="line", interrupts_max=most)
        return NewRun(3).execute(main, (), options)

    often, seldom = ran(None), ran(20)
    assert often.steps > 300
    assert seldom.steps < 100
    again = detrun.replay(main, recording=seldom.recording)
    assert (again.steps, again.digest) == (seldom.steps, seldom.digest)
    token = from_token(to_token(seldom.recording))
    assert (token.preemption, token.interrupts_max) == ("line", 20)
    assert detrun.replay(main, recording=to_token(seldom.recording)).steps == seldom.steps


def test_a_warning_says_that_no_watched_line_ran_in_a_thread_and_what_did(project: Project) -> None:
    program = project(".", "unwatched_bank")
    found = explore(program.main, preemption="line", include=["json"], schedules=20, directory=None)
    assert "no line of what is watched (json) ran in any thread" in found.interrupted_at.unmet
    assert "unwatched_bank.py" in found.interrupted_at.unmet
    assert not explore(program.passing, preemption="line", schedules=20, directory=None).interrupted_at.unmet


def test_what_is_included_is_watched_with_the_project_and_what_is_excluded_is_not(project: Project) -> None:
    program = project("lib/site-packages", "asked_bank")
    asked = explore(program.passing, include=["asked_bank"], schedules=64, directory=None)
    assert {include for _, include in asked.interrupted_at.places} == {(), ("./", "asked_bank")}
    without = explore(program.passing, exclude=["asked_bank"], schedules=64, directory=None)
    assert {include for _, include in without.interrupted_at.places} == {(), ("./",)}


def test_packages_that_one_thread_alone_runs_are_not_watched() -> None:
    import logging

    census = {logging.__file__: {2}, threading.__file__: {2, 3}, __file__: {1}}
    assert [
        scope.include[0] for scope in scopes_for(test_a_search_and_a_gradient_stay_at_synchronization, (), (), census)
    ][1:] == []
    census[logging.__file__] = {2, 3}
    found = scopes_for(test_a_search_and_a_gradient_stay_at_synchronization, (), (), census)
    assert [scope.include for scope in found[1:]] == [("logging",)]


def test_a_grain_that_shows_nothing_new_or_takes_many_steps_gets_fewer_schedules() -> None:
    grains = [("sync", (), 1.0, False), ("line", ("a",), 1.0, False), ("line", ("b",), 1.0, False)]
    known = Mixed(True, True, grains, tries=[100, 100, 100], news=[0, 90, 90], steps=[1_000, 1_000, 10**7])
    sync, line, long = known.shares()
    assert sync + line + long == pytest.approx(1)
    assert line > 5 * sync
    assert line > 5 * long
    assert min(sync, long) > 0


def test_knowledge_of_a_mixture_is_merged_in_the_order_of_its_pieces() -> None:
    mixture = Mixture(lambda: None, "random", (), (), None)
    grains = [("sync", (), 1.0, False), ("line", ("a",), 1.0, False)]
    first = Mixed(True, True, grains, shown=[(0, 5, 1), (1, 7, 2)])
    second = Mixed(True, True, grains, shown=[(0, 5, 1), (1, 9, 3)])
    merged = mixture.merged(mixture.merged(None, first), second)
    assert (merged.tries, merged.news, merged.steps) == ([2, 2], [1, 2], [10, 16])


def test_a_grain_for_the_lines_that_threads_share_waits_until_some_are_known() -> None:
    grains = [("sync", (), 1.0, False), ("line", ("a",), 0.5, False), ("line", ("a",), 0.5, True)]
    assert Mixed(True, True, grains).shares()[2] == 0
    sync, whole, narrow = Mixed(True, True, grains, places={("a",): ["a/b.py:3"]}).shares()
    assert whole == narrow > 0
    assert sync + whole + narrow == pytest.approx(1)


WORK = """
from fractions import Fraction


class Account:
    def __init__(self):
        self.balance = 0

    def deposit(self, amount):
        rest = sum((Fraction(amount, 7) ** power for power in range(1, 9)), Fraction(0))
        before = self.balance
        self.balance = before + amount + 0 * float(rest)
"""


def test_a_race_amid_much_work_is_found_where_threads_meet_and_replays_everywhere(
    project: Project, tmp_path: Path
) -> None:
    project("lib/site-packages", "busy_bank")
    (tmp_path / "lib/site-packages/busy_bank.py").write_text(WORK)
    del sys.modules["busy_bank"]
    account = importlib.import_module("busy_bank").Account

    def main() -> None:
        shared = account()
        threads = [threading.Thread(target=shared.deposit, args=(amount,)) for amount in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert shared.balance == 3

    for seed in range(20):  # in about half of them the lines that are learnt come first
        found = explore(main, seed=seed, directory=tmp_path / "kept", confirm=False, shrink=False, explain=False)
        assert found.failure is not None
        failure, extra = found.failure, found.failure.recording.header["extra"]
        if "only_at" in extra:
            break
        (failure.path or tmp_path).unlink()
    assert extra["only_at"].split() == [
        "site-packages/busy_bank.py:Account.deposit+2",
        "site-packages/busy_bank.py:Account.deposit+3",
    ]
    assert failure.token is not None
    for recording in (failure.recording, failure.path, failure.token):
        assert recording is not None
        assert isinstance(detrun.replay(main, recording=recording, raise_errors=False).exception, AssertionError)
    kept = explore(main, directory=tmp_path / "kept", shrink=False, explain=False, confirm=False).failure
    assert kept is not None
    assert (kept.index, kept.recording.digest) == (-1, failure.recording.digest)


def test_an_observed_schedule_that_fails_is_run_again_without_being_observed() -> None:
    """Observing keeps a list alive, and what it holds with it, so that the finalizer would come too late."""

    class Held:
        def __del__(self) -> None:
            ended.append(True)

    ended: list[bool] = []

    def work() -> None:
        things = [Held()]
        things.append(Held())
        del things

    def main() -> None:
        ended.clear()
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ended) == 4

    assert explore(main, schedules=8, collections=0, directory=None).verdict == "passed"
