"""Nodes: started, crashed, restarted, paused, powered off, stopped; and the view of the other nodes."""

from __future__ import annotations

import contextlib
import gc
import re
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio

import detrun
from detrun.errors import DeadlockError, UsageError
from detrun.world import FaultPlan, FaultPlanError, FaultWithoutEffectError, Upgrade, inject
from detrun_scheduler.trio_host import graveyard


def run(main: Callable[..., Awaitable[Any]], *args: Any, seed: int = 0, strategy: str = "random") -> Any:
    """The result of a recorded run, after a strict replay of it."""
    recorded = detrun.record(main, *args, seed=seed, strategy=strategy)
    replayed = detrun.replay(main, *args, recording=recorded.recording)
    assert replayed.digest == recorded.digest
    return recorded.result


async def sleep_forever() -> None:
    await trio.sleep_forever()


def test_code_of_a_node_knows_its_node_and_so_do_the_tasks_that_it_starts():
    seen: list[tuple[str, str]] = []

    async def child(label: str) -> None:
        seen.append((label, detrun.this_node().name))

    async def program() -> None:
        seen.append(("program", detrun.this_node().name))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child, "child")

    async def main() -> None:
        async with detrun.World() as world:
            node = world.node("a")
            node.start(program)
            await node.ended()
            seen.append(("driver", detrun.this_node().name))

    detrun.record(main)
    assert seen == [("program", "a"), ("child", "a"), ("driver", "driver")]


def test_this_node_outside_a_world_says_so():
    async def main() -> None:
        detrun.this_node()

    with pytest.raises(UsageError, match="outside a world"):
        detrun.record(main)


def test_task_paths_contain_the_name_of_the_node():
    paths: list[str] = []

    async def program() -> None:
        from detrun_scheduler import current

        assert current.run is not None
        paths.append(current.run.path_of(current.run.current))

    async def main() -> None:
        async with detrun.World() as world:
            for name in ("alpha", "beta"):
                world.node(name).start(program)
            await world.node("alpha").ended()
            await world.node("beta").ended()
            world.node("alpha").restart()
            await world.node("alpha").ended()

    detrun.record(main, strategy="fifo")
    assert sorted(paths) == ["main/alpha/program", "main/alpha[1]/program", "main/beta/program"]


def test_a_node_draws_the_same_numbers_whatever_other_nodes_do():
    async def draw(drawn: list[float], count: int) -> None:
        for _ in range(count):
            drawn.append(detrun.uniform())
            await trio.sleep(0)

    async def main(others: int) -> list[float]:
        drawn: list[float] = []
        async with detrun.World() as world:
            world.node("steady").start(draw, drawn, 5)
            for index in range(others):
                world.node(f"other{index}").start(draw, [], 3)
            await world.node("steady").ended()
        return drawn

    assert detrun.record(main, 0, seed=4).result == detrun.record(main, 3, seed=4).result


def test_a_crash_runs_no_cleanup_code_neither_then_nor_when_the_run_is_over():
    log: list[str] = []

    @contextlib.contextmanager
    def manager():
        try:
            yield
        finally:
            log.append("context manager")

    @contextlib.asynccontextmanager
    async def async_manager():
        try:
            yield
        finally:
            log.append("async context manager")

    async def numbers():
        try:
            while True:
                yield 1
                await trio.sleep(0.1)
        finally:
            log.append("generator")

    async def program() -> None:
        try:
            with manager():
                async with async_manager(), trio.open_nursery() as nursery:
                    nursery.start_soon(child)
                    async for _ in numbers():
                        pass
        except BaseException:
            log.append("except")
            raise
        finally:
            log.append("finally")

    async def child() -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(log.append, "callback")
            stack.enter_context(manager())
            await trio.sleep_forever()

    async def main() -> int:
        async with detrun.World() as world:
            world.node("a").start(program)
            await trio.sleep(1)
            world.node("a").crash()
            gc.collect()
            await trio.sleep(1)
            return world.faults["crash"]

    assert run(main) == 1
    gc.collect()
    assert log == []


def test_the_same_program_stopped_instead_of_crashed_does_run_its_cleanup_code():
    log: list[str] = []

    async def program() -> None:
        try:
            await trio.sleep_forever()
        finally:
            log.append("finally")

    async def main() -> None:
        async with detrun.World() as world:
            world.node("a").start(program)
            await trio.sleep(1)
            await world.node("a").stop()
            log.append("stopped")
            assert not world.node("a").is_running

    detrun.record(main)
    assert log == ["finally", "stopped"]


