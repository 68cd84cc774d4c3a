"""Fixtures: those of the project are new in every schedule, all others are pytest's."""

from __future__ import annotations


def test_every_schedule_gets_the_projects_function_scoped_fixtures_anew(project):
    project.write(
        "conftest.py",
        """
        import pytest, trio

        made = []

        @pytest.fixture
        def box(tmp_path):
            made.append("box")
            return [tmp_path]

        @pytest.fixture
        async def opened(box):
            await trio.sleep(1)
            yield box
            await trio.sleep(1)
            made.append("closed")

        @pytest.fixture(scope="module")
        def shared():
            made.append("shared")
            return []

        @pytest.fixture(params=["a", "b"])
        def letter(request):
            return request.param
        """,
    )
    project.write(
        "test_fixtures.py",
        """
        import pytest, trio
        from conftest import made

        @pytest.fixture(autouse=True)
        def noted():
            made.append("begin")
            yield
            made.append("end")

        @pytest.mark.detrun(schedules=20)
        async def test_is_alone(opened, box, shared, letter):
            assert opened is box and len(box) == 1
            assert trio.current_time() == 1
            box.append(letter)
            shared.append(letter)

        def test_counts(noted):
            assert made.count("box") == made.count("closed") == 40
            assert made.count("begin") == 41 and made.count("end") == 40
            assert made.count("shared") == 1

        class TestMethods:
            @pytest.fixture(autouse=True)
            def prepared(self):
                self.value = []

            @pytest.mark.detrun(schedules=20)
            async def test_has_its_own_instance(self):
                assert self.value == []
                self.value.append(1)

        @pytest.mark.detrun
        async def test_fails_in_teardown(breaking):
            pass

        @pytest.fixture
        async def breaking():
            yield
            raise OSError("disk on fire")
        """,
    )
    finished = project.pytest()
    assert finished.outcomes == {
        "test_is_alone[a]": "passed",
        "test_is_alone[b]": "passed",
        "test_counts": "passed",
        "TestMethods::test_has_its_own_instance": "passed",
        "test_fails_in_teardown": "failed",
    }, finished.output
    assert "OSError: disk on fire" in finished.output
