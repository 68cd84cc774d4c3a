"""Failed schedules under pytest: shown, kept, tried first, and replayed."""

from __future__ import annotations

import re

from tests.reports.pages import data_of


def test_a_failure_shows_the_introspected_assert_and_ends_with_the_command_to_repeat_it(racing_project, first_failure):
    finished = first_failure
    assert finished.outcomes == {"test_counts[1]": "passed", "test_counts[2]": "failed"}
    assert "E       assert 1 == 2" in finished.output
    assert ">       assert counter[0] == tasks" in finished.output
    assert "trio/_core" not in finished.output  # frames of the machinery
    assert "tasks = 2, counter = [1]" in finished.output
    lines = finished.output.split("short test summary")[0].rstrip("= \n").splitlines()
    assert lines[-1].startswith("    pytest 'test_race.py::test_counts[2]' --detrun-replay .detrun/failures/")
    assert finished.output.index("counted") < finished.output.index("failed: AssertionError: assert 1 == 2")

    again = racing_project.pytest(*finished.command)
    assert again.outcomes == {"test_counts[2]": "failed"}
    assert "E       assert 1 == 2" in again.output
    assert "exactly: it fails" in again.output


def test_the_recording_alone_selects_its_test_and_so_does_the_token(racing_project, first_failure):
    finished = first_failure
    file = finished.command[-1]
    (token,) = re.findall(r"detrun1-\w+", finished.output)
    for given in (file, token):
        again = racing_project.pytest("--detrun-replay", given)
        assert again.outcomes == {"test_counts[2]": "failed"}, given
        assert "1 deselected" in again.output


def test_a_kept_failure_is_tried_first_and_forgotten_once_it_passes(racing_project):
    second = racing_project.pytest()
    assert "a schedule kept from an earlier exploration failed" in second.output
    source = (racing_project.directory / "test_race.py").read_text()
    repaired = source.replace("seen = counter[0]\n", "pass\n").replace("counter[0] = seen + 1", "counter[0] += 1")
    racing_project.write("test_race.py", repaired)

    replayed = racing_project.pytest(*second.command)
    assert replayed.outcomes == {"test_counts[2]": "passed"}, replayed.output
    assert "it passes" in replayed.output  # as a warning

    third = racing_project.pytest("-rP")
    assert set(third.outcomes.values()) == {"passed"}
    assert "200 schedules" in third.output
    assert not list((racing_project.directory / ".detrun" / "failures").glob("*test_counts-2*"))


def test_a_replay_that_cannot_be_says_why(racing_project):
    racing_project.write("test_other.py", racing_project.directory.joinpath("test_race.py").read_text())
    for given, why in [
        ("missing.detrun", "missing.detrun: there is no such file"),
        ("detrun1-aaaa", "the token's checksum does not hold"),
    ]:
        finished = racing_project.pytest("--detrun-replay", given)
        assert finished.exit_code == 4, finished.output
        assert re.search(f"^ERROR: --detrun-replay: .*{re.escape(why)}", finished.output, re.MULTILINE), finished.output
        assert "Traceback" not in finished.output


def test_a_deadlock_is_reported_without_a_traceback_of_the_machinery(project):
    project.write(
        "test_stuck.py",
        """
        import pytest, trio

        @pytest.mark.detrun
        async def test_waits():
            await trio.Event().wait()

        @pytest.mark.detrun(max_steps=50)
        async def test_spins():
            while True:
                await trio.lowlevel.checkpoint()
        """,
    )
    finished = project.pytest()
    assert finished.outcomes == {"test_waits": "failed", "test_spins": "failed"}
    assert "main) waits for Event.wait" in finished.output
    assert "StepLimitError" in finished.output
    assert "pytest_plugin.py" not in finished.output


def test_skip_xfail_and_usage_errors_are_about_the_test_and_not_about_a_schedule(project):
    project.write(
        "test_ends.py",
        """
        import pytest, trio, unittest

        @pytest.mark.detrun
        async def test_skips():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 1)
                pytest.skip("not here")

        @pytest.mark.detrun
        async def test_xfails():
            pytest.xfail("known")

        @pytest.mark.detrun
        @pytest.mark.xfail(raises=ZeroDivisionError, strict=True)
        async def test_is_expected_to_fail():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: trio.sleep(0))
                1 / 0

        @pytest.mark.detrun(schedule=1)
        async def test_misspelt():
            pass

        @pytest.mark.detrun(10)
        async def test_positional():
            pass

        @pytest.mark.detrun(strategy="hope")
        async def test_unknown_strategy():
            pass

        class TestOld(unittest.TestCase):
            @pytest.mark.detrun
            def test_method(self):
                pass
        """,
    )
    finished = project.pytest("--strict-markers")
    assert finished.outcomes == {
        "test_skips": "skipped",
        "test_xfails": "xfail",
        "test_is_expected_to_fail": "xfail",
        "test_misspelt": "failed",
        "test_positional": "failed",
        "test_unknown_strategy": "failed",
        "TestOld::test_method": "failed",
    }
    for message in (
        "unknown argument 'schedule'",
        "keyword arguments only, got 10",
        "unknown strategy 'hope'",
        "unittest.TestCase",
    ):
        assert message in finished.output
    kept = list((project.directory / ".detrun").rglob("*.detrun"))
    assert [path.name.split("-")[1] for path in kept] == ["test_is_expected_to_fail"]


def test_a_failing_test_has_a_page_where_one_is_asked_for(project):
    project.write(
        "test_pages.py",
        """
        import pytest, trio, detrun

        @pytest.mark.detrun
        async def test_loses():
            counter = detrun.Atomic(0)

            async def add():
                seen = counter.load()
                await trio.lowlevel.checkpoint()
                counter.store(seen + 1)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(add)
                nursery.start_soon(add)
            assert counter.load() == 2
        """,
    )
    finished = project.pytest("--detrun-html", "pages")
    (page,) = (project.directory / "pages").iterdir()
    assert f"as a page: pages/{page.name}" in finished.output
    found = data_of(page.read_text())
    assert found["failure"]["verified"]
    (project.directory / "taken").write_text("a file")
    finished = project.pytest("--detrun-html", "taken")
    assert "there is no HTML report: " in finished.output