def test_what_a_crashed_program_held_is_freed_when_the_run_is_over():
    import weakref

    class Payload:
        pass

    references: list[weakref.ref[Payload]] = []

    async def program() -> None:
        payload = Payload()
        references.append(weakref.ref(payload))
        try:
            await trio.sleep_forever()
        finally:
            references.clear()

    async def main() -> None:
        async with detrun.World() as world:
            world.node("a").start(program)
            await trio.sleep(1)
            world.node("a").crash()
            assert references[0]() is not None

    detrun.record(main)
    gc.collect()
    assert len(references) == 1
    if graveyard._offset_of_frame_state() is not None:
        assert references[0]() is None


def test_the_frame_state_is_found_on_every_python_that_detrun_supports():
    if sys.implementation.name == "cpython" and sys.version_info[:2] in graveyard._STATES:
        assert graveyard._offset_of_frame_state() is not None


def test_a_coroutine_that_is_merely_dropped_runs_its_cleanup_code():
    """The negative twin: without the graveyard, `finally` blocks do run."""
    log: list[str] = []

    class Never:
        def __await__(self):
            yield

    async def program() -> None:
        try:
            await Never()
        finally:
            log.append("finally")

    coroutine = program()
    coroutine.send(None)
    del coroutine
    gc.collect()
    assert log == ["finally"]


@pytest.mark.parametrize("when", [0.0, 0.5, 1.0, 1.5, 2.25])
def test_a_crash_at_any_moment_leaves_the_run_sound(when: float):
    async def worker(number: int) -> None:
        for _ in range(6):
            await trio.sleep(0.5 if number % 2 else 0.25)
            await trio.lowlevel.checkpoint()

    async def program() -> None:
        with trio.move_on_after(1000):
            async with trio.open_nursery() as nursery:
                for number in range(4):
                    nursery.start_soon(worker, number)

    async def main() -> tuple[float, int]:
        async with detrun.World() as world:
            node = world.node("a")
            node.start(program)
            await trio.sleep(when)
            node.crash()
            assert not node.is_running
            await node.ended()
            await trio.sleep(1)
            return trio.current_time(), node.starts

    for strategy in ("random", "fifo", "pct"):
        assert run(main, strategy=strategy) == (when + 1, 1)


def test_a_deadline_of_a_crashed_task_no_longer_moves_the_clock():
    async def program() -> None:
        with trio.move_on_after(10_000):
            await trio.sleep_forever()

    async def main() -> None:
        async with detrun.World() as world:
            world.node("a").start(program)
            await trio.sleep(1)
            world.node("a").crash()
            await trio.sleep_forever()

    with pytest.raises(DeadlockError, match=r"virtual time 1 s: 1 task blocked") as caught:
        detrun.record(main)
    assert "main/a" not in str(caught.value)


def test_without_the_crash_the_same_deadline_does_move_the_clock():
    async def program() -> None:
        with trio.move_on_after(10_000):
            await trio.sleep_forever()

    async def main() -> None:
        async with detrun.World() as world:
            world.node("a").start(program)
            await trio.sleep_forever()

    with pytest.raises(DeadlockError, match="virtual time 10000 s"):
        detrun.record(main)


def test_a_message_is_not_handed_to_a_crashed_receiver():
    async def receive(channel: trio.MemoryReceiveChannel[str], got: list[str]) -> None:
        got.append(await channel.receive())

    async def main() -> tuple[list[str], list[str]]:
        send, channel = trio.open_memory_channel[str](0)
        dead: list[str] = []
        alive: list[str] = []
        async with detrun.World() as world:
            world.node("a").start(receive, channel, dead)
            await trio.sleep(1)
            world.node("b").start(receive, channel, alive)
            await trio.sleep(1)
            world.node("a").crash()
            await send.send("hello")
            await world.node("b").ended()
        return dead, alive

    assert run(main) == ([], ["hello"])


def test_a_lock_held_by_a_crashed_task_is_broken_as_trio_breaks_it():
    async def hold(lock: trio.Lock) -> None:
        async with lock:
            await trio.sleep_forever()

    async def main() -> str:
        lock = trio.Lock()
        async with detrun.World() as world:
            world.node("a").start(hold, lock)
            await trio.sleep(1)
            async with trio.open_nursery() as nursery:

                async def crash_later() -> None:
                    await trio.sleep(1)
                    world.node("a").crash()

                nursery.start_soon(crash_later)
                try:
                    await lock.acquire()
                except trio.BrokenResourceError:
                    return "broken"
        return "acquired"

    assert run(main) == "broken"


