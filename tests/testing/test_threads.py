"""Plain tests: simulated threads under the mark."""

from __future__ import annotations

THREADS = """
    import threading
    import pytest, trio

    class Counter:
        def __init__(self):
            self.value = 0

        def add(self):
            seen = self.value
            self.value = seen + 1

    @pytest.fixture
    def counter():
        made = Counter()
        yield made
        assert made.value  # torn down inside the run, after the test

    @pytest.fixture
    async def opened():
        return 1

    def add_twice(counter):
        threads = [threading.Thread(target=counter.add) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    @pytest.mark.detrun(schedules=200, preemption="line")
    def test_by_lines(counter):
        add_twice(counter)
        assert counter.value == 2

    @pytest.mark.detrun(schedules=200, preemption="sync")
    def test_by_operations(counter):
        add_twice(counter)
        assert counter.value == 2

    @pytest.mark.detrun(schedules=200, preemption="sync")
    async def test_workers_of_tasks(counter):
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(trio.to_thread.run_sync, counter.add)
        assert counter.value == 2

    @pytest.mark.detrun
    def test_async_fixture(opened):
        pass
"""


def test_plain_tests_run_their_threads_under_the_scheduler(project):
    project.write("test_threads.py", THREADS)
    finished = project.pytest()
    assert finished.outcomes == {
        "test_by_lines": "failed",
        "test_by_operations": "passed",  # a thread is not taken off between two operations of `threading`
        "test_workers_of_tasks": "passed",
        "test_async_fixture": "failed",
    }
    assert "E       assert 1 == 2" in finished.output
    assert "fixture 'opened' is async, but the test is a plain function" in finished.output
    again = project.pytest(*finished.command)
    assert again.outcomes == {"test_by_lines": "failed"}
    assert "E       assert 1 == 2" in again.output

    finer = project.pytest("--detrun-preemption", "opcode", "-k", "workers")
    assert finer.outcomes == {"test_workers_of_tasks": "failed"}
    # The recording knows that the preemption was another than the mark's.
    assert project.pytest(*finer.command).outcomes == finer.outcomes
