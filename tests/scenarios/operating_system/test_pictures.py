"""What the picture of a machine is drawn from."""

from __future__ import annotations

import detrun
from detrun_scenarios.frame.pictures import spans
from detrun_scenarios.operating_system import SCENARIO
from detrun_scenarios.operating_system.story import BEGIN, END, Story


def test_a_story_shows_two_cores_that_run_one_process_each_and_all_that_processes_do() -> None:
    story = Story()
    detrun.record(story.tell, SCENARIO.defaults)
    assert BEGIN <= story.times[0] < story.times[-1] < END
    for number in range(len(story.times)):
        does = [one[number] for one in story.does.values()]
        assert does.count("core 0") <= 1
        assert does.count("core 1") <= 1
    seen = {one for samples in story.does.values() for one in samples}
    assert seen >= {"core 0", "core 1", "is queued", "waits for the disk", "waits for another", "sleeps"}
    assert min(story.free) < story.watermarks[0] < story.watermarks[1]


def test_spans_are_what_lies_between_changes() -> None:
    times = [0.0, 1.0, 2.0, 3.0]
    assert list(spans(times, ["sleeps", "sleeps", "core 0", "is over"])) == [
        ("sleeps", 0.0, 2.0),
        ("core 0", 2.0, 3.0),
        ("is over", 3.0, 3.0),
    ]
