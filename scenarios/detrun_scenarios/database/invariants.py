"""What is true of the database whenever no transaction goes on, as a driver outside can see it after a power loss.

What clients were told is there; what is written together fits together; and the trees lead to every row. A history of
the transactions themselves, and whether some order explains it, is the matter of `checks`.

Source of the conditions: TPC Benchmark C, revision 5.11, clause 3.3.2 (conditions 1 to 4, 6, 8, 9 and 12).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import detrun
from detrun_scenarios.database.transactions.store import Store
from detrun_scenarios.database.transactions.table import Table
from detrun_scenarios.database.transactions.transaction import Transaction
from detrun_scenarios.database.transactions.versions import version_of
from detrun_scenarios.database.tree.keys import entry_of
from detrun_scenarios.database.workload.terminals import Observed

DURABLE = "what was acknowledged is there"
FITTING = "what was written together fits together"
TREES = "trees lead to all rows"
REPLICATED = "a replica shows what the primary has committed"

Rows: TypeAlias = Mapping[str, list[tuple[Any, ...]]]


async def check(store: Store, observed: Observed) -> None:
    """Look at all of a database, on which no task works: the supplier's, or any other as far as trees are concerned."""
    if "warehouse" in store.tables:
        rows = await committed_rows(Transaction(store, "snapshot"))
        detrun.always(not (wrong := "; ".join(missing(rows, observed))), DURABLE, wrong)
        detrun.always(not (wrong := "; ".join(unfitting(rows))), FITTING, wrong)
    wrong = "; ".join([text for table in store.tables.values() for text in await astray(table)])
    detrun.always(not wrong, TREES, wrong)


def check_replica(rows: Rows, primary: Rows | None = None) -> None:
    """Look at what a replica shows: transactions as a whole; and the rows of the primary, if it has caught up."""
    wrong = list(unfitting(rows)) if rows.get("warehouse") else []
    if primary is not None:
        wrong += [f"{name} differs" for name, there in primary.items() if sorted(there) != sorted(rows.get(name, ()))]
    detrun.always(not wrong, REPLICATED, "; ".join(wrong))


async def committed_rows(reader: Transaction) -> Rows:
    """All rows of all tables."""
    found = {name: [one.row for one in await reader.scan(table)] for name, table in reader.store.tables.items()}
    await reader.commit()
    return found


def missing(rows: Rows, observed: Observed) -> Iterator[str]:
    """What clients were told, and is not there."""
    payments = {(client, number): amount for client, number, *_, amount in rows["history"]}
    orders = {(w, d, o): (c, carrier, lines) for w, d, o, c, carrier, lines in rows["orders"]}
    for done in observed.done:
        match done.name, done.arguments, done.answer:
            case "payment", [client, number, *_, amount], _:
                if payments.get((client, number)) != amount:
                    yield f"payment {number} of {client} is {payments.get((client, number))}, and was {amount}"
            case "new_order", [w, d, c, wanted], o:
                found = orders.get((w, d, o), (None, None, None))
                if (found[0], found[2]) != (c, len(wanted)):
                    yield f"order {w, d, o} is of {found[0]}, and was of {c}"
            case "delivery", [w, _, carrier], delivered:
                for d, o in enumerate(delivered, start=1):
                    if o and orders.get((w, d, o), (None, None, None))[1] != carrier:
                        yield f"order {w, d, o} was delivered by {carrier}, and there is {orders.get((w, d, o))}"


def unfitting(rows: Rows) -> Iterator[str]:
    """Conditions that are not met."""
    ytd = {w: ytd for w, _, ytd in rows["warehouse"]}
    by_warehouse, by_district, by_customer = Counter[Any](), Counter[Any](), Counter[Any]()
    for _, _, w, d, c, amount in rows["history"]:
        by_warehouse[w] += amount
        by_district[w, d] += amount
        by_customer[w, d, c] += amount
    for w, amount in ytd.items():
        districts = sum(one[3] for one in rows["district"] if one[0] == w)
        if not amount == districts == by_warehouse[w]:
            yield f"warehouse {w} has {amount}, its districts {districts}, its history {by_warehouse[w]}"
    lines = Counter[Any]()
    delivered = Counter[Any]()
    customer_of = {one[:3]: one[3] for one in rows["orders"]}
    for w, d, o, *_, amount, is_delivered in rows["order_line"]:
        lines[w, d, o] += 1
        delivered[w, d, customer_of.get((w, d, o))] += amount if is_delivered else 0
    waiting = set(rows["new_order"])
    for w, d, o, _, carrier, count in rows["orders"]:
        if lines.pop((w, d, o), 0) != count:
            yield f"order {w, d, o} has not its {count} lines"
        if ((w, d, o) in waiting) != (carrier is None):
            yield f"order {w, d, o} is carried by {carrier}, and {'waits' if carrier else 'does not wait'}"
    if lines:
        yield f"lines without an order: {sorted(lines)}"
    for w, d, _, amount, following in rows["district"]:
        numbers = sorted(one[2] for one in rows["orders"] if one[:2] == (w, d))
        if numbers != list(range(1, following)):
            yield f"district {w, d} goes on with {following}, and its orders are {numbers}"
        left = sorted(one[2] for one in waiting if one[:2] == (w, d))
        if left != list(range(following - len(left), following)):
            yield f"district {w, d} goes on with {following}, and {left} wait"
        if amount != by_district[w, d]:
            yield f"district {w, d} has {amount}, its history {by_district[w, d]}"
    for w, d, c, balance, paid, *_ in rows["customer"]:
        if paid != by_customer[w, d, c] or balance != delivered[w, d, c] - paid:
            yield (
                f"customer {w, d, c} has paid {paid} and has {balance}; the history has {by_customer[w, d, c]}, and "
                f"{delivered[w, d, c]} is delivered"
            )


async def astray(table: Table) -> list[str]:
    """Versions that an index does not lead to, though they are rows, and indexes whose trees are broken."""
    found: list[str] = []
    versions = [(address, version_of(record)) async for address, record in table.heap.scan()]
    for index in table.indexes.values():
        try:
            await index.tree._check()
        except AssertionError as error:
            found.append(f"index {index.name} of {table.name} is broken: {error}")
            continue
        entries = set(await index.tree.scan(b"", b"\xff" * 8))
        for address, version in versions:
            # Of a version that has ended, a vacuum may have taken the entries away, and then the power went.
            if not version.ended_by and entry_of(index.key(version.row), address) not in entries:
                found.append(f"index {index.name} of {table.name} does not lead to {version.row}")
    return found
