"""A server that is sent texts of SQL."""

from __future__ import annotations

from typing import Any

import trio

import detrun
from detrun_scenarios.database.database import PRIMARY, database
from detrun_scenarios.database.server.application import SQL, Application, Shape, Work
from detrun_scenarios.database.server.connection import Connection
from detrun_scenarios.database.server.machine import Hardware
from detrun_scenarios.database.server.server import DONE, PORT, REFUSED
from detrun_scenarios.database.settings import Settings


async def fill(work: Work) -> None:
    await work.insert("item", 1, "first")


def test_statements_of_one_request_are_one_transaction() -> None:
    application = Application((Shape("item", ("id", "name"), {"id": ("id",)}),), fill, {})
    requests: list[list[Any]] = [
        [
            ["INSERT INTO item VALUES (?, ?)", [2, "second"]],
            ["SELECT name FROM item WHERE id <= ? ORDER BY id DESC", [2]],
        ],
        [["UPDATE item SET name = 'x'", []], ["INSERT INTO item VALUES (1, 'again')", []]],
        [["DROP TABLE item", []]],
        [["ANALYZE", []], ["EXPLAIN SELECT COUNT(*) FROM item", []], ["SELECT COUNT(*), MAX(name) FROM item", []]],
    ]

    async def main() -> list[Any]:
        answers: list[Any] = []

        async def client() -> None:
            connection = Connection(await trio.open_tcp_stream(PRIMARY, PORT))
            for request in requests:
                await connection.send((SQL, request))
                answers.append(await connection.receive())

        async with database(Hardware(), Settings(sessions_max=1), application) as found:
            await found.ready()
            node = found.world.node("client1")
            node.start(client)
            await node.ended()
        return answers

    inserted, duplicate, unsupported, counted = detrun.record(main).result
    assert inserted == [DONE, [[], [["second"], ["first"]]]]
    assert duplicate[0] == unsupported[0] == REFUSED
    assert "index id" in duplicate[1]
    assert "not supported" in unsupported[1]
    assert counted == [DONE, [[], [["aggregate"], ["  scan item (cost=0.00..1.02 rows=2)"]], [[2, "second"]]]]


def test_a_replica_answers_queries_and_refuses_changes() -> None:
    application = Application((Shape("item", ("id", "name"), {"id": ("id",)}),), fill, {})

    async def main() -> list[Any]:
        async with database(Hardware(), Settings(sessions_max=1), application) as found:
            await found.ready()
            found.start_replica()
            await found.caught_up()
            texts = ("SELECT name FROM item WHERE id = 1", "INSERT INTO item VALUES (2, 'second')")
            return [await found.replicas[-1].carry_out(SQL, [[text, []]]) for text in texts]

    selected, inserted = detrun.record(main).result
    assert selected == (DONE, [[("first",)]])
    assert inserted == (REFUSED, "table item: a replica takes no changes; make them at the primary")
