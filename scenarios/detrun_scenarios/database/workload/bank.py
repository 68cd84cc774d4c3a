"""Customers with two accounts each, who may owe something on one of them, but not on both together.

The sum is what a withdrawal looks at, and it changes one account only: under snapshot isolation two withdrawals from
different accounts do not see each other. TPC-C's mix has no such transactions; it is serializable under snapshots
(Fekete et al., ACM TODS 2005).

Source: the constraint is that of Berenson et al., SIGMOD 1995 (A5B); the tables and a part of the transactions are
those of SmallBank (Alomari et al., ICDE 2008).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import detrun
from detrun_scenarios.database.server.application import Application, RefusedError, Shape, Work
from detrun_scenarios.database.transactions.transaction import Found
from detrun_scenarios.database.workload.terminals import Ask

CHECKING, SAVINGS = ACCOUNTS = ("checking", "savings")
SHARES = {"withdraw": 0.5, "deposit": 0.2, "balance": 0.2, "audit": 0.1}


@dataclass(frozen=True, slots=True)
class Bank:
    """How many customers there are, what they have at first on each account, and what they do."""

    customers: int = 2
    money: int = 10
    shares: Mapping[str, float] = field(default_factory=lambda: SHARES)

    async def fill(self, work: Work) -> None:
        """Put the first rows in."""
        for c in range(self.customers):
            for account in ACCOUNTS:
                await work.insert(account, c, self.money)

    def application(self) -> Application:
        """The database."""
        shapes = tuple(Shape(account, ("c", "balance"), {"id": ("c",)}) for account in ACCOUNTS)
        procedures = {"withdraw": withdraw, "deposit": deposit, "balance": balance, "audit": audit}
        return Application(shapes, self.fill, procedures)

    def ask(self) -> Ask:
        """What clients ask for."""

        def ask(client: str, number: int) -> tuple[str, list[Any]]:
            name: str = detrun.choice(list(self.shares), list(self.shares.values()))
            c = int(detrun.choice(self.customers))
            if name == "audit":
                return name, []
            if name == "balance":
                return name, [c]
            return name, [c, detrun.choice(ACCOUNTS), 1 + int(detrun.choice(self.money))]

        return ask


def _balance(found: Found) -> int:
    balance: Any = found.row[1]
    return int(balance)


async def withdraw(work: Work, arguments: Sequence[Any]) -> None:
    """Take money from one account.

    Raises:
        RefusedError: there is not as much on both together.
    """
    c, account, amount = arguments
    found = {one: await work.find_one(one, c) for one in ACCOUNTS}
    if sum(map(_balance, found.values())) < amount:
        raise RefusedError(f"customer {c} has not {amount}")
    await work.change(account, found[account], balance=found[account].row[1] - amount)


async def deposit(work: Work, arguments: Sequence[Any]) -> None:
    """Put money on one account."""
    c, account, amount = arguments
    found = await work.find_one(account, c)
    await work.change(account, found, balance=found.row[1] + amount)


async def balance(work: Work, arguments: Sequence[Any]) -> int:
    """What a customer has on both."""
    return sum([_balance(await work.find_one(account, *arguments)) for account in ACCOUNTS])


async def audit(work: Work, arguments: Sequence[Any]) -> int:
    """What all have."""
    scans = [await work.transaction.scan(work.table(account)) for account in ACCOUNTS]
    return sum(_balance(found) for scan in scans for found in scan)
