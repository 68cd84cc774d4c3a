"""Check, then await, then act: the account is debited twice.

Source: written for this benchmark; tasks are said to need no locks, which is true only between awaits. The bug: the
second withdrawal checks the balance while the first, which has checked it too, awaits its confirmation.
"""

import trio


class Account:
    """A balance, and a lock that only the repaired program takes."""

    def __init__(self) -> None:
        self.balance = 100
        self.lock = trio.Lock()


async def withdraw(account: Account) -> None:
    await trio.lowlevel.checkpoint()  # reads the request
    if account.balance >= 60:
        await trio.lowlevel.checkpoint()  # asks for confirmation
        account.balance -= 60


async def withdraw_locked(account: Account) -> None:
    await trio.lowlevel.checkpoint()
    async with account.lock:
        if account.balance >= 60:
            await trio.lowlevel.checkpoint()
            account.balance -= 60


async def buggy() -> None:
    account = Account()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(withdraw, account)
        nursery.start_soon(withdraw, account)
    assert account.balance >= 0, "overdrawn"


async def fixed() -> None:
    account = Account()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(withdraw_locked, account)
        nursery.start_soon(withdraw_locked, account)
    assert account.balance >= 0, "overdrawn"


BUGGY, FIXED = buggy, fixed