def test_a_node_that_crashes_itself_runs_on_to_its_next_await_and_no_further():
    log: list[str] = []

    async def program(how: str) -> None:
        try:
            await trio.sleep(1)
            detrun.this_node().crash()
            log.append("still here")
            if how == "checkpoint":
                await trio.lowlevel.checkpoint()
            elif how == "wait":
                await trio.sleep(1)
            elif how == "raise":
                raise ValueError("nobody hears this")
            log.append("too far")
        finally:
            log.append("finally" if how != "raise" else "unwound before the await")

    async def main(how: str) -> float:
        async with detrun.World() as world:
            world.node("a").start(program, how)
            await world.node("a").ended()
            await trio.sleep(2)
        return trio.current_time()

    for how in ("checkpoint", "wait"):
        log.clear()
        assert detrun.record(main, how).result == 3
        assert log == ["still here"]
    log.clear()
    assert detrun.record(main, "raise").result == 3
    assert log == ["still here", "unwound before the await"]


def test_restart_runs_the_same_program_again_and_other_code_if_given():
    log: list[str] = []

    async def version(number: int) -> None:
        log.append(f"version {number}")
        await trio.sleep_forever()

    async def main() -> int:
        async with detrun.World() as world:
            node = world.node("a")
            node.start(version, 1)
            await trio.sleep(1)
            node.crash()
            node.restart()
            await trio.sleep(1)
            node.restart(version, 2)
            await trio.sleep(1)
            node.power_loss()
            assert not node.is_powered
            node.restart()
            await trio.sleep(1)
            return node.starts

    assert detrun.record(main).result == 4
    assert log == ["version 1", "version 1", "version 2", "version 2"]


def test_an_upgrade_runs_the_version_that_was_offered_next_on_the_old_disk_and_so_do_later_restarts():
    async def run(version: str, log: list[Any]) -> None:
        path = detrun.this_node().disk.path("version")
        log.append((version, await path.read_text() if await path.exists() else None))
        await path.write_text(version)
        try:
            await trio.sleep_forever()
        finally:
            log.append("cleaned up")

    async def main() -> Any:
        log: list[Any] = []
        async with detrun.World() as world:
            node = world.node("a")
            node.start(run, "v1", log)
            node.offer("v2", run, "v2", log)
            node.offer("v3", run, "v3", log)
            await trio.sleep(1)
            for upgrade in (node.upgrade, node.restart, node.upgrade, partial(node.upgrade, "v2")):
                upgrade()
                await trio.sleep(1)
            log.append((node.version, node.following_version(), node.following_version("v2")))
            node.power_loss()
            log.append(node.following_version("v3"))
            node.restart()
            await trio.sleep(1)
            node.upgrade()
            with pytest.raises(UsageError, match="no version after 'v3'"):
                node.upgrade()
            with pytest.raises(UsageError, match="no version 'v4'; there are v2, v3"):
                node.upgrade("v4")
            await trio.sleep(1)
            await node.stop()
            log.append((world.faults["upgrade"], world.faults["crash"]))
        return log

    seen = detrun.record(main).result
    assert [entry[0] for entry in seen[:5]] == ["v1", "v2", "v2", "v3", "v2"]
    assert [entry[1] for entry in seen[:5]] == [None, "v1", "v2", "v2", "v3"]
    assert seen[5:7] == [("v2", "v3", None), None]
    assert [entry[0] for entry in seen[7:9]] == ["v2", "v3"]
    assert seen[9:] == ["cleaned up", (4, 1)]


def test_a_planned_upgrade_names_versions_that_were_never_offered():
    async def main(plan: FaultPlan) -> None:
        async with detrun.World() as world:
            world.node("a").start(trio.sleep_forever)
            world.node("a").offer("v2", trio.sleep_forever)
            async with inject(plan, world):
                await trio.sleep(2)

    detrun.record(main, FaultPlan((Upgrade(node="a", at=1.0),)))
    with pytest.raises(FaultPlanError, match=r"upgrade\[0\]: no node that 'a' matches was offered the version 'v3'"):
        detrun.record(main, FaultPlan((Upgrade(node="a", to="v3", at=1.0),)))
    with pytest.raises(FaultWithoutEffectError, match=r"upgrade\[1\]"):
        detrun.record(main, FaultPlan((Upgrade(node="a", at=1.0), Upgrade(node="a", at=1.5))))


