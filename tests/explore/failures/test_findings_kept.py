"""What was found is reported, whatever becomes of the directory it should be kept in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import detrun
from detrun.explore.campaign.program import SLUG_CHARACTERS_MAX, slug
from detrun.explore.campaign.resumption import SavedCampaign
from detrun.explore.explorer import FailuresNotKeptWarning
from detrun_recorder.recording import open_recording
from tests.explore.racy_programs import correct, lost_update

ROOT = Path(__file__).resolve().parents[3]


def test_a_failure_is_reported_where_nothing_can_be_kept(monkeypatch, tmp_path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.warns(FailuresNotKeptWarning, match="Not a directory"):
        found = detrun.explore(lost_update, directory=tmp_path / "file" / "detrun")
    assert found.failed
    assert found.failure.path.parent == tmp_path
    assert open_recording(found.failure.path).digest == found.failure.recording.digest
    assert found.failure.token in str(found)
    assert "next exploration does not look for it" in str(found)


def test_a_failure_is_reported_where_no_place_is_left(monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc/detrun")
    with pytest.warns(FailuresNotKeptWarning):
        found = detrun.explore(lost_update, directory="/proc/detrun")
    assert found.failed
    assert found.failure.path is None
    assert isinstance(found.failure.exception, AssertionError)
    assert found.failure.token in str(found)
    assert "was not kept" in str(found)


def test_a_campaign_that_cannot_be_saved_is_refused_at_the_start() -> None:
    with pytest.raises(detrun.UsageError, match="the campaign cannot be kept"):
        detrun.explore(correct, directory="/proc/detrun", resume=True)


def test_a_campaign_goes_on_when_saving_fails_later(monkeypatch, tmp_path) -> None:
    def full(*anything: object) -> None:
        raise detrun.UsageError("no space left")

    monkeypatch.setattr(SavedCampaign, "save", full)
    found = detrun.explore(correct, schedules=40, directory=tmp_path, resume=True)
    assert found.verdict == "passed"
    assert found.remarks == ["no space left"]


def test_a_second_process_that_resumes_a_campaign_saves_nothing(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(SavedCampaign, "held", lambda self: _Other())
    found = detrun.explore(correct, schedules=40, directory=tmp_path, resume=True)
    assert found.verdict == "passed"
    assert "another process" in found.remarks[0]
    assert not (tmp_path / "campaigns").exists()


class _Other:
    """The lock of another process."""

    def __enter__(self) -> bool:
        return False

    def __exit__(self, *ending: object) -> None:
        pass


def test_names_of_long_targets_fit_a_file_system() -> None:
    names = {slug(f"tests/{'x' * 500}.py::test[{number}]{'y' * 500}") for number in range(3)}
    assert len(names) == 3
    assert all(len(name) <= SLUG_CHARACTERS_MAX + 20 for name in names)
    assert slug("tests/test_a.py::test_x") == "tests.test_a.py-test_x"


WORKING = """
import sys, detrun
from tests.explore.racy_programs import correct
print("go", flush=True)
detrun.explore(correct, schedules=10**9, workers=2, directory=None, progress=lambda report: print("on", flush=True))
"""


def test_workers_end_with_their_parent() -> None:
    endings = (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
    command = [sys.executable, "-c", WORKING]
    parents = [
        subprocess.Popen(command, cwd=ROOT, stdout=-1, stderr=-3, text=True, start_new_session=True) for _ in endings
    ]
    for parent, ending in zip(parents, endings, strict=True):
        assert parent.stdout.readline() == "go\n"
        assert parent.stdout.readline() == "on\n"  # the workers have run something
        assert len(_session(parent.pid)) == 3
        parent.send_signal(ending)
        parent.wait()
        while _session(parent.pid):  # for ever if they stay
            time.sleep(0.01)


def _session(leader: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(name))
    return found
