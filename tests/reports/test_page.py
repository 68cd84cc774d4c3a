"""The file of a report: whole in itself, and safe whatever a program calls its tasks."""

from __future__ import annotations

import json
import re

import pytest
import trio

import detrun
from detrun.pages.page import page_of
from detrun.reports.report import Told, run_page, told_by_program
from tests.reports.pages import data_of

pytestmark = pytest.mark.one_python

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>"
NAME = "<img src=x onerror=document.title='taken'>"


async def hostile() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 1, name=NAME)


def test_a_hostile_name_reaches_the_page_in_its_data_alone() -> None:
    page = run_page(detrun.record(hostile).recording, Told(notes=[HOSTILE], facts={HOSTILE: HOSTILE}))
    assert "document.title='taken'" not in page
    found = data_of(page)
    assert any(NAME in lane[0] for lane in found["timeline"]["lanes"])
    assert found["notes"] == [HOSTILE]


REORDERED = "right\u202eto left"


async def reorders() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 1, name=REORDERED)
    raise ValueError(REORDERED)


def test_what_would_reorder_a_line_is_written_out() -> None:
    run = detrun.record(reorders, raise_errors=False)
    assert run.program is not None
    found = json.dumps(
        data_of(run_page(run.recording, told_by_program(run.recording, *run.program))), ensure_ascii=False
    )
    assert "\u202e" not in found
    assert "right\\\\u202eto left" in found


def test_a_hostile_title_is_escaped() -> None:
    page = page_of(HOSTILE, {})
    assert "document.title='taken'" not in page.replace("&#39;", "").replace("&lt;", "")
    assert "<title>&lt;/script&gt;" in page


def test_the_file_asks_nothing_of_the_network() -> None:
    """Apart from names of vocabularies and what is said in comments, it has no address."""
    page = page_of("a run", {})
    addresses = set(re.findall(r"""(?:src|href)\s*=\s*["']?(?!#)[^\s"'>]+|url\([^)]*\)|@import[^;]*""", page))
    assert {one for one in addresses if "//" in one} == set()
    assert "<link" not in page


@pytest.mark.parametrize(("steps", "shown"), [(None, None), (range(1, 3), 2)])
def test_the_steps_that_are_wanted_are_shown(steps: range | None, shown: int | None) -> None:
    recording = detrun.record(hostile).recording
    found = data_of(run_page(recording, Told(), steps))
    assert len(found["timeline"]["laneOf"]) == (recording.steps if shown is None else shown)
    assert found["timeline"]["first"] == (0 if steps is None else steps.start)


def test_a_run_that_failed_says_so() -> None:
    async def fails() -> None:
        raise ValueError("no luck")

    found = data_of(run_page(detrun.record(fails, raise_errors=False).recording, Told()))
    assert (found["outcome"], found["good"]) == ("failed: ValueError: no luck", False)