def test_restarting_what_never_ran_and_starting_what_has_no_power_say_what_to_do():
    async def main(which: str) -> None:
        async with detrun.World() as world:
            node = world.node("a")
            if which == "restart":
                node.restart()
            node.power_loss()
            node.start(sleep_forever)

    with pytest.raises(UsageError, match="never run anything; give restart"):
        detrun.record(main, "restart")
    with pytest.raises(UsageError, match=r"no power; call restart\(\)"):
        detrun.record(main, "start")


def test_a_paused_process_stands_still_and_finds_its_deadlines_past_when_it_goes_on():
    async def ticks(log: list[float]) -> None:
        while True:
            await trio.sleep(1)
            log.append(trio.current_time())

    async def main() -> tuple[list[float], list[float]]:
        paused: list[float] = []
        running: list[float] = []
        async with detrun.World() as world:
            world.node("a").start(ticks, paused)
            world.node("b").start(ticks, running)
            await trio.sleep(2.5)
            world.node("a").pause()
            assert world.node("a").is_paused
            await trio.sleep(4)
            world.node("a").resume()
            await trio.sleep(1.75)
        return paused, running

    for strategy in ("random", "fifo", "pct"):
        assert run(main, strategy=strategy) == ([1, 2, 6.5, 7.5], [1, 2, 3, 4, 5, 6, 7, 8])


def test_a_paused_process_gets_what_came_meanwhile_and_is_not_cancelled_before_it_goes_on():
    async def program(log: list[Any]) -> None:
        with trio.move_on_after(2) as scope:
            log.append(await detrun.this_node().receive())
            await trio.sleep_forever()
        log.append((scope.cancelled_caught, trio.current_time()))

    async def main() -> list[Any]:
        log: list[Any] = []
        async with detrun.World(latency=0.5) as world:
            node = world.node("a")
            node.start(program, log)
            await trio.sleep(0.1)
            node.pause()
            world.driver.send("a", "hello")
            await trio.sleep(5)
            assert log == []
            node.resume()
            await node.ended()
        return log

    assert run(main) == ["hello", (True, 5.1)]


def test_what_is_started_on_a_paused_node_begins_when_it_goes_on():
    async def note(log: list[float]) -> None:
        log.append(trio.current_time())

    async def main() -> list[float]:
        log: list[float] = []
        async with detrun.World() as world:
            node = world.node("a")
            node.start(sleep_forever)
            await trio.sleep(1)
            node.pause()
            node.start(note, log)
            await trio.sleep(1)
            assert log == []
            node.resume()
            await trio.sleep(1)
        return log

    assert run(main) == [2]


def test_a_paused_node_can_crash_and_the_others_stay_paused():
    async def ticks(log: list[float]) -> None:
        while True:
            await trio.sleep(1)
            log.append(trio.current_time())

    async def main() -> list[float]:
        log: list[float] = []
        async with detrun.World() as world:
            for name in ("a", "b"):
                world.node(name).start(ticks, log)
            await trio.sleep(0.5)
            for name in ("a", "b"):
                world.node(name).pause()
            await trio.sleep(3)
            world.node("a").crash()
            await trio.sleep(3)
            assert log == []
            world.node("b").resume()
            await trio.sleep(1.5)
        return log

    assert run(main) == [6.5, 7.5]


def test_nodes_are_paused_and_resumed_each_by_itself():
    async def ticks(log: list[tuple[str, float]], period: float) -> None:
        while True:
            await trio.sleep(period)
            log.append((detrun.this_node().name, trio.current_time()))

    async def main() -> list[tuple[str, float]]:
        log: list[tuple[str, float]] = []
        async with detrun.World() as world:
            a, b = world.node("a"), world.node("b")
            a.start(ticks, log, 1)
            b.start(ticks, log, 10)
            await trio.sleep(0.5)
            a.pause()
            b.pause()
            await trio.sleep(2)
            a.resume()  # no task of b has been woken yet; b stands still all the same
            await trio.sleep(9.25)
            assert {name for name, _ in log} == {"a"}
            b.resume()
            await trio.sleep(1)
            a.pause()
            await trio.sleep(5)
            a.crash()
            b.pause()
            b.resume()
            await trio.sleep(10)
        return [one for one in log if one[0] == "b"]

    assert run(main) == [("b", 11.75), ("b", 21.75)]


