"""What the picture of a site is drawn from."""

from __future__ import annotations

import pytest

import detrun

pytest.importorskip("httpx")
pytest.importorskip("hypercorn")

from detrun_scenarios.web_server import SCENARIO
from detrun_scenarios.web_server.story import FLASH, OUTAGE, Story

pytestmark = [pytest.mark.one_python, pytest.mark.slow]


def test_a_story_shows_a_queue_in_the_flash_crowd_and_a_breaker_that_opens_in_the_outage() -> None:
    story = Story()
    detrun.record(story.tell, SCENARIO.defaults)
    longest = max(range(len(story.times)), key=lambda number: story.queued[number])
    assert FLASH[0] < story.times[longest] < FLASH[1] + 0.5
    assert story.queued[longest] > 20
    opened = [time for time, state in zip(story.times, story.breaker, strict=True) if state == "open"]
    assert OUTAGE.at < opened[0] < OUTAGE.at + OUTAGE.seconds
    assert story.breaker[-1] == "closed"
    assert {one.status for one in story.outcomes} >= {200, 503}
