"""Other plugins, names of other projects, and the plugin's cost where it is not used."""

from __future__ import annotations

import pytest


@pytest.fixture
def crowded_project(project):
    """Its own modules are called like detrun's directories, and async tests of three kinds stand in one file."""
    project.write("pytest.ini", "[pytest]\ntrio_mode = true\npythonpath = .\n")
    for module in ("scheduler.py", "recorder.py", "tests/__init__.py", "scenarios.py"):
        project.write(module, "NAME = 'theirs'\n")
    project.write(
        "tests/test_crowd.py",
        """
        import pytest, trio, tests, scheduler, recorder, scenarios
        from hypothesis import HealthCheck, given, settings, strategies as st

        def clock():
            return type(trio.lowlevel.current_clock()).__module__.partition("_")[0].partition(".")[0]

        @pytest.fixture
        async def box():
            await trio.sleep(0)
            return []

        async def test_unmarked_is_a_trio_test(nursery, box):
            nursery.start_soon(trio.sleep, 0)
            assert clock() == "trio"
            assert {tests.NAME, scheduler.NAME, recorder.NAME, scenarios.NAME} == {"theirs"}

        @pytest.mark.anyio
        async def test_of_anyio():
            pass

        @pytest.mark.detrun(schedules=20)
        async def test_marked(box):
            assert clock() == "detrun" and box == []
            box.append(1)

        @pytest.mark.trio
        @pytest.mark.detrun(schedules=20)
        async def test_marked_twice(box):
            assert clock() == "detrun" and box == []
            box.append(1)

        @pytest.mark.anyio
        @pytest.mark.detrun(schedules=20)
        async def test_marked_for_anyio(box):
            assert clock() == "detrun" and box == []
            box.append(1)

        @pytest.mark.detrun(schedules=3)
        @pytest.mark.parametrize("least", [0, 5])
        @settings(max_examples=5, suppress_health_check=list(HealthCheck))
        @given(number=st.integers(0, 9))
        async def test_given(box, least, number):
            assert clock() == "detrun" and box == []
            box.append(1)
            assert number + least <= 9
        """,
    )
    return project


EXPECTED = {
    "test_unmarked_is_a_trio_test": "passed",
    "test_of_anyio[trio]": "passed",
    "test_marked": "passed",
    "test_marked_twice": "passed",
    "test_marked_for_anyio[trio]": "passed",
    "test_given[0]": "passed",
    "test_given[5]": "failed",
}


@pytest.mark.parametrize(
    "options",
    [(), ("-n", "1"), pytest.param(("-n", "2"), marks=pytest.mark.slow)],
    ids=["alone", "worker", "two workers"],
)
def test_a_crowd_of_plugins_gets_along(crowded_project, options):
    pytest.importorskip("pytest_trio")
    if options:
        pytest.importorskip("xdist")
    finished = crowded_project.pytest("-k", "not asyncio", *options, all_plugins=True)
    assert finished.outcomes == EXPECTED, finished.output


@pytest.mark.slow
def test_marks_of_other_plugins_say_whose_async_function_a_test_is(project):
    project.write("pytest.ini", "[pytest]\nmarkers =\n    asyncio: as pytest-asyncio registers it\n")
    project.write(
        "test_backends.py",
        """
        import asyncio

        import anyio
        import pytest
        import sniffio
        import trio

        pytestmark = pytest.mark.detrun(schedules=2)

        @pytest.mark.anyio
        async def test_anyio(anyio_backend_name):
            await anyio.sleep(1)
            assert sniffio.current_async_library() == anyio_backend_name

        @pytest.mark.asyncio
        async def test_asyncio():
            assert sniffio.current_async_library() == "asyncio"

        class TestOne:
            @pytest.fixture
            def anyio_backend(self):
                return "asyncio", {"debug": True}

            @pytest.mark.anyio
            async def test_one(self):
                assert sniffio.current_async_library() == "asyncio"
        """,
    )
    finished = project.pytest(all_plugins=True)
    passed = ("test_anyio[asyncio]", "test_anyio[trio]", "test_asyncio", "TestOne::test_one")
    assert finished.outcomes == dict.fromkeys(passed, "passed"), finished.output