def test_an_error_in_a_node_comes_out_of_the_world_with_the_name_of_the_node():
    cleaned: list[str] = []

    async def fail() -> None:
        await trio.sleep(1)
        raise ValueError("broken")

    async def neighbour() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cleaned.append(detrun.this_node().name)

    async def main() -> None:
        async with detrun.World() as world:
            world.node("bad").start(fail)
            world.node("bad").start(neighbour)
            world.node("good").start(neighbour)
            await trio.sleep_forever()

    with pytest.raises(ValueError, match="broken") as caught:
        detrun.record(main)
    assert caught.value.__notes__ == ["in node 'bad' (10.0.0.2), virtual time 1 s"]
    assert sorted(cleaned) == ["bad", "good"]


def test_an_error_in_the_body_stops_the_nodes_and_comes_out_as_it_is():
    async def main() -> None:
        async with detrun.World() as world:
            world.node("a").start(sleep_forever)
            await trio.sleep(1)
            raise KeyError("body")

    with pytest.raises(KeyError, match="body") as caught:
        detrun.record(main)
    assert not hasattr(caught.value, "__notes__")


def test_a_deadlock_report_names_tasks_of_nodes_and_what_they_wait_for():
    async def program() -> None:
        await detrun.this_node().receive()

    async def main() -> None:
        async with detrun.World() as world:
            world.node("quiet").start(program)
            await world.node("quiet").ended()

    with pytest.raises(DeadlockError) as caught:
        detrun.record(main)
    assert "(main/quiet/program) waits for Mailbox.receive: no message comes\n" in str(caught.value)


def test_a_deadlock_report_says_what_sockets_and_mailboxes_wait_for():
    async def accept(address: tuple[str, int]) -> None:
        listener = trio.socket.socket()
        await listener.bind(address)
        listener.listen()
        await listener.accept()

    async def serve() -> None:
        await trio.serve_tcp(lambda stream: trio.sleep_forever(), 80)

    async def write() -> None:
        stream = await trio.open_tcp_stream("server", 80)
        await stream.send_all(b"x" * 1_000_000)

    async def read() -> None:
        stream = await trio.open_tcp_stream("server", 80)
        await stream.receive_some()

    async def datagram() -> None:
        one = trio.socket.socket(type=socket.SOCK_DGRAM)
        await one.bind(("", 53))
        await one.recv(10)

    async def choosy() -> None:
        node = detrun.this_node()
        node.send(node, "text")
        await node.receive(int)

    async def main() -> None:
        async with detrun.World() as world:
            world.node("server").start(serve)
            await trio.sleep(1)
            world.node("client").start(accept, ("", 99))
            for program in (write, read, datagram, choosy):
                world.node("client").start(program)
            await world.node("client").ended()

    with pytest.raises(DeadlockError) as caught:
        detrun.record(main, strategy="fifo")
    for words in (
        r"accept\) waits for TcpSocket.wait_readable: no connection comes to 0.0.0.0:99",
        r"write\) waits for TcpSocket.wait_writable: 10.0.0.2:80 reads nothing from 10.0.0.3:\d+",
        r"read\) waits for TcpSocket.wait_readable: no bytes come from 10.0.0.2:80 to 10.0.0.3:\d+",
        r"datagram\) waits for UdpSocket.wait_readable: no datagram comes to 0.0.0.0:53",
        r"choosy\) waits for Mailbox.receive: no message comes of the type that it waits for, and 1 of others",
    ):
        assert re.search(words, str(caught.value)), words


def test_everything_that_a_world_replaced_is_back_after_it_and_after_a_failure():
    names = ("socket", "getaddrinfo", "getnameinfo", "gethostname", "gethostbyname")
    before = [getattr(socket, name) for name in names] + [trio.socket.from_stdlib_socket]

    async def fine() -> None:
        async with detrun.World():
            assert socket.socket is not before[0]
            await trio.sleep(1)

    async def deadlocked() -> None:
        async with detrun.World() as world:
            world.node("a").start(sleep_forever)
            await trio.sleep_forever()

    async def failing() -> None:
        async with detrun.World():
            raise ValueError("x")

    detrun.record(fine)
    for program, kind in ((deadlocked, DeadlockError), (failing, ValueError)):
        with pytest.raises(kind):
            detrun.record(program)
    assert [getattr(socket, name) for name in names] + [trio.socket.from_stdlib_socket] == before


