"""anyio's `Condition.wait` swallows a notification if it is cancelled just then, and the next waiter sleeps on.

Reported: https://github.com/agronholm/anyio/pull/1075; in 4.12.1, fixed in 4.13.0. A lost wake-up, by a time-out.

Two consumers wait for a job, one of them for a second only. A job that comes at that moment wakes the one that gives
up; the other one, who would do it, is told nothing.
"""

import anyio


async def main() -> None:
    jobs: list[str] = []
    done: list[str] = []
    condition = anyio.Condition()

    async def work(patience: float) -> None:
        with anyio.move_on_after(patience):
            async with condition:
                while not jobs:
                    await condition.wait()
                done.append(jobs.pop())

    async def submit() -> None:
        await anyio.sleep(1)
        async with condition:
            jobs.append("job")
            condition.notify()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work, 1)
        tasks.start_soon(work, 60)
        tasks.start_soon(submit)
    assert done == ["job"], "a worker waited beside the job until it gave up"
