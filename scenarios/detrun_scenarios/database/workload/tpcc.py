"""The tables and transactions of a wholesale supplier: TPC-C, scaled down to what a simulated run can do.

New orders, payments, the status of orders, deliveries and stock levels, as in the specification, with fewer rows and
fewer columns; a row of the history carries the payment's client and number, by which it is found again. What is written
together has to fit together afterwards: `consistency` has the conditions.

Source: TPC Benchmark C, revision 5.11, clauses 1.3 (tables), 2.4 to 2.8 (transactions).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detrun_scenarios.database.server.application import Application, Shape, Work
from detrun_scenarios.database.transactions.transaction import Found

TABLES = (
    Shape("warehouse", ("w", "tax", "ytd"), {"id": ("w",)}),
    Shape("district", ("w", "d", "tax", "ytd", "next_order"), {"id": ("w", "d")}),
    Shape("customer", ("w", "d", "c", "balance", "paid", "payments", "deliveries"), {"id": ("w", "d", "c")}),
    Shape("history", ("client", "number", "w", "d", "c", "amount"), {"id": ("client", "number")}),
    Shape("item", ("i", "price"), {"id": ("i",)}),
    Shape("stock", ("w", "i", "quantity", "ytd", "orders"), {"id": ("w", "i")}),
    Shape(
        "orders",
        ("w", "d", "o", "c", "carrier", "lines"),
        {"id": ("w", "d", "o"), "customer": ("w", "d", "c")},
    ),
    Shape("new_order", ("w", "d", "o"), {"id": ("w", "d", "o"), "district": ("w", "d")}),
    Shape(
        "order_line",
        ("w", "d", "o", "line", "i", "quantity", "amount", "is_delivered"),
        {"order": ("w", "d", "o")},
        unique=(),
    ),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """How many of what there are at first. There are no orders.

    Attributes:
        districts: of each warehouse.
        customers: of each district.
    """

    warehouses: int = 1
    districts: int = 2
    customers: int = 3
    items: int = 5

    async def fill(self, work: Work) -> None:
        """Put the first rows in."""
        for w in range(1, self.warehouses + 1):
            await work.insert("warehouse", w, 0.1, 0)
            for d in range(1, self.districts + 1):
                await work.insert("district", w, d, 0.05, 0, 1)
                for c in range(1, self.customers + 1):
                    await work.insert("customer", w, d, c, 0, 0, 0, 0)
            for i in range(1, self.items + 1):
                await work.insert("stock", w, i, 50, 0, 0)
        for i in range(1, self.items + 1):
            await work.insert("item", i, 100 + i)


def values(found: Found) -> tuple[Any, ...]:
    """The row, of which the columns are known."""
    return found.row


async def new_order(work: Work, arguments: Sequence[Any]) -> int:
    """Order some items for a customer; the number of the order (clause 2.4).

    Raises:
        RefusedError: there is no such item: some customers ask for one that there is not.
    """
    w, d, c, wanted = arguments
    await work.find_one("warehouse", w)
    district = await work.find_one("district", w, d)
    *_, o = values(district)
    await work.change("district", district, next_order=o + 1)
    await work.find_one("customer", w, d, c)
    await work.insert("orders", w, d, o, c, None, len(wanted))
    await work.insert("new_order", w, d, o)
    for line, (i, quantity) in enumerate(wanted, start=1):
        _, price = values(await work.find_one("item", i))
        stock = await work.find_one("stock", w, i)
        _, _, left, ytd, orders = values(stock)
        left -= quantity
        if left < 10:
            left += 91
        await work.change("stock", stock, quantity=left, ytd=ytd + quantity, orders=orders + 1)
        await work.insert("order_line", w, d, o, line, i, quantity, quantity * price, 0)
    return int(o)


async def payment(work: Work, arguments: Sequence[Any]) -> None:
    """A customer pays (clause 2.5)."""
    client, number, w, d, c, amount = arguments
    warehouse = await work.find_one("warehouse", w)
    await work.change("warehouse", warehouse, ytd=values(warehouse)[2] + amount)
    district = await work.find_one("district", w, d)
    await work.change("district", district, ytd=values(district)[3] + amount)
    customer = await work.find_one("customer", w, d, c)
    _, _, _, balance, paid, payments, _ = values(customer)
    await work.change("customer", customer, balance=balance - amount, paid=paid + amount, payments=payments + 1)
    await work.insert("history", client, number, w, d, c, amount)


async def order_status(work: Work, arguments: Sequence[Any]) -> list[list[Any]]:
    """The lines of a customer's last order; none if there is none (clause 2.6)."""
    w, d, c = arguments
    await work.find_one("customer", w, d, c)
    last = await work.query("SELECT o FROM orders WHERE w = ? AND d = ? AND c = ? ORDER BY o DESC LIMIT 1", w, d, c)
    if not last:
        return []
    ((o,),) = last
    lines = await work.query("SELECT i, quantity, amount FROM order_line WHERE w = ? AND d = ? AND o = ?", w, d, o)
    return [list(one) for one in lines]


async def delivery(work: Work, arguments: Sequence[Any]) -> list[int]:
    """Deliver the oldest new order of each district; their numbers, 0 for a district that has none (clause 2.7)."""
    w, districts, carrier = arguments
    delivered = []
    for d in range(1, districts + 1):
        waiting = await work.find("new_order", "district", w, d)
        if not waiting:
            delivered.append(0)
            continue
        oldest = min(waiting, key=values)
        *_, o = values(oldest)
        await work.delete("new_order", oldest)
        order = await work.find_one("orders", w, d, o)
        await work.change("orders", order, carrier=carrier)
        total = 0
        for line in await work.find("order_line", "order", w, d, o):
            total += values(line)[6]
            await work.change("order_line", line, is_delivered=1)
        customer = await work.find_one("customer", w, d, values(order)[3])
        _, _, _, balance, _, _, deliveries = values(customer)
        await work.change("customer", customer, balance=balance + total, deliveries=deliveries + 1)
        delivered.append(int(o))
    return delivered


async def stock_level(work: Work, arguments: Sequence[Any]) -> int:
    """How many items of a district's last orders are low in stock (clause 2.8)."""
    w, d, orders, threshold = arguments
    *_, next_order = values(await work.find_one("district", w, d))
    ((count,),) = await work.query(
        "SELECT COUNT(DISTINCT s.i) FROM order_line AS l JOIN stock AS s ON s.i = l.i WHERE l.w = ? AND l.d = ? "
        "AND l.o BETWEEN ? AND ? AND s.w = ? AND s.quantity < ?",
        *(w, d, next_order - orders, next_order - 1, w, threshold),
    )
    assert isinstance(count, int)
    return count


def tpcc(scale: Scale) -> Application:
    """The database of such a supplier."""
    return Application(
        TABLES,
        scale.fill,
        {
            "new_order": new_order,
            "payment": payment,
            "order_status": order_status,
            "delivery": delivery,
            "stock_level": stock_level,
        },
    )