def test_wrong_use_is_named():
    async def nested() -> None:
        async with detrun.World(), detrun.World():
            pass

    async def twice() -> None:
        world = detrun.World()
        async with world:
            pass
        async with world:
            pass

    async def unopened() -> None:
        detrun.World().node("a").start(sleep_forever)

    async def misspelt() -> None:
        async with detrun.World() as world:
            world.node("server")
            world.partition("server", "sever")

    async def unnameable() -> None:
        async with detrun.World() as world:
            world.node("10.0.0.9")

    async def suicidal() -> None:
        async with detrun.World() as world:
            world.driver.crash()

    for program, words in (
        (nested, "another world is open"),
        (twice, "opened already"),
        (unopened, "async with"),
        (misspelt, "no node 'sever'"),
        (unnameable, "cannot name a node"),
        (suicidal, "driver cannot crash"),
    ):
        with pytest.raises(UsageError, match=words):
            detrun.record(program)
    with pytest.raises(UsageError, match="outside a run"):
        detrun.World()


def test_a_world_that_the_program_never_leaves_is_closed_with_its_run():
    """The next run would find it open, and say so instead of what is wrong."""
    worlds = []

    async def stays() -> None:
        worlds.append(detrun.World())
        await worlds[-1].__aenter__()
        raise ValueError("broken")

    async def opens() -> None:
        async with detrun.World() as world:
            world.node("a")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="Nursery stack corrupted"):
            detrun.record(stays)
        detrun.record(opens)


def test_a_world_that_cannot_be_opened_is_closed(monkeypatch: pytest.MonkeyPatch):
    def broken(*arguments: object) -> None:
        raise ValueError("broken")

    async def opens() -> None:
        async with detrun.World():
            pass

    with monkeypatch.context() as patched:
        patched.setattr("detrun.world.nodes.node_threads.install", broken)
        with pytest.raises(ValueError, match="broken"):
            detrun.record(opens)
    detrun.record(opens)


def test_addresses_go_by_the_order_in_which_nodes_are_named():
    async def main() -> list[str]:
        async with detrun.World() as world:
            for index in range(300):
                world.node(f"n{index}")
            return [node.address for node in world.nodes]

    addresses = detrun.record(main).result
    assert addresses[:2] == ["10.0.0.2", "10.0.0.3"]
    assert len(set(addresses)) == 300


@pytest.mark.parametrize("crash", [False, True])
def test_a_world_leaves_no_cyclic_garbage(crash: bool, garbage_of: Any):
    """Exploration runs thousands of worlds with the collector off."""

    async def echo(stream: trio.SocketStream) -> None:
        async for data in stream:
            await stream.send_all(data)

    async def main() -> None:
        async with detrun.World(latency=detrun.world.Exponential(0.01)) as world:
            server = world.node("server")
            server.start(trio.serve_tcp, echo, 80)
            await trio.sleep(0.01)
            stream = await trio.open_tcp_stream("server", 80)
            await stream.send_all(b"x")
            await stream.receive_some()
            if crash:
                server.crash()
                server.restart()
            await trio.sleep(1)

    assert garbage_of(lambda: detrun.record(main)) == 0


def test_a_closed_world_says_that_it_is_closed_and_its_sockets_can_still_be_closed():
    async def main() -> bool:
        async with detrun.World() as world:
            node = world.node("a")
            node.start(trio.serve_tcp, handle, 80)
            await trio.sleep(0.1)
            stream = await trio.open_tcp_stream("a", 80)
        with pytest.raises(UsageError, match="not open"):
            world.check_open()
        with pytest.raises(UsageError, match="belongs to a closed world"):
            node.start(sleep_forever)
        await stream.aclose()
        await trio.sleep(1000)
        return world.faults.total == 0

    async def handle(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    assert detrun.record(main).result


def test_a_lambda_that_is_no_program_is_refused_by_its_place() -> None:
    async def main() -> None:
        async with detrun.World() as world:
            world.node("node").start(lambda: 3)

    with pytest.raises(UsageError, match=r"the lambda of .*test_nodes\.py:\d+ returned 3, and ran in no task"):
        detrun.record(main)


def test_a_lambda_may_return_the_coroutine_of_a_program() -> None:
    async def main() -> float:
        async with detrun.World() as world:
            node = world.node("node")
            node.start(lambda: trio.sleep(2))
            await node.ended()
        return trio.current_time()

    assert detrun.record(main).result == 2.0
