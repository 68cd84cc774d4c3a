"""The picture of a cluster: the story happens as it is told, and what is drawn of it is there."""

from __future__ import annotations

import pytest

import detrun
from detrun_scenarios.consensus import SCENARIO, pictures
from detrun_scenarios.consensus.core.server import Role
from detrun_scenarios.consensus.story import Story


@pytest.mark.slow
def test_in_the_story_leaders_crash_are_cut_off_and_hand_over_and_a_server_is_replaced() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    story = Story()
    detrun.record(story.tell, SCENARIO.defaults, seed=0)
    assert [one.what.split(" server")[0] for one in story.happenings] == [
        "crashes",
        "cut off",
        "replaces",
        "hands over to",
    ]
    led = {one.term for samples in story.samples.values() for one in samples if one.role is Role.LEADER}
    assert len(led) == 4
    spare = story.samples["server6"]
    assert not spare[0].is_member
    assert spare[-1].is_member
    assert spare[-1].base_index > 0  # it had a snapshot
    assert {len(samples) for samples in story.samples.values()} == {len(story.times)}
    figure = Figure()
    pictures.draw_story(figure, story)
    assert len(figure.axes) == 1 + len(story.samples)
