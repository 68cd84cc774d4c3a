"""One failure does not hide the next: kinds are told apart, counted, passed over, the same wherever they are found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun.explore.campaign.signatures import FailurePolicy, file_in_package, signature_of
from detrun.explore.failures.kept import KeptFailures
from detrun.explore.verdicts import Exploration
from tests.examples import examples
from tests.explore.racy_programs import correct, lost_update, several_bugs

ROOT = Path(__file__).resolve().parents[3]
COUNTS = {
    "schedules": 200,
    "strategy": "random",
    "directory": None,
    "shrink": False,
    "explain": False,
    "confirm": False,
}


def kinds(exploration: Exploration) -> list[tuple[str, int, int]]:
    return [(one.signature, one.index, one.count) for one in exploration.failures]


@pytest.fixture(scope="module")
def everything() -> Exploration:
    return detrun.explore(several_bugs, keep_going=True, **COUNTS)


@pytest.mark.one_python
def test_a_campaign_that_keeps_going_finds_every_kind_of_failure(everything) -> None:
    found = {signature.partition(":")[0] for signature, _, _ in kinds(everything)}
    assert found == {
        "AssertionError at racy_programs.py",
        "ValueError at racy_programs.py",
        "DeadlockError of Lock at racy_programs.py",
    }
    assert everything.schedules == 200
    assert everything.failure is everything.failures[0]
    assert "and 2 other kinds of failure" in everything.reason
    for one in everything.failures:
        assert f"{one.count:,} × {one.signature} (first schedule {one.index:,})" in str(everything)
    indices = [index for _, index, _ in kinds(everything)]
    assert indices == sorted(indices)


@pytest.mark.one_python
def test_each_kind_has_its_own_recording_and_is_shrunk_to_its_own_kind(tmp_path) -> None:
    found = detrun.explore(
        several_bugs, keep_going=True, schedules=60, strategy="random", directory=tmp_path, explain=False, confirm=False
    )
    assert len({one.path for one in found.failures}) == 3
    for one in found.failures:
        with pytest.raises(type(one.exception)) as raised:
            detrun.replay(several_bugs, recording=one.path)
        assert (one.signature,) == signature_of(raised.value)


@pytest.mark.one_python
@pytest.mark.parametrize("workers", [2, 3])
def test_kinds_and_counts_do_not_depend_on_the_number_of_workers(everything, workers) -> None:
    assert kinds(detrun.explore(several_bugs, keep_going=True, workers=workers, **COUNTS)) == kinds(everything)


@pytest.mark.one_python
def test_a_resumed_campaign_has_the_kinds_of_the_whole_one(everything, tmp_path) -> None:
    settings = {**COUNTS, "directory": tmp_path, "keep_going": True, "resume": True}
    detrun.explore(several_bugs, **{**settings, "schedules": 48})
    for kept in (tmp_path / "failures").iterdir():
        kept.unlink()  # which would be tried first
    assert kinds(detrun.explore(several_bugs, **settings)) == kinds(everything)


@pytest.mark.one_python
def test_a_signature_is_the_same_in_another_process_under_another_hash_seed(everything) -> None:
    program = (
        "import detrun\nfrom tests.explore.racy_programs import several_bugs\n"
        f"found = detrun.explore(several_bugs, keep_going=True, **{COUNTS!r})\n"
        "print([(one.signature, one.index, one.count) for one in found.failures])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT)}
    said = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True, cwd="/")
    assert said.strip() == repr(kinds(everything))


@pytest.mark.one_python
def test_the_search_for_all_schedules_goes_on_after_a_failure() -> None:
    found = detrun.explore(lost_update, strategy="dfs", keep_going=True, directory=None)
    assert [(one.count, one.index) for one in found.failures] == [(4, found.failure.index)]
    assert found.schedules == 6  # 4 of 6 interleavings lose the update


@pytest.mark.one_python
def test_a_kind_that_is_ignored_is_counted_and_passed_over(everything) -> None:
    first, second, third = everything.failures
    found = detrun.explore(several_bugs, ignore=[first.signature], **COUNTS)
    assert found.failure.signature == second.signature
    assert found.failure.index == second.index
    assert set(found.ignored) == {first.signature}
    found = detrun.explore(several_bugs, ignore=[first.signature, second.signature], **COUNTS)
    assert found.failure.signature == third.signature
    found = detrun.explore(several_bugs, ignore=["*Error at *", "Deadlock*"], **COUNTS)
    assert found.verdict == "passed"
    assert found.ignored == {one.signature: one.count for one in everything.failures}


@pytest.mark.one_python
def test_a_campaign_whose_failures_are_all_ignored_passes_and_says_so(tmp_path) -> None:
    kept = detrun.explore(lost_update, schedules=50, directory=tmp_path, confirm=False)
    found = detrun.explore(lost_update, schedules=50, directory=tmp_path, ignore=[kept.failure.signature])
    assert found.verdict == "passed"
    assert "failed in ways that are ignored" in found.reason
    assert sum(found.ignored.values()) > 1
    assert len(list((tmp_path / "failures").iterdir())) == 1  # and stays kept
    holds = detrun.explore(lost_update, strategy="dfs", directory=None, ignore=["AssertionError*"])
    assert holds.verdict == "holds"
    assert "6 schedules run, 4 failed in ways that are ignored" in holds.reason


@pytest.mark.one_python
def test_kept_failures_are_all_tried_by_a_campaign_that_keeps_going(tmp_path) -> None:
    settings = {**COUNTS, "directory": tmp_path, "keep_going": True}
    first = detrun.explore(several_bugs, **{**settings, "schedules": 60})
    again = detrun.explore(several_bugs, **{**settings, "schedules": 1})
    assert {one.signature for one in first.failures} == {one.signature for one in again.failures}
    assert "kept from an earlier exploration" in str(again)


@pytest.mark.one_python
def test_a_string_is_no_list_of_signatures() -> None:
    with pytest.raises(detrun.UsageError, match="give a list"):
        detrun.explore(correct, ignore="ValueError")


@pytest.mark.one_python
def test_a_group_is_known_if_all_its_members_are() -> None:
    policy = FailurePolicy(ignore=("A at *", "B"))
    assert policy.ignores("A at x.py:3 + B")
    assert not policy.ignores("A at x.py:3 + C")
    assert not FailurePolicy().ignores("A at x.py:3")


@pytest.mark.one_python
def test_files_are_named_from_the_root_of_their_package_on() -> None:
    assert file_in_package(trio.lowlevel.checkpoint.__code__.co_filename) == "trio/_core/_run.py"
    assert file_in_package(__file__) == "test_kinds_of_failure.py"
    assert file_in_package("<string>") == "<string>"


# Damaged files.


async def two_tasks() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.lowlevel.checkpoint)
        nursery.start_soon(trio.lowlevel.checkpoint)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory) -> tuple[Path, bytes]:
    directory = tmp_path_factory.mktemp("campaign")
    detrun.explore(two_tasks, schedules=20, directory=directory, resume=True)
    (path,) = (directory / "campaigns").iterdir()
    return path, path.read_bytes()


@st.composite
def damage(draw: st.DrawFn) -> tuple[int, int, bytes]:
    return draw(st.integers(0, 10**6)), draw(st.integers(0, 40)), draw(st.binary(max_size=40))


@pytest.mark.one_python
@given(damage=damage())
@examples(25)
def test_a_damaged_campaign_is_refused_with_its_name(campaign, damage) -> None:
    path, whole = campaign
    at, length, new = damage
    at %= len(whole)
    damaged = whole[:at] + new + whole[at + length :]
    path.write_bytes(damaged)
    if damaged == whole:
        return
    with pytest.raises(detrun.UsageError, match=path.name):
        detrun.explore(two_tasks, schedules=20, directory=path.parents[1], resume=True)


@pytest.mark.one_python
@pytest.mark.parametrize("knowledge", [{"surprise": 1}, 3, "text", [1], {"first_seen": 3}])
def test_a_campaign_with_foreign_knowledge_is_refused_with_its_name(campaign, knowledge) -> None:
    from detrun.explore.campaign import resumption

    path, whole = campaign
    packed = whole.partition(b"\n")[2]
    content = eval(packed)
    packed = f"{ {**content, 'knowledge': knowledge}!r}\n".encode()
    path.write_bytes(f"{resumption.FIRST_LINE}, {resumption._checksum(packed)}\n".encode() + packed)
    with pytest.raises(detrun.UsageError, match=path.name):
        detrun.explore(two_tasks, schedules=40, directory=path.parents[1], resume=True)


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> tuple[Path, bytes]:
    directory = tmp_path_factory.mktemp("kept")
    path = detrun.explore(lost_update, schedules=50, directory=directory, explain=False, confirm=False).failure.path
    return path, path.read_bytes()


@pytest.mark.one_python
@given(damage=damage())
@examples(25)
def test_a_damaged_kept_failure_is_passed_over(kept, damage) -> None:
    path, whole = kept
    at, length, new = damage
    at %= len(whole)
    path.write_bytes(whole[:at] + new + whole[at + length :])
    found = detrun.explore(
        lost_update, schedules=20, directory=path.parents[1], shrink=False, explain=False, confirm=False
    )
    assert found.failed


@pytest.mark.one_python
@given(column=st.binary(max_size=20), changed=st.booleans())
@examples(25)
def test_a_kept_failure_whose_columns_make_no_sense_is_passed_over(tmp_path_factory, column, changed) -> None:
    from detrun.execution.options import Options
    from detrun.explore.campaign.program import Program
    from detrun_recorder.recording import open_recording

    directory = tmp_path_factory.mktemp("columns")
    recording = detrun.record(lost_update, seed=0, raise_errors=False).recording
    chunk = recording.chunk(0)
    chunk.choices = column
    header = {**recording.header, "source": "another" if changed else recording.header["source"]}
    rewritten = type(recording).from_chunks(header, [chunk], recording.end)
    kept = KeptFailures(directory)
    path = kept.save(rewritten, "target")
    assert open_recording(path).steps == recording.steps
    for found in kept.try_again(Program(lost_update, (), Options(max_steps=1000)), "target"):
        assert found.signature.startswith("AssertionError")