def test_async_fixtures_of_plugins_are_made_by_runs_and_those_of_pytest_trio_refused(project):
    pytest.importorskip("pytest_trio")
    project.write("pytest.ini", "[pytest]\npythonpath = site-packages\n")
    project.write(
        "site-packages/neighbour.py",
        """
        import pytest, trio

        @pytest.fixture
        def kind():
            return list

        @pytest.fixture
        async def client(kind):
            await trio.sleep(1)
            yield kind()
            await trio.sleep(1)
        """,
    )
    project.write("conftest.py", "pytest_plugins = ['neighbour']\n")
    project.write(
        "test_clients.py",
        """
        import pytest, trio

        @pytest.mark.detrun(schedules=3)
        async def test_client(client):
            assert client == [] and trio.current_time() == 1
            client.append(1)

        @pytest.mark.trio
        @pytest.mark.detrun(schedules=3)
        async def test_nursery(nursery):
            nursery.start_soon(trio.sleep, 1)
        """,
    )
    finished = project.pytest(all_plugins=True)
    assert finished.outcomes == {"test_client": "passed", "test_nursery": "failed"}, finished.output
    assert "UsageError: <fixture 'nursery'> is pytest-trio's, and works in its own tests only" in finished.output


def test_an_item_of_another_plugins_class_is_run_by_detrun_if_it_is_marked(project):
    project.write(
        "conftest.py",
        """
        import pytest

        class Item(pytest.Function):  # as pytest-asyncio has one
            def setup(self):
                raise RuntimeError("an event loop of its own")

            def runtest(self):
                raise RuntimeError("an event loop of its own")

        @pytest.hookimpl(wrapper=True)
        def pytest_pycollect_makeitem(collector, name, obj):
            return [
                Item.from_parent(one.parent, name=one.name, callobj=one.obj, fixtureinfo=one._fixtureinfo)
                for one in (yield) or ()
            ]
        """,
    )
    project.write(
        "test_items.py",
        """
        import asyncio

        import pytest

        @pytest.mark.detrun(schedules=2)
        async def test_marked():
            await asyncio.sleep(1)

        def test_unmarked():
            pass
        """,
    )
    finished = project.pytest()
    assert finished.outcomes == {"test_marked": "passed", "test_unmarked": "error"}, finished.output


def test_without_other_plugins_an_unmarked_async_test_is_left_to_pytest(project):
    project.write("test_async.py", "async def test_unmarked(): pass\n")
    finished = project.pytest()
    assert finished.outcomes == {"test_unmarked": "failed"}
    assert "async def functions are not natively supported" in finished.output


IMPORTED = """
    import sys

    def test_nothing_is_imported():
        names = {"det" + "run", "det" + "run_scheduler", "det" + "run_recorder", "greenlet"}
        assert not names & set(sys.modules)
        assert "det" + "run_pytest" in sys.modules
"""


def test_a_project_that_has_no_marked_test_imports_nothing(project):
    project.write("test_imports.py", IMPORTED)
    assert project.pytest().outcomes == {"test_nothing_is_imported": "passed"}


LOCKS = """
    import threading
    import locked

    def test_lock_of_a_module():
        assert type(locked.lock) is threading.Lock, (type(locked.lock), threading.Lock)
        assert threading.Lock.__module__.startswith("det" + "run")
"""


@pytest.mark.parametrize(
    ("configured", "conftest", "early"),
    [("detrun_schedules = 10", "import locked", True), ("", "", True), ("", "import locked", False)],
    ids=["before conftest", "before the test module", "too late"],
)
def test_locks_are_exchanged_before_what_mentions_detrun_is_imported(project, configured, conftest, early):
    project.write("pytest.ini", f"[pytest]\npythonpath = .\n{configured}\n")
    project.write("locked.py", "import threading\nlock = threading.Lock()\n")
    project.write("conftest.py", conftest)
    project.write("test_locks.py", LOCKS + "\n    # a test of detrun\n")
    assert project.pytest().outcomes == {"test_lock_of_a_module": "passed" if early else "failed"}
