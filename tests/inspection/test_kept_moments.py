"""Kept moments: a session that goes back by them sees what one that replays from the beginning sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun.inspection import kept_moments
from detrun.inspection.kept_moments import KeptMoments, in_chain, stops
from detrun.inspection.time_travel import Traveller
from detrun_recorder.snapshots import can_fork
from tests.examples import examples

pytestmark = pytest.mark.skipif(not can_fork(), reason="needs fork")


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_moments_are_kept_on_the_way_and_the_last_of_them_is_near(start: int, way: int) -> None:
    kept = list(stops(start, start + way))
    assert kept == sorted(set(kept))
    assert all(start < step < start + way for step in kept)
    assert start + way - (kept[-1] if kept else start) <= 2 * kept_moments.LEAST
    assert len(kept) <= 20


async def counts(total: int) -> None:
    seen = 0

    async def walk(name: str) -> None:
        nonlocal seen
        for _ in range(total):
            seen += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(walk, "a", name="a")
        nursery.start_soon(walk, "b", name="b")


class Journey:
    """Moves from place to place, and writes down what it sees there; what it has still to do outlives processes."""

    def __init__(
        self, places: list[int], file: Path, make: Callable[[Journey], Traveller], task: str = "main/a"
    ) -> None:
        self.task = task
        self.places = places
        self.file = file
        self.traveller = make(self)

    def state(self) -> dict[str, Any]:
        return {"places": self.places}

    def restore(self, state: dict[str, Any]) -> None:
        self.places[:] = state["places"]

    def run(self) -> None:
        while self.places:
            self.traveller.go(self.places.pop(0))
            seen = self.traveller.evaluate("seen", self.task)
            with self.file.open("a") as file:
                file.write(f"{self.traveller.step} {seen} {self.traveller.moment.virtual_time}\n")
        self.traveller.close()


def check_journey(places: list[int], directory: Path) -> None:
    """Moves among the steps of a short run, by kept moments and by replays."""
    plain, kept = directory / "plain", directory / "kept"
    recording = detrun.record(counts, 30).recording
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_moments, "LEAST", 5)
        Journey(list(places), plain, lambda _: Traveller(counts, (30,), recording)).run()
        journey = Journey(list(places), kept, lambda one: Traveller(counts, (30,), recording, kept=KeptMoments(one)))
        in_chain(journey.run)
    assert kept.read_text() == plain.read_text()
    assert [int(line.split()[0]) for line in kept.read_text().splitlines()] == places


def test_a_journey_by_kept_moments_sees_what_one_by_replays_sees(tmp_path: Path) -> None:
    check_journey([60, 59, 2, 41, 40, 40, 55, 30], tmp_path)


@pytest.mark.slow
@examples(20)
@given(st.lists(st.integers(2, 60), min_size=1, max_size=8))
def test_all_journeys_by_kept_moments_see_what_those_by_replays_see(
    tmp_path_factory: pytest.TempPathFactory, places: list[int]
) -> None:
    check_journey(places, tmp_path_factory.mktemp("journey"))


def test_steps_back_go_on_from_kept_moments_and_not_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program says so when it begins, in whichever process."""
    monkeypatch.setattr(kept_moments, "LEAST", 10)
    begun = tmp_path / "begun"

    async def counted() -> None:
        seen = 0
        begun.write_text(begun.read_text() + "." if begun.exists() else ".")
        while seen < 500:
            seen += 1
            await trio.lowlevel.checkpoint()

    recording = detrun.record(counted).recording
    begun.unlink()
    places = [recording.steps - back for back in (4, 5, 6, 7, 9, 12, 200)]
    seen = tmp_path / "seen"
    in_chain(Journey(places, seen, lambda one: Traveller(counted, (), recording, kept=KeptMoments(one)), "main").run)
    assert len(seen.read_text().splitlines()) == 7
    assert begun.read_text() == "."
